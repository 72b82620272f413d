//! The device's images: what is present, who needs it, and how it comes and goes.

mod error;
mod progress;

use std::path::{Path, PathBuf};

use crate::config::Settings;
use crate::host::Host;
use crate::oci::{Digest, ImageConfig, Platform, Reference};

pub use error::ImagesError;
pub use progress::{Event, Progress};

/// An image that is present as a whole: its documents and all its layers.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the configuration: what docker calls the image's id.
    pub id: Digest,
    /// What was asked for: the digest of an index or of a manifest.
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
    state: PathBuf,
}

/// While it lives nothing is collected: hold it from a pull until what was pulled is pinned or named.
#[derive(Debug)]
pub struct Hold(());

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
    /// Digests of the manifests, configurations and compressed layers.
    pub blobs: Vec<Digest>,
    /// Bytes of their files.
    pub bytes: u64,
}

/// Who needs which images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// `container-<id>`, `deploy-<scope>-<generation>`.
    pub holder: String,
    /// What is needed, as [`Image::digest`].
    pub images: Vec<Digest>,
}

impl Images {
    /// Opens the store below the host's state folder, creating it if need be.
    pub fn open(host: &Host, _settings: &Settings) -> Result<Images, ImagesError> {
        Ok(Images {
            state: host.state.clone(),
        })
    }

    /// Brings an image. One that is present, asked for by digest, needs no network; damaged layers are replaced.
    pub fn pull(
        &self,
        _reference: &Reference,
        _platform: &Platform,
        _progress: &dyn Progress,
    ) -> Result<Image, ImagesError> {
        Err(ImagesError::Unbuilt)
    }

    /// Keeps [`Images::collect`] away while the result lives.
    pub fn hold(&self) -> Result<Hold, ImagesError> {
        Err(ImagesError::Unbuilt)
    }

    /// Gives an image a durable name, which keeps it until [`Images::remove`].
    pub fn tag(&self, _reference: &Reference, _image: &Image) -> Result<(), ImagesError> {
        Err(ImagesError::Unbuilt)
    }

    /// Finds a present image by reference, familiar name, digest, or (short) id.
    pub fn find(&self, _words: &str) -> Result<Image, ImagesError> {
        Err(ImagesError::Unbuilt)
    }

    /// All images that a name or a pin keeps, newest first.
    pub fn list(&self) -> Result<Vec<Image>, ImagesError> {
        Err(ImagesError::Unbuilt)
    }

    /// Takes an image's name away, or with an id all its names, and removes what nobody needs any more.
    pub fn remove(&self, _words: &str, _force: bool) -> Result<Vec<Removed>, ImagesError> {
        Err(ImagesError::Unbuilt)
    }

    /// Where an unpacked layer lies. For a root filesystem use [`Images::lower_dirs`].
    pub fn layer_dir(&self, diff_id: &Digest) -> PathBuf {
        self.state
            .join("layers/sha256")
            .join(diff_id.hex())
            .join("tree")
    }

    /// The image's folders for overlay's `lowerdir`, top first.
    pub fn lower_dirs(&self, image: &Image) -> Vec<PathBuf> {
        image
            .layers
            .iter()
            .rev()
            .map(|diff_id| self.layer_dir(diff_id))
            .collect()
    }

    /// Prepares the folder that goes on top of an image's layers: gives it the owner, mode and times of the image's
    /// root, and puts real directories into it at `mount_points` (relative paths) with the image's attributes where
    /// the image has directories there.
    pub fn dress(
        &self,
        _image: &Image,
        _top: &Path,
        _mount_points: &[&str],
    ) -> Result<(), ImagesError> {
        Err(ImagesError::Unbuilt)
    }

    /// Whether the image is whole: seals always, all files' status once after each unclean stop. Call before starting
    /// containers from it; a damaged layer is set aside, and the next pull replaces it.
    pub fn check(&self, _image: &Image) -> Result<(), ImagesError> {
        Err(ImagesError::Unbuilt)
    }

    /// Records durably that `holder` needs the image; call before writing the record that names it. A holder may pin
    /// several images, one call each.
    pub fn pin(&self, _holder: &str, _image: &Image) -> Result<(), ImagesError> {
        Err(ImagesError::Unbuilt)
    }

    /// Forgets all that `holder` pinned; call after removing the record that named it. Unknown holders are success.
    pub fn unpin(&self, _holder: &str) -> Result<(), ImagesError> {
        Err(ImagesError::Unbuilt)
    }

    /// All pins.
    pub fn pins(&self) -> Result<Vec<Pin>, ImagesError> {
        Err(ImagesError::Unbuilt)
    }

    /// Removes layers and blobs that neither a name nor a pin needs. Fails with [`ImagesError::Busy`] while another
    /// process pulls; never waits.
    pub fn collect(&self, _dry_run: bool) -> Result<Collected, ImagesError> {
        Err(ImagesError::Unbuilt)
    }
}
