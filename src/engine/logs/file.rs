//! Log files: their line formats, their bounds, and their rotation.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{About, Format, Stream, WriterError};
use crate::api::LogConfig;
use crate::runargs::value;

/// The current file of a log, and what is known of it.
#[derive(Debug)]
pub(super) struct LogFile {
    format: Format,
    path: PathBuf,
    file: Option<File>,
    size: u64,
    max_size: u64,
    max_file: u32,
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
        Ok(LogFile {
            format,
            path: logs.join(format.file_name()),
            file: None,
            size: 0,
            // No size is -1: no bound.
            max_size: option("max-size").map_or(max_size, |text| {
                value::bytes(text)
                    .ok()
                    .and_then(|size| u64::try_from(size).ok())
                    .unwrap_or(u64::MAX)
            }),
            max_file: option("max-file")
                .and_then(|text| text.parse().ok())
                .unwrap_or(max_file),
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
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&self.path)?;
            self.size = file.metadata()?.len();
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

    #[expect(
        clippy::disallowed_methods,
        reason = "a log need not survive a power cut, its rotation even less"
    )]
    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        self.size = 0;
        for number in (1..self.max_file).rev() {
            let older = rotated(&self.path, number);
            let newer = if number == 1 {
                self.path.clone()
            } else {
                rotated(&self.path, number - 1)
            };
            match std::fs::rename(&newer, &older) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.max_file == 1 {
            std::fs::remove_file(&self.path)
        } else {
            Ok(())
        }
    }
}

/// The path of the `number`th older file.
pub(super) fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}
