//! Indexes and manifests, OCI's and Docker's, with limits.
//!
//! A document is what its registry says it is (Content-Type), what it says itself (`mediaType`) and what it looks
//! like; the three must agree, or one digest could mean two images (CVE-2021-41190).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::media_type::{self, Kind, LayerCompression, MediaTypeError};
use super::{Digest, Platform};

/// Largest manifest or index; the limit that registries themselves apply to pushes.
pub const MAX_MANIFEST: u64 = 4 << 20;
/// Most layers of an image: the kernel stacks at most 500 lower folders in one overlay, and one is the engine's own. Docker
/// itself stops at 127.
pub const MAX_LAYERS: usize = 499;
/// Most entries of an index; real ones have tens.
pub const MAX_MANIFESTS: usize = 1000;
/// Largest size a descriptor may claim: what a file offset can express. Nothing is ever reserved from a claim.
const MAX_SIZE: u64 = i64::MAX as u64;

/// What a document says about another one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    #[serde(default)]
    pub media_type: String,
    /// The digest of the bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// In an index: whom the image is for.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// Free-form notes of the image's maker; data only, nothing in dray acts on them.
    #[serde(default, deserialize_with = "null_as_default")]
    pub annotations: BTreeMap<String, String>,
}

/// One image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// One of the two manifest media types.
    pub media_type: String,
    /// The image configuration.
    pub config: Descriptor,
    /// The layers, bottom first; each has a media type that [`LayerCompression`] knows.
    pub layers: Vec<Descriptor>,
}

/// The same image for several platforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// One of the two index media types.
    pub media_type: String,
    /// The entries, in the document's order; may include attestations and other things that are not images.
    pub manifests: Vec<Descriptor>,
}

/// What a reference can point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// Several platforms to choose from.
    Index(Index),
    /// One image.
    Manifest(Manifest),
}

/// Why a manifest or index is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Larger than [`MAX_MANIFEST`].
    #[error("manifest has {0} bytes, more than the {MAX_MANIFEST} allowed")]
    TooLarge(u64),
    /// Not the JSON it should be.
    #[error("failed to parse manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// A media type nobody here understands.
    #[error(transparent)]
    MediaType(#[from] MediaTypeError),
    /// A `schemaVersion` other than 2.
    #[error("manifest has schema version {0}, only 2 is supported")]
    SchemaVersion(u64),
    /// Content-Type and `mediaType` differ.
    #[error("manifest was delivered as {delivered:?} but calls itself {declared:?}")]
    Disagreement {
        /// The transport's word.
        delivered: String,
        /// The document's word.
        declared: String,
    },
    /// An image and an index at once, or neither.
    #[error("manifest is ambiguous: {0}")]
    Ambiguous(&'static str),
    /// More entries than any real document has.
    #[error("manifest lists {found} {what}, more than the {limit} allowed")]
    TooMany {
        /// `layers` or `images`.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A size that no file can have.
    #[error("manifest claims that {digest} has {size} bytes")]
    Size {
        /// Whose size it is.
        digest: Digest,
        /// The claim.
        size: u64,
    },
}

/// Both kinds in one, as parsed; unknown members are ignored as the formats demand.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u64,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    /// Schema 1 only; its presence in anything else is an attempt at confusion.
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Parses what a registry or an image layout delivered; `content_type` is the transport's word for it, if any.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Document, ManifestError> {
        if bytes.len() as u64 > MAX_MANIFEST {
            return Err(ManifestError::TooLarge(bytes.len() as u64));
        }
        let delivered = content_type
            .map(media_type::essence)
            .filter(|t| !says_nothing(t));
        if let Some(delivered) = delivered {
            // Before parsing: an HTML page or a schema 1 document is named as such, not as bad JSON.
            media_type::manifest_kind(delivered)?;
        }
        let raw: Raw = serde_json::from_slice(bytes)?;
        if raw.schema_version != 2 {
            return Err(ManifestError::SchemaVersion(raw.schema_version));
        }
        let kind = raw.shape()?;
        let media_type = raw.agreed_type(delivered, kind)?;
        match (kind, raw) {
            (
                Kind::Index,
                Raw {
                    manifests: Some(manifests),
                    ..
                },
            ) => Index::checked(media_type, manifests).map(Document::Index),
            (
                Kind::Manifest,
                Raw {
                    config: Some(config),
                    layers: Some(layers),
                    ..
                },
            ) => Manifest::checked(media_type, config, layers).map(Document::Manifest),
            _ => Err(ManifestError::Ambiguous(
                "it has neither an image's nor an index's members",
            )),
        }
    }
}

