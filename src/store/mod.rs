//! The image store on disk: blobs by digest, unpacked layers by diff id, and the rules by which they come and go.
//!
//! ```text
//! <state>/                     0700: nothing an image brings can be reached from outside, set-user-ID or not
//!   store.json                 {"version":1}; a store of a later version is refused, a damaged file written anew
//!   clean-stop                 exists only between an orderly shutdown and the next use by whoever may change something
//!   blobs/sha256/<hex>         manifests, indexes, configurations; compressed layers if the settings keep them
//!   layers/sha256/<diff id>/   an unpacked layer, whole if it has this name
//!     tree/                    its files, as overlay wants them
//!     seal.json                what `tree` must look like (`unpack::Seal`)
//!     content                  what its files must contain (`unpack::Content`); older releases wrote none
//!     verified                 when that was last looked at, and what was wrong with it (`verified`)
//!   layers/sha256/.damaged-*   layers that no longer looked like it and were replaced (`aside`); a collection removes them
//!                              once no container runs on them
//!   names/<hex>, pins/<holder> roots of collection; `images` writes them
//!   partial/                   what came of blobs that are not whole (`partial`), and notes about layers that are, of images that
//!                              are not (`unfinished`)
//! <run>/
//!   store.lock                 shared: somebody brings images; exclusive: somebody removes them
//!   records.lock               held while names and pins change
//!   store/<boot id>/           what of the store has been looked at since this boot
//! ```
//!
//! Everything begins under a name that starts with `.tmp-`, in the folder it will stay in. The order that survives a
//! power cut is: all data of an image, one sync of the filesystem, the final names, one sync of each folder, and only
//! then the record that says the image is there ([`commit`]). Removal goes the other way round. What a cut leaves
//! under scratch names goes when the store is next swept and nobody else uses it ([`Store::sweep`]).

mod aside;
mod blob;
mod boot;
mod draft;
mod partial;
mod unfinished;
mod verified;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::host::Host;
use crate::oci::Digest;
use crate::sys::fs;
use crate::sys::lock::{Exclusive, Shared};

pub use aside::Aside;
pub use draft::{BlobDraft, LayerDraft, commit};
pub use partial::{Kept, Partial, Replay};
pub use unfinished::{NOBODY, Unfinished};
pub use verified::Verified;

/// The format this release writes; it reads no other.
const VERSION: u64 = 1;

/// Beside a layer's tree.
const SEAL: &str = "seal.json";
const CONTENT: &str = "content";

/// Folders below the state folder; each may hold scratch.
const FOLDERS: [&str; 4] = ["blobs/sha256", "layers/sha256", "names", "pins"];

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A system call on one of the store's files failed.
    #[error("failed to {action} {path:?}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A later release has been here.
    #[error(
        "store {path:?} has format version {found}, this dray knows only {VERSION}; use the dray that wrote it"
    )]
    Version {
        /// The state folder.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
}

/// The content of `store.json`.
#[derive(Deserialize)]
struct Header {
    version: u64,
}

/// The image store of one device.
#[derive(Debug)]
pub struct Store {
    state: PathBuf,
    run: PathBuf,
    boot_id: String,
    /// What is wrong with `store.json`.
    damage: Option<String>,
}

impl Store {
    /// Opens the store below the host's state folder, creating what is missing. Where nothing is missing it waits for nobody:
    /// a process that was stopped with a lock in its hand must not keep every other one from opening.
    pub fn open(host: &Host) -> Result<Store, StoreError> {
        let mut store = Store {
            state: host.state.clone(),
            run: host.run.clone(),
            boot_id: host.boot_id.clone(),
            damage: None,
        };
        for folder in store.folders() {
            fs::create_dirs(&folder).map_err(failed("create", &folder))?;
        }
        std::fs::create_dir_all(&store.run).map_err(failed("create", &store.run))?;
        store.damage = store.check_version()?;
        store.note_boot()?;
        Ok(store)
    }

    /// Clears away what a cut left, unless somebody is at work: his scratch looks the same.
    pub fn sweep(&self) -> Result<(), StoreError> {
        let mut littered = Vec::new();
        for folder in self.folders() {
            if fs::has_scratch(&folder).map_err(failed("read", &folder))? {
                littered.push(folder);
            }
        }
        // Nearly always there is nothing, and then nobody is kept away.
        if littered.is_empty() {
            return Ok(());
        }
        if let Some(_alone) = self.try_lock_exclusive()? {
            for folder in &littered {
                fs::sweep_scratch(folder).map_err(failed("clear", folder))?;
            }
        }
        Ok(())
    }

