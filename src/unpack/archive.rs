//! A layer's tar stream, read once from front to back: extension headers are folded into the entry they describe.
//!
//! Disagreement between parsers is how content is smuggled past checks (TARmageddon), so the rules are Go's
//! `archive/tar`, with which the rest of the world reads layers; where Go guesses, this reader refuses.

use std::fmt;
use std::io::{self, BufRead, Write};

use super::budget::{Budget, Cost};
use super::entry::{Attributes, Entry, Kind};
use crate::sys::beneath::{FileType, Time};
use crate::tarball::{
    ArchiveError, BLOCK, Block, Extensions, MAX_ENTRIES, MAX_EXTENSION, Pax, SafePath, SparseMap,
    quoted, sparse,
};

/// The kernel's largest device numbers.
const MAX_MAJOR: u32 = (1 << 12) - 1;
const MAX_MINOR: u32 = (1 << 20) - 1;

/// A tar stream and the place in it.
pub struct Archive<'a> {
    source: &'a mut dyn BufRead,
    /// Unread bytes of the current body, and the padding behind it.
    body: u64,
    padding: u64,
    entries: u64,
    budget: &'a Budget,
    /// What of the budget this archive has taken.
    charged: Cost,
}

impl fmt::Debug for Archive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").finish_non_exhaustive()
    }
}

