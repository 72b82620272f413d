//! Where lines go, and what waits for whoever takes them: one that is away is looked for again, one that is slow is waited for
//! or not, and what is lost is counted.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::file::LogFile;
use super::journald::Journald;
use super::ring::{Line, Ring};
use super::sender::Sender;
use super::syslog::Syslog;
use super::{About, Format, Stream, WriterError};
use crate::api::LogConfig;
use crate::runargs::value;
use crate::sys::process::{self, PollFd};

/// Room for lines that wait in memory unless an option says otherwise. Docker's number.
const BUFFER: usize = 1 << 20;
/// How long a receiver may take, at a container's end, before the rest is given up.
const PATIENCE: Duration = Duration::from_secs(1);

/// A log driver with the lines that wait for it.
#[derive(Debug)]
pub(super) struct Outlet {
    sink: Sink,
    ring: Ring,
    /// Whether lines wait where the receiver is slow; else the container waits, unless nobody is there at all.
    waits_for_nobody: bool,
    /// How many lost lines have been said.
    said: u64,
}

/// Where lines go.
#[derive(Debug)]
enum Sink {
    Nowhere,
    File(LogFile),
    Syslog(Syslog),
    Journald(Journald),
}

impl Outlet {
    /// The driver with its options, which have been checked; nothing is created before the first line.
    pub fn new(
        driver: &str,
        config: &LogConfig,
        about: &About,
        logs: &Path,
    ) -> Result<Outlet, WriterError> {
        let file = |format| LogFile::new(format, config, about, logs).map(Sink::File);
        let option = |name: &str| config.config.get(name).map_or("", String::as_str);
        let limit = value::bytes(option("max-buffer-size")).ok();
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        Ok(Outlet {
            sink: match driver {
                "json-file" => file(Format::Json)?,
                "local" => file(Format::Local)?,
                "syslog" => Sink::Syslog(Syslog::new(config, about)?),
                "journald" => Sink::Journald(Journald::new(config, about)?),
                _ => Sink::Nowhere,
            },
            ring: Ring::new(limit.unwrap_or(BUFFER)),
            waits_for_nobody: option("mode") == "non-blocking",
            said: 0,
        })
    }

    /// Whether nobody wants the lines.
    pub fn is_nowhere(&self) -> bool {
        matches!(self.sink, Sink::Nowhere)
    }

    /// Fails if they go to somebody who cannot be reached.
    pub fn reach(&mut self) -> io::Result<()> {
        self.sink.sender().map_or(Ok(()), Sender::connect)
    }

    /// Whether the container has to wait for the receiver.
    pub fn is_congested(&mut self) -> bool {
        !self.waits_for_nobody && self.is_receiver_slow()
    }

    /// How long until a receiver that is away is looked for again for the sake of what waits.
    pub fn retry_in(&mut self) -> Option<Duration> {
        match self.ring.is_empty() {
            true => None,
            false => self.sink.sender().and_then(|sender| sender.retry_in()),
        }
    }

    fn is_receiver_away(&mut self) -> bool {
        self.sink.sender().is_some_and(|sender| sender.is_away())
    }

    fn is_receiver_slow(&mut self) -> bool {
        let congested = |sender: &mut Sender| sender.is_congested();
        self.sink.sender().is_some_and(congested)
    }

    /// What to wait for while the receiver is slow.
    pub fn poll_fd(&mut self) -> PollFd {
        let fd = |sender: &mut Sender| sender.poll_fd();
        self.sink.sender().map_or(PollFd::never(), fd)
    }

    /// Goes on with what waits, as far as the receiver takes it.
    pub fn resume(&mut self) -> io::Result<()> {
        self.flush();
        self.empty()
    }

    /// Sends what the receiver has not taken of one line; without a connection that one is lost.
    fn flush(&mut self) {
        if self.sink.sender().map_or(Ok(()), Sender::flush).is_err() {
            self.ring.count_lost();
        }
    }

    /// Sends the lines that wait, as far as somebody takes them; an error once they are sent and some were lost.
    fn empty(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        while !self.is_receiver_slow()
            && let Some(line) = self.ring.pop()
        {
            let sent = self.sink.line(line.stream, &line.text, &line.time);
            if sent.is_err() && self.is_receiver_away() {
                self.ring.put_back(line);
                break;
            }
            result = result.and(sent);
        }
        match self.ring.is_empty() {
            true => result.and(self.say_lost()),
            false => result,
        }
    }

    /// How many lines were lost, if that has not been said.
    fn say_lost(&mut self) -> io::Result<()> {
        let lost = self.ring.lost();
        if lost == self.said {
            return Ok(());
        }
        self.said = lost;
        Err(io::Error::other(format!(
            "{lost} lines were lost while its receiver did not take them"
        )))
    }

    /// One whole line, or the part of one that is long enough.
    pub fn line(&mut self, stream: Stream, text: &[u8], time: &str) -> io::Result<()> {
        let waits = self.is_receiver_away() || self.waits_for_nobody && self.is_receiver_slow();
        if !waits && self.ring.is_empty() {
            let sent = self.sink.line(stream, text, time);
            if sent.is_ok() || !self.is_receiver_away() {
                return sent;
            }
        }
        self.ring.push(Line {
            stream,
            text: text.to_vec(),
            time: time.to_owned(),
        });
        match self.retry_in() {
            Some(left) if left.is_zero() => self.empty(),
            _ => Ok(()),
        }
    }

    /// Sends what waits at the container's end, to a receiver that is away by a last look for it.
    pub fn hurry(&mut self) -> io::Result<()> {
        if let Some(sender) = self.sink.sender() {
            sender.hurry();
        }
        let mut result = self.empty();
        while !self.ring.is_empty() && !self.is_receiver_away() {
            self.settle()?;
            result = self.empty().and(result);
        }
        result
    }

    /// Gives up what nobody has taken.
    pub fn end(&mut self) -> io::Result<()> {
        self.settle()?;
        self.ring.give_up();
        self.say_lost()
    }

    /// Waits a moment for the receiver to take what it has not taken yet.
    pub fn settle(&mut self) -> io::Result<()> {
        while self.is_receiver_slow() {
            if process::poll(&mut [self.poll_fd()], Some(PATIENCE))? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the receiver of the log takes no more",
                ));
            }
            self.flush();
        }
        Ok(())
    }
}

impl Sink {
    fn line(&mut self, stream: Stream, text: &[u8], time: &str) -> io::Result<()> {
        match self {
            Sink::Nowhere => Ok(()),
            Sink::File(file) => file.line(stream, text, time),
            Sink::Syslog(syslog) => syslog.line(stream, text, time),
            Sink::Journald(journald) => journald.line(stream, text, time),
        }
    }

    /// The connection to whoever takes the lines.
    fn sender(&mut self) -> Option<&mut Sender> {
        match self {
            Sink::Nowhere | Sink::File(_) => None,
            Sink::Syslog(syslog) => Some(&mut syslog.sender),
            Sink::Journald(journald) => Some(&mut journald.sender),
        }
    }
}
