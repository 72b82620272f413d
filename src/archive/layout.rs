//! An OCI image layout's index: which images it has, and what they are called.

use serde::Deserialize;

use super::place::Place;
use super::{ImageArchiveError, Listed};
use crate::oci::media_type::manifest_kind;
use crate::oci::{Descriptor, Digest, Document, MAX_MANIFEST};

/// The file that says that it is one.
pub(super) const MARKER: &str = "oci-layout";

/// Largest marker.
pub const MAX_MARKER: u64 = 4 << 10;

/// Where names stand: containerd's is whole, the other one is up to its writer.
pub const NAMES: [&str; 2] = [
    "io.containerd.image.name",
    "org.opencontainers.image.ref.name",
];

/// Marks an image whose manifest dray made: its digest means nothing to a registry.
pub const MADE_HERE: &str = "dray.made-here";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// Where a blob lies.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

pub(super) fn read(place: &Place) -> Result<Vec<Listed>, ImageArchiveError> {
    let marker = place.read(MARKER.as_bytes(), MAX_MARKER)?;
    // Before the index: another version may have another one.
    check_version(&marker)?;
    images(&place.read(b"index.json", MAX_MANIFEST)?)
}

/// The images of a layout by its two documents, in its order; at least one.
pub fn listed(marker: &[u8], index: &[u8]) -> Result<Vec<Listed>, ImageArchiveError> {
    check_version(marker)?;
    images(index)
}

fn check_version(marker: &[u8]) -> Result<(), ImageArchiveError> {
    let marker: Marker =
        serde_json::from_slice(marker).map_err(|error| ImageArchiveError::Document {
            name: MARKER.to_owned(),
            reason: error.to_string(),
        })?;
    match marker.image_layout_version {
        version if version == "1.0.0" => Ok(()),
        version => Err(ImageArchiveError::Version(
            version.chars().take(20).collect(),
        )),
    }
}

fn images(index: &[u8]) -> Result<Vec<Listed>, ImageArchiveError> {
    let index = match Document::parse(index, None).map_err(ImageArchiveError::Index)? {
        Document::Index(index) => index,
        Document::Manifest(_) => {
            return Err(ImageArchiveError::Document {
                name: "index.json".to_owned(),
                reason: "it is a manifest, not an index".to_owned(),
            });
        }
    };
    let images: Vec<Listed> = index.manifests.iter().filter_map(entry).collect();
    match images.is_empty() {
        true => Err(ImageArchiveError::NoImages),
        false => Ok(images),
    }
}

/// An entry of the index; `None` for what is no image: attestations, signatures.
fn entry(entry: &Descriptor) -> Option<Listed> {
    manifest_kind(&entry.media_type).ok()?;
    let platform = entry.platform.clone();
    if platform.as_ref().is_some_and(|p| p.os == "unknown") {
        return None;
    }
    let mut names: Vec<String> = NAMES
        .iter()
        .filter_map(|key| entry.annotations.get(*key).cloned())
        .collect();
    names.dedup();
    Some(Listed {
        names,
        digest: entry.digest,
        media_type: Some(entry.media_type.clone()),
        is_stated: !entry.annotations.contains_key(MADE_HERE),
        platform,
    })
}
