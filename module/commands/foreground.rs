//! Containers in the foreground: `run` without `-d`, `start -a`, `attach`, and the terminal of `exec -t`.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use clap::Args;
use dray::engine::logs::Stream;
use dray::engine::{Attached, Container, Engine, EngineError, Executed, Session, Status};
use dray::runargs::RunArgs;
use dray::sys::process::{self, PollFd, SignalFd};
use dray::sys::terminal::{self, Raw};

use super::Context;
use crate::exit;

const SIGWINCH: i32 = 28;
/// Signals that are passed on to the container.
const PASSED: [i32; 6] = [1, 2, 3, 15, 10, 12];
/// Docker's keys that detach from a terminal: ctrl-p ctrl-q.
const DETACH: [u8; 2] = [16, 17];

#[derive(Debug, Args)]
pub struct Words {
    /// Do not pass standard input on
    #[arg(long)]
    no_stdin: bool,
    /// Name or id
    container: String,
}

/// `dray attach`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = context.engine()?;
    let container = engine.find(&words.container)?;
    let Some(session) = engine.attach(container.id(), true)? else {
        return Err(EngineError::NotRunning {
            name: container.record.name,
        }
        .into());
    };
    let input = !words.no_stdin && container.record.body.config.open_stdin;
    let signals = signals(true)?;
    Front {
        engine: &engine,
        container: &container,
        session,
        input,
        signals,
        stdin: standard_input()?,
    }
    .relay()
}

/// Starts a container that was just made, as `run` without `-d` does.
pub fn run_created(
    engine: &Engine,
    container: &Container,
    args: &RunArgs,
) -> anyhow::Result<ExitCode> {
    begin(
        engine,
        container,
        args.body.config.open_stdin,
        args.sig_proxy,
    )
}

/// Starts a container that exists, attached.
pub fn start(
    engine: &Engine,
    container: &Container,
    interactive: bool,
) -> anyhow::Result<ExitCode> {
    begin(
        engine,
        container,
        interactive && container.record.body.config.open_stdin,
        true,
    )
}

fn begin(
    engine: &Engine,
    container: &Container,
    input: bool,
    pass_signals: bool,
) -> anyhow::Result<ExitCode> {
    let signals = signals(pass_signals)?;
    let started = engine.prepare(&[container.id()]).and_then(|prepared| {
        // Before the word to go, so that no output is missed.
        let session = engine.attach(container.id(), true)?;
        prepared.start()?;
        Ok(session)
    });
    match started {
        Ok(Some(session)) => Front {
            engine,
            container,
            session,
            input,
            signals,
            stdin: standard_input()?,
        }
        .relay(),
        Ok(None) => Err(EngineError::NotRunning {
            name: container.name().to_owned(),
        }
        .into()),
        Err(error) => {
            if container.record.body.host_config.auto_remove {
                // The failure to start is what has to be said.
                let _ = engine.remove(
                    container.id(),
                    dray::engine::Remove {
                        force: true,
                        volumes: true,
                    },
                );
            }
            Err(error.into())
        }
    }
}

fn signals(pass: bool) -> anyhow::Result<SignalFd> {
    let passed = if pass { &PASSED[..] } else { &[] };
    Ok(SignalFd::new(&[passed, &[SIGWINCH]].concat())?)
}

/// Where our terminal and the container meet.
struct Front<'a> {
    engine: &'a Engine,
    container: &'a Container,
    session: Session,
    input: bool,
    signals: SignalFd,
    stdin: File,
}

/// Standard input without a buffer of ours, which a poll could not see into.
fn standard_input() -> std::io::Result<File> {
    Ok(std::io::stdin().as_fd().try_clone_to_owned()?.into())
}

impl Front<'_> {
    fn relay(mut self) -> anyhow::Result<ExitCode> {
        let tty = self.container.record.body.config.tty;
        let raw = (tty && self.input && self.stdin.is_terminal())
            .then(|| Raw::new(self.stdin.as_fd()))
            .transpose()?;
        self.pass_size();
        let mut keys = Keys::default();
        let mut last = None;
        loop {
            let input = if self.input {
                PollFd::read(self.stdin.as_fd())
            } else {
                PollFd::never()
            };
            let mut set = [
                PollFd::read(self.session.as_fd()),
                PollFd::read(self.signals.as_fd()),
                input,
            ];
            process::poll(&mut set, None)?;
            if set[0].is_ready() {
                match self.session.take()? {
                    Some(Attached::Output(stream, piece)) => write(stream, &piece)?,
                    Some(Attached::State(state)) => last = Some(state),
                    Some(Attached::Closed) => break,
                    None => {}
                }
            }
            if set[1].is_ready() {
                self.pass_signals();
            }
            if set[2].is_ready() && !self.pass_input(tty, &mut keys)? {
                eprintln!("\r\nread escape sequence");
                return Ok(ExitCode::SUCCESS);
            }
        }
        drop(raw);
        // With --rm the record is gone by now: what the monitor said last counts.
        let code = match last.filter(|state| state.status == Status::Exited) {
            Some(state) => state.outcome.exit_code,
            None => self.engine.wait(self.container.id())?,
        };
        Ok(exit::of_container(code))
    }

    fn pass_size(&self) {
        if let Some((rows, columns)) = terminal::size(std::io::stdout().as_fd()) {
            // The container may be ending.
            let _ = self.session.resize(rows, columns);
        }
    }

    fn pass_signals(&self) {
        while let Some(signal) = self.signals.take() {
            match signal {
                SIGWINCH => self.pass_size(),
                // The container may be ending.
                signal => drop(self.engine.kill(self.container.id(), signal)),
            }
        }
    }

    /// False when the keys to detach were pressed.
    fn pass_input(&mut self, tty: bool, keys: &mut Keys) -> anyhow::Result<bool> {
        let mut buffer = [0; 4096];
        let read = self.stdin.read(&mut buffer)?;
        if read == 0 {
            self.input = false;
        }
        let (piece, detached) = if tty {
            keys.filter(&buffer[..read])
        } else {
            (buffer[..read].to_vec(), false)
        };
        if read == 0 || !piece.is_empty() {
            // The container may be ending.
            let _ = self.session.input(&piece);
        }
        Ok(!detached)
    }
}

