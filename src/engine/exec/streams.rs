//! Input and output of a process in a container that has no terminal: pipes of its own, passed on here. The caller's own files
//! stay outside, where nobody in the container can open, cut or read them by their names below `/proc`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::sys::process::{self, Pidfd, PollFd, SignalFd};
use crate::sys::socket;

/// What is passed on at once.
const CHUNK: usize = 16 * 1024;

const SIGKILL: i32 = 9;

/// Our ends of the pipes; none where there is nothing to pass on any more.
#[derive(Debug, Default)]
pub struct Streams {
    input: Option<File>,
    output: Option<File>,
    error: Option<File>,
    /// Input that the process has not taken yet.
    pending: Vec<u8>,
}

impl Streams {
    /// Pipes for standard output and error, and for standard input where asked for; then the ends for the process, of which
    /// the first is `nothing` otherwise.
    pub fn make(interactive: bool, nothing: OwnedFd) -> io::Result<(Streams, [OwnedFd; 3])> {
        let mut streams = Streams::default();
        let mut read = nothing;
        if interactive {
            let (theirs, ours) = socket::pipe()?;
            socket::set_nonblocking(ours.as_fd())?;
            streams.input = Some(ours.into());
            read = theirs;
        }
        let (ours, output) = socket::pipe()?;
        streams.output = Some(ours.into());
        let (ours, error) = socket::pipe()?;
        streams.error = Some(ours.into());
        Ok((streams, [read, output, error]))
    }

    /// Passes everything on until the process has ended, and then what is left of it: its own children may keep the pipes
    /// open. When we are asked to end, it ends first.
    pub fn relay(mut self, child: &Pidfd, signals: &SignalFd) -> io::Result<()> {
        loop {
            let mut set = [
                PollFd::read(child.as_fd()),
                PollFd::read(signals.as_fd()),
                readable(&self.output),
                readable(&self.error),
                self.wanted(),
            ];
            process::poll(&mut set, None)?;
            if set[1].is_ready() && signals.take().is_some() {
                child.signal(SIGKILL)?;
            }
            if set[2].is_ready() {
                pass(&mut self.output, &mut io::stdout());
            }
            if set[3].is_ready() {
                pass(&mut self.error, &mut io::stderr());
            }
            if set[4].is_ready() {
                self.feed();
            }
            if set[0].is_ready() {
                return self.drain();
            }
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        loop {
            let mut set = [readable(&self.output), readable(&self.error)];
            if process::poll(&mut set, Some(Duration::ZERO))? == 0 {
                return Ok(());
            }
            if set[0].is_ready() {
                pass(&mut self.output, &mut io::stdout());
            }
            if set[1].is_ready() {
                pass(&mut self.error, &mut io::stderr());
            }
        }
    }

    /// Room in the pipe while there is something for it, else something from the caller.
    fn wanted(&self) -> PollFd {
        match &self.input {
            Some(input) if !self.pending.is_empty() => PollFd::write(input.as_fd()),
            Some(_) => PollFd::read(io::stdin().as_fd()),
            None => PollFd::never(),
        }
    }

    fn feed(&mut self) {
        let Some(input) = &mut self.input else { return };
        if self.pending.is_empty() {
            self.pending.resize(CHUNK, 0);
            let read = io::stdin().lock().read(&mut self.pending).unwrap_or(0);
            self.pending.truncate(read);
            if read == 0 {
                // The process hears of the end.
                self.input = None;
                return;
            }
        }
        match input.write(&self.pending) {
            Ok(written) => drop(self.pending.drain(..written)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Nobody reads it any more.
            Err(_) => self.input = None,
        }
    }
}

fn readable(from: &Option<File>) -> PollFd {
    match from {
        Some(from) => PollFd::read(from.as_fd()),
        None => PollFd::never(),
    }
}

/// Passes what is there on; at the end, or where nobody takes it, the pipe is closed, which the process hears of.
fn pass(from: &mut Option<File>, to: &mut impl Write) {
    let mut chunk = [0; CHUNK];
    let Some(file) = from else { return };
    let passed = match file.read(&mut chunk) {
        Ok(read @ 1..) => to.write_all(&chunk[..read]).and_then(|()| to.flush()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    };
    if passed.is_err() {
        *from = None;
    }
}
