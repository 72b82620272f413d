//! Which images are here, and which one a person means.

use std::collections::BTreeMap;

use super::check::Condition;
use super::record::{Root, is_unnamed, plain};
use super::{Image, Images, ImagesError};
use crate::oci::{Digest, ImageConfig, Reference};

/// Digits of a whole id; fewer will do while they are unambiguous.
const HEX_DIGITS: usize = 64;

impl Images {
    /// Finds a present image by name (short as docker allows), digest, or unambiguous beginning of its id.
    pub fn find(&self, words: &str) -> Result<Image, ImagesError> {
        let root = self.find_root(words)?;
        self.load(&root)
    }

    /// The id of the image that [`Images::find`] finds, whether its documents can be read or not.
    pub fn id(&self, words: &str) -> Result<Digest, ImagesError> {
        Ok(self.find_root(words)?.config)
    }

    /// All images that a name or a pin keeps, newest first. One whose documents are damaged is left out, and one whose name
    /// is ([`Images::damaged`]): a pull of its name brings it back.
    pub fn list(&self) -> Result<Vec<Image>, ImagesError> {
        let mut images = Vec::new();
        for root in self.roots()? {
            match self.load(&root) {
                Err(ImagesError::NoDocument { .. } | ImagesError::Missing { .. }) => {}
                image => images.push(image?),
            }
        }
        images.sort_by(|a, b| (&b.created, b.id).cmp(&(&a.created, a.id)));
        Ok(images)
    }

    /// Whether the image is whole: seals always, all files' status once after each unclean stop. Call before starting
    /// containers from it; the next pull replaces a damaged layer.
    pub fn check(&self, image: &Image) -> Result<(), ImagesError> {
        for layer in &image.layers {
            let layer = *layer;
            match self.condition(&layer)? {
                Condition::Whole => {}
                Condition::Absent => {
                    return Err(ImagesError::Missing {
                        image: image.digest,
                        layer,
                    });
                }
                Condition::Damaged => {
                    return Err(ImagesError::Damaged {
                        image: image.digest,
                        layer,
                    });
                }
            }
        }
        self.require_documents(&Root::of(image))
    }

    /// Every image that a name or a pin keeps, once for each digest it was asked for by.
    pub(super) fn roots(&self) -> Result<Vec<Root>, ImagesError> {
        self.roots_without(None)
    }

    /// The same, but for what this holder alone has pinned.
    pub(super) fn roots_without(&self, holder: Option<&str>) -> Result<Vec<Root>, ImagesError> {
        let names = self.names()?.into_iter().map(|name| name.image);
        let pins = self.holdings()?.into_iter();
        let pins = pins.filter(|h| holder != Some(h.holder.as_str()));
        let pins = pins.flat_map(|h| h.images);
        let mut roots = BTreeMap::new();
        for root in names.chain(pins) {
            roots.insert((root.digest, root.manifest), root);
        }
        Ok(roots.into_values().collect())
    }

    pub(super) fn find_root(&self, words: &str) -> Result<Root, ImagesError> {
        let reference = words.parse::<Reference>().ok();
        if let Some(reference) = &reference
            && let Some(root) = self.find_reference(reference)?
        {
            return Ok(root);
        }
        let found = self.find_id(words.strip_prefix("sha256:").unwrap_or(words), words);
        if let (Err(ImagesError::Absent(_)), Some(reference)) = (&found, &reference) {
            self.check_name(reference)?;
        }
        found
    }

    /// By name; or by the digest that a reference is pinned to, whatever name it was pulled by.
    fn find_reference(&self, reference: &Reference) -> Result<Option<Root>, ImagesError> {
        let wanted = plain(reference);
        let named = self.names()?.into_iter();
        let mut named = named.filter(|name| name.reference == wanted);
        if let Some(name) = named.next() {
            return Ok(Some(name.image));
        }
        let Some(digest) = reference.digest else {
            return Ok(None);
        };
        let roots = self.roots()?.into_iter();
        let mut pinned = roots.filter(|root| root.digest == digest || root.manifest == digest);
        Ok(pinned.next())
    }

    fn find_id(&self, digits: &str, words: &str) -> Result<Root, ImagesError> {
        let unknown = || ImagesError::Absent(words.chars().take(256).collect());
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if digits.is_empty() || digits.len() > HEX_DIGITS || !digits.chars().all(is_hex) {
            return Err(unknown());
        }
        let fits = |digest: &Digest| digest.hex().starts_with(digits);
        let whole = digits.len() == HEX_DIGITS;
        let mut found: BTreeMap<Digest, Root> = BTreeMap::new();
        for root in self.roots()? {
            // Manifests go by their whole digest only: a short id means the image's own.
            if fits(&root.config) || (whole && (fits(&root.digest) || fits(&root.manifest))) {
                found.insert(root.config, root);
            }
        }
        if found.len() > 1 {
            let ids: Vec<String> = found.keys().map(|id| id.hex()[..12].to_owned()).collect();
            return Err(ImagesError::Ambiguous {
                words: words.to_owned(),
                found: ids.join(", "),
            });
        }
        found.into_values().next().ok_or_else(unknown)
    }

    /// Reads what a root says is here.
    pub(super) fn load(&self, root: &Root) -> Result<Image, ImagesError> {
        let bytes = self.document(root, &root.config)?;
        let config = ImageConfig::parse(&bytes).map_err(|source| ImagesError::Config {
            image: root.digest.to_string(),
            source,
        })?;
        let mut size = 0;
        for layer in &root.layers {
            let seal = self.seal(layer)?.ok_or(ImagesError::Missing {
                image: root.digest,
                layer: *layer,
            })?;
            size += seal.bytes;
        }
        let names = self.names()?.into_iter();
        let names = names.filter(|name| name.image == *root && !is_unnamed(&name.reference));
        Ok(Image {
            id: root.config,
            digest: root.digest,
            manifest: root.manifest,
            names: names.map(|name| name.reference).collect(),
            created: config.created.clone(),
            config,
            layers: root.layers.clone(),
            size,
        })
    }

    /// Bytes of each layer's files, bottom first.
    pub fn layer_sizes(&self, image: &Image) -> Result<Vec<u64>, ImagesError> {
        let size = |layer: &Digest| {
            let seal = self.seal(layer)?;
            Ok(seal.ok_or(ImagesError::NoLayer(*layer))?.bytes)
        };
        image.layers.iter().map(size).collect()
    }

    /// The configuration as its maker wrote it.
    pub fn config_text(&self, image: &Image) -> Result<Vec<u8>, ImagesError> {
        self.document(&Root::of(image), &image.id)
    }

    /// Fails unless all parts of an image have their names; for those who are about to record that they need it.
    pub(super) fn require(&self, image: &Image) -> Result<(), ImagesError> {
        for layer in &image.layers {
            if !self.store.has_layer(layer) {
                return Err(ImagesError::Missing {
                    image: image.digest,
                    layer: *layer,
                });
            }
        }
        self.require_documents(&Root::of(image))
    }

    fn require_documents(&self, root: &Root) -> Result<(), ImagesError> {
        for digest in [root.digest, root.manifest, root.config] {
            self.document(root, &digest)?;
        }
        Ok(())
    }

    fn document(&self, root: &Root, digest: &Digest) -> Result<Vec<u8>, ImagesError> {
        let bytes = self.store.document(digest)?;
        bytes.ok_or(ImagesError::NoDocument {
            image: root.digest,
            digest: *digest,
        })
    }
}
