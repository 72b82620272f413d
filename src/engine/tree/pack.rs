//! A folder or file of a container as a tar stream. What does not fit an old header goes into a PAX one.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use tar::{Builder, EntryType, Header};

use super::dress::OVERLAY;
use super::links::Links;
use super::{MAX_DEPTH, Name, names, names_of_files};
use crate::engine::EngineError;
use crate::sys::beneath::{self, FileType, Status};

/// Longest name of an old header.
const SHORT: usize = 100;

/// Highest owner and size of an old header.
const HIGHEST_ID: u64 = 0o777_7777;
const HIGHEST_SIZE: u64 = 0o777_7777_7777;

/// A tar stream that is being written.
pub struct Pack<W: Write> {
    builder: Builder<W>,
    links: Links,
}

impl<W: Write> std::fmt::Debug for Pack<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pack").finish_non_exhaustive()
    }
}

impl<W: Write> Pack<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Pack<W> {
        Pack {
            builder: Builder::new(out),
            links: Links::default(),
        }
    }

    /// Adds `from`, which is called `path` in the stream, with all that is in it.
    pub fn add(&mut self, from: Name<'_>, path: &[u8]) -> Result<(), EngineError> {
        self.any(from, path, 0)
    }

    /// Ends the stream.
    pub fn finish(self) -> io::Result<()> {
        self.builder.into_inner()?.flush()
    }

    fn any(&mut self, from: Name<'_>, path: &[u8], depth: u32) -> Result<(), EngineError> {
        let failed = || EngineError::system(format!("copy {}", String::from_utf8_lossy(path)));
        let status = beneath::status_of(from.0, from.1).map_err(failed())?;
        if status.file_type != FileType::Directory {
            return self.single(from, path, &status).map_err(failed());
        }
        if depth > MAX_DEPTH {
            let said = format!("it is more than {MAX_DEPTH} folders deep");
            return Err(failed()(io::Error::other(said)));
        }
        let folder = beneath::open_child(from.0, from.1).map_err(failed())?;
        let below = [path, b"/"].concat();
        let head = Head::new(EntryType::Directory, &below, &status);
        self.put(head.with(folder.as_fd()), io::empty())
            .map_err(failed())?;
        let listed = match depth {
            0 => names(folder.as_fd()),
            _ => names_of_files(folder.as_fd()),
        };
        for name in listed.map_err(failed())? {
            let name = name.to_bytes();
            self.any((folder.as_fd(), name), &[&below, name].concat(), depth + 1)?;
        }
        Ok(())
    }

    /// Adds what is no folder.
    fn single(&mut self, (from, name): Name<'_>, path: &[u8], status: &Status) -> io::Result<()> {
        if status.file_type == FileType::Socket {
            return Ok(());
        }
        if let Some(first) = self.links.find(status) {
            let head = Head::new(EntryType::Link, path, status);
            return self.put(Ok(head.to(first)), io::empty());
        }
        self.links.remember(status, path.to_vec())?;
        let kind = match status.file_type {
            FileType::File => {
                let file = beneath::open_file_in_root(from, name)?;
                let opened = beneath::status(file.as_fd())?;
                let head = Head::new(EntryType::Regular, path, &opened).with(file.as_fd());
                let left = opened.size;
                return self.put(head, Whole { file, left });
            }
            FileType::Symlink => EntryType::Symlink,
            FileType::CharDevice => EntryType::Char,
            FileType::BlockDevice => EntryType::Block,
            _ => EntryType::Fifo,
        };
        let mut head = Head::new(kind, path, status);
        if kind == EntryType::Symlink {
            head = head.to(beneath::link_text(from, name)?);
        }
        self.put(Ok(head), io::empty())
    }

    fn put(&mut self, head: io::Result<Head>, body: impl Read) -> io::Result<()> {
        let (header, records) = head?.finish();
        let records = records.iter();
        let records = records.map(|(key, value)| (key.as_str(), value.as_slice()));
        self.builder.append_pax_extensions(records)?;
        self.builder.append(&header, body)
    }
}

/// An entry's header, and what does not fit it.
struct Head {
    header: Header,
    records: Vec<(String, Vec<u8>)>,
}

