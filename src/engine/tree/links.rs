//! Files with several names: where the first of them went, so that the others can be names of it there too.

use std::collections::HashMap;
use std::io;

use crate::sys::beneath::Status;

/// Most bytes of paths that are remembered; what people copy has a few hundred such files, a whole distribution thousands.
const MAX_BYTES: usize = 32 << 20;

/// What one file costs beside its path.
const OVERHEAD: usize = 80;

/// Inodes with names that are still to come.
#[derive(Debug, Default)]
pub struct Links {
    first: HashMap<(u64, u64), First>,
    bytes: usize,
}

#[derive(Debug)]
struct First {
    path: Vec<u8>,
    /// Names that have not been met yet.
    left: u64,
}

impl Links {
    /// The path of the first name of the file with this status, if it has been met; it is forgotten after the last one.
    pub fn find(&mut self, status: &Status) -> Option<Vec<u8>> {
        let key = (status.filesystem, status.inode);
        let first = self.first.get_mut(&key)?;
        first.left = first.left.saturating_sub(1);
        if first.left > 0 {
            return Some(first.path.clone());
        }
        let First { path, .. } = self.first.remove(&key)?;
        self.bytes -= path.len() + OVERHEAD;
        Some(path)
    }

    /// Remembers where a file went.
    pub fn remember(&mut self, status: &Status, path: Vec<u8>) -> io::Result<()> {
        if status.links < 2 {
            return Ok(());
        }
        self.bytes += path.len() + OVERHEAD;
        if self.bytes > MAX_BYTES {
            return Err(io::Error::other(
                "there are too many files with several names: copy them in parts",
            ));
        }
        let left = status.links - 1;
        let key = (status.filesystem, status.inode);
        let before = self.first.insert(key, First { path, left });
        // One that could not be linked was copied again.
        self.bytes -= before.map_or(0, |before| before.path.len() + OVERHEAD);
        Ok(())
    }
}
