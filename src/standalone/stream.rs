//! Payload files from the artifact to the module, as they come: for each file a line in the pipe `stream-next`,
//! `streams/NAME SIZE`, and then its bytes in the pipe that the line names. Nothing more in `stream-next` is the end.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::call::{Call, CallError};
use crate::sys;
use crate::sys::process::{PollFd, poll};

/// Handed over at once.
const CHUNK: usize = 64 << 10;

/// First and longest pause between two looks whether somebody reads: a pipe does not tell.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(20)];

/// Why a file did not get through.
pub enum Stop {
    /// The artifact: what its reader said.
    Content(io::Error),
    /// The module.
    Module(CallError),
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Stop {
        Stop::Module(error)
    }
}

/// The module's side of one download.
pub struct Feed<'a> {
    pub tree: &'a Path,
    pub call: &'a mut Call,
}

impl Feed<'_> {
    /// Hands over one file.
    pub fn file(&mut self, name: &str, size: u64, content: &mut dyn Read) -> Result<(), Stop> {
        let pipe = |source| CallError::Pipe {
            file: name.to_owned(),
            source,
        };
        let path = self.tree.join("streams").join(name);
        sys::fifo::make(&path, 0o600).map_err(pipe)?;
        let next = self.open(&self.next(), name)?;
        let mut next = next.ok_or_else(|| CallError::NotTaken {
            file: name.to_owned(),
        })?;
        let line = format!("streams/{name} {size}\n");
        self.write(&mut next, line.as_bytes(), name)?;
        drop(next);
        let cut_off = || CallError::CutOff {
            file: name.to_owned(),
        };
        let mut stream = self.open(&path, name)?.ok_or_else(cut_off)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => self.write(&mut stream, &buffer[..read], name)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Content(error)),
            }
        }
        drop(stream);
        sys::fs::remove_file_volatile(&path).map_err(pipe)?;
        Ok(())
    }

    /// There are no more files. Who never asked need not be told.
    pub fn end(&mut self) -> Result<(), CallError> {
        self.open(&self.next(), "stream-next").map(drop)
    }

    fn next(&self) -> PathBuf {
        self.tree.join("stream-next")
    }

    /// A pipe's other end, once somebody reads there; `None` if the module ends before.
    fn open(&mut self, path: &Path, name: &str) -> Result<Option<File>, CallError> {
        let [mut pause, longest] = PAUSES;
        loop {
            let opened = sys::fifo::open_for_writing(path).map_err(|source| CallError::Pipe {
                file: name.to_owned(),
                source,
            })?;
            if opened.is_some() {
                return Ok(opened);
            }
            if self.call.is_over(pause)? {
                return Ok(None);
            }
            pause = (pause * 2).min(longest);
        }
    }

    fn write(&mut self, pipe: &mut File, mut bytes: &[u8], name: &str) -> Result<(), CallError> {
        let file = || name.to_owned();
        while !bytes.is_empty() {
            match pipe.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut set = [
                        PollFd::write(pipe.as_fd()),
                        PollFd::read(self.call.descriptor()),
                    ];
                    let polled = poll(&mut set, Some(PAUSES[1]));
                    polled.map_err(|source| CallError::Pipe {
                        file: file(),
                        source,
                    })?;
                    if self.call.is_over(Duration::ZERO)? {
                        return Err(CallError::CutOff { file: file() });
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    return Err(CallError::CutOff { file: file() });
                }
                Err(source) => {
                    return Err(CallError::Pipe {
                        file: file(),
                        source,
                    });
                }
            }
        }
        Ok(())
    }
}
