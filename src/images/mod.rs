//! The device's images: what is present, who needs it, and how it comes and goes.

//!
//! An image is kept by names and pins and by nothing else: `dray pull` gives a name, containers and deployments pin.
//! Pull, then pin or name, then write the record that speaks of the image; remove in the opposite order, then collect.

mod arriving;
mod change;
mod check;
mod document;
mod dress;
mod error;
mod find;
mod freight;
mod gc;
mod heal;
mod import;
mod inflate;
mod layer;
mod load;
mod mend;
mod pipe;
mod plan;
mod progress;
mod pull;
mod record;
mod save;
mod shortage;
mod size;
mod source;
mod spool;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};

use crate::config::Settings;
use crate::host::Host;
use crate::oci::{Digest, ImageConfig, Reference};
use crate::registry::Client;
use crate::store::Store;
use crate::sys::lock::Shared;

pub use crate::archive::some;
pub use arriving::{ArrivalError, Arrivals};
pub use change::ChangeError;
pub use error::ImagesError;
pub use freight::Freight;
pub use heal::Unhealed;
pub use import::Import;
pub use load::{Carried, Chosen, Place};
pub use plan::Planned;
pub use progress::{Event, Progress};
pub use save::{Refetch, Save};
pub use shortage::Shortage;
pub use verify::{Damage, Depth, Part, Verdict, Verify, Watch};

pub use crate::store::Kept;

/// An image that is present as a whole: its documents and all its layers.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the configuration: what docker calls the image's id.
    pub id: Digest,
    /// What was asked for: the digest of an index or of a manifest; of an image that no registry is known to have, its id.
    pub digest: Digest,
    /// Digest of this platform's manifest; equals `digest` unless that is an index.
    pub manifest: Digest,
    /// Names that keep it, in alphabetical order.
    pub names: Vec<Reference>,
    /// Defaults for containers, platform, history.
    pub config: ImageConfig,
    /// Diff ids, bottom first.
    pub layers: Vec<Digest>,
    /// Bytes of its files, unpacked.
    pub size: u64,
    /// When it was built, as the image says it.
    pub created: Option<String>,
}

/// Access to the images of one device.
#[derive(Debug)]
pub struct Images {
    store: Store,
    host: Host,
    settings: Settings,
    /// Made when first needed: what is present needs no network.
    client: OnceLock<Client>,
    keep_blobs: bool,
    parallel: usize,
    /// What holds the store now, once for all of this process, so that it can be given up for a moment.
    held: Mutex<Weak<Shared>>,
    /// Shared by who brings an image.
    bringing: RwLock<()>,
    in_use: Option<InUse>,
}

/// Says which layers running containers stand on; nothing if that cannot be told.
pub type InUse = fn(&Host, &Settings) -> Option<BTreeSet<Digest>>;

/// While it lives nothing is collected: hold it from a pull until what was pulled is pinned or named.
#[derive(Debug, Clone)]
pub struct Hold {
    shared: Arc<Shared>,
}

/// What [`Images::remove`] did, in docker's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name is gone.
    Untagged(String),
    /// Data is gone: an image's id or a layer's diff id.
    Deleted(Digest),
}

/// What [`Images::collect`] removed, or would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Diff ids of the layers.
    pub layers: Vec<Digest>,
    /// The same of damaged ones that had been replaced.
    pub damaged: Vec<Digest>,
    /// Digests of the manifests, configurations and compressed layers.
    pub blobs: Vec<Digest>,
    /// Digests of blobs that were partly here.
    pub partial: Vec<Digest>,
    /// Bytes of their files.
    pub bytes: u64,
    /// How many files the layers and blobs are.
    pub files: u64,
}

/// What takes the room in the store, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUsage {
    /// Each layer, unpacked.
    pub layers: BTreeMap<Digest, u64>,
    /// Damaged layers that were replaced.
    pub damaged: u64,
    /// How much of that is under nobody any more.
    pub damaged_free: u64,
    /// Manifests, configurations and compressed layers.
    pub blobs: u64,
    /// What killed processes left; it goes when somebody next brings or removes something.
    pub abandoned: u64,
    /// What came of blobs that are not whole.
    pub partial: BTreeMap<Digest, Kept>,
}

/// Who needs which images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// `container-<id>`, `deploy-<scope>-<generation>`.
    pub holder: String,
    /// What is needed, as [`Image::digest`]; none if the record is damaged.
    pub images: Vec<Digest>,
}

impl Image {
    /// The digest by which others know it; none of an image that came without one.
    pub fn stated_digest(&self) -> Option<Digest> {
        Some(self.digest).filter(|digest| *digest != self.id)
    }
}

impl Images {
    /// Opens the store below the host's state folder, creating it if need be.
    pub fn open(host: &Host, settings: &Settings) -> Result<Images, ImagesError> {
        Ok(Images {
            store: Store::open(host)?,
            host: host.clone(),
            settings: settings.clone(),
            client: OnceLock::new(),
            keep_blobs: settings.store.keep_blobs,
            parallel: settings.download.parallel.max(1),
            held: Mutex::default(),
            bringing: RwLock::default(),
            in_use: None,
        })
    }

    /// Asks this one, where room is needed, which of the layers that were replaced may go; without it they all stay.
    pub fn asking(self, in_use: InUse) -> Images {
        let in_use = Some(in_use);
        Images { in_use, ..self }
    }

    /// Clears away what a cut left of images that were being brought or removed, unless somebody is at work.
    pub fn sweep(&self) -> Result<(), ImagesError> {
        Ok(self.store.sweep()?)
    }

    /// Puts right what of the store is damaged and can be made anew; what is to be said about it.
    pub fn repair(&self) -> Result<Option<String>, ImagesError> {
        Ok(self.store.repair()?)
    }

    /// Keeps [`Images::collect`] away while the result lives.
    pub fn hold(&self) -> Result<Hold, ImagesError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = match held.upgrade() {
            Some(shared) => shared,
            None => Arc::new(self.store.lock_shared()?),
        };
        *held = Arc::downgrade(&shared);
        Ok(Hold { shared })
    }

    /// Where an unpacked layer lies. For a root filesystem use [`Images::lower_dirs`].
    pub fn layer_dir(&self, diff_id: &Digest) -> PathBuf {
        self.store.tree_dir(diff_id)
    }

    /// Notes durably that the device is being shut down in order, so that the next boot need not look at every file.
    pub fn note_clean_stop(&self) -> Result<(), ImagesError> {
        Ok(self.store.note_clean_stop()?)
    }

    /// To be called by whoever may change something, before that: an orderly shutdown before this boot says nothing about the
    /// next one.
    pub fn note_use(&self) -> Result<(), ImagesError> {
        Ok(self.store.note_use()?)
    }

    fn client(&self) -> &Client {
        self.client
            .get_or_init(|| Client::new(&self.host, &self.settings))
    }
}
