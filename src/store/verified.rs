//! When something was last read as a whole, and what was wrong with it then: what a scrub goes by, and what keeps a damaged
//! layer from being taken for a whole one until it is replaced.
//!
//! ```text
//! layers/sha256/<diff id>/verified   of one layer; goes with it
//! verified                           of all blobs
//! {"version":1,"at":1793491200,"damage":null}   seconds since 1970; text
//! ```
//!
//! A file that cannot be read counts as none: then one looks again.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, failed};
use crate::oci::Digest;
use crate::sys::fs;

/// The format this release writes and reads.
const VERSION: u64 = 1;

/// The name of the file.
const NAME: &str = "verified";

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    version: u64,
    /// Seconds since 1970.
    pub at: u64,
    /// What was wrong.
    pub damage: Option<String>,
}

impl Verified {
    /// Something found at a time.
    pub fn new(at: u64, damage: Option<String>) -> Verified {
        Verified {
            version: VERSION,
            at,
            damage,
        }
    }
}

impl Store {
    /// What was found of a layer, if it was looked at.
    pub fn verified(&self, diff_id: &Digest) -> Option<Verified> {
        read(&self.layer_dir(diff_id).join(NAME))
    }

    /// Notes durably what was found of a layer, unless the disk takes nothing.
    pub fn note_verified(&self, diff_id: &Digest, found: &Verified) -> Result<(), StoreError> {
        let dir = self.layer_dir(diff_id);
        // What somebody was killed over.
        fs::sweep_abandoned(&dir).map_err(failed("clear", &dir))?;
        write(&dir.join(NAME), found)
    }

    /// What was found of the blobs, if they were looked at.
    pub fn blobs_verified(&self) -> Option<Verified> {
        read(&self.blobs_verified_path())
    }

    /// Notes durably what was found of the blobs, unless the disk takes nothing.
    pub fn note_blobs_verified(&self, found: &Verified) -> Result<(), StoreError> {
        let _shared = self.lock_shared()?;
        write(&self.blobs_verified_path(), found)
    }

    fn blobs_verified_path(&self) -> PathBuf {
        self.root().join(NAME)
    }
}

fn read(path: &Path) -> Option<Verified> {
    let found: Verified = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (found.version == VERSION).then_some(found)
}

fn write(path: &Path, found: &Verified) -> Result<(), StoreError> {
    // Numbers and text: nothing JSON could refuse.
    let bytes = serde_json::to_vec(found).unwrap_or_default();
    match fs::replace(path, 0o600, &bytes) {
        // What was found is worth more than the note of it, and such a disk is looked at again anyway.
        Err(error)
            if fs::is_damage(&error)
                || matches!(
                    error.kind(),
                    io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::StorageFull
                ) =>
        {
            Ok(())
        }
        written => written.map_err(failed("write", path)),
    }
}
