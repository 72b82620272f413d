//! What `docker save` writes: configurations and layers by path, and no manifest. One is made here for each image, so
//! that what brings images need not know the difference.
//!
//! A layer that lies there as a plain tar is its own diff id; one that is compressed (as kaniko and crane write it) is
//! read once to know its digest.

use std::io::{self, Read};

use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::content::Content;
use super::layout::MADE_HERE;
use super::{Archive, ImageArchiveError, Listed};
use crate::oci::media_type::{OCI_CONFIG, OCI_MANIFEST};
use crate::oci::{Digest, ImageConfig, MAX_CONFIG, MAX_LAYERS, MAX_MANIFEST, MAX_MANIFESTS};
use crate::tarball::quoted;

/// The list of images.
pub(super) const MANIFEST: &str = "manifest.json";

/// All that there was before docker 1.10.
pub(super) const ANCIENT: &str = "repositories";

/// A layer's media type, without its compression.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

pub(super) fn read(archive: &mut Archive) -> Result<(), ImageArchiveError> {
    let bytes = archive.place.read(MANIFEST.as_bytes(), MAX_MANIFEST)?;
    let items: Vec<Item> =
        serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    if items.is_empty() {
        return Err(ImageArchiveError::NoImages);
    }
    if items.len() > MAX_MANIFESTS {
        let found = items.len();
        return Err(malformed(format!(
            "it lists {found} images, more than the {MAX_MANIFESTS} allowed"
        )));
    }
    for item in items {
        let listed = image(archive, item)?;
        archive.images.push(listed);
    }
    Ok(())
}

fn image(archive: &mut Archive, item: Item) -> Result<Listed, ImageArchiveError> {
    let paths = item.layers.unwrap_or_default();
    let bytes = archive.place.read(item.config.as_bytes(), MAX_CONFIG)?;
    let config = ImageConfig::parse(&bytes).map_err(|error| ImageArchiveError::Document {
        name: quoted(item.config.as_bytes()),
        reason: error.to_string(),
    })?;
    let diff_ids = &config.rootfs_diff_ids;
    if paths.len() != diff_ids.len() || paths.len() > MAX_LAYERS {
        return Err(malformed(format!(
            "it gives {} layers for a configuration of {}",
            paths.len(),
            diff_ids.len()
        )));
    }
    let id = Digest::of(&bytes);
    archive.elsewhere.insert(id, item.config.into_bytes());
    let mut layers = Vec::with_capacity(paths.len());
    for (path, diff_id) in paths.into_iter().zip(diff_ids) {
        let path = path.into_bytes();
        let content = archive.place.open(&path)?;
        let content = content.ok_or_else(|| ImageArchiveError::Missing(quoted(&path)))?;
        let size = content.size();
        let (suffix, digest) =
            digest(content, diff_id).map_err(ImageArchiveError::io("read its layers"))?;
        archive.elsewhere.insert(digest, path);
        layers
            .push(json!({"mediaType": format!("{LAYER}{suffix}"), "digest": digest, "size": size}));
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": id, "size": bytes.len()},
        "layers": layers,
        // For whoever finds it in a store: no registry knows its digest.
        "annotations": {(MADE_HERE): "true"},
    });
    let manifest = manifest.to_string().into_bytes();
    let digest = Digest::of(&manifest);
    archive.made.insert(digest, manifest);
    Ok(Listed {
        names: item.repo_tags.unwrap_or_default(),
        digest,
        media_type: None,
        is_stated: false,
        platform: Some(config.platform),
    })
}

/// How a layer is packed, and the digest it has like that.
fn digest(mut content: Content, diff_id: &Digest) -> io::Result<(&'static str, Digest)> {
    let mut chunk = vec![0; 64 << 10];
    let mut read = 0;
    while read < 4 {
        match content.read(&mut chunk[read..])? {
            0 => break,
            more => read += more,
        }
    }
    let suffix = match chunk[..read] {
        [0x1f, 0x8b, ..] => "+gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "+zstd",
        _ => return Ok(("", *diff_id)),
    };
    let mut hasher = Sha256::new();
    while read > 0 {
        hasher.update(&chunk[..read]);
        read = content.read(&mut chunk)?;
    }
    Ok((suffix, Digest::finish(hasher)))
}

fn malformed(reason: String) -> ImageArchiveError {
    ImageArchiveError::Document {
        name: MANIFEST.to_owned(),
        reason,
    }
}
