//! Layers that are whole while an image they are of is not, or has neither name nor pin yet: noted, so that whoever tries
//! again need not fetch them again.
//!
//! ```text
//! <state>/partial/
//!   layer-<hex of its diff id>   "HOLDER\nHEX\n": for whom, and the digest of its compressed bytes, if that is known
//! ```
//!
//! HOLDER is how the names of a scope's pins begin (`deploy-<scope>-`), or `-` where a person asked. A note keeps its layer,
//! and its compressed bytes where they were kept, from collections after a deployment and after `rmi`; but it is the first
//! thing to give way. It ends
//!
//! - when a name or a pin has the layer;
//! - when a deployment of its scope has come to its end, durably and before the journal says so;
//! - after [`MAX_AGE`], or when there are [`MAX_NOTES`] newer ones;
//! - when room is needed for an image that is without that layer, and with `gc` and `prune`.
//!
//! So a layer that nothing pins or names and no such note keeps is a leak. A power cut may take a note, or what is in it,
//! which costs a download: one that does not say for whom it is ends with any deployment.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::partial::outdated;
use super::{Store, StoreError, failed};
use crate::oci::Digest;
use crate::sys::fs;

/// How many notes are kept, the newest: more layers than one deployment has.
const MAX_NOTES: usize = 500;

/// Prefix of the names of notes.
const PREFIX: &str = "layer-";

/// Longest note: a holder is a file name's beginning.
const MAX_NOTE: u64 = 400;

/// For whom layers are noted that a person asked for.
pub const NOBODY: &str = "-";

/// A layer that is whole, and of an image that is still to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Its diff id.
    pub layer: Digest,
    /// The digest of its compressed bytes.
    pub blob: Option<Digest>,
    holder: String,
    noted: SystemTime,
}

impl Store {
    /// Notes that a layer is whole, and what its compressed bytes are. Worth having, and no more than that.
    pub fn note_unfinished(&self, layer: &Digest, blob: Option<&Digest>, holder: &str) {
        let hex = blob.map_or(String::new(), Digest::hex);
        let note = format!("{holder}\n{hex}\n");
        // One that cannot be written costs a download.
        let _ = fs::create_dirs(&self.partial_dir()).and_then(|()| {
            fs::replace_volatile(&self.unfinished_path(layer), 0o600, note.as_bytes())
        });
    }

    /// A name or a pin has these layers, or they are gone.
    pub fn forget_unfinished(&self, layers: &[Digest]) -> Result<(), StoreError> {
        for layer in layers {
            let path = self.unfinished_path(layer);
            // Nearly always there is none, and a disk that takes nothing refuses to remove that.
            if path.exists() {
                fs::remove_file_volatile(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(())
    }

    /// A deployment has come to its end: removes durably what was noted for its scope, and what does not say for whom it is.
    pub fn end_unfinished(&self, holder: &str) -> Result<(), StoreError> {
        let ended = self.unfinished()?.into_iter();
        let ended = ended.filter(|one| one.holder == holder || one.holder.is_empty());
        let paths: Vec<PathBuf> = ended.map(|one| self.unfinished_path(&one.layer)).collect();
        fs::remove_all(&paths).map_err(failed("clear", &self.partial_dir()))
    }

    /// All that is noted.
    pub fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        let mut found = Vec::new();
        for (name, path) in self.partial_entries()? {
            let hex = name.strip_prefix(PREFIX);
            if let Some(Ok(layer)) = hex.map(Digest::from_hex) {
                found.push(read(layer, &path));
            }
        }
        Ok(found)
    }

    /// Removes the notes that are too old, or too many.
    pub(super) fn tidy_unfinished(&self, now: SystemTime) -> Result<(), StoreError> {
        let all = self.unfinished()?.into_iter();
        let all = all.map(|one| (one.layer, one.noted));
        self.forget_unfinished(&outdated(all, MAX_NOTES, now))
    }

    fn unfinished_path(&self, layer: &Digest) -> PathBuf {
        self.partial_dir().join(format!("{PREFIX}{}", layer.hex()))
    }
}

/// What a note says; as good as nothing if it cannot be read.
fn read(layer: Digest, path: &Path) -> Unfinished {
    let mut note = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_NOTE).read_to_string(&mut note));
    let mut lines = note.lines().filter(|_| read.is_ok());
    let changed = path.metadata().and_then(|metadata| metadata.modified());
    Unfinished {
        layer,
        holder: lines.next().unwrap_or_default().to_owned(),
        blob: lines.next().and_then(|hex| Digest::from_hex(hex).ok()),
        noted: changed.unwrap_or(SystemTime::UNIX_EPOCH),
    }
}
