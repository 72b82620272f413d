//! Which layers need a closer look: none that had one since this boot, and none after an orderly shutdown.

use std::io;
use std::path::PathBuf;

use super::{Store, StoreError, failed};
use crate::oci::Digest;
use crate::sys::fs;

impl Store {
    /// Whether a layer was looked at since the last power cut that may have harmed it.
    pub fn is_checked(&self, diff_id: &Digest) -> bool {
        let dir = self.boot_dir();
        dir.join("clean").exists() || dir.join(diff_id.hex()).exists()
    }

    /// Notes until the next boot that a layer is whole.
    pub fn note_checked(&self, diff_id: &Digest) -> Result<(), StoreError> {
        self.note(&diff_id.hex())
    }

    /// Takes the note of a layer away that is about to be removed.
    pub(super) fn forget_checked(&self, diff_id: &Digest) -> Result<(), StoreError> {
        let path = self.boot_dir().join(diff_id.hex());
        fs::remove_file_volatile(&path).map_err(failed("remove", &path))
    }

    /// Notes durably that the device is being shut down in order, until [`Store::note_use`].
    pub fn note_clean_stop(&self) -> Result<(), StoreError> {
        let _shared = self.lock_shared()?;
        let path = self.clean_stop();
        fs::replace(&path, 0o600, b"").map_err(failed("write", &path))
    }

    /// Remembers for this boot whether there was an orderly shutdown before it.
    pub(super) fn note_boot(&self) -> Result<(), StoreError> {
        let dir = self.boot_dir();
        if dir.is_dir() {
            return Ok(());
        }
        let clean = self.clean_stop().exists();
        std::fs::create_dir_all(&dir).map_err(failed("create", &dir))?;
        if clean { self.note("clean") } else { Ok(()) }
    }

    /// Takes the note of an orderly shutdown away: from now on a power cut may harm something. For whoever only looks it stays
    /// true, and says the same to the next boot.
    pub fn note_use(&self) -> Result<(), StoreError> {
        let path = self.clean_stop();
        if !path.exists() {
            return Ok(());
        }
        match fs::remove_file(&path) {
            // Nothing can be harmed either while the disk takes nothing.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            removed => removed.map_err(failed("remove", &path)),
        }
    }

    fn note(&self, name: &str) -> Result<(), StoreError> {
        let path = self.boot_dir().join(name);
        if path.exists() {
            return Ok(());
        }
        match fs::replace_volatile(&path, 0o600, b"") {
            // The run folder was emptied under us; the layer is then simply looked at again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(failed("write", &path)),
        }
    }

    fn clean_stop(&self) -> PathBuf {
        self.state.join("clean-stop")
    }

    fn boot_dir(&self) -> PathBuf {
        self.run.join("store").join(&self.boot_id)
    }
}