impl Head {
    fn new(kind: EntryType, path: &[u8], status: &Status) -> Head {
        let mut head = Head {
            header: Header::new_ustar(),
            records: Vec::new(),
        };
        let size = match kind {
            EntryType::Regular => status.size,
            _ => 0,
        };
        head.header.set_entry_type(kind);
        head.header.set_mode(status.mode);
        let name = head.header.as_old_mut();
        fit(&mut name.name, path);
        head.record_if(path.len() > SHORT, "path", || path.to_vec());
        head.number("size", size, HIGHEST_SIZE, Header::set_size);
        head.number("uid", status.uid.into(), HIGHEST_ID, Header::set_uid);
        head.number("gid", status.gid.into(), HIGHEST_ID, Header::set_gid);
        head.time(status);
        if matches!(kind, EntryType::Char | EntryType::Block) {
            let (major, minor) = status.device;
            if let Some(ustar) = head.header.as_ustar_mut() {
                ustar.set_device_major(major);
                ustar.set_device_minor(minor);
            }
        }
        head
    }

    fn record_if(&mut self, wanted: bool, key: &str, value: impl FnOnce() -> Vec<u8>) {
        if wanted {
            self.records.push((key.to_owned(), value()));
        }
    }

    fn number(&mut self, key: &str, value: u64, highest: u64, set: fn(&mut Header, u64)) {
        set(&mut self.header, value.min(highest));
        self.record_if(value > highest, key, || value.to_string().into_bytes());
    }

    fn time(&mut self, status: &Status) {
        let time = status.modified;
        let seconds = u64::try_from(time.seconds).unwrap_or(0);
        self.header.set_mtime(seconds.min(HIGHEST_SIZE));
        let fits = time.nanoseconds == 0 && i64::try_from(seconds) == Ok(time.seconds);
        self.record_if(!fits || seconds > HIGHEST_SIZE, "mtime", || {
            decimal(time.seconds, time.nanoseconds).into_bytes()
        });
    }

    /// With what it leads to.
    fn to(mut self, target: Vec<u8>) -> Head {
        fit(&mut self.header.as_old_mut().linkname, &target);
        let wanted = target.len() > SHORT;
        self.record_if(wanted, "linkpath", || target);
        self
    }

    /// With the attributes of an open file or folder.
    fn with(mut self, file: BorrowedFd<'_>) -> io::Result<Head> {
        for (name, value) in beneath::xattrs(file)? {
            // A name that is no text has no place in a stream.
            if let Ok(name) = String::from_utf8(name)
                && !name.as_bytes().starts_with(OVERLAY)
            {
                self.records.push((format!("SCHILY.xattr.{name}"), value));
            }
        }
        Ok(self)
    }

    fn finish(mut self) -> (Header, Vec<(String, Vec<u8>)>) {
        self.header.set_cksum();
        (self.header, self.records)
    }
}

/// As much of a name as there is room for.
fn fit(field: &mut [u8; SHORT], name: &[u8]) {
    let length = name.len().min(SHORT);
    field[..length].copy_from_slice(&name[..length]);
}

/// Seconds and their fraction as PAX has them, also before 1970.
fn decimal(seconds: i64, nanoseconds: u32) -> String {
    match (seconds, nanoseconds) {
        (_, 0) => seconds.to_string(),
        (0.., _) => format!("{seconds}.{nanoseconds:09}"),
        // The fraction counts upwards from the second before.
        _ => {
            let (whole, fraction) = (seconds + 1, 1_000_000_000 - nanoseconds);
            format!("-{}.{fraction:09}", whole.unsigned_abs())
        }
    }
}

/// A file that must have as many bytes as its header says; what is written to it meanwhile is left out.
struct Whole<R> {
    file: R,
    left: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
        let wanted = wanted.min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.file.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::Error::other("it became shorter while it was copied"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_count_backwards() {
        for (seconds, nanoseconds, wanted) in [
            (5, 0, "5"),
            (5, 1, "5.000000001"),
            (-1, 0, "-1"),
            (-1, 250_000_000, "-0.750000000"),
            (-2, 999_999_999, "-1.000000001"),
        ] {
            assert_eq!(decimal(seconds, nanoseconds), wanted);
        }
    }
}
