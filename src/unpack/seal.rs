//! What an unpacked layer looks like from outside, in a few numbers: enough to notice what a power cut leaves of a
//! tree that was not written to the end, without reading any file.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::tree::{failed, joined};
use super::{Content, UnpackError};
use crate::oci::Digest;
use crate::sys::beneath::{self, FileType, Status};

/// A file of at least this size without a single block on disk has lost its content: smaller ones may live inside
/// their inode. Files with holes are as large as their data there was when the seal was made.
const SUSPICIOUS: u64 = 64 << 10;

/// A layer's numbers, and what an overlay of it has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Number of names, the root not counted.
    pub files: u64,
    /// Bytes of all regular files; of a file with several names each counts its part.
    pub bytes: u64,
    /// Over each name's path, type, mode, owner, size, time and device, in any order.
    pub listing: Digest,
    /// Folders that the layer uses but does not describe; their attributes are those of the layers below.
    pub implied: Vec<TreePath>,
    /// The layer hides everything below it.
    pub opaque_root: bool,
}

/// A path in a layer; printed with everything but plain characters as `%XX`, because names need not be text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TreePath(pub Vec<u8>);

impl Seal {
    /// Looks at the tree below `root`. `implied` are the inodes of folders that the layer does not describe; `content` is
    /// told of each path.
    pub(super) fn of(
        root: BorrowedFd<'_>,
        implied: &HashSet<u64>,
        opaque_root: bool,
        content: &mut Content,
    ) -> Result<Seal, UnpackError> {
        let mut survey = Survey {
            implied,
            content,
            found: Vec::new(),
            files: 0,
            bytes: 0,
            sum: [0; 4],
        };
        let status = beneath::status(root).map_err(|e| failed("read", b"", e))?;
        survey.note(b"", &status);
        walk(root, &mut |_, _, path, status| {
            survey.note(path, status);
            Ok(())
        })?;
        survey.found.sort_unstable();
        Ok(Seal {
            // The root is always there.
            files: survey.files - 1,
            bytes: survey.bytes,
            listing: survey.listing(),
            implied: survey.found,
            opaque_root,
        })
    }

    /// Whether the tree below `root` still looks like this; `content` is told of each path.
    pub fn holds(&self, root: BorrowedFd<'_>, content: &mut Content) -> Result<bool, UnpackError> {
        Ok(self.difference(root, content)?.is_none())
    }

    /// As [`Seal::holds`]: what is different, in words.
    pub fn difference(
        &self,
        root: BorrowedFd<'_>,
        content: &mut Content,
    ) -> Result<Option<String>, UnpackError> {
        let now = Seal::of(root, &HashSet::new(), self.opaque_root, content)?;
        Ok(match now.files.cmp(&self.files) {
            Ordering::Less => Some(format!(
                "{} of its files are missing",
                self.files - now.files
            )),
            Ordering::Greater => Some(format!("it has {} files too many", now.files - self.files)),
            Ordering::Equal if now.bytes != self.bytes => Some(format!(
                "its files have {} bytes instead of {}",
                now.bytes, self.bytes
            )),
            Ordering::Equal if now.listing != self.listing => {
                Some("names, kinds, modes, owners, sizes or times have changed".to_owned())
            }
            Ordering::Equal => None,
        })
    }
}

/// A walk in progress. The digests of all names are added up, so that the order in which a filesystem lists them does
/// not matter and nothing has to be kept and sorted.
struct Survey<'a> {
    implied: &'a HashSet<u64>,
    content: &'a mut Content,
    found: Vec<TreePath>,
    files: u64,
    bytes: u64,
    sum: [u64; 4],
}

/// Calls `each` with every name below `root`: the folder it is in, the name, its path and its status. A folder's names
/// come in the filesystem's own order, and before what is in its folders.
pub(super) fn walk(root: BorrowedFd<'_>, each: &mut Each<'_>) -> Result<(), UnpackError> {
    walk_below(root, b"", each)
}