/// Looks for the keys that detach.
#[derive(Default)]
struct Keys {
    matched: usize,
}

impl Keys {
    /// What is to be passed on, and whether all the keys were pressed.
    fn filter(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(input.len());
        for byte in input {
            if *byte == DETACH[self.matched] {
                self.matched += 1;
                if self.matched == DETACH.len() {
                    return (out, true);
                }
            } else {
                out.extend(&DETACH[..self.matched]);
                self.matched = usize::from(*byte == DETACH[0]);
                if self.matched == 0 {
                    out.push(*byte);
                }
            }
        }
        (out, false)
    }
}

fn write(stream: Stream, piece: &[u8]) -> std::io::Result<()> {
    match stream {
        Stream::Stdout => {
            let mut out = std::io::stdout().lock();
            out.write_all(piece)?;
            out.flush()
        }
        Stream::Stderr => std::io::stderr().write_all(piece),
    }
}

/// Connects our terminal with that of a process in a container until that has ended; its exit code.
pub fn relay(executed: Executed) -> Result<i32, EngineError> {
    let failed = |source| EngineError::System {
        action: "pass input and output on".into(),
        source,
    };
    let (pid, Some(terminal)) = (executed.pid, executed.terminal) else {
        return Err(failed(std::io::ErrorKind::InvalidInput.into()));
    };
    let signals = SignalFd::new(&[SIGWINCH]).map_err(failed)?;
    let mut stdin = standard_input().map_err(failed)?;
    let raw = stdin
        .is_terminal()
        .then(|| Raw::new(stdin.as_fd()))
        .transpose()
        .map_err(failed)?;
    copy_terminal(terminal, &mut stdin, &signals).map_err(failed)?;
    drop(raw);
    Ok(process::wait_child(pid).map_err(failed)?.code())
}

fn copy_terminal(terminal: OwnedFd, stdin: &mut File, signals: &SignalFd) -> std::io::Result<()> {
    let mut terminal = File::from(terminal);
    let resize = |terminal: &File| {
        if let Some((rows, columns)) = terminal::size(std::io::stdout().as_fd()) {
            // The process may be ending.
            let _ = terminal::set_size(terminal.as_fd(), rows, columns);
        }
    };
    resize(&terminal);
    let (mut buffer, mut input) = ([0; 4096], true);
    loop {
        let keys = if input {
            PollFd::read(stdin.as_fd())
        } else {
            PollFd::never()
        };
        let mut set = [
            PollFd::read(terminal.as_fd()),
            PollFd::read(signals.as_fd()),
            keys,
        ];
        process::poll(&mut set, None)?;
        if set[1].is_ready() && signals.take().is_some() {
            resize(&terminal);
        }
        if set[2].is_ready() {
            let read = stdin.read(&mut buffer)?;
            input = read > 0;
            terminal.write_all(&buffer[..read])?;
        }
        if set[0].is_ready() {
            match terminal.read(&mut buffer) {
                // The terminal's last user has gone.
                Ok(0) | Err(_) => return Ok(()),
                Ok(read) => write(Stream::Stdout, &buffer[..read])?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_detach_are_not_passed_on() {
        for (pieces, passed, detached) in [
            (vec![&b"abc"[..]], &b"abc"[..], false),
            (vec![b"a\x10\x11b"], b"a", true),
            (vec![b"a\x10", b"\x11"], b"a", true),
            (vec![b"\x10a"], b"\x10a", false),
            (vec![b"\x10\x10\x11"], b"\x10", true),
        ] {
            let mut keys = Keys::default();
            let (mut out, mut gone) = (Vec::new(), false);
            for piece in &pieces {
                let (more, done) = keys.filter(piece);
                out.extend(more);
                gone |= done;
            }
            assert_eq!((&out[..], gone), (passed, detached), "{pieces:?}");
        }
    }
}
