//! Reads log files, whichever driver wrote them, the oldest line first.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::GzDecoder;
use serde::Deserialize;

use super::file::{INODE, packed, rotated};
use super::{Format, MAX_LINE, Stream};

/// Most bytes of one stored line: the text, escaped in the worst case, and the members around it.
const MAX_STORED: u64 = 6 * MAX_LINE as u64 + 256;

/// One stored piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it came from.
    pub stream: Stream,
    /// RFC 3339, nanoseconds.
    pub time: String,
    /// The text with its newline, if it had one.
    pub text: String,
    /// The tag, and the labels and variables that the log's options name.
    pub attributes: BTreeMap<String, String>,
}

/// Which entries are wanted. Times are RFC 3339 in UTC, as stored, and compare as text.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only the last so many of those that are there at the beginning.
    pub tail: Option<usize>,
    /// Not before.
    pub since: Option<String>,
    /// Not after.
    pub until: Option<String>,
}

impl Filter {
    fn takes(&self, entry: &Entry) -> bool {
        self.since.as_ref().is_none_or(|since| entry.time >= *since)
            && self.until.as_ref().is_none_or(|until| entry.time <= *until)
    }
}

#[derive(Deserialize)]
struct JsonLine {
    log: String,
    stream: String,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
    time: String,
}

/// Hands the wanted entries below `logs` to `take`, and returns where to go on with new ones.
pub fn read(
    logs: &Path,
    filter: &Filter,
    mut take: impl FnMut(Entry) -> io::Result<()>,
) -> io::Result<Follow> {
    let mut follow = Follow {
        logs: logs.to_owned(),
        place: None,
        filter: Filter {
            tail: None,
            ..filter.clone()
        },
        damage: Vec::new(),
    };
    let mut last = VecDeque::new();
    let mut pass = |entry: Entry| -> io::Result<()> {
        if !filter.takes(&entry) {
            return Ok(());
        }
        let Some(tail) = filter.tail else {
            return take(entry);
        };
        last.push_back(entry);
        if last.len() > tail {
            last.pop_front();
        }
        Ok(())
    };
    for format in [Format::Json, Format::Local] {
        let current = logs.join(format.file_name());
        let older = (1..)
            .map(|n| rotated(&current, n))
            .take_while(|path| is_there(path))
            .collect::<Vec<_>>();
        for path in older.iter().rev() {
            read_from(path, format, 0, &mut follow.damage, &mut pass)?;
        }
        if let Some(place) = read_from(&current, format, 0, &mut follow.damage, &mut pass)? {
            follow.place = Some((format, place));
        }
    }
    last.into_iter().try_for_each(take)?;
    Ok(follow)
}

/// A place in a log that is still being written.
#[derive(Debug)]
pub struct Follow {
    logs: PathBuf,
    place: Option<(Format, Place)>,
    filter: Filter,
    damage: Vec<String>,
}

/// A position in one file, which may have been renamed or compressed since.
#[derive(Debug, Clone)]
struct Place {
    inode: u64,
    offset: u64,
    /// Held open, so that no newer file gets its inode.
    _held: Option<Arc<File>>,
}

impl Follow {
    /// Hands over what was written since the last call.
    pub fn more(&mut self, mut take: impl FnMut(Entry) -> io::Result<()>) -> io::Result<()> {
        let Some((format, place)) = self.place.clone() else {
            *self = read(&self.logs, &self.filter, take)?;
            return Ok(());
        };
        let filter = &self.filter;
        let mut take = |entry: Entry| match filter.takes(&entry) {
            true => take(entry),
            false => Ok(()),
        };
        let current = self.logs.join(format.file_name());
        // The file we were in may have become .1, .2 … meanwhile: finish it, then the newer ones.
        let number = (0..).map(|n| {
            if n == 0 {
                current.clone()
            } else {
                rotated(&current, n)
            }
        });
        let files: Vec<_> = number.take_while(|path| is_there(path)).collect();
        let is_ours =
            |path: &PathBuf| matches!(open(path), Ok(Some(found)) if found.inode == place.inode);
        let ours = files.iter().position(is_ours);
        for index in (0..=ours.unwrap_or(files.len().saturating_sub(1))).rev() {
            let from = if Some(index) == ours { place.offset } else { 0 };
            let Some(path) = files.get(index) else {
                continue;
            };
            if let Some(place) = read_from(path, format, from, &mut self.damage, &mut take)? {
                self.place = Some((format, place));
            }
        }
        Ok(())
    }

    /// What could not be read so far and has not been asked for yet: which file, and why.
    pub fn take_damage(&mut self) -> Vec<String> {
        std::mem::take(&mut self.damage)
    }
}

/// A file of a log, as it was written or compressed since.
struct Opened {
    /// Of the file that was written.
    inode: u64,
    text: Text,
}

enum Text {
    Plain(BufReader<File>),
    Packed(Box<BufReader<GzDecoder<BufReader<File>>>>),
}

