//! How much may be unpacked.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::entry::{Entry, Kind};
use crate::sys::beneath::{self, Room};
use crate::tarball::ArchiveError;

/// Where nothing else is said; most filesystems have it.
const BLOCK: u64 = 4096;

/// What a name takes in its folder, about.
const NAME_COST: u64 = 64;

/// Longest text of a symbolic link that lives inside its inode.
const INLINE_TEXT: usize = 59;

/// How much is unpacked at most between two looks at what the disk really has left.
const LOOK_BYTES: u64 = 4 << 20;

/// How much may still be unpacked; several layers that are unpacked at once share one.
#[derive(Debug)]
pub struct Budget {
    bytes: AtomicU64,
    inodes: AtomicU64,
    /// What of a stream does not come to the disk has to end somewhere too.
    beside: AtomicU64,
    limit: Cost,
    block: u64,
    watch: Option<Watch>,
}

/// A disk that others write to as well.
#[derive(Debug)]
struct Watch {
    dir: PathBuf,
    reserve: u64,
    /// Bytes since the last look.
    unseen: AtomicU64,
}

/// What something takes on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) bytes: u64,
    pub(super) inodes: u64,
    /// Bytes of the stream that stay out of it.
    pub(super) beside: u64,
}

impl Budget {
    /// Room for `limit` bytes, rounded up to blocks, and for as many files as one likes.
    pub fn new(limit: u64) -> Budget {
        Budget::with(limit, None, BLOCK)
    }

    /// The same on the disk that holds `dir`, of which `reserve` bytes have to stay free whoever else writes.
    pub fn on(dir: &Path, room: &Room, limit: u64, reserve: u64) -> Budget {
        Budget {
            watch: Some(Watch {
                dir: dir.to_owned(),
                reserve,
                unseen: AtomicU64::new(0),
            }),
            ..Budget::with(limit, room.inodes, room.block)
        }
    }

    fn with(bytes: u64, inodes: Option<u64>, block: u64) -> Budget {
        let inodes = inodes.unwrap_or(u64::MAX);
        Budget {
            bytes: AtomicU64::new(bytes),
            inodes: AtomicU64::new(inodes),
            beside: AtomicU64::new(bytes),
            limit: Cost {
                bytes,
                inodes,
                beside: bytes,
            },
            block,
            watch: None,
        }
    }

    /// What an entry takes; one that replaces another counts beside it.
    pub(super) fn cost(&self, entry: &Entry) -> Cost {
        let blocks = |bytes: u64| {
            let rounded = bytes.checked_next_multiple_of(self.block);
            rounded.unwrap_or(u64::MAX)
        };
        let data = match &entry.kind {
            Kind::File { stored, map: None } => blocks(*stored),
            // A region may begin and end inside a block.
            Kind::File { map: Some(map), .. } => map.regions.iter().fold(0, |sum: u64, region| {
                sum.saturating_add(blocks(region.length.saturating_add(self.block)))
            }),
            Kind::Directory => self.block,
            Kind::Symlink(text) if text.len() > INLINE_TEXT => self.block,
            Kind::Symlink(_) | Kind::HardLink(_) | Kind::Node { .. } => 0,
        };
        Cost {
            bytes: data.saturating_add(NAME_COST),
            inodes: u64::from(!matches!(entry.kind, Kind::HardLink(_))),
            beside: 0,
        }
    }

    pub(super) fn charge(&self, cost: Cost) -> Result<(), ArchiveError> {
        take(&self.bytes, cost.bytes).ok_or(ArchiveError::Full(self.limit.bytes))?;
        take(&self.beside, cost.beside).ok_or(ArchiveError::Full(self.limit.beside))?;
        take(&self.inodes, cost.inodes).ok_or(ArchiveError::Inodes(self.limit.inodes))?;
        match &self.watch {
            Some(watch) if cost.bytes > 0 => watch.look(cost.bytes),
            _ => Ok(()),
        }
    }

    /// Fails if this much would be too much.
    pub(super) fn check(&self, bytes: u64) -> Result<(), ArchiveError> {
        if bytes > self.bytes.load(Ordering::Relaxed) {
            return Err(ArchiveError::Full(self.limit.bytes));
        }
        Ok(())
    }

    pub(super) fn refund(&self, cost: Cost) {
        self.bytes.fetch_add(cost.bytes, Ordering::Relaxed);
        self.inodes.fetch_add(cost.inodes, Ordering::Relaxed);
        self.beside.fetch_add(cost.beside, Ordering::Relaxed);
    }
}

fn take(left: &AtomicU64, cost: u64) -> Option<()> {
    let relaxed = Ordering::Relaxed;
    let taken = left.fetch_update(relaxed, relaxed, |left| left.checked_sub(cost));
    taken.ok().map(drop)
}

impl Watch {
    fn look(&self, bytes: u64) -> Result<(), ArchiveError> {
        let unseen = self.unseen.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // Often enough for the reserve to be seen before it is gone.
        if unseen < LOOK_BYTES.min(self.reserve / 2) {
            return Ok(());
        }
        self.unseen.store(0, Ordering::Relaxed);
        let free = beneath::room(&self.dir).map_err(ArchiveError::Room)?.bytes;
        match free < self.reserve {
            true => Err(ArchiveError::Filled {
                free,
                reserve: self.reserve,
            }),
            false => Ok(()),
        }
    }
}

impl Cost {
    pub(super) fn beside(bytes: u64) -> Cost {
        Cost {
            beside: bytes,
            ..Cost::default()
        }
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.bytes += other.bytes;
        self.inodes += other.inodes;
        self.beside += other.beside;
    }
}
