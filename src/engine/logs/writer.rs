//! Writes log files and keeps them within their bounds.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Format, MAX_LINE, Stream};
use crate::api::LogConfig;

/// A log that cannot be kept as asked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WriterError {
    /// Not a driver of this engine.
    #[error("log driver {0:?} is not supported: use json-file, local or none")]
    Driver(String),
    /// Not an option of this driver, or not a value for it.
    #[error("log option {name}={value:?} is not valid for log driver {driver}: {expected}")]
    Option {
        /// The driver.
        driver: String,
        /// The option.
        name: String,
        /// Its value.
        value: String,
        /// What would be valid.
        expected: &'static str,
    },
}

/// Writes one container's log.
#[derive(Debug)]
pub struct Writer {
    target: Option<Target>,
    partial: [Vec<u8>; 2],
}

#[derive(Debug)]
struct Target {
    format: Format,
    path: PathBuf,
    file: Option<File>,
    size: u64,
    max_size: u64,
    max_file: u32,
}

/// One line of json-file, in Docker's member order.
#[derive(Serialize)]
struct JsonLine<'a> {
    log: &'a str,
    stream: &'static str,
    time: &'a str,
}

impl Writer {
    /// A writer for `config` into the folder `logs`; nothing is created before the first line.
    pub fn new(config: &LogConfig, logs: &Path) -> Result<Writer, WriterError> {
        let (format, max_size, max_file) = match config.driver.as_str() {
            "" | "json-file" => (Format::Json, 10 << 20, 3),
            "local" => (Format::Local, 20 << 20, 5),
            "none" => {
                return Ok(Writer {
                    target: None,
                    partial: Default::default(),
                });
            }
            other => return Err(WriterError::Driver(other.into())),
        };
        let path = logs.join(format.file_name());
        let mut target = Target {
            format,
            path,
            file: None,
            size: 0,
            max_size,
            max_file,
        };
        for (name, value) in &config.config {
            target.set(&config.driver, name, value)?;
        }
        Ok(Writer {
            target: Some(target),
            partial: Default::default(),
        })
    }

    /// Takes output of the container; whole lines go to the file at `time` (RFC 3339), the rest waits for its end.
    pub fn write(&mut self, stream: Stream, mut output: &[u8], time: &str) -> io::Result<()> {
        let Some(target) = &mut self.target else {
            return Ok(());
        };
        let partial = &mut self.partial[stream as usize];
        while !output.is_empty() {
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
                target.line(stream, partial, time)?;
                partial.clear();
            }
        }
        Ok(())
    }

    /// Writes what has no newline yet; at the container's end.
    pub fn finish(&mut self, time: &str) -> io::Result<()> {
        let Some(target) = &mut self.target else {
            return Ok(());
        };
        for stream in [Stream::Stdout, Stream::Stderr] {
            let partial = std::mem::take(&mut self.partial[stream as usize]);
            if !partial.is_empty() {
                target.line(stream, &partial, time)?;
            }
        }
        Ok(())
    }
}

impl Target {
    fn set(&mut self, driver: &str, name: &str, value: &str) -> Result<(), WriterError> {
        let refuse = |expected| WriterError::Option {
            driver: if driver.is_empty() {
                "json-file".into()
            } else {
                driver.into()
            },
            name: name.into(),
            value: value.into(),
            expected,
        };
        match name {
            "max-size" if value == "-1" => self.max_size = u64::MAX,
            "max-size" => {
                self.max_size = size(value)
                    .filter(|size| *size > 0)
                    .ok_or_else(|| refuse("a size such as 10m, or -1 for no bound"))?;
            }
            "max-file" => {
                let files = value.parse().ok().filter(|files| *files > 0);
                self.max_file = files.ok_or_else(|| refuse("a number of files, at least 1"))?;
            }
            "mode" if value == "blocking" => {}
            _ => return Err(refuse("max-size and max-file are the options there are")),
        }
        Ok(())
    }

