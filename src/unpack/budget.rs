//! How much may be unpacked.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::tarball::ArchiveError;

/// How much may still be unpacked; several layers that are unpacked at once share one.
#[derive(Debug)]
pub struct Budget {
    left: AtomicU64,
    limit: u64,
}

impl Budget {
    /// Room for `limit` bytes: of data, and what each entry takes beside it.
    pub fn new(limit: u64) -> Budget {
        Budget {
            left: AtomicU64::new(limit),
            limit,
        }
    }

    pub(super) fn charge(&self, cost: u64) -> Result<(), ArchiveError> {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(cost)
            })
            .map(drop)
            .map_err(|_| ArchiveError::Full(self.limit))
    }

    /// Fails if this much would be too much.
    pub(super) fn check(&self, cost: u64) -> Result<(), ArchiveError> {
        if cost > self.left.load(Ordering::Relaxed) {
            return Err(ArchiveError::Full(self.limit));
        }
        Ok(())
    }

    pub(super) fn refund(&self, cost: u64) {
        self.left.fetch_add(cost, Ordering::Relaxed);
    }
}
