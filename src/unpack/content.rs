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

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};

use sha2::{Digest as _, Sha256};

use super::seal::walk;
use super::tree::{OPAQUE, failed};
use super::{TreePath, UnpackError};
use crate::oci::Digest;
use crate::sys::beneath::{self, FileType, Status};

const MAGIC: &[u8; 16] = b"dray content 1\n\0";
const COLUMNS: usize = 126;
const SIZE: usize = 4096;

/// Bytes that count together; holes have at least that size.
const BLOCK: usize = 4096;

/// Read at once.
const CHUNK: usize = 256 << 10;

/// An attribute by which a folder gives new files attributes that no archive brought.
const INHERITED: &[u8] = b"system.posix_acl_default";

/// Attributes that come with layers; the others are this device's own, labels of its security modules for one.
const COUNTED: [&[u8]; 4] = [
    b"security.capability",
    b"system.posix_acl_",
    b"trusted.",
    b"user.",
];

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

/// The numbers of a layer in the making.
pub(super) struct Summing {
    content: Content,
    file: FileSum,
    /// Something that was counted is no more.
    spoiled: bool,
    /// A file with several names and its content.
    linked: Option<(u64, FileNumbers)>,
}

impl Summing {
    pub(super) fn new() -> Summing {
        Summing {
            content: Content::empty(),
            file: FileSum::new(),
            spoiled: false,
            linked: None,
        }
    }

    /// Something that may have been counted goes: what there is has to be read in the end.
    pub(super) fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// Begins a file, whose content the result hears of.
    pub(super) fn begin(&mut self) -> &mut FileSum {
        self.file.begin();
        &mut self.file
    }

    /// Ends it.
    pub(super) fn end(&mut self, path: &[u8], size: u64) {
        let numbers = self.file.end(size);
        self.file_at(path, &numbers);
    }

