//! One file of a log, as it was written or compressed since.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use super::super::birth::Birth;
use super::super::rotate::packed;
use super::super::{Format, MAX_LINE};
use super::entry::{Entry, parse};
use crate::sys::beneath;

/// Most bytes of one stored line: the text, escaped in the worst case, and the members around it.
const MAX_STORED: u64 = 6 * MAX_LINE as u64 + 256;

/// A file of a log, held open, so that it can be read to its end whatever name it has by then, or none, and so that no newer
/// file gets its inode.
#[derive(Debug)]
pub(super) struct Opened {
    /// Of the file that was written.
    pub birth: Birth,
    /// What it was called when it was opened.
    path: PathBuf,
    text: Text,
    /// Whole lines read so far, in bytes.
    offset: u64,
    /// The rest of it cannot be unpacked.
    is_damaged: bool,
}

enum Text {
    Plain(BufReader<File>),
    Packed(Box<BufReader<GzDecoder<BufReader<File>>>>),
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Text::Plain(_) => "Plain",
            Text::Packed(_) => "Packed",
        })
    }
}

impl Opened {
    /// Opens `path`, compressed or not; `None` if there is no such file.
    pub fn open(path: &Path) -> io::Result<Option<Opened>> {
        let found = |path: &Path| match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        };
        let opened = |birth, path: &Path, text| {
            Some(Opened {
                birth,
                path: path.to_owned(),
                text,
                offset: 0,
                is_damaged: false,
            })
        };
        if let Some(file) = found(path)? {
            let birth = Birth::of(file.as_fd())?;
            return Ok(opened(birth, path, Text::Plain(BufReader::new(file))));
        }
        let path = packed(path);
        let Some(file) = found(&path)? else {
            return Ok(None);
        };
        let decoder = GzDecoder::new(BufReader::new(file));
        let comment = decoder.header().and_then(|header| header.comment());
        let birth = Birth::of_packed(decoder.get_ref().get_ref().as_fd(), comment)?;
        let text = Text::Packed(Box::new(BufReader::new(decoder)));
        Ok(opened(birth, &path, text))
    }

    /// Where in the whole log its content ends, counted from the log's first byte; `None` if that is not known.
    pub fn end(&self) -> io::Result<Option<u64>> {
        let length = match &self.text {
            Text::Plain(text) => beneath::status(text.get_ref().as_fd())?.size,
            // Read to its end, unless it is damaged, which has been said then.
            Text::Packed(_) => self.offset,
        };
        Ok(self.birth.begin.map(|begin| begin + length))
    }

    /// Hands over the whole lines that are new since the last call. What cannot be unpacked any more ends the file, and is
    /// noted.
    pub fn read(
        &mut self,
        format: Format,
        damage: &mut Vec<String>,
        take: &mut dyn FnMut(Entry) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Text::Plain(text) = &mut self.text {
            // A line that was being written is read again from its beginning.
            text.seek(SeekFrom::Start(self.offset))?;
        }
        let mut line = Vec::new();
        while !self.is_damaged {
            line.clear();
            let read = match &mut self.text {
                Text::Plain(text) => next_line(text, &mut line)?,
                Text::Packed(text) => match next_line(text, &mut line) {
                    Ok(read) => read,
                    Err(error) => {
                        self.is_damaged = true;
                        let path = self.path.display();
                        damage.push(format!("log file {path} is damaged: {error}"));
                        return Ok(());
                    }
                },
            };
            if line.last() != Some(&b'\n') && read < MAX_STORED {
                // The end, or a line that is being written just now.
                return Ok(());
            }
            self.offset += read;
            if let Some(entry) = parse(format, &line) {
                take(entry)?;
            }
        }
        Ok(())
    }
}

fn next_line(text: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    let read = Read::take(text, MAX_STORED).read_until(b'\n', line)?;
    Ok(read as u64)
}
