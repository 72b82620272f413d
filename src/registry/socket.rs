//! A connection that notices when nobody waits for it any more.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::transfer::Crowd;
use crate::sys::dial::dial;

/// How often a silent connection looks whether somebody still waits.
const SLICE: Duration = Duration::from_millis(250);

/// Bytes to and from one host.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    crowd: Arc<Crowd>,
}

impl Socket {
    /// Connects to one of `addresses`.
    pub(super) fn connect(
        addresses: &[SocketAddr],
        timeout: Duration,
        crowd: &Arc<Crowd>,
    ) -> io::Result<Socket> {
        let stream = dial(addresses, timeout, &|| crowd.is_gone())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SLICE))?;
        stream.set_write_timeout(Some(SLICE))?;
        Ok(Socket {
            stream,
            crowd: Arc::clone(crowd),
        })
    }

    /// What arrives within `timeout`; nothing is the end.
    pub(super) fn read(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        let start = Instant::now();
        loop {
            match self.stream.read(buffer) {
                Err(error) if is_pause(&error) => self.go_on(start, timeout)?,
                done => return done,
            }
        }
    }

    /// Sends all of it within `timeout`.
    pub(super) fn write_all(&mut self, mut bytes: &[u8], timeout: Duration) -> io::Result<()> {
        let start = Instant::now();
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if is_pause(&error) => self.go_on(start, timeout)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether an idle connection can be used again: open, and nothing unasked for has come.
    pub(super) fn is_open(&self) -> bool {
        let peek = || {
            self.stream.set_nonblocking(true)?;
            let peeked = self.stream.peek(&mut [0]);
            self.stream.set_nonblocking(false)?;
            peeked
        };
        peek().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    fn go_on(&self, start: Instant, timeout: Duration) -> io::Result<()> {
        if self.crowd.is_gone() {
            return Err(io::Error::other("nobody wants it any more"));
        }
        if start.elapsed() >= timeout {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

/// The end of a slice, or a signal.
fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
