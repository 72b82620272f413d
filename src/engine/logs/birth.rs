//! Which file of a log a file is, whatever its name by now: its inode, and how much of the log came before it.
//!
//! The file has the latter as an attribute, a compressed one has both in its comment: `inode 12 begin 3456`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::sys::beneath;

/// What the attribute is called.
const BEGIN: &[u8] = b"trusted.dray.begin";

/// What tells a file of a log from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Birth {
    /// Of the file that was written.
    inode: u64,
    /// Whether that is known; else it is the one of the compressed file.
    is_known: bool,
    /// Bytes of the log that were written before it; `None` if nobody knows.
    pub begin: Option<u64>,
}

impl Birth {
    /// Of a file as it was written.
    pub fn of(file: BorrowedFd<'_>) -> io::Result<Birth> {
        let mut xattrs = beneath::xattrs(file)?.into_iter();
        let begin = xattrs.find_map(|(name, value)| (name == BEGIN).then_some(value));
        let begin = begin.and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok());
        Ok(Birth {
            inode: beneath::status(file)?.inode,
            is_known: true,
            begin,
        })
    }

    /// Of a compressed file with this comment.
    pub fn of_packed(file: BorrowedFd<'_>, comment: Option<&[u8]>) -> io::Result<Birth> {
        let words = comment.and_then(|comment| std::str::from_utf8(comment).ok());
        let words: Vec<&str> = words.unwrap_or("").split(' ').collect();
        let number = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1)?.parse().ok()
        };
        Ok(Birth {
            inode: match number("inode") {
                Some(inode) => inode,
                None => beneath::status(file)?.inode,
            },
            is_known: number("inode").is_some(),
            begin: number("begin"),
        })
    }

    /// What the comment of the compressed file says.
    pub fn comment(&self) -> String {
        let begin = self.begin.map(|begin| format!(" begin {begin}"));
        format!("inode {}{}", self.inode, begin.unwrap_or_default())
    }
}

/// Creates the file `path` of a log, which nobody sees before it is marked with what came before it.
#[expect(
    clippy::disallowed_methods,
    reason = "a log need not survive a power cut"
)]
pub(super) fn create(path: &Path, begin: Option<u64>) -> io::Result<File> {
    let unmarked = path.with_extension("new");
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&unmarked)?;
    if let Some(begin) = begin {
        // Where the filesystem has no attributes a gap is named without its size.
        let _ = beneath::set_xattr(file.as_fd(), BEGIN, begin.to_string().as_bytes());
    }
    std::fs::rename(&unmarked, path)?;
    Ok(file)
}
