//! Why an image cannot be brought, found, checked or removed.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use super::arriving::ArrivalError;
use super::change::ChangeError;
use super::shortage::Shortage;
use crate::archive::ImageArchiveError;
use crate::oci::{
    Digest, ImageConfigError, ManifestError, MediaTypeError, Platform, ReferenceError,
};
use crate::registry::RegistryError;
use crate::store::StoreError;
use crate::unpack::UnpackError;

/// What went wrong with an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImagesError {
    /// The registry did not deliver.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store did not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A manifest or index is not acceptable.
    #[error("image {image} is refused: {source}")]
    Manifest {
        /// The reference asked for.
        image: String,
        /// Why.
        source: ManifestError,
    },
    /// An index where an image was expected: inside another index.
    #[error("image {image} is refused: its index lists another index, {digest}")]
    NestedIndex {
        /// The reference asked for.
        image: String,
        /// The inner index.
        digest: Digest,
    },
    /// Nothing for this machine.
    #[error("image {image} is not available for {wanted}, only for {offered}")]
    Platform {
        /// The reference asked for.
        image: String,
        /// What is needed.
        wanted: Platform,
        /// What there is.
        offered: String,
    },
    /// The configuration is not acceptable.
    #[error("image {image} is refused: {source}")]
    Config {
        /// The reference asked for.
        image: String,
        /// Why.
        source: ImageConfigError,
    },
    /// A configuration larger than any real one.
    #[error(
        "image {image} is refused: its configuration has {size} bytes, more than the {limit} allowed"
    )]
    ConfigSize {
        /// The reference asked for.
        image: String,
        /// What the manifest says.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// Manifest and configuration describe different images.
    #[error(
        "image {image} is refused: its manifest has {layers} layers, its configuration {diff_ids}"
    )]
    LayerCount {
        /// The reference asked for.
        image: String,
        /// In the manifest.
        layers: usize,
        /// In the configuration.
        diff_ids: usize,
    },
    /// Documents could not be read to their end.
    #[error("failed to fetch {digest} of {image}: {source}")]
    Document {
        /// The reference asked for.
        image: String,
        /// The document.
        digest: Digest,
        /// The network's or the checker's reason.
        source: io::Error,
    },
    /// A layer's kind is not known.
    #[error("layer {layer} is refused: {source}")]
    LayerType {
        /// Digest of the blob.
        layer: Digest,
        /// Why.
        source: MediaTypeError,
    },
    /// A layer could not be fetched, decompressed or unpacked.
    #[error("failed to unpack layer {layer}: {source}")]
    Layer {
        /// Digest of the blob.
        layer: Digest,
        /// Why.
        source: UnpackError,
    },
    /// A layer that the disk does not take, whatever is in it.
    #[error("failed to unpack layer {layer} into {path:?}: {source}")]
    Disk {
        /// Digest of the blob.
        layer: Digest,
        /// The store.
        path: PathBuf,
        /// Why.
        source: UnpackError,
    },
    /// A layer whose blob is right and whose content is not what the image says.
    #[error("layer {layer} is refused: it unpacks to {found}, the image says {expected}")]
    DiffId {
        /// Digest of the blob.
        layer: Digest,
        /// What the configuration says.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// A file or folder with images cannot be used.
    #[error("image archive {path:?} is refused: {source}")]
    Archive {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: ImageArchiveError,
    },
    /// Images that travel in an artifact cannot be taken.
    #[error("the artifact's payload is refused: {0}")]
    Arrival(#[source] ArrivalError),
    /// An artifact that was made for devices that have more.
    #[error(
        "the artifact leaves out {count} layers that devices are said to have (--assume), but this one lacks {blobs}: install one that has them"
    )]
    Assumed {
        /// How many.
        count: usize,
        /// Digests of the packed layers, separated by commas.
        blobs: String,
    },
    /// An artifact that does not have all its images.
    #[error("the artifact's payload has no image {0}")]
    NotCarried(String),
    /// Part of an image is neither in its archive nor here.
    #[error(
        "image archive {path:?} lacks {blobs} of {image}, and the store does not have them either"
    )]
    Sparse {
        /// Which one.
        path: PathBuf,
        /// What the image is called there.
        image: String,
        /// Digests, separated by commas.
        blobs: String,
    },
    /// A blob in an archive has another size than its manifest says.
    #[error("image archive {path:?} has {found} bytes of {blob}, its manifest says {expected}")]
    Size {
        /// Which one.
        path: PathBuf,
        /// The blob.
        blob: Digest,
        /// What the manifest says.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// An archive has other images than the one asked for.
    #[error("image archive {path:?} has no image {wanted:?}, only {offered}")]
    NotThere {
        /// Which one.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What there is, separated by commas.
        offered: String,
    },
    /// A name in an archive that no image can have.
    #[error("image archive {path:?} is refused: {source}")]
    Name {
        /// Which one.
        path: PathBuf,
        /// What is wrong with the name.
        source: ReferenceError,
    },
    /// An archive cannot be written.
    #[error("failed to write the archive: {source}")]
    Save {
        /// The system's reason, or what is wrong with a layer.
        source: io::Error,
    },
    /// The bytes of layers are nowhere to be had.
    #[error(
        "image {image} cannot be saved: {layers} of its layers are here only as they were unpacked, which does not give their bytes again, and {why}; {remedy}"
    )]
    NotKept {
        /// What it is called.
        image: String,
        /// How many layers.
        layers: usize,
        /// Why they cannot be fetched again.
        why: String,
        /// What helps.
        remedy: &'static str,
    },
    /// A change of an imported image is not one.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Not enough room for it.
    #[error("{0}")]
    Space(Box<Shortage>),
    /// How much room there is cannot be told.
    #[error("failed to read the free space of {path:?}: {source}")]
    Room {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A thread could not be started, or did not come to its end.
    #[error("failed to run a download thread: {0}")]
    Thread(#[source] io::Error),
    /// A layer is not here.
    #[error("image {image} is incomplete: layer {layer} is missing; pull or load it again")]
    Missing {
        /// The image's digest.
        image: Digest,
        /// Diff id.
        layer: Digest,
    },
    /// The same where only the layer is known.
    #[error("layer {0} is missing; pull or load its image again")]
    NoLayer(Digest),
    /// A layer whose seal cannot be read: what it hides of others is not known.
    #[error("layer {0} is damaged: its seal cannot be read; dray verify --repair brings it back")]
    NoSeal(Digest),
    /// A layer is not what it was.
    #[error(
        "image {image} is damaged: layer {layer} is not what it was; dray verify --repair brings it back, or pull or load it again"
    )]
    Damaged {
        /// The image's digest.
        image: Digest,
        /// Diff id.
        layer: Digest,
    },
    /// Nobody is known to have what is damaged.
    #[error(
        "{digest} of image {image} is damaged, and no registry is known to have it; load the image again"
    )]
    NoSource {
        /// The image.
        image: String,
        /// What is damaged.
        digest: Digest,
    },
    /// A compressed layer could not be fetched to be kept.
    #[error("failed to fetch blob {digest} to keep it: {source}")]
    Kept {
        /// The blob.
        digest: Digest,
        /// What went wrong.
        source: std::io::Error,
    },
    /// A document is not here, or not what it was.
    #[error(
        "image {image} is incomplete: document {digest} is missing or damaged; pull or load it again"
    )]
    NoDocument {
        /// The image's digest.
        image: Digest,
        /// The document's digest.
        digest: Digest,
    },
    /// No image that is present has this name, digest or id.
    #[error("no such image: {0}")]
    Absent(String),
    /// Several have it.
    #[error("image id {words:?} is ambiguous: it fits {found}")]
    Ambiguous {
        /// What was asked for.
        words: String,
        /// Ids, separated by commas.
        found: String,
    },
    /// Somebody needs it.
    #[error("image {image} is needed by {holder}; remove that first, or only its names with force")]
    InUse {
        /// What was asked for.
        image: String,
        /// The pin's holder.
        holder: String,
    },
    /// It has names beside the id that was given.
    #[error("image {image} has several names: {names}; remove each, or all of them with force")]
    ManyNames {
        /// What was asked for.
        image: String,
        /// The names, separated by commas.
        names: String,
    },
    /// A record on disk is not one.
    #[error("failed to read record {path:?}: {reason}; {remedy}")]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What helps.
        remedy: &'static str,
    },
    /// A name or pin cannot be written, or a folder prepared.
    #[error("failed to {action} {path:?}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A holder's name that could not be a file name.
    #[error("pin holder {0:?} has other characters than letters, digits, \".\", \"_\" and \"-\"")]
    Holder(String),
    /// Another process is bringing images.
    #[error(
        "another dray process is bringing images; nothing was removed, try again when it is done"
    )]
    Busy,
}

impl ImagesError {
    /// Whether it is the network that failed, or the wish for it: what has come is as good as it was.
    pub fn is_of_network(&self) -> bool {
        let mut next: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = next {
            // The system's errors do not name what is inside them as their source.
            let inner = error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
            let is_way = |inner: &(dyn Error + 'static)| {
                inner.is::<RegistryError>() || inner.is::<ArrivalError>()
            };
            if inner.is_some_and(|inner| is_way(inner)) {
                return true;
            }
            next = error.source();
        }
        matches!(self, ImagesError::Registry(_))
    }

    /// Whether the image is just not there, or not all of it, so that bringing it would help.
    pub fn is_absent(&self) -> bool {
        matches!(
            self,
            ImagesError::Absent(_)
                | ImagesError::Missing { .. }
                | ImagesError::NoDocument { .. }
                | ImagesError::Record { .. }
        )
    }
}
