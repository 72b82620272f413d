//! Takes what a container writes apart into lines and hands them to its log driver.

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::time::Duration;

use super::outlet::Outlet;
use super::{About, MAX_LINE, Stream};
use crate::api::LogConfig;
use crate::runargs::logging;
use crate::sys::process::PollFd;

/// Room that is kept for the next line, in bytes.
const KEPT: usize = 512;

/// A log that cannot be kept as asked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WriterError {
    /// Not a driver of this engine.
    #[error("{0}")]
    Driver(String),
    /// Not an option of this driver, or not a value for it.
    #[error("{0}")]
    Option(String),
}

/// Writes one container's log.
#[derive(Debug)]
pub struct Writer {
    outlet: Outlet,
    partial: [Vec<u8>; 2],
    /// Output that waits until the receiver has taken what came before; never more than was read at once.
    held: [Vec<u8>; 2],
}

impl Writer {
    /// A writer for `config` into the folder `logs`; nothing is created before the first line.
    pub fn new(config: &LogConfig, about: &About, logs: &Path) -> Result<Writer, WriterError> {
        let driver = match config.driver.as_str() {
            "" => "json-file",
            driver => driver,
        };
        let known = logging::options(driver)
            .ok_or_else(|| WriterError::Driver(logging::no_driver(driver)))?;
        for (name, value) in &config.config {
            if !known.contains(&name.as_str()) {
                return Err(WriterError::Option(logging::no_option(driver, name)));
            }
            logging::check(name, value).map_err(WriterError::Option)?;
        }
        logging::check_together(driver, &config.config).map_err(WriterError::Option)?;
        Ok(Writer {
            outlet: Outlet::new(driver, config, about, logs)?,
            partial: Default::default(),
            held: Default::default(),
        })
    }

    /// Fails if the log goes to somebody who cannot be reached.
    pub fn reach(&mut self) -> io::Result<()> {
        self.outlet.reach()
    }

    /// Whether the receiver has to take something before there is room for more output.
    pub fn is_congested(&mut self) -> bool {
        self.outlet.is_congested()
    }

    /// How long until a receiver that is away is looked for again for the sake of what waits; then comes [`Writer::resume`].
    pub fn retry_in(&mut self) -> Option<Duration> {
        self.outlet.retry_in()
    }

    /// What to wait for while the receiver is slow; then comes [`Writer::resume`].
    pub fn poll_fd(&mut self) -> PollFd {
        self.outlet.poll_fd()
    }

    /// Goes on with what was held back, as far as the receiver takes it.
    pub fn resume(&mut self, time: &str) -> io::Result<()> {
        let mut result = self.outlet.resume();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let held = std::mem::take(&mut self.held[stream as usize]);
            result = result.and(self.write(stream, &held, time));
        }
        result
    }

    /// Takes output of the container; whole lines go on at `time` (RFC 3339), the rest waits for its end.
    pub fn write(&mut self, stream: Stream, mut output: &[u8], time: &str) -> io::Result<()> {
        let mut result = Ok(());
        while !output.is_empty() && !self.outlet.is_nowhere() {
            if self.is_congested() {
                self.held[stream as usize].extend_from_slice(output);
                break;
            }
            let partial = &mut self.partial[stream as usize];
            let room = MAX_LINE - partial.len();
            let end = output
                .iter()
                .take(room)
                .position(|b| *b == b'\n')
                .map(|at| at + 1);
            let (now, rest) = output.split_at(end.unwrap_or(room.min(output.len())));
            partial.extend_from_slice(now);
            output = rest;
            if end.is_some() || partial.len() == MAX_LINE {
                // A line that is lost must not grow until the disk has room again.
                let mut line = std::mem::take(partial);
                result = result.and(self.outlet.line(stream, &line, time));
                line.clear();
                // A monitor that waits for days keeps no room for a long line.
                line.shrink_to(KEPT);
                self.partial[stream as usize] = line;
            }
        }
        result
    }

    /// Writes what has no newline yet; at the container's end.
    pub fn finish(&mut self, time: &str) -> io::Result<()> {
        let result = self.outlet.hurry();
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.outlet.settle()?;
            let held = std::mem::take(&mut self.held[stream as usize]);
            self.write(stream, &held, time)?;
            self.outlet.settle()?;
            let partial = std::mem::take(&mut self.partial[stream as usize]);
            if !partial.is_empty() {
                self.outlet.line(stream, &partial, time)?;
            }
        }
        self.outlet.end().and(result)
    }
}
