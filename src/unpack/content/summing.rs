//! The numbers of a layer in the making, while it is unpacked or read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};

use sha2::{Digest as _, Sha256};

use super::file_sum::{BLOCK, FileNumbers, FileSum};
use super::{COLUMNS, Content, Pace, add};
use crate::sys::beneath::{self, FileType, Status};
use crate::unpack::UnpackError;
use crate::unpack::seal::walk;
use crate::unpack::tree::{OPAQUE, failed};

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

/// The numbers of a layer in the making.
pub(in crate::unpack) struct Summing {
    pub(super) content: Content,
    file: FileSum,
    /// Something that was counted is no more.
    spoiled: bool,
    /// A file with several names and its content.
    linked: Option<(u64, FileNumbers)>,
}

impl Summing {
    pub(in crate::unpack) fn new() -> Summing {
        Summing {
            content: Content::empty(),
            file: FileSum::new(),
            spoiled: false,
            linked: None,
        }
    }

    /// Something that may have been counted goes: what there is has to be read in the end.
    pub(in crate::unpack) fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// Begins a file, whose content the result hears of.
    pub(in crate::unpack) fn begin(&mut self) -> &mut FileSum {
        self.file.begin();
        &mut self.file
    }

    /// Ends it.
    pub(in crate::unpack) fn end(&mut self, path: &[u8], size: u64) {
        let numbers = self.file.end(size);
        self.file_at(path, &numbers);
    }

    fn file_at(&mut self, path: &[u8], numbers: &FileNumbers) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.count(0, path, b"", &bytes);
    }

    pub(in crate::unpack) fn link(&mut self, path: &[u8], text: &[u8]) {
        self.count(1, path, b"", text);
    }

    /// Counts a folder's mark that hides what lower layers have there.
    pub(in crate::unpack) fn opaque(&mut self, path: &[u8], value: &[u8]) {
        self.count(2, path, OPAQUE, value);
    }

    /// Counts what an inode has of extended attributes, that mark aside.
    pub(in crate::unpack) fn attributes(&mut self, path: &[u8], attributes: &[(Vec<u8>, Vec<u8>)]) {
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
    pub(in crate::unpack) fn name(
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
    pub(super) fn read(&mut self, root: BorrowedFd<'_>, pace: Pace<'_>) -> Result<(), UnpackError> {
        self.content.sum = [0; 4];
        self.content.content = [[0; COLUMNS]; 2];
        let attributes = beneath::xattrs(root).map_err(|e| failed("read", b"", e))?;
        self.attributes(b"", &attributes);
        walk(root, &mut |dir, name, path, status| {
            self.name(dir, name, path, status, pace)
        })
    }

    /// The numbers, read again where what went by was not what there is in the end.
    pub(in crate::unpack) fn finish(
        mut self,
        root: BorrowedFd<'_>,
    ) -> Result<Content, UnpackError> {
        if self.spoiled {
            self.read(root, &|_| {})?;
        }
        Ok(self.content)
    }
}