type Each<'a> = dyn FnMut(BorrowedFd<'_>, &[u8], &[u8], &Status) -> Result<(), UnpackError> + 'a;

fn walk_below(dir: BorrowedFd<'_>, path: &[u8], each: &mut Each<'_>) -> Result<(), UnpackError> {
    let mut folders = Vec::new();
    let read = |e| failed("read folder", path, e);
    beneath::visit(dir, |name, _| {
        let status = beneath::status_of(dir, name.to_bytes()).map_err(read)?;
        let path = joined(path, name.to_bytes());
        each(dir, name.to_bytes(), &path, &status)?;
        if status.file_type == FileType::Directory {
            folders.push((name.to_owned(), path));
        }
        Ok::<(), UnpackError>(())
    })?;
    for (name, path) in folders {
        let child = beneath::open_child(dir, name.to_bytes())
            .map_err(|e| failed("open folder", &path, e))?;
        walk_below(child.as_fd(), &path, each)?;
    }
    Ok(())
}

impl Survey<'_> {
    fn note(&mut self, path: &[u8], status: &Status) {
        self.files += 1;
        let is_file = status.file_type == FileType::File;
        if is_file {
            self.bytes += status.size / status.links.max(1);
        }
        if status.file_type == FileType::Directory && self.implied.contains(&status.inode) {
            self.found.push(TreePath(path.to_vec()));
        }
        // Other sizes are the filesystem's own affair.
        let size = if is_file || status.file_type == FileType::Symlink {
            status.size
        } else {
            0
        };
        let hollow = is_file && size >= SUSPICIOUS && status.blocks == 0;
        let mut hasher = Sha256::new();
        for number in [
            path.len() as u64,
            kind(status.file_type),
            u64::from(status.mode),
            u64::from(status.uid),
            u64::from(status.gid),
            size,
            // Whole seconds: not every filesystem keeps more.
            status.modified.seconds.cast_unsigned(),
            u64::from(status.device.0),
            u64::from(status.device.1),
            u64::from(hollow),
        ] {
            hasher.update(number.to_le_bytes());
        }
        hasher.update(path);
        let digest: [u8; 32] = hasher.finalize().into();
        let (numbers, _) = digest.as_chunks::<8>();
        for (lane, number) in self.sum.iter_mut().zip(numbers) {
            *lane = lane.wrapping_add(u64::from_le_bytes(*number));
        }
        self.content.list(path, u64::from_le_bytes(numbers[0]));
    }

    fn listing(&self) -> Digest {
        let lanes: Vec<u8> = self
            .sum
            .iter()
            .flat_map(|lane| lane.to_le_bytes())
            .collect();
        Digest::of(&lanes)
    }
}

/// A number that stays the same in every release.
fn kind(file_type: FileType) -> u64 {
    match file_type {
        FileType::File => 0,
        FileType::Directory => 1,
        FileType::Symlink => 2,
        FileType::CharDevice => 3,
        FileType::BlockDevice => 4,
        FileType::Fifo => 5,
        FileType::Socket => 6,
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| {
            if byte.is_ascii_graphic() && byte != b'%' {
                f.write_char(char::from(byte))
            } else {
                write!(f, "%{byte:02x}")
            }
        })
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TreePath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<TreePath, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            if first != b'%' {
                bytes.push(first);
                continue;
            }
            let digits = after.split_at_checked(2);
            let byte = digits.and_then(|(digits, after)| {
                rest = after;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
            });
            bytes.push(byte.ok_or_else(|| serde::de::Error::custom("malformed path in a seal"))?);
        }
        Ok(TreePath(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_any_bytes_come_back() {
        for path in [&b""[..], b"usr/lib", b"100%", b"a b\n\xff\x00%25"] {
            let path = TreePath(path.to_vec());
            let text = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<TreePath>(&text).unwrap(), path);
        }
        assert!(serde_json::from_str::<TreePath>("\"%2\"").is_err());
        assert!(serde_json::from_str::<TreePath>("\"%zz\"").is_err());
    }
}
