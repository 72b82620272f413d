//! Log files: their line formats, their bounds, and their rotation.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use serde::Serialize;

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
            put_aside(&newer, &older)?;
        }
        match (self.max_file, self.compress) {
            (1, _) => std::fs::remove_file(&self.path),
            // One that cannot be compressed stays as it is, and is read and counted the same.
            (_, true) => pack(&rotated(&self.path, 1)).or(Ok(())),
            _ => Ok(()),
        }
    }
}

/// Makes `newer` the file `older`, whether it is compressed or not.
#[expect(
    clippy::disallowed_methods,
    reason = "a log need not survive a power cut, its rotation even less"
)]
fn put_aside(newer: &Path, older: &Path) -> io::Result<()> {
    let absent = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        result => result.map(|()| true),
    };
    let (newer_packed, older_packed) = (packed(newer), packed(older));
    if absent(std::fs::rename(newer, older))? {
        // What a cut left beside it says the same.
        absent(std::fs::remove_file(&newer_packed))?;
        absent(std::fs::remove_file(&older_packed))?;
    } else if absent(std::fs::rename(&newer_packed, &older_packed))? {
        absent(std::fs::remove_file(older))?;
    }
    Ok(())
}

/// Compresses a file that nobody writes any more. The old one goes only once the new one is whole on the disk and has its
/// name.
#[expect(
    clippy::disallowed_methods,
    reason = "the data is synced, and either name will do after a power cut"
)]
fn pack(path: &Path) -> io::Result<()> {
    let from = File::open(path)?;
    let comment = format!("{INODE}{}", from.metadata()?.ino());
    let packed = packed(path);
    let unfinished = packed.with_extension("tmp");
    let to = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    let compressed = GzBuilder::new()
        .comment(comment)
        .write(to, Compression::fast());
    let done = compress(from, compressed)
        .and_then(|()| std::fs::rename(&unfinished, &packed))
        .and_then(|()| std::fs::remove_file(path));
    if done.is_err() {
        // The error that matters is the first one.
        let _ = std::fs::remove_file(&unfinished);
    }
    done
}

fn compress(mut from: File, mut to: GzEncoder<File>) -> io::Result<()> {
    io::copy(&mut from, &mut to)?;
    to.finish()?.sync_all()
}

/// What stands before the inode in the comment of a compressed file.
pub(super) const INODE: &str = "inode ";

/// The path of a file that was compressed.
pub(super) fn packed(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}

/// The path of the `number`th older file.
pub(super) fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}