impl<'a> Archive<'a> {
    /// Reads from `source`, which may go on for as long as there is `budget`.
    pub fn new(source: &'a mut dyn BufRead, budget: &'a Budget) -> Archive<'a> {
        Archive {
            source,
            body: 0,
            padding: 0,
            entries: 0,
            budget,
            charged: Cost::default(),
        }
    }

    /// Gives back what it has taken of the budget, for a layer that will be removed again.
    pub(super) fn refund(&self) {
        self.budget.refund(self.charged);
    }

    fn charge(&mut self, cost: Cost) -> Result<(), ArchiveError> {
        self.budget.charge(cost)?;
        self.charged += cost;
        Ok(())
    }

    /// For what is read and comes to no file.
    fn charge_beside(&mut self, bytes: usize) -> Result<(), ArchiveError> {
        self.charge(Cost::beside(bytes as u64))
    }

    /// The next entry, after skipping what is left of the current one. At the archive's end the stream has been read
    /// to its own end, so that its digest is known.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let mut extensions = Extensions::default();
        loop {
            self.skip(self.body)?;
            self.skip_padding()?;
            (self.body, self.padding) = (0, 0);
            let Some(block) = self.header()? else {
                if extensions.is_empty() {
                    return self.drain().map(|()| None);
                }
                return Err(ArchiveError::Truncated);
            };
            let flag = block.type_flag();
            if !Extensions::is_type(flag) {
                let entry = self.entry(&block, extensions)?;
                // Its data too, before the first of it is read.
                self.charge(self.budget.cost(&entry))?;
                return Ok(Some(entry));
            }
            let body = self.extension(&block)?;
            extensions.take(flag, body)?;
        }
    }

    /// Hands the next `length` bytes of the current entry's body to `target`.
    pub fn copy_body(&mut self, length: u64, target: &mut dyn Write) -> Result<(), CopyError> {
        let mut left = length;
        while left > 0 {
            let available = self.fill().map_err(CopyError::Archive)?;
            let taken = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(available.len());
            target
                .write_all(&available[..taken])
                .map_err(CopyError::Write)?;
            self.source.consume(taken);
            left -= taken as u64;
            self.body -= taken as u64;
        }
        Ok(())
    }

    fn entry(&mut self, block: &Block, extensions: Extensions) -> Result<Entry, ArchiveError> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(ArchiveError::Entries);
        }
        let (mut pax, name, link) = extensions.resolve(block)?;
        let size = match pax.size {
            Some(size) => size,
            None => block.size()?,
        };
        let path = safe_path(pax.sparse.name.as_deref().unwrap_or(&name))?;
        let attributes = attributes(block, &mut pax)?;
        let kind = match block.type_flag() {
            // Before there was a type for folders they were files with a slash at the end.
            0 if name.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' => self.file(size, pax)?,
            b'S' => self.old_sparse_file(block, size)?,
            b'1' => Kind::HardLink(safe_path(&link)?),
            b'2' => Kind::Symlink(link),
            b'3' => node(block, FileType::CharDevice)?,
            b'4' => node(block, FileType::BlockDevice)?,
            b'5' => Kind::Directory,
            b'6' => node(block, FileType::Fifo)?,
            other => {
                return Err(ArchiveError::Type {
                    name: quoted(&name),
                    flag: char::from(other),
                });
            }
        };
        // Only files have a body; the size of other types means something else, or nothing.
        Ok(Entry {
            path,
            kind,
            attributes,
        })
    }

    fn file(&mut self, size: u64, pax: Pax) -> Result<Kind, ArchiveError> {
        self.expect_body(size)?;
        let sparse = pax.sparse;
        let regions = match (sparse.major, sparse.minor) {
            (None, None) if sparse.regions.is_empty() => {
                return Ok(Kind::File {
                    stored: size,
                    map: None,
                });
            }
            (None, None) | (Some(0), Some(0 | 1)) => sparse.regions,
            (Some(1), Some(0)) => sparse::map_in_data(|| self.body_block())?,
            _ => return Err(ArchiveError::Sparse("its version is unknown")),
        };
        let real_size = sparse.real_size;
        let real_size = real_size.ok_or(ArchiveError::Sparse("its real size is missing"))?;
        Ok(Kind::File {
            stored: self.body,
            map: Some(SparseMap::new(regions, real_size, self.body)?),
        })
    }

    fn old_sparse_file(&mut self, block: &Block, size: u64) -> Result<Kind, ArchiveError> {
        if !block.is_gnu() {
            return Err(ArchiveError::Sparse("it is not in GNU's format"));
        }
        let (mut regions, real_size, mut more) = sparse::old_header(block)?;
        while more {
            let mut extension = [0; BLOCK];
            self.read_exact(&mut extension)?;
            more = sparse::old_extension(&extension, &mut regions)?;
        }
        self.expect_body(size)?;
        Ok(Kind::File {
            stored: size,
            map: Some(SparseMap::new(regions, real_size, size)?),
        })
    }

    /// The next header; `None` at the end, which is a block of zeros or just the stream's end.
    fn header(&mut self) -> Result<Option<Block>, ArchiveError> {
        if self.peek()?.is_empty() {
            return Ok(None);
        }
        let mut bytes = [0; BLOCK];
        self.read_exact(&mut bytes)?;
        let block = Block::parse(bytes)?;
        if block.is_none() && !self.peek()?.is_empty() {
            self.read_exact(&mut bytes)?;
            // One block of zeros among entries: some readers stop there, others go on.
            if Block::parse(bytes)?.is_some() {
                return Err(ArchiveError::Contradiction("where the archive ends"));
            }
        }
        Ok(block)
    }

    fn extension(&mut self, block: &Block) -> Result<Vec<u8>, ArchiveError> {
        let size = block.size()?;
        if size > MAX_EXTENSION {
            return Err(ArchiveError::ExtensionSize(size));
        }
        self.expect_body(size)?;
        self.charge(Cost::beside(size))?;
        let mut bytes = Vec::new();
        self.copy_body(size, &mut bytes)
            .map_err(|error| match error {
                CopyError::Archive(error) => error,
                CopyError::Write(error) => ArchiveError::Read(error),
            })?;
        Ok(bytes)
    }

    fn expect_body(&mut self, size: u64) -> Result<(), ArchiveError> {
        // More than there is room for needs no reading; and sums with it cannot overflow.
        self.budget.check(size)?;
        self.body = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    fn body_block(&mut self) -> Result<[u8; BLOCK], ArchiveError> {
        let left = self.body.checked_sub(BLOCK as u64);
        self.body = left.ok_or(ArchiveError::Sparse("its map is longer than its data"))?;
        let mut block = [0; BLOCK];
        self.read_exact(&mut block)?;
        Ok(block)
    }

    fn skip(&mut self, mut length: u64) -> Result<(), ArchiveError> {
        while length > 0 {
            let available = self.fill()?.len();
            let taken = usize::try_from(length).unwrap_or(usize::MAX).min(available);
            self.source.consume(taken);
            self.charge_beside(taken)?;
            length -= taken as u64;
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), ArchiveError> {
        loop {
            let available = self.peek()?.len();
            if available == 0 {
                return Ok(());
            }
            self.charge_beside(available)?;
            self.source.consume(available);
        }
    }

    /// Zeros up to the next block. Some writers leave those of the last entry out, and readers do not miss them.
    fn skip_padding(&mut self) -> Result<(), ArchiveError> {
        let mut left = self.padding as usize;
        while left > 0 {
            let available = self.peek()?.len().min(left);
            if available == 0 {
                break;
            }
            self.charge_beside(available)?;
            self.source.consume(available);
            left -= available;
        }
        Ok(())
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ArchiveError> {
        self.charge_beside(buffer.len())?;
        self.source
            .read_exact(buffer)
            .map_err(|error| match error.kind() {
                // The reader's own "failed to fill whole buffer"; a failing source brings its own words.
                io::ErrorKind::UnexpectedEof if error.get_ref().is_none() => {
                    ArchiveError::Truncated
                }
                _ => ArchiveError::Read(error),
            })
    }

    /// What is buffered; empty only at the stream's end.
    fn peek(&mut self) -> Result<&[u8], ArchiveError> {
        loop {
            match self.source.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveError::Read(error)),
            }
        }
        self.source.fill_buf().map_err(ArchiveError::Read)
    }

    /// What is buffered, never empty.
    fn fill(&mut self) -> Result<&[u8], ArchiveError> {
        match self.peek()? {
            b"" => Err(ArchiveError::Truncated),
            available => Ok(available),
        }
    }
}

