//! What of an image is for the platforms of the devices, by the choice that a device makes.

use dray::oci::media_type::{Kind, manifest_kind};
use dray::oci::{Descriptor, Digest, Document, ImageConfig, Index, Manifest, Platform, choose};

use crate::origin::Found;
use crate::refusal::Refusal;

/// What an image's digest is of.
#[derive(Debug)]
pub struct Root {
    /// Index or manifest.
    pub descriptor: Descriptor,
    /// The index, if it is one.
    pub index: Option<Vec<u8>>,
}

/// A manifest that some of the platforms choose.
#[derive(Debug)]
pub struct Picked {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it says.
    pub manifest: Manifest,
    /// Who chooses it.
    wanted: Vec<Platform>,
}

/// Refuses an image that lacks one of `platforms`. Its index or manifest is read, and where that does not say it, the
/// configuration.
pub fn check(image: &Found, platforms: &[Platform]) -> Result<(), Refusal> {
    match read(image, &image.digest, None)?.1 {
        Document::Manifest(manifest) => config(image, &manifest, platforms).map(drop),
        Document::Index(index) => {
            for wanted in platforms {
                let entry = entry(image, &index, wanted)?;
                // The only image of an index that does not say whom it is for.
                if entry.platform.is_none() {
                    let (_, manifest) = manifest(image, entry)?;
                    config(image, &manifest, std::slice::from_ref(wanted))?;
                }
            }
            Ok(())
        }
    }
}

/// The manifests that `platforms` choose, in their order; without any, an image that leaves no choice.
pub fn pick(image: &Found, platforms: &[Platform]) -> Result<(Root, Vec<Picked>), Refusal> {
    let (bytes, document) = read(image, &image.digest, None)?;
    let root = |media_type: &str, index| Root {
        descriptor: Descriptor {
            media_type: media_type.to_owned(),
            digest: image.digest,
            size: bytes.len() as u64,
            platform: None,
            annotations: Default::default(),
        },
        index,
    };
    let index = match document {
        Document::Index(index) => index,
        Document::Manifest(manifest) => {
            let root = root(&manifest.media_type, None);
            let only = Picked {
                digest: image.digest,
                bytes,
                manifest,
                wanted: platforms.to_vec(),
            };
            return Ok((root, vec![only]));
        }
    };
    if platforms.is_empty() {
        return Err(image.refused(&format!(
            "it is an image for several platforms; give those whose images are to travel with --platform; {}",
            offered(&index)
        )));
    }
    let mut picked: Vec<Picked> = Vec::new();
    for wanted in platforms {
        let entry = entry(image, &index, wanted)?;
        if let Some(known) = picked.iter_mut().find(|known| known.digest == entry.digest) {
            known.wanted.push(wanted.clone());
            continue;
        }
        let (bytes, manifest) = manifest(image, entry)?;
        picked.push(Picked {
            digest: entry.digest,
            bytes,
            manifest,
            wanted: vec![wanted.clone()],
        });
    }
    let root = root(&index.media_type, Some(bytes.clone()));
    Ok((root, picked))
}

impl Picked {
    /// Its configuration, which has to be for whom it was chosen.
    pub fn config(&self, image: &Found) -> Result<Vec<u8>, Refusal> {
        config(image, &self.manifest, &self.wanted)
    }
}

fn entry<'a>(
    image: &Found,
    index: &'a Index,
    wanted: &Platform,
) -> Result<&'a Descriptor, Refusal> {
    choose(index, wanted).ok_or_else(|| {
        let fits = |entry: &&Descriptor| {
            manifest_kind(&entry.media_type) == Ok(Kind::Index)
                && entry
                    .platform
                    .as_ref()
                    .is_some_and(|p| wanted.rank(p).is_some())
        };
        match index.manifests.iter().find(fits) {
            Some(inner) => nested(image, inner),
            None => absent(image, wanted, &offered(index)),
        }
    })
}

fn nested(image: &Found, inner: &Descriptor) -> Refusal {
    image.refused(&format!(
        "its index has another index, {}, which no device looks into",
        inner.digest
    ))
}

fn manifest(image: &Found, entry: &Descriptor) -> Result<(Vec<u8>, Manifest), Refusal> {
    match read(image, &entry.digest, Some(&entry.media_type))? {
        (bytes, Document::Manifest(manifest)) => Ok((bytes, manifest)),
        (_, Document::Index(_)) => Err(nested(image, entry)),
    }
}

/// A document, which has to be what its source and the index above it, if any, call it.
fn read(
    image: &Found,
    digest: &Digest,
    declared: Option<&str>,
) -> Result<(Vec<u8>, Document), Refusal> {
    let (bytes, said) = image.document(digest)?;
    let parse = |said: Option<&str>| {
        Document::parse(&bytes, said).map_err(|refused| image.refused(&refused))
    };
    let mut document = parse(said.as_deref())?;
    if declared.is_some() {
        document = parse(declared)?;
    }
    Ok((bytes, document))
}

/// A manifest's configuration, as a device checks it.
fn config(image: &Found, manifest: &Manifest, wanted: &[Platform]) -> Result<Vec<u8>, Refusal> {
    let bytes = image.config(&manifest.config)?;
    let config = ImageConfig::parse(&bytes).map_err(|refused| image.refused(&refused))?;
    let found = &config.platform;
    if let Some(wanted) = wanted.iter().find(|wanted| wanted.rank(found).is_none()) {
        return Err(absent(image, wanted, &format!("it has {found}")));
    }
    let (layers, diff_ids) = (manifest.layers.len(), config.rootfs_diff_ids.len());
    match layers == diff_ids {
        true => Ok(bytes),
        false => Err(image.refused(&format!(
            "its manifest has {layers} layers, its configuration {diff_ids}"
        ))),
    }
}

/// What an index has images for.
fn offered(index: &Index) -> String {
    let images = index.manifests.iter();
    let images = images.filter(|entry| manifest_kind(&entry.media_type) == Ok(Kind::Manifest));
    let named = images.filter_map(|entry| entry.platform.as_ref());
    // Attestations call themselves that.
    let named = named.filter(|platform| platform.os != "unknown");
    let mut offered: Vec<String> = named.map(Platform::to_string).collect();
    offered.sort();
    offered.dedup();
    match offered.is_empty() {
        true => "it does not say what it has".to_owned(),
        false => format!("it has {}", offered.join(", ")),
    }
}

fn absent(image: &Found, wanted: &Platform, offered: &str) -> Refusal {
    image.refusal(format!(
        "--platform: {} is not there for {wanted}; {offered}",
        image.word
    ))
}