fn is_there(path: &Path) -> bool {
    path.exists() || packed(path).exists()
}

/// `None` if there is no such file, compressed or not.
fn open(path: &Path) -> io::Result<Option<Opened>> {
    let found = |path: &Path| match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    };
    if let Some(file) = found(path)? {
        return Ok(Some(Opened {
            inode: file.metadata()?.ino(),
            text: Text::Plain(BufReader::new(file)),
        }));
    }
    let Some(file) = found(&packed(path))? else {
        return Ok(None);
    };
    let decoder = GzDecoder::new(BufReader::new(file));
    let comment = decoder.header().and_then(|header| header.comment());
    let number = comment.and_then(|text| std::str::from_utf8(text).ok()?.strip_prefix(INODE));
    Ok(Some(Opened {
        inode: number.and_then(|number| number.parse().ok()).unwrap_or(0),
        text: Text::Packed(Box::new(BufReader::new(decoder))),
    }))
}

impl Opened {
    fn skip(&mut self, offset: u64) -> io::Result<()> {
        match &mut self.text {
            Text::Plain(file) => file.seek(io::SeekFrom::Start(offset)).map(drop),
            Text::Packed(text) => {
                io::copy(&mut text.by_ref().take(offset), &mut io::sink()).map(drop)
            }
        }
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Text::Plain(text) => text.read(buffer),
            Text::Packed(text) => text.read(buffer),
        }
    }
}

impl BufRead for Text {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Text::Plain(text) => text.fill_buf(),
            Text::Packed(text) => text.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        match self {
            Text::Plain(text) => text.consume(amount),
            Text::Packed(text) => text.consume(amount),
        }
    }
}

/// Reads whole lines from `offset` on; where it stopped, or `None` if there is no such file. What cannot be unpacked any
/// more ends that file only, and is noted.
fn read_from(
    path: &Path,
    format: Format,
    offset: u64,
    damage: &mut Vec<String>,
    take: &mut dyn FnMut(Entry) -> io::Result<()>,
) -> io::Result<Option<Place>> {
    let Some(mut file) = open(path)? else {
        return Ok(None);
    };
    let mut place = Place {
        inode: file.inode,
        offset,
        _held: match &file.text {
            Text::Plain(text) => Some(Arc::new(text.get_ref().try_clone()?)),
            Text::Packed(_) => None,
        },
    };
    let is_packed = matches!(file.text, Text::Packed(_));
    let mut ready = file.skip(offset);
    let mut reader = file.text;
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut rest = Read::take(&mut reader, MAX_STORED);
        let read = match ready.and_then(|()| rest.read_until(b'\n', &mut line)) {
            Err(error) if is_packed => {
                let path = packed(path);
                damage.push(format!("log file {} is damaged: {error}", path.display()));
                return Ok(Some(place));
            }
            read => read?,
        };
        if line.last() != Some(&b'\n') && (read as u64) < MAX_STORED {
            // The end, or a line that is being written just now.
            return Ok(Some(place));
        }
        place.offset += read as u64;
        if let Some(entry) = parse(format, &line) {
            take(entry)?;
        }
        ready = Ok(());
    }
}