    fn file_at(&mut self, path: &[u8], numbers: &FileNumbers) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.count(0, path, b"", &bytes);
    }

    pub(super) fn link(&mut self, path: &[u8], text: &[u8]) {
        self.count(1, path, b"", text);
    }

    /// Counts a folder's mark that hides what lower layers have there.
    pub(super) fn opaque(&mut self, path: &[u8], value: &[u8]) {
        self.count(2, path, OPAQUE, value);
    }

    /// Counts what an inode has of extended attributes, that mark aside.
    pub(super) fn attributes(&mut self, path: &[u8], attributes: &[(Vec<u8>, Vec<u8>)]) {
        for (name, value) in attributes {
            // What is made in such a folder from now on has attributes that nobody here sets.
            self.spoiled |= name == INHERITED;
            if name != OPAQUE && COUNTED.iter().any(|known| name.starts_with(known)) {
                self.count(2, path, name, value);
            }
        }
    }

    fn count(&mut self, kind: u8, path: &[u8], name: &[u8], value: &[u8]) {
        let mut hasher = Sha256::new();
        hasher.update([kind]);
        for part in [path, name] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.update(value);
        let digest: [u8; 32] = hasher.finalize().into();
        let (numbers, _) = digest.as_chunks::<8>();
        for (sum, number) in self.content.sum.iter_mut().zip(numbers) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*number));
        }
        add(
            &mut self.content.content,
            path,
            u64::from_le_bytes(numbers[0]),
        );
    }

    /// Counts what is on disk under one name.
    pub(super) fn name(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        status: &Status,
        pace: Pace<'_>,
    ) -> Result<(), UnpackError> {
        let read = |e| failed("read", path, e);
        let attributes = match status.file_type {
            FileType::File => {
                let mut file = beneath::open_to_read(dir, name).map_err(read)?;
                let numbers = match self.linked {
                    Some((inode, numbers)) if inode == status.inode => numbers,
                    _ => self.read_file(&mut file, pace).map_err(read)?,
                };
                if status.links > 1 {
                    self.linked = Some((status.inode, numbers));
                }
                self.file_at(path, &numbers);
                beneath::xattrs(file.as_fd())
            }
            FileType::Directory => {
                let folder = beneath::open_child(dir, name).map_err(read)?;
                beneath::xattrs(folder.as_fd())
            }
            FileType::Symlink => {
                let text = beneath::link_text(dir, name).map_err(read)?;
                self.link(path, &text);
                beneath::xattrs_of(dir, name)
            }
            _ => beneath::xattrs_of(dir, name),
        };
        let attributes = attributes.map_err(read)?;
        self.attributes(path, &attributes);
        if let Some((_, value)) = attributes.iter().find(|(name, _)| name == OPAQUE) {
            self.opaque(path, value);
        }
        Ok(())
    }

    fn read_file(&mut self, file: &mut File, pace: Pace<'_>) -> io::Result<FileNumbers> {
        // What lies in memory says nothing of the disk, and is not to push out what others need.
        beneath::forget_cached(file);
        let size = file.metadata()?.len();
        self.file.begin();
        let mut buffer = vec![0; CHUNK.min(size.next_multiple_of(BLOCK as u64) as usize)];
        let mut at = 0;
        while let Some(data) = beneath::next_data(file, at)?.filter(|data| data.start < size) {
            file.seek(SeekFrom::Start(data.start))?;
            self.file.seek(data.start);
            let mut left = data.end.min(size) - data.start;
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(CHUNK).min(buffer.len());
                let read = file.read(&mut buffer[..most])?;
                if read == 0 {
                    break;
                }
                self.file.update(&buffer[..read]);
                left -= read as u64;
                pace(read as u64);
            }
            at = data.end;
        }
        beneath::forget_cached(file);
        Ok(self.file.end(size))
    }

    /// Counts everything below `root`.
    fn read(&mut self, root: BorrowedFd<'_>, pace: Pace<'_>) -> Result<(), UnpackError> {
        self.content.sum = [0; 4];
        self.content.content = [[0; COLUMNS]; 2];
        let attributes = beneath::xattrs(root).map_err(|e| failed("read", b"", e))?;
        self.attributes(b"", &attributes);
        walk(root, &mut |dir, name, path, status| {
            self.name(dir, name, path, status, pace)
        })
    }

    /// The numbers, read again where what went by was not what there is in the end.
    pub(super) fn finish(mut self, root: BorrowedFd<'_>) -> Result<Content, UnpackError> {
        if self.spoiled {
            self.read(root, &|_| {})?;
        }
        Ok(self.content)
    }
}

/// What one file contains.
type FileNumbers = [u64; 5];

/// One file's content as it goes by, in pieces of any size.
pub(super) struct FileSum {
    lanes: [u64; 4],
    /// Where the next byte belongs.
    at: u64,
    /// The block it belongs to, as far as it came by in pieces.
    block: Box<[u8; BLOCK]>,
    pending: bool,
}

impl FileSum {
    fn new() -> FileSum {
        FileSum {
            lanes: SEED,
            at: 0,
            block: Box::new([0; BLOCK]),
            pending: false,
        }
    }

    fn begin(&mut self) {
        self.flush();
        (self.lanes, self.at) = (SEED, 0);
    }

    /// What follows belongs further on; between is a hole.
    pub(super) fn seek(&mut self, offset: u64) {
        if offset / BLOCK as u64 != self.at / BLOCK as u64 {
            self.flush();
        }
        self.at = offset;
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let within = (self.at % BLOCK as u64) as usize;
            if within == 0
                && !self.pending
                && let Some((block, rest)) = bytes.split_first_chunk::<BLOCK>()
            {
                absorb(&mut self.lanes, self.at / BLOCK as u64, block);
                self.at += BLOCK as u64;
                bytes = rest;
                continue;
            }
            let (piece, rest) = bytes.split_at(bytes.len().min(BLOCK - within));
            self.block[within..within + piece.len()].copy_from_slice(piece);
            self.pending = true;
            // Of the block that it fills, not of the next one.
            if within + piece.len() == BLOCK {
                self.flush();
            }
            self.at += piece.len() as u64;
            bytes = rest;
        }
    }

    fn flush(&mut self) {
        if self.pending {
            absorb(&mut self.lanes, self.at / BLOCK as u64, &self.block);
            self.block.fill(0);
            self.pending = false;
        }
    }

    fn end(&mut self, size: u64) -> FileNumbers {
        self.flush();
        let [a, b, c, d] = self.lanes;
        [size, a, b, c, d]
    }
}

