//! Blobs by digest. A document that is read back is checked again: it is small, and everything hangs on it.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::{Store, StoreError, digests_in, failed};
use crate::oci::{Digest, MAX_CONFIG, MAX_MANIFEST};
use crate::sys::fs;
use crate::sys::lock::Exclusive;

/// Largest document: a manifest or a configuration.
const MAX_DOCUMENT: u64 = if MAX_MANIFEST > MAX_CONFIG {
    MAX_MANIFEST
} else {
    MAX_CONFIG
};

impl Store {
    /// Where a blob lies; `None` if it is not here.
    pub fn blob(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.blob_path(digest);
        path.is_file().then_some(path)
    }

    /// A document's content; `None` if it is not here, or no longer what its name says: it counts as absent then, and
    /// the next pull replaces it.
    pub fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.blob_path(digest);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed("open", &path))?,
        };
        let size = file.metadata().map_err(failed("read", &path))?.len();
        if size > MAX_DOCUMENT {
            return Ok(None);
        }
        let bytes = match crate::oci::stream::read_limited(file, MAX_DOCUMENT) {
            Err(error) if fs::is_damage(&error) => return Ok(None),
            read => read.map_err(failed("read", &path))?,
        };
        Ok((Digest::of(&bytes) == *digest).then_some(bytes))
    }

    /// All blobs that are here.
    pub fn blobs(&self) -> Result<Vec<Digest>, StoreError> {
        digests_in(&self.blobs_dir())
    }

    /// A blob's size on disk; 0 if it is not here.
    pub fn blob_size(&self, digest: &Digest) -> u64 {
        std::fs::metadata(self.blob_path(digest)).map_or(0, |metadata| metadata.len())
    }

    /// Removes a kept blob if it is no longer what its name says, and says whether it did.
    pub fn discard_blob(&self, digest: &Digest) -> Result<bool, StoreError> {
        let path = self.blob_path(digest);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(failed("open", &path))?,
        };
        let mut hasher = Sha256::new();
        // One that cannot be read is as bad.
        if io::copy(&mut file, &mut hasher).is_ok() && Digest::finish(hasher) == *digest {
            return Ok(false);
        }
        fs::remove_file(&path).map_err(failed("remove", &path))?;
        Ok(true)
    }

    /// Removes blobs.
    pub fn remove_blobs(&self, _alone: &Exclusive, digests: &[Digest]) -> Result<(), StoreError> {
        let paths: Vec<PathBuf> = digests.iter().map(|d| self.blob_path(d)).collect();
        fs::remove_all(&paths).map_err(failed("remove blobs in", &self.blobs_dir()))
    }

    pub(super) fn blobs_dir(&self) -> PathBuf {
        self.state.join("blobs/sha256")
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs_dir().join(digest.hex())
    }
}
