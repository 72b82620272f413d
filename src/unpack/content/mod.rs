//! What the files of an unpacked layer contain, in a few numbers: enough to notice what a disk forgets or changes by
//! itself, and mostly in which file.
//!
//! The numbers are made of the bytes that go by while the layer is unpacked, in the same memory for ten files and for a
//! million. They lie in a file of their own beside the seal:
//!
//! ```text
//! content    4096 bytes, numbers little-endian
//!      0  "dray content 1\n\0"
//!     16  first half of the SHA-256 of diff id, seal.json and all that follows
//!     32  four sums of 64 bits, over all of: regular files (path, size, content), links (path, text), extended
//!         attributes (path, name, value); of each the SHA-256, cut into four numbers, in any order
//!     64  cells: 2 x 126 sums of the first of those four numbers
//!   2080  cells: the same over what the seal's listing is made of
//! ```
//!
//! Each path counts in one cell of either row, chosen by its hash, so that one file that differs shows in two cells that
//! few others share. A layer of an older dray has no such file: its content cannot be checked.
//!
//! Contents go into the SHA-256 as 256 bits of a faster hash. It is made against rot, not against people: a block of
//! 4096 bytes counts with its number, and one of zeros, or a hole, not at all.

mod file_sum;
mod summing;

use std::os::fd::BorrowedFd;

use sha2::{Digest as _, Sha256};

use super::seal::walk;
use super::{TreePath, UnpackError};
use crate::oci::Digest;
use file_sum::{SEED, round};

pub(super) use file_sum::Counted;
pub(super) use summing::Summing;

const MAGIC: &[u8; 16] = b"dray content 1\n\0";
const COLUMNS: usize = 126;
const SIZE: usize = 4096;

/// Sums by path.
type Cells = [[u64; COLUMNS]; 2];

/// The numbers of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    sum: [u64; 4],
    content: Cells,
    listing: Cells,
}

/// Hears how many bytes were read, and may take its time.
pub type Pace<'a> = &'a dyn Fn(u64);

impl Content {
    /// Of nothing at all.
    pub fn empty() -> Content {
        Content {
            sum: [0; 4],
            content: [[0; COLUMNS]; 2],
            listing: [[0; COLUMNS]; 2],
        }
    }

    /// Reads all that is in the tree below `root`, from the disk where possible.
    pub fn of(root: BorrowedFd<'_>, pace: Pace<'_>) -> Result<Content, UnpackError> {
        let mut summing = Summing::new();
        summing.read(root, pace)?;
        Ok(summing.content)
    }

    /// The bytes of the file for a layer with this seal.
    pub fn file(&self, diff_id: &Digest, seal: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIZE);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[0; 16]);
        let cells = self.content.iter().chain(&self.listing).flatten();
        for number in self.sum.iter().chain(cells) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let check = checksum(diff_id, seal, &bytes);
        bytes[16..32].copy_from_slice(&check);
        bytes
    }

    /// Reads them back; `None` if they or the seal are not what they were.
    pub fn parse(bytes: &[u8], diff_id: &Digest, seal: &[u8]) -> Option<Content> {
        let whole = bytes.len() == SIZE
            && bytes.starts_with(MAGIC)
            && bytes[16..32] == checksum(diff_id, seal, bytes);
        let mut numbers = bytes.get(32..).filter(|_| whole)?.chunks_exact(8);
        let mut content = Content::empty();
        let cells = content.content.iter_mut().chain(&mut content.listing);
        for number in content.sum.iter_mut().chain(cells.flatten()) {
            *number = u64::from_le_bytes(numbers.next()?.try_into().ok()?);
        }
        Some(content)
    }

    /// The same, before anything is noted of what a seal says.
    pub fn unlisted(&self) -> Content {
        Content {
            listing: [[0; COLUMNS]; 2],
            ..self.clone()
        }
    }

    /// Takes over what was noted of what a seal says.
    pub fn relist(&mut self, other: &Content) {
        self.listing = other.listing;
    }

    /// Whether both are of files with the same content.
    pub fn is_same(&self, other: &Content) -> bool {
        self.sum == other.sum || crate::sys::fs::broken("no-content-compare")
    }

    /// Notes what a seal says of a path.
    pub(super) fn list(&mut self, path: &[u8], number: u64) {
        add(&mut self.listing, path, number);
    }

    /// The paths below `root` that may be why `now` differs, in the order in which they are found; a few at most, and
    /// none of what is missing.
    pub fn suspects(&self, now: &Content, root: BorrowedFd<'_>) -> Vec<TreePath> {
        const MOST: usize = 5;
        let mut found = Vec::new();
        let differs = |before: &Cells, now: &Cells, path: &[u8]| {
            let mut rows = columns(path).into_iter().enumerate();
            rows.all(|(row, column)| before[row][column] != now[row][column])
        };
        // What cannot be read any further has been found by then.
        let _ = walk(root, &mut |_, _, path, _| {
            let suspect = differs(&self.content, &now.content, path)
                || differs(&self.listing, &now.listing, path);
            if suspect && found.len() < MOST {
                found.push(TreePath(path.to_vec()));
            }
            Ok(())
        });
        found
    }
}

fn checksum(diff_id: &Digest, seal: &[u8], bytes: &[u8]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(diff_id.hex());
    hasher.update((seal.len() as u64).to_le_bytes());
    hasher.update(seal);
    hasher.update(&bytes[32..]);
    let digest: [u8; 32] = hasher.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

fn add(cells: &mut Cells, path: &[u8], number: u64) {
    for (row, column) in columns(path).into_iter().enumerate() {
        cells[row][column] = cells[row][column].wrapping_add(number);
    }
}

/// Where a path counts in either row.
fn columns(path: &[u8]) -> [usize; 2] {
    let mut hash = SEED[0];
    for chunk in path.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = round(hash, &word);
    }
    hash = round(hash ^ (hash >> 29), &(path.len() as u64).to_le_bytes());
    let column = |half: u64| (half % COLUMNS as u64) as usize;
    [column(hash & 0xffff_ffff), column(hash >> 32)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_back_and_notices_its_own_damage() {
        let mut summing = Summing::new();
        summing.link(b"a", b"b");
        summing.content.list(b"a", 7);
        let (diff_id, seal) = (Digest::of(b"x"), b"{}");
        let bytes = summing.content.file(&diff_id, seal);
        assert_eq!(bytes.len(), SIZE);
        let other = Digest::of(b"y");
        let read = |bytes: &[u8], id, seal: &[u8]| Content::parse(bytes, id, seal);
        assert_eq!(read(&bytes, &diff_id, seal), Some(summing.content));
        assert_eq!(read(&bytes, &other, seal), None);
        assert_eq!(read(&bytes, &diff_id, b"{ "), None);
        assert_eq!(read(&bytes[1..], &diff_id, seal), None);
        for at in (0..SIZE).step_by(97) {
            let mut other = bytes.clone();
            other[at] ^= 4;
            assert_eq!(read(&other, &diff_id, seal), None, "{at}");
        }
    }
}
