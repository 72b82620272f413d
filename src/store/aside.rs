//! Damaged layers that were replaced: set aside for containers that run on them, until those have ended.
//!
//! ```text
//! layers/sha256/.damaged-<diff id>-boot-<boot id>-<unique>   older releases left the boot out
//! ```
//!
//! A running container keeps the files of the layer that it was started on, whatever that is called now; which containers
//! were started before the exchange is not known, so those that have the layer count. What was set aside before this boot is
//! under nobody.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{SEAL, Store, StoreError, failed};
use crate::oci::Digest;
use crate::sys::fs::{self, SCRATCH_PREFIX};

/// Prefix of their names.
const PREFIX: &str = ".damaged-";

/// A damaged layer that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Diff id of what it was.
    pub layer: Digest,
    path: PathBuf,
    /// It was set aside before this boot.
    is_old: bool,
}

impl Aside {
    /// Whether nobody stands on it any more. `in_use`: the layers of containers that run, if they are known.
    pub fn is_free(&self, in_use: Option<&BTreeSet<Digest>>) -> bool {
        self.is_old || in_use.is_some_and(|in_use| !in_use.contains(&self.layer))
    }

    /// What it was to look like, as far as that can be read.
    pub fn seal(&self) -> Vec<u8> {
        std::fs::read(self.path.join(SEAL)).unwrap_or_default()
    }
}

impl Store {
    /// All that were set aside.
    pub fn set_aside(&self) -> Result<Vec<Aside>, StoreError> {
        let dir = self.layers_dir();
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&dir).map_err(failed("read", &dir))? {
            let name = entry.map_err(failed("read", &dir))?.file_name();
            let rest = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            let Some((hex, origin)) = rest.and_then(|rest| rest.split_once('-')) else {
                continue;
            };
            let boot = origin.strip_prefix("boot-");
            let is_now = |boot: &str| boot.starts_with(&format!("{}-", self.boot_id));
            if let Ok(layer) = Digest::from_hex(hex) {
                found.push(Aside {
                    layer,
                    path: dir.join(&name),
                    is_old: boot.is_some_and(|boot| !is_now(boot)),
                });
            }
        }
        Ok(found)
    }

    /// Folders of those that nobody stands on.
    pub(super) fn free_aside(
        &self,
        in_use: Option<&BTreeSet<Digest>>,
    ) -> Result<Vec<PathBuf>, StoreError> {
        let all = self.set_aside()?.into_iter();
        let free = all.filter(|aside| aside.is_free(in_use));
        Ok(free.map(|aside| aside.path).collect())
    }

    /// A name for what lay under a layer's.
    pub(super) fn aside_name(&self, diff_id: &Digest) -> PathBuf {
        let path = self.layer_dir(diff_id);
        let scratch = fs::scratch_beside(&path);
        let unique = scratch.file_name().unwrap_or_default().to_string_lossy();
        let unique = unique.trim_start_matches(SCRATCH_PREFIX);
        let (hex, boot) = (diff_id.hex(), &self.boot_id);
        path.with_file_name(Path::new(&format!("{PREFIX}{hex}-boot-{boot}-{unique}")))
    }
}