    fn line(&mut self, stream: Stream, text: &[u8], time: &str) -> io::Result<()> {
        let line = match self.format {
            Format::Json => {
                let log = String::from_utf8_lossy(text);
                let mut line = serde_json::to_vec(&JsonLine {
                    log: &log,
                    stream: stream.word(),
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
            file.write_all(line)?;
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

/// Bytes of `10m`, `1g`, `512k`, `100`: powers of 1024, as Docker reads them.
fn size(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let (number, unit) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1 << 10),
        b'm' => (&text[..text.len() - 1], 1 << 20),
        b'g' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// The path of the `number`th older file.
pub(super) fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(driver: &str, options: &[(&str, &str)]) -> LogConfig {
        let config = options
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        LogConfig {
            driver: driver.into(),
            config,
        }
    }

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("dray-logs-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn lines_are_docker_s() {
        let dir = folder("json");
        let mut writer = Writer::new(&config("", &[]), &dir).unwrap();
        writer.write(Stream::Stdout, b"one\ntw", "T1").unwrap();
        writer.write(Stream::Stderr, b"e\"\x1b\n", "T2").unwrap();
        writer.write(Stream::Stdout, b"o\nrest", "T3").unwrap();
        writer.finish("T4").unwrap();
        let expected = concat!(
            r#"{"log":"one\n","stream":"stdout","time":"T1"}"#,
            "\n",
            r#"{"log":"e\"\u001b\n","stream":"stderr","time":"T2"}"#,
            "\n",
            r#"{"log":"two\n","stream":"stdout","time":"T3"}"#,
            "\n",
            r#"{"log":"rest","stream":"stdout","time":"T4"}"#,
            "\n",
        );
        assert_eq!(
            std::fs::read_to_string(dir.join("json.log")).unwrap(),
            expected
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn long_lines_are_cut_and_memory_stays_bounded() {
        let dir = folder("long");
        let mut writer = Writer::new(&config("local", &[]), &dir).unwrap();
        writer
            .write(Stream::Stdout, &vec![b'x'; MAX_LINE * 2 + 1], "T")
            .unwrap();
        assert_eq!(writer.partial[0].len(), 1);
        writer.write(Stream::Stdout, b"\n", "T").unwrap();
        let text = std::fs::read_to_string(dir.join("local.log")).unwrap();
        let marks: Vec<_> = text.lines().map(|l| (&l[2..4], l.len())).collect();
        assert_eq!(
            marks,
            [("oP", MAX_LINE + 5), ("oP", MAX_LINE + 5), ("oF", 6)]
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn files_stay_within_their_bounds() {
        for (files, expected) in [
            ("1", vec!["json.log"]),
            ("3", vec!["json.log", "json.log.1", "json.log.2"]),
        ] {
            let dir = folder(&format!("bounds{files}"));
            let mut writer = Writer::new(
                &config("json-file", &[("max-size", "200"), ("max-file", files)]),
                &dir,
            )
            .unwrap();
            for line in 0..40 {
                writer
                    .write(Stream::Stdout, format!("line {line}\n").as_bytes(), "T")
                    .unwrap();
            }
            let mut names: Vec<_> = std::fs::read_dir(&dir)
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            assert_eq!(names, expected);
            for name in names {
                assert!(
                    std::fs::metadata(dir.join(&name)).unwrap().len() <= 200,
                    "{name}"
                );
            }
            assert!(
                std::fs::read_to_string(dir.join("json.log"))
                    .unwrap()
                    .contains("line 39")
            );
            std::fs::remove_dir_all(&dir).unwrap();
        }
    }

    #[test]
    fn wrong_options_are_named() {
        for (driver, option, value) in [
            ("json-file", "max-size", "0"),
            ("json-file", "max-size", "many"),
            ("local", "max-file", "0"),
            ("json-file", "labels", "a"),
        ] {
            let refused = Writer::new(&config(driver, &[(option, value)]), Path::new("/nowhere"))
                .unwrap_err();
            assert!(
                refused.to_string().contains(&format!("{option}={value:?}")),
                "{refused}"
            );
        }
        let refused = Writer::new(&config("syslog", &[]), Path::new("/nowhere")).unwrap_err();
        assert_eq!(refused, WriterError::Driver("syslog".into()));
    }
}
