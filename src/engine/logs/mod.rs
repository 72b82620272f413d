//! Container logs: bounded files, written by the monitor and read by anybody, or messages to somebody who keeps them.
//!
//! ```text
//! containers/<id>/logs/
//!   json.log  json.log.1 …    json-file: one JSON object a line, as Docker writes them
//!   local.log local.log.1 …   local: `<time> <o|e><F|P> <text>`, about a third shorter
//! ```
//!
//! `.1` is the next older file; with `compress` it is `.1.gz`, whose comment tells which file it was (see `birth`). Where a cut left both,
//! the one that is not compressed is whole and counts. A line is cut after [`MAX_LINE`] bytes, as Docker cuts it: such a part has no newline in
//! json-file and the mark `P` in local, and is put together again by the next one.

mod about;
mod birth;
mod file;
mod journald;
mod moment;
mod outlet;
mod reader;
mod ring;
mod rotate;
mod sender;
mod syslog;
mod writer;

use std::path::Path;

use crate::api::LogConfig;

pub use about::About;
pub use moment::moment;
pub use reader::{Entry, Filter, Follow, read};
pub use writer::{Writer, WriterError};

/// Why `dray logs` has nothing to read from a driver; `None` if it has.
pub fn unreadable(driver: &str) -> Option<&'static str> {
    match driver {
        "none" => Some("keeps no logs: its log driver is none"),
        "syslog" => Some("keeps no logs here: they go to syslog"),
        "journald" => Some("keeps no logs here: read them with journalctl CONTAINER_NAME="),
        _ => None,
    }
}

/// Refuses a configuration that no log can be kept by.
pub fn check(config: &LogConfig) -> Result<(), WriterError> {
    Writer::new(config, &About::default(), Path::new("")).map(drop)
}

/// Most bytes of one log line; longer lines are split. Docker's number.
pub const MAX_LINE: usize = 16 * 1024;

/// Which stream a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Docker's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// Which file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Docker's json-file.
    Json,
    /// Compact text.
    Local,
}

impl Format {
    /// The current file's name.
    pub fn file_name(self) -> &'static str {
        match self {
            Format::Json => "json.log",
            Format::Local => "local.log",
        }
    }
}