/// A file that is written and counted.
pub(super) struct Counted<'a> {
    pub(super) file: &'a mut File,
    pub(super) sum: &'a mut FileSum,
}

impl Counted<'_> {
    /// What is written next belongs at `offset`.
    pub(super) fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.sum.seek(offset);
        self.file.seek(SeekFrom::Start(offset)).map(drop)
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// XXH64's round in four lanes, all of which are kept: no change to one word is ever lost. About as fast as memory where
/// the processor multiplies in hardware; no hash that the program has anyway is both wide and fast.
fn absorb(lanes: &mut [u64; 4], number: u64, block: &[u8; BLOCK]) {
    if block.as_chunks::<8>().0.iter().all(|word| *word == [0; 8]) {
        return;
    }
    let [mut a, mut b, mut c, mut d] = *lanes;
    a = round(a, &(number + 1).to_le_bytes());
    for stripe in block.as_chunks::<32>().0 {
        let (words, _) = stripe.as_chunks::<8>();
        a = round(a, &words[0]);
        b = round(b, &words[1]);
        c = round(c, &words[2]);
        d = round(d, &words[3]);
    }
    *lanes = [a, b, c, d];
}

const FIRST: u64 = 0x9E37_79B1_85EB_CA87;
const SECOND: u64 = 0xC2B2_AE3D_27D4_EB4F;
const SEED: [u64; 4] = [FIRST, SECOND, FIRST ^ SECOND, !FIRST];

fn round(lane: u64, word: &[u8; 8]) -> u64 {
    lane.wrapping_add(u64::from_le_bytes(*word).wrapping_mul(SECOND))
        .rotate_left(31)
        .wrapping_mul(FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[(u64, &[u8])], size: u64) -> FileNumbers {
        let mut sum = FileSum::new();
        sum.begin();
        for (at, bytes) in pieces {
            sum.seek(*at);
            sum.update(bytes);
        }
        sum.end(size)
    }

    #[test]
    fn pieces_and_holes_make_no_difference_and_everything_else_does() {
        let bytes: Vec<u8> = (0..30_000_u32).map(|n| ((n * n) >> 5) as u8).collect();
        let size = bytes.len() as u64;
        let whole = of(&[(0, &bytes)], size);
        for piece in [1, 7, 4095, 4096, 4097, 9000] {
            let mut sum = FileSum::new();
            sum.begin();
            bytes.chunks(piece).for_each(|bytes| sum.update(bytes));
            assert_eq!(sum.end(size), whole, "{piece}");
        }
        let mut holes = bytes.clone();
        holes[5000..17_000].fill(0);
        let (head, tail) = (&holes[..5000], &holes[17_000..]);
        let with_holes = of(&[(0, head), (17_000, tail)], size);
        assert_eq!(with_holes, of(&[(0, &holes)], size));
        assert_ne!(with_holes, whole);
        for at in [0, 8, 4095, 4096, 29_999] {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[at] ^= 1 << bit;
                assert_ne!(of(&[(0, &other)], size), whole, "{at} {bit}");
            }
        }
        let mut swapped = bytes.clone();
        swapped.rotate_left(4096);
        assert_ne!(of(&[(0, &swapped)], size), whole);
        assert_ne!(of(&[(4096, &bytes)], size), whole);
    }

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
