//! Log files: their line formats and their bounds.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::birth::{self, Birth};
use super::rotate::rotate;
use super::{About, Format, Stream, WriterError};
use crate::api::LogConfig;
use crate::runargs::{logging, value};

/// The current file of a log, and what is known of it.
#[derive(Debug)]
pub(super) struct LogFile {
    format: Format,
    path: PathBuf,
    file: Option<File>,
    size: u64,
    /// How much of the log was written before this file, or before the next one while there is none; `None` if nobody knows.
    begin: Option<u64>,
    max_size: u64,
    max_file: u32,
    compress: bool,
    attributes: BTreeMap<String, String>,
}

/// One line of json-file, in Docker's member order.
#[derive(Serialize)]
struct JsonLine<'a> {
    log: &'a str,
    stream: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attrs: &'a BTreeMap<String, String>,
    time: &'a str,
}

impl LogFile {
    /// A log in the folder `logs`; nothing is created before the first line. The options have been checked.
    pub fn new(
        format: Format,
        config: &LogConfig,
        about: &About,
        logs: &Path,
    ) -> Result<LogFile, WriterError> {
        let option = |name: &str| config.config.get(name);
        let (max_size, max_file) = match format {
            Format::Json => (10 << 20, 3),
            Format::Local => (20 << 20, 5),
        };
        let mut attributes = about.attributes(config);
        if let Some(template) = option("tag").filter(|template| !template.is_empty()) {
            let tag = about.tag(template).map_err(WriterError::Option)?;
            attributes.insert("tag".into(), tag);
        }
        // No size is -1: no bound.
        let max_size = option("max-size").map_or(max_size, |text| {
            value::bytes(text)
                .ok()
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or(u64::MAX)
        });
        let max_file = option("max-file")
            .and_then(|text| text.parse().ok())
            .unwrap_or(max_file);
        // Docker's defaults, but for files that would hold the monitor up.
        let compress = option("compress").map_or(format == Format::Local, |text| {
            value::boolean(text).unwrap_or(false)
        });
        Ok(LogFile {
            format,
            path: logs.join(format.file_name()),
            file: None,
            size: 0,
            begin: Some(0),
            max_size,
            max_file,
            compress: compress && max_file > 1 && max_size <= logging::MAX_COMPRESSED,
            attributes,
        })
    }

    /// Appends one line.
    pub fn line(&mut self, stream: Stream, text: &[u8], time: &str) -> io::Result<()> {
        let line = match self.format {
            Format::Json => {
                let log = String::from_utf8_lossy(text);
                let mut line = serde_json::to_vec(&JsonLine {
                    log: &log,
                    stream: stream.word(),
                    attrs: &self.attributes,
                    time,
                })?;
                line.push(b'\n');
                line
            }
            Format::Local => {
                let (text, mark) = match text.strip_suffix(b"\n") {
                    Some(text) => (text, 'F'),
                    None => (text, 'P'),
                };
                let mut line = format!("{time} {}{mark} ", &stream.word()[3..4]).into_bytes();
                line.extend_from_slice(text);
                line.push(b'\n');
                line
            }
        };
        self.append(&line)
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.file.is_some() && self.size + line.len() as u64 > self.max_size && self.size > 0 {
            self.rotate()?;
        }
        if self.file.is_none() {
            let file = match OpenOptions::new().append(true).open(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    birth::create(&self.path, self.begin)?
                }
                opened => opened?,
            };
            self.size = file.metadata()?.len();
            self.begin = Birth::of(file.as_fd())?.begin;
            self.file = Some(file);
            if self.size + line.len() as u64 > self.max_size && self.size > 0 {
                return self.append(line);
            }
        }
        if let Some(file) = &mut self.file {
            if let Err(error) = file.write_all(line) {
                // The half line of a full disk would spoil the next one too; a disk that fails at this as well keeps it.
                let _ = file.set_len(self.size);
                return Err(error);
            }
            self.size += line.len() as u64;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.begin = self.begin.map(|begin| begin + self.size);
        self.file = None;
        self.size = 0;
        rotate(&self.path, self.max_file, self.compress)
    }
}