/// `None` for a line that a power cut tore.
fn parse(format: Format, line: &[u8]) -> Option<Entry> {
    match format {
        Format::Json => {
            let JsonLine {
                log,
                stream,
                attrs,
                time,
            } = serde_json::from_slice(line).ok()?;
            let stream = if stream == "stderr" {
                Stream::Stderr
            } else {
                Stream::Stdout
            };
            Some(Entry {
                stream,
                time,
                text: log,
                attributes: attrs,
            })
        }
        Format::Local => {
            let line = String::from_utf8_lossy(line);
            let mut parts = line.splitn(3, ' ');
            let (time, mark, text) = (parts.next()?, parts.next()?, parts.next()?);
            let stream = if mark.starts_with('e') {
                Stream::Stderr
            } else {
                Stream::Stdout
            };
            let text = if mark.ends_with('P') {
                text.trim_end_matches('\n')
            } else {
                text
            };
            Some(Entry {
                stream,
                time: time.into(),
                text: text.into(),
                attributes: BTreeMap::new(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{About, Writer};
    use super::*;
    use crate::api::LogConfig;
    use crate::sys::fs;

    fn texts(filter: &Filter, logs: &Path) -> Vec<String> {
        let mut texts = Vec::new();
        read(logs, filter, |entry| {
            texts.push(entry.text);
            Ok(())
        })
        .unwrap();
        texts
    }

    #[test]
    fn what_is_written_is_read_in_order_across_rotations() {
        for (driver, compress) in [
            ("json-file", "false"),
            ("json-file", "true"),
            ("local", "false"),
            ("local", "true"),
        ] {
            let dir = std::env::temp_dir().join(format!(
                "dray-logs-read-{}-{driver}-{compress}",
                std::process::id()
            ));
            std::fs::create_dir_all(&dir).unwrap();
            let options = [
                ("max-size".to_owned(), "120".to_owned()),
                ("max-file".to_owned(), "9".to_owned()),
                ("compress".to_owned(), compress.to_owned()),
            ];
            let config = LogConfig {
                driver: driver.into(),
                config: options.into_iter().collect(),
            };
            let mut writer = Writer::new(&config, &About::default(), &dir).unwrap();
            let line = |n: u32| format!("line {n}\n");
            for n in 0..5 {
                writer
                    .write(Stream::Stdout, line(n).as_bytes(), &format!("T{n}"))
                    .unwrap();
            }
            assert_eq!(
                texts(&Filter::default(), &dir),
                (0..5).map(line).collect::<Vec<_>>(),
                "{driver}"
            );
            let last = Filter {
                tail: Some(2),
                ..Filter::default()
            };
            assert_eq!(texts(&last, &dir), [line(3), line(4)]);
            let between = Filter {
                since: Some("T1".into()),
                until: Some("T2".into()),
                tail: None,
            };
            assert_eq!(texts(&between, &dir), [line(1), line(2)]);

            let mut follow = read(&dir, &Filter::default(), |_| Ok(())).unwrap();
            for n in 5..11 {
                writer
                    .write(Stream::Stderr, line(n).as_bytes(), "T")
                    .unwrap();
            }
            let mut more = Vec::new();
            follow
                .more(|entry| {
                    more.push((entry.stream, entry.text));
                    Ok(())
                })
                .unwrap();
            assert_eq!(
                more,
                (5..11)
                    .map(|n| (Stream::Stderr, line(n)))
                    .collect::<Vec<_>>(),
                "{driver}"
            );
            let until = Filter {
                until: Some("T3".into()),
                ..Filter::default()
            };
            let mut follow = read(&dir, &until, |_| Ok(())).unwrap();
            for time in ["T3", "T4"] {
                writer
                    .write(Stream::Stdout, time.as_bytes(), time)
                    .and_then(|()| writer.finish(time))
                    .unwrap();
            }
            let mut more = Vec::new();
            follow
                .more(|entry| {
                    more.push(entry.text);
                    Ok(())
                })
                .unwrap();
            assert_eq!(more, ["T3"], "{driver}");
            std::fs::remove_dir_all(&dir).unwrap();
        }
    }

    #[test]
    fn a_damaged_packed_file_costs_what_is_lost_of_it_and_no_more() {
        let dir = std::env::temp_dir().join(format!("dray-logs-damaged-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let options = [("max-size", "120"), ("max-file", "9"), ("compress", "true")];
        let config = LogConfig {
            driver: "json-file".into(),
            config: options.map(|(k, v)| (k.into(), v.into())).into(),
        };
        let mut writer = Writer::new(&config, &About::default(), &dir).unwrap();
        let mut write = |n: u32| {
            let line = format!("line {n}\n");
            writer.write(Stream::Stdout, line.as_bytes(), "T").unwrap();
        };
        (0..10).for_each(&mut write);
        let mut all = texts(&Filter::default(), &dir);
        let packed = |number: u32| dir.join(format!("json.log.{number}.gz"));
        let length = |path: &Path| std::fs::metadata(path).unwrap().len();
        let cut = |path: &Path, left: u64| {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(left).unwrap();
        };
        // Two lines are in each. Without its check sum a file is damaged, but has every line.
        let sum_is_lost = length(&packed(1)) - 8;
        cut(&packed(1), sum_is_lost);
        cut(&packed(2), 0);
        fs::replace(&packed(3), 0o600, &[0; 100]).unwrap();
        all.drain(2..6);
        let mut left = Vec::new();
        let mut follow = read(&dir, &Filter::default(), |entry| {
            left.push(entry.text);
            Ok(())
        })
        .unwrap();
        assert_eq!(left, all);
        let damage = follow.take_damage();
        let names = [packed(3), packed(2), packed(1)].map(|path| path.display().to_string());
        assert_eq!(damage.len(), names.len(), "{damage:?}");
        for (said, name) in damage.iter().zip(names) {
            assert!(said.contains(&name), "{said}");
        }
        (10..14).for_each(&mut write);
        let mut more = Vec::new();
        follow
            .more(|entry| {
                more.push(entry.text);
                Ok(())
            })
            .unwrap();
        assert_eq!(
            more,
            (10..14).map(|n| format!("line {n}\n")).collect::<Vec<_>>()
        );
        assert!(follow.take_damage().is_empty());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_torn_line_is_passed_over() {
        let dir = std::env::temp_dir().join(format!("dray-logs-torn-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let text =
            "{\"log\":\"a\n{\"log\":\"b\\n\",\"stream\":\"stdout\",\"time\":\"T\"}\n{\"log\":";
        fs::replace(&dir.join("json.log"), 0o600, text.as_bytes()).unwrap();
        assert_eq!(texts(&Filter::default(), &dir), ["b\n"]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
