//! Whether an image is there for the platforms of the devices, by the choice that a device makes.

use dray::oci::stream::{Verified, read_limited};
use dray::oci::{
    Descriptor, Digest, Document, ImageConfig, MAX_CONFIG, Platform, Reference, choose,
};
use dray::registry::Client;

use crate::refusal::Refusal;

/// Refuses an image that lacks one of `platforms`. Its index or manifest is read, and where that does not say it, the
/// configuration.
pub fn check(
    image: &Reference,
    pinned: &Reference,
    digest: &Digest,
    platforms: &[Platform],
    client: &Client,
) -> Result<(), Refusal> {
    let document = read(image, pinned, digest, client)?;
    let offered = match &document {
        Document::Manifest(manifest) => vec![platform_of(image, pinned, &manifest.config, client)?],
        Document::Index(index) => {
            let named = index
                .manifests
                .iter()
                .filter_map(|entry| entry.platform.clone());
            named.filter(|platform| platform.os != "unknown").collect()
        }
    };
    for wanted in platforms {
        let has = match &document {
            Document::Manifest(_) => wanted.rank(&offered[0]).is_some(),
            Document::Index(index) => match choose(index, wanted) {
                None => false,
                Some(entry) if entry.platform.is_some() => true,
                // The only image of an index that does not say whom it is for.
                Some(entry) => match read(image, pinned, &entry.digest, client)? {
                    Document::Manifest(manifest) => {
                        let found = platform_of(image, pinned, &manifest.config, client)?;
                        wanted.rank(&found).is_some()
                    }
                    Document::Index(_) => false,
                },
            },
        };
        if !has {
            let mut offered: Vec<String> = offered.iter().map(Platform::to_string).collect();
            offered.sort();
            offered.dedup();
            let offered = match offered.is_empty() {
                true => "it does not say what it has".to_owned(),
                false => format!("it has {}", offered.join(", ")),
            };
            let name = image.familiar();
            return Err(Refusal::Registry(format!(
                "--platform: {name} is not there for {wanted}; {offered}"
            )));
        }
    }
    Ok(())
}

fn read(
    image: &Reference,
    pinned: &Reference,
    digest: &Digest,
    client: &Client,
) -> Result<Document, Refusal> {
    let (bytes, content_type) = client
        .manifest(pinned, digest)
        .map_err(|refused| Refusal::Registry(refused.to_string()))?;
    Document::parse(&bytes, content_type.as_deref()).map_err(|refused| unsound(image, &refused))
}

fn platform_of(
    image: &Reference,
    pinned: &Reference,
    config: &Descriptor,
    client: &Client,
) -> Result<Platform, Refusal> {
    let blob = client
        .blob(pinned, config)
        .map_err(|refused| Refusal::Registry(refused.to_string()))?;
    let bytes = read_limited(Verified::of(blob, config), MAX_CONFIG);
    let bytes = bytes.map_err(|error| unsound(image, &error))?;
    let config = ImageConfig::parse(&bytes).map_err(|refused| unsound(image, &refused))?;
    Ok(config.platform)
}

fn unsound(image: &Reference, problem: &dyn std::fmt::Display) -> Refusal {
    Refusal::Registry(format!("{}: {problem}", image.familiar()))
}
