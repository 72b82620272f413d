//! From a reference to the manifest and configuration of this platform's image, out of the store where they are.

use super::source::Source;
use super::{Images, ImagesError};
use crate::oci::media_type::{Kind, manifest_kind};
use crate::oci::stream::{Verified, read_limited};
use crate::oci::{
    Descriptor, Digest, Document, ImageConfig, Index, LayerCompression, MAX_CONFIG, Manifest,
    Platform, choose,
};
use crate::store::BlobDraft;

use super::layer::Wanted;

/// An image's documents.
#[derive(Debug)]
pub(super) struct Documents {
    /// What the reference means: an index or a manifest.
    pub(super) digest: Digest,
    pub(super) manifest: Digest,
    pub(super) config: Digest,
    pub(super) layers: Vec<Wanted>,
    /// Those that were not here.
    pub(super) drafts: Vec<BlobDraft>,
}

/// A search in progress.
struct Search<'a> {
    images: &'a Images,
    source: &'a dyn Source,
    /// What was asked for, for messages.
    image: &'a str,
    drafts: Vec<BlobDraft>,
}

impl Images {
    /// Finds or fetches the documents of the image that `digest`, an index or a manifest, means on `platform`; `image` is
    /// what it is called in messages.
    pub(super) fn documents(
        &self,
        source: &dyn Source,
        image: &str,
        digest: Digest,
        platform: &Platform,
    ) -> Result<Documents, ImagesError> {
        let mut search = Search {
            images: self,
            source,
            image,
            drafts: Vec::new(),
        };
        let (manifest_digest, manifest) = search.manifest(digest, platform)?;
        let config = search.config(&manifest, platform)?;
        Ok(Documents {
            digest,
            manifest: manifest_digest,
            config: manifest.config.digest,
            layers: search.layers(&manifest, &config)?,
            drafts: search.drafts,
        })
    }
}

impl Search<'_> {
    fn image(&self) -> String {
        self.image.to_owned()
    }

    fn manifest(
        &mut self,
        digest: Digest,
        platform: &Platform,
    ) -> Result<(Digest, Manifest), ImagesError> {
        let index = match self.document(&digest, None)? {
            Document::Manifest(manifest) => return Ok((digest, manifest)),
            Document::Index(index) => index,
        };
        let chosen = choose(&index, platform).ok_or_else(|| self.none_fits(&index, platform))?;
        match self.document(&chosen.digest, Some(&chosen.media_type))? {
            Document::Manifest(manifest) => Ok((chosen.digest, manifest)),
            Document::Index(_) => Err(ImagesError::NestedIndex {
                image: self.image(),
                digest: chosen.digest,
            }),
        }
    }

    /// Why an index has no image for a platform.
    fn none_fits(&self, index: &Index, platform: &Platform) -> ImagesError {
        let image = self.image();
        let of_kind = |kind| {
            let entries = index.manifests.iter();
            entries.filter(move |entry| manifest_kind(&entry.media_type) == Ok(kind))
        };
        let is_ours = |theirs: &Platform| platform.rank(theirs).is_some();
        let mut inner = of_kind(Kind::Index);
        if let Some(inner) = inner.find(|entry| entry.platform.as_ref().is_none_or(is_ours)) {
            let digest = inner.digest;
            return ImagesError::NestedIndex { image, digest };
        }
        let offered = of_kind(Kind::Manifest).filter_map(|entry| entry.platform.as_ref());
        let mut offered: Vec<String> = offered.map(Platform::to_string).collect();
        // Attestations call themselves that.
        offered.retain(|platform| !platform.starts_with("unknown"));
        if offered.is_empty() {
            offered.push("nothing".to_owned());
        }
        ImagesError::Platform {
            image,
            wanted: platform.clone(),
            offered: offered.join(", "),
        }
    }

    /// A document, which has to be what its source and the index above it, if any, call it.
    fn document(
        &mut self,
        digest: &Digest,
        declared: Option<&str>,
    ) -> Result<Document, ImagesError> {
        let (bytes, content_type) = match self.images.store.document(digest)? {
            Some(bytes) => (bytes, None),
            None => {
                let (bytes, content_type) = self.source.document(digest)?;
                self.keep(&bytes)?;
                (bytes, content_type)
            }
        };
        let parse = |said: Option<&str>| {
            Document::parse(&bytes, said).map_err(|source| ImagesError::Manifest {
                image: self.image(),
                source,
            })
        };
        let document = parse(content_type.as_deref())?;
        match declared {
            Some(declared) => parse(Some(declared)),
            None => Ok(document),
        }
    }

    fn config(
        &mut self,
        manifest: &Manifest,
        platform: &Platform,
    ) -> Result<ImageConfig, ImagesError> {
        let bytes = self.config_bytes(&manifest.config)?;
        let config = ImageConfig::parse(&bytes).map_err(|source| ImagesError::Config {
            image: self.image(),
            source,
        })?;
        if platform.rank(&config.platform).is_none() {
            return Err(ImagesError::Platform {
                image: self.image(),
                wanted: platform.clone(),
                offered: config.platform.to_string(),
            });
        }
        Ok(config)
    }

    fn config_bytes(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>, ImagesError> {
        if descriptor.size > MAX_CONFIG {
            return Err(ImagesError::ConfigSize {
                image: self.image(),
                size: descriptor.size,
                limit: MAX_CONFIG,
            });
        }
        if let Some(bytes) = self.images.store.document(&descriptor.digest)? {
            return Ok(bytes);
        }
        let bytes = loop {
            let blob = self.source.blob(descriptor, 0)?;
            match read_limited(Verified::of(blob, descriptor), MAX_CONFIG) {
                Ok(bytes) => break bytes,
                Err(_) if self.source.distrust(&descriptor.digest) => {}
                Err(source) => {
                    return Err(ImagesError::Document {
                        image: self.image(),
                        digest: descriptor.digest,
                        source,
                    });
                }
            }
        };
        self.keep(&bytes)?;
        Ok(bytes)
    }

    fn layers(
        &self,
        manifest: &Manifest,
        config: &ImageConfig,
    ) -> Result<Vec<Wanted>, ImagesError> {
        if manifest.layers.len() != config.rootfs_diff_ids.len() {
            return Err(ImagesError::LayerCount {
                image: self.image(),
                layers: manifest.layers.len(),
                diff_ids: config.rootfs_diff_ids.len(),
            });
        }
        let pairs = manifest.layers.iter().zip(&config.rootfs_diff_ids);
        pairs
            .map(|(blob, diff_id)| {
                let compression = LayerCompression::of(&blob.media_type);
                Ok(Wanted {
                    compression: compression.map_err(|source| ImagesError::LayerType {
                        layer: blob.digest,
                        source,
                    })?,
                    blob: blob.clone(),
                    diff_id: *diff_id,
                    heals: false,
                })
            })
            .collect()
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), ImagesError> {
        self.drafts.push(self.images.store.draft_document(bytes)?);
        Ok(())
    }
}
