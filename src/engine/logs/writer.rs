//! Takes what a container writes apart into lines and hands them to its log driver.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::file::LogFile;
use super::journald::Journald;
use super::ring::{Line, Ring};
use super::sender::Sender;
use super::syslog::Syslog;
use super::{About, Format, MAX_LINE, Stream};
use crate::api::LogConfig;
use crate::runargs::{logging, value};
use crate::sys::process::{self, PollFd};

/// Room that is kept for the next line, in bytes.
const KEPT: usize = 512;
/// Room for lines that wait in memory unless an option says otherwise. Docker's number.
const BUFFER: usize = 1 << 20;
/// How long a receiver may take, at a container's end, before the rest is given up.
const PATIENCE: Duration = Duration::from_secs(1);

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
    sink: Sink,
    partial: [Vec<u8>; 2],
    /// Output that waits until the receiver has taken what came before; never more than was read at once.
    held: [Vec<u8>; 2],
    /// Lines that wait for the receiver in its place, where the container need not.
    ring: Option<Ring>,
}

/// Where lines go.
#[derive(Debug)]
enum Sink {
    Nowhere,
    File(LogFile),
    Syslog(Syslog),
    Journald(Journald),
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
                return Err(WriterError::Option(logging::no_option(name, known)));
            }
            logging::check(name, value).map_err(WriterError::Option)?;
        }
        logging::check_together(driver, &config.config).map_err(WriterError::Option)?;
        let file = |format| LogFile::new(format, config, about, logs).map(Sink::File);
        Ok(Writer {
            sink: match driver {
                "json-file" => file(Format::Json)?,
                "local" => file(Format::Local)?,
                "syslog" => Sink::Syslog(Syslog::new(config, about)?),
                "journald" => Sink::Journald(Journald::new(config, about)?),
                _ => Sink::Nowhere,
            },
            partial: Default::default(),
            held: Default::default(),
            ring: ring(config),
        })
    }

    /// Fails if the log goes to somebody who cannot be reached.
    pub fn reach(&mut self) -> io::Result<()> {
        self.sink.sender().map_or(Ok(()), Sender::connect)
    }

    /// Whether the receiver has to take something before there is room for more output.
    pub fn is_congested(&mut self) -> bool {
        self.ring.is_none() && self.is_receiver_slow()
    }

    fn is_receiver_slow(&mut self) -> bool {
        let congested = |sender: &mut Sender| sender.is_congested();
        self.sink.sender().is_some_and(congested)
    }

    /// What to wait for while the receiver is slow; then comes [`Writer::resume`].
    pub fn poll_fd(&mut self) -> PollFd {
        let fd = |sender: &mut Sender| sender.poll_fd();
        self.sink.sender().map_or(PollFd::never(), fd)
    }

    /// Goes on with what was held back, as far as the receiver takes it.
    pub fn resume(&mut self, time: &str) -> io::Result<()> {
        let mut result = self.sink.sender().map_or(Ok(()), Sender::flush);
        while !self.is_receiver_slow()
            && let Some(line) = self.ring.as_mut().and_then(Ring::pop)
        {
            result = result.and(self.sink.line(line.stream, &line.text, &line.time));
        }
        for stream in [Stream::Stdout, Stream::Stderr] {
            let held = std::mem::take(&mut self.held[stream as usize]);
            result = result.and(self.write(stream, &held, time));
        }
        result
    }

    /// Takes output of the container; whole lines go on at `time` (RFC 3339), the rest waits for its end.
    pub fn write(&mut self, stream: Stream, mut output: &[u8], time: &str) -> io::Result<()> {
        let mut result = Ok(());
        while !output.is_empty() && !matches!(self.sink, Sink::Nowhere) {
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
                result = result.and(self.line(stream, &line, time));
                line.clear();
                // A monitor that waits for days keeps no room for a long line.
                line.shrink_to(KEPT);
                self.partial[stream as usize] = line;
            }
        }
        result
    }

    /// One whole line, or the part of one that is long enough.
    fn line(&mut self, stream: Stream, text: &[u8], time: &str) -> io::Result<()> {
        let slow = self.is_receiver_slow();
        match &mut self.ring {
            Some(ring) if slow || !ring.is_empty() => {
                ring.push(Line {
                    stream,
                    text: text.to_vec(),
                    time: time.to_owned(),
                });
                Ok(())
            }
            _ => self.sink.line(stream, text, time),
        }
    }

    /// Writes what has no newline yet; at the container's end.
    pub fn finish(&mut self, time: &str) -> io::Result<()> {
        while self.ring.as_ref().is_some_and(|ring| !ring.is_empty()) {
            self.settle()?;
            self.resume(time)?;
        }
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.settle()?;
            let held = std::mem::take(&mut self.held[stream as usize]);
            self.write(stream, &held, time)?;
            self.settle()?;
            let partial = std::mem::take(&mut self.partial[stream as usize]);
            if !partial.is_empty() {
                self.sink.line(stream, &partial, time)?;
            }
        }
        self.settle()
    }

    /// Waits a moment for the receiver to take what it has not taken yet.
    fn settle(&mut self) -> io::Result<()> {
        while self.is_receiver_slow() {
            if process::poll(&mut [self.poll_fd()], Some(PATIENCE))? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the receiver of the log takes no more",
                ));
            }
            self.sink.sender().map_or(Ok(()), Sender::flush)?;
        }
        Ok(())
    }
}

fn ring(config: &LogConfig) -> Option<Ring> {
    let option = |name: &str| config.config.get(name).map_or("", String::as_str);
    let limit = value::bytes(option("max-buffer-size")).ok();
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    (option("mode") == "non-blocking").then(|| Ring::new(limit.unwrap_or(BUFFER)))
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

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

    fn writer(config: &LogConfig, dir: &Path) -> Writer {
        Writer::new(config, &About::default(), dir).unwrap()
    }

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("dray-logs-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn lines_are_docker_s() {
        let dir = folder("json");
        let mut writer = writer(&config("", &[]), &dir);
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
        let mut writer = writer(&config("local", &[]), &dir);
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
            let mut writer = writer(
                &config("json-file", &[("max-size", "200"), ("max-file", files)]),
                &dir,
            );
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
        let refused = |driver: &str, options: &[(&str, &str)]| {
            let config = config(driver, options);
            let refused = Writer::new(&config, &About::default(), Path::new("/nowhere"));
            refused.unwrap_err().to_string()
        };
        for (driver, option, value, said) in [
            ("json-file", "max-size", "0", "max-size"),
            ("json-file", "max-size", "many", "\"many\""),
            ("local", "max-file", "0", "max-file"),
            ("local", "labels", "a", "\"labels\""),
            ("json-file", "tag", "{{.Nobody}}", "\".Nobody\""),
            ("json-file", "env-regex", "(", "env-regex"),
        ] {
            let refused = refused(driver, &[(option, value)]);
            assert!(refused.contains(said), "{refused}");
        }
        assert_eq!(
            refused("fluentd", &[]),
            "there is no driver \"fluentd\"; use json-file, local, none, syslog or journald"
        );
    }

    #[test]
    fn attributes_and_the_tag_are_in_every_line() {
        let dir = folder("attributes");
        let config = config("json-file", &[("tag", "{{.DaemonName}}")]);
        let mut writer = writer(&config, &dir);
        writer.write(Stream::Stdout, b"one\n", "T1").unwrap();
        assert_eq!(
            std::fs::read_to_string(dir.join("json.log")).unwrap(),
            concat!(
                r#"{"log":"one\n","stream":"stdout","attrs":{"tag":"docker"},"time":"T1"}"#,
                "\n"
            )
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