/// Which side of a copy failed.
#[derive(Debug)]
pub enum CopyError {
    /// The archive.
    Archive(ArchiveError),
    /// What it is copied to.
    Write(io::Error),
}

fn safe_path(name: &[u8]) -> Result<SafePath, ArchiveError> {
    SafePath::parse(name).map_err(|source| ArchiveError::Path {
        name: quoted(name),
        source,
    })
}

fn attributes(block: &Block, pax: &mut Pax) -> Result<Attributes, ArchiveError> {
    let id = |pax: Option<u64>, header: Result<u64, ArchiveError>, what| {
        let id = match pax {
            Some(id) => id,
            None => header?,
        };
        // The highest one means "leave it" to the kernel.
        match u32::try_from(id) {
            Ok(id) if id < u32::MAX => Ok(id),
            _ => Err(ArchiveError::Number(what)),
        }
    };
    let modified = match pax.mtime {
        Some(time) => time,
        None => Time {
            seconds: block.mtime()?,
            nanoseconds: 0,
        },
    };
    Ok(Attributes {
        mode: (block.mode()? & 0o7777) as u32,
        uid: id(pax.uid, block.uid(), "uid")?,
        gid: id(pax.gid, block.gid(), "gid")?,
        modified,
        xattrs: std::mem::take(&mut pax.xattrs),
    })
}

fn node(block: &Block, file_type: FileType) -> Result<Kind, ArchiveError> {
    let device = if file_type == FileType::Fifo {
        (0, 0)
    } else {
        let (major, minor) = block.device()?;
        let fit = |number, limit, what| match u32::try_from(number) {
            Ok(number) if number <= limit => Ok(number),
            _ => Err(ArchiveError::Number(what)),
        };
        (
            fit(major, MAX_MAJOR, "device major")?,
            fit(minor, MAX_MINOR, "device minor")?,
        )
    };
    Ok(Kind::Node { file_type, device })
}