    /// Bytes of what killed processes left and the next [`Store::sweep`] clears away.
    pub fn abandoned(&self) -> Result<u64, StoreError> {
        let mut bytes = 0;
        for folder in self.folders() {
            bytes += fs::size_abandoned(&folder).map_err(failed("read", &folder))?;
        }
        Ok(bytes)
    }

    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let below = FOLDERS.iter().map(|folder| self.state.join(folder));
        below.chain([self.state.clone()])
    }

    /// Writes a damaged format version anew and returns what is to be said about it. It loses nothing: every record has a
    /// version of its own.
    pub fn repair(&self) -> Result<Option<String>, StoreError> {
        let Some(damage) = &self.damage else {
            return Ok(None);
        };
        // Whoever is alone with the store sweeps away what is being written to it.
        let _shared = self.lock_shared()?;
        let path = self.header();
        match self.write_version() {
            Ok(()) => Ok(Some(format!(
                "{path:?} was damaged ({damage}) and has been written anew"
            ))),
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                Ok(Some(format!("{path:?} is damaged ({damage}): {error}")))
            }
            Err(error) => Err(failed("write", &path)(error)),
        }
    }

    /// Refuses a later version; what is wrong with the file if it cannot be read. That is damage: whatever release writes it
    /// writes it whole.
    fn check_version(&self) -> Result<Option<String>, StoreError> {
        let path = self.header();
        let header = std::fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        match header {
            Ok(Header { version: VERSION }) => Ok(None),
            Ok(Header { version: found }) => Err(StoreError::Version {
                path: self.state.clone(),
                found,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let _shared = self.lock_shared()?;
                self.write_version().map_err(failed("write", &path))?;
                Ok(None)
            }
            Err(error) => Ok(Some(error.to_string())),
        }
    }

    fn write_version(&self) -> io::Result<()> {
        let text = format!("{{\"version\":{VERSION}}}");
        fs::replace(&self.header(), 0o600, text.as_bytes())
    }

    fn header(&self) -> PathBuf {
        self.state.join("store.json")
    }

    /// Waits until nobody removes anything, and keeps it so while the guard lives.
    pub fn lock_shared(&self) -> Result<Shared, StoreError> {
        let path = self.run.join("store.lock");
        Shared::wait(&path).map_err(failed("lock", &path))
    }

    /// Keeps everybody else away while the guard lives; `None` if somebody is bringing images just now.
    pub fn try_lock_exclusive(&self) -> Result<Option<Exclusive>, StoreError> {
        let path = self.run.join("store.lock");
        Exclusive::attempt(&path).map_err(failed("lock", &path))
    }

    /// Waits for the turn to change names and pins.
    pub fn lock_records(&self) -> Result<Exclusive, StoreError> {
        let path = self.run.join("records.lock");
        Exclusive::wait(&path).map_err(failed("lock", &path))
    }

    /// The filesystem that everything lies on.
    pub fn root(&self) -> &Path {
        &self.state
    }

    /// Where names lie.
    pub fn names_dir(&self) -> PathBuf {
        self.state.join("names")
    }

    /// Where pins lie.
    pub fn pins_dir(&self) -> PathBuf {
        self.state.join("pins")
    }

    /// The folder to use as a lower layer of an overlay.
    pub fn tree_dir(&self, diff_id: &Digest) -> PathBuf {
        self.layer_dir(diff_id).join("tree")
    }

    /// The seal of a layer, as written when it was unpacked; `None` if the layer is not here.
    pub fn seal(&self, diff_id: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.layer_file(diff_id, SEAL)
    }

    /// What a layer's files contain, as written when it was unpacked; `None` if that was by an older release.
    pub fn content(&self, diff_id: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.layer_file(diff_id, CONTENT)
    }

    fn layer_file(&self, diff_id: &Digest, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.layer_dir(diff_id).join(name);
        match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // There, and as good as empty: the layer is damaged.
            Err(error) if fs::is_damage(&error) => Ok(Some(Vec::new())),
            read => read.map(Some).map_err(failed("read", &path)),
        }
    }

    /// Whether something has a layer's name, sealed or not.
    pub fn has_layer(&self, diff_id: &Digest) -> bool {
        self.layer_dir(diff_id).exists()
    }

    /// All layers that are here.
    pub fn layers(&self) -> Result<Vec<Digest>, StoreError> {
        digests_in(&self.layers_dir())
    }

    /// Removes layers, and those that were replaced, except where a running container may stand on them; where it is not
    /// known which layers are in use, all of those stay.
    pub fn remove_layers(
        &self,
        _alone: &Exclusive,
        diff_ids: &[Digest],
        in_use: Option<&BTreeSet<Digest>>,
    ) -> Result<(), StoreError> {
        diff_ids.iter().try_for_each(|id| self.forget_checked(id))?;
        let dir = self.layers_dir();
        let mut paths: Vec<PathBuf> = diff_ids.iter().map(|id| self.layer_dir(id)).collect();
        paths.extend(self.free_aside(in_use)?);
        fs::remove_all(&paths).map_err(failed("remove layers in", &dir))
    }

    fn layers_dir(&self) -> PathBuf {
        self.state.join("layers/sha256")
    }

    fn layer_dir(&self, diff_id: &Digest) -> PathBuf {
        self.layers_dir().join(diff_id.hex())
    }
}

fn digests_in(dir: &Path) -> Result<Vec<Digest>, StoreError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed("read", dir))? {
        let entry = entry.map_err(failed("read", dir))?;
        // Scratch and layers set aside have names that are no digests.
        if let Some(Ok(digest)) = entry.file_name().to_str().map(Digest::from_hex) {
            found.push(digest);
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io {
        action,
        path,
        source,
    }
}
