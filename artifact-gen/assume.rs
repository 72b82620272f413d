//! What devices have already: layers that need not travel once more.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::str::FromStr;

use dray::artifact::carried::blob_digest;
use dray::artifact::payload::Payload;
use dray::artifact::reader::Trust;
use dray::oci::{Digest, Platform, Reference};
use dray::registry::Client;

use crate::existing::{invalid, unreadable};
use crate::origin::Found;
use crate::platform;
use crate::refusal::Refusal;
use crate::show::Contents;

/// The payload type of artifacts for the module that runs containers.
const MODULE: &str = "docker";

/// One word of `--assume`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assumed {
    /// An image of a registry, with its digest.
    Image(Reference, Digest),
    /// An artifact that was installed before.
    Artifact(PathBuf),
}

impl FromStr for Assumed {
    type Err = Refusal;

    fn from_str(word: &str) -> Result<Assumed, Refusal> {
        let path = PathBuf::from(word);
        // An image's name never ends like that: what would be its tag or digest does not.
        if word.ends_with(".mender") || !word.contains('@') && path.exists() {
            return Ok(Assumed::Artifact(path));
        }
        // The word is in the reason, unless it is one that has to be kept from logs.
        let parsed: Result<Reference, _> = word.parse();
        let name = parsed.map_err(|problem| Refusal::usage(format!("--assume: {problem}")))?;
        match name.digest {
            Some(digest) => Ok(Assumed::Image(name, digest)),
            None => Err(Refusal::usage(format!(
                "--assume {word}: there is no such file, and as an image it lacks a digest: a tag may have moved since devices got it; \
                 'docker-artifact-gen read' says what an Artifact pinned, or give that Artifact itself",
            ))),
        }
    }
}

impl Assumed {
    /// As it was given, about.
    pub fn word(&self) -> String {
        match self {
            Assumed::Image(name, _) => name.familiar(),
            Assumed::Artifact(path) => path.display().to_string(),
        }
    }

    /// The blobs that a device has once it has this; the platforms say which manifests of an index are meant.
    pub fn blobs(
        &self,
        platforms: &[Platform],
        client: &Client,
    ) -> Result<BTreeSet<Digest>, Refusal> {
        match self {
            Assumed::Image(name, digest) => layers(name, *digest, platforms, client),
            Assumed::Artifact(path) => {
                let file = File::open(path).map_err(|error| unreadable(path, &error))?;
                let contents = Contents::read(BufReader::new(file), Trust::Ignored);
                let contents = contents.map_err(|refused| invalid(path, &refused))?;
                of_artifact(&contents, platforms, client).map_err(|refusal| match refusal {
                    Refusal::Usage(problem) => {
                        Refusal::usage(format!("--assume {}: {problem}", path.display()))
                    }
                    other => other,
                })
            }
        }
    }
}

fn of_artifact(
    contents: &Contents,
    platforms: &[Platform],
    client: &Client,
) -> Result<BTreeSet<Digest>, Refusal> {
    let mut payloads = contents.head.payloads.iter().zip(&contents.files);
    let ours = payloads.position(|(payload, _)| payload.kind.as_deref() == Some(MODULE));
    let number = ours.ok_or_else(|| {
        Refusal::Usage("it has no payload for the Update Module docker".to_owned())
    })?;
    let meta_data = serde_json::json!(contents.head.payloads[number].meta_data).to_string();
    let request = Payload::parse(meta_data.as_bytes());
    let request = request.map_err(|refused| Refusal::Usage(refused.to_string()))?;
    let files = contents.files[number].iter();
    let mut blobs: BTreeSet<Digest> = match request.payload {
        Some(_) => files.filter_map(|file| blob_digest(&file.name)).collect(),
        None => BTreeSet::new(),
    };
    blobs.extend(&request.assumes);
    let carried = contents.carried[number].as_ref();
    let images: BTreeSet<&Reference> = request.services.iter().map(|s| &s.image).collect();
    for image in images {
        if carried.is_some_and(|carried| carried.has(image)) {
            continue;
        }
        let digest = image.digest.ok_or_else(|| {
            Refusal::Usage(format!(
                "it names {} without a digest: nobody knows which image devices got",
                image.familiar()
            ))
        })?;
        blobs.extend(layers(image, digest, platforms, client)?);
    }
    Ok(blobs)
}

fn layers(
    name: &Reference,
    digest: Digest,
    platforms: &[Platform],
    client: &Client,
) -> Result<BTreeSet<Digest>, Refusal> {
    let image = Found::pinned(name, digest, client);
    let (_, picked) = platform::pick(&image, platforms)?;
    let manifests = picked.iter().map(|picked| &picked.manifest);
    Ok(manifests
        .flat_map(|m| m.layers.iter().map(|layer| layer.digest))
        .collect())
}