/// Content types that registries behind plain file servers give to anything.
fn says_nothing(content_type: &str) -> bool {
    matches!(
        content_type,
        "" | "application/json" | "application/octet-stream" | "binary/octet-stream" | "text/plain"
    )
}

impl Raw {
    /// What the document looks like.
    fn shape(&self) -> Result<Kind, ManifestError> {
        let image = self.config.is_some() || self.layers.is_some();
        match (self.manifests.is_some(), image) {
            _ if self.fs_layers.is_some() => Err(ManifestError::Ambiguous(
                "it has the member fsLayers of schema 1 beside schema version 2",
            )),
            (true, true) => Err(ManifestError::Ambiguous(
                "it has the members of an image and of an index",
            )),
            (true, false) => Ok(Kind::Index),
            (false, true) => match (&self.config, &self.layers) {
                (Some(_), Some(_)) => Ok(Kind::Manifest),
                (None, _) => Err(ManifestError::Ambiguous("it has layers but no config")),
                (_, None) => Err(ManifestError::Ambiguous("it has a config but no layers")),
            },
            (false, false) => Err(ManifestError::Ambiguous(
                "it has neither an image's nor an index's members",
            )),
        }
    }

    /// The one media type that transport, document and shape agree on.
    fn agreed_type(&self, delivered: Option<&str>, shape: Kind) -> Result<String, ManifestError> {
        let declared = self.media_type.as_deref().filter(|t| !t.is_empty());
        if let (Some(delivered), Some(declared)) = (delivered, declared)
            && delivered != declared
        {
            return Err(ManifestError::Disagreement {
                delivered: delivered.to_owned(),
                declared: declared.chars().take(120).collect(),
            });
        }
        let agreed = declared.or(delivered).unwrap_or(match shape {
            // OCI's documents may leave their type out, Docker's may not.
            Kind::Index => media_type::OCI_INDEX,
            Kind::Manifest => media_type::OCI_MANIFEST,
        });
        match (media_type::manifest_kind(agreed)?, shape) {
            (Kind::Index, Kind::Manifest) => Err(ManifestError::Ambiguous(
                "it calls itself an index but has the members of an image",
            )),
            (Kind::Manifest, Kind::Index) => Err(ManifestError::Ambiguous(
                "it calls itself an image but has the members of an index",
            )),
            _ => Ok(agreed.to_owned()),
        }
    }
}

impl Index {
    fn checked(media_type: String, manifests: Vec<Descriptor>) -> Result<Index, ManifestError> {
        check_count("images", manifests.len(), MAX_MANIFESTS)?;
        manifests.iter().try_for_each(Descriptor::check_size)?;
        Ok(Index {
            media_type,
            manifests,
        })
    }
}

impl Manifest {
    fn checked(
        media_type: String,
        config: Descriptor,
        layers: Vec<Descriptor>,
    ) -> Result<Manifest, ManifestError> {
        check_count("layers", layers.len(), MAX_LAYERS)?;
        media_type::check_config(&config.media_type)?;
        config.check_size()?;
        for layer in &layers {
            LayerCompression::of(&layer.media_type)?;
            layer.check_size()?;
        }
        Ok(Manifest {
            media_type,
            config,
            layers,
        })
    }
}

impl Descriptor {
    fn check_size(&self) -> Result<(), ManifestError> {
        if self.size > MAX_SIZE {
            return Err(ManifestError::Size {
                digest: self.digest,
                size: self.size,
            });
        }
        Ok(())
    }
}

fn check_count(what: &'static str, found: usize, limit: usize) -> Result<(), ManifestError> {
    if found > limit {
        return Err(ManifestError::TooMany { what, found, limit });
    }
    Ok(())
}

/// Go's encoders write empty maps and lists as `null`.
pub(super) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests;
