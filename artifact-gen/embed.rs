//! What travels: the files of a payload with images, planned before the first layer is fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use serde_json::{Value, json};

use dray::artifact::carried::{INDEX, MARKER, blob_digest, blob_name};
use dray::artifact::payload::{Carried, MAX_ASSUMED, Payload};
use dray::host::Host;
use dray::oci::media_type::OCI_INDEX;
use dray::oci::{Descriptor, Digest, Reference};
use dray::registry::Client;

use crate::args::Request;
use crate::carried;
use crate::compose::{Resolved, once_each};
use crate::origin::Found;
use crate::platform::{self, Picked, Root};
use crate::progress::Progress;
use crate::refusal::Refusal;

/// What says that it is a layout, and of which version.
const MARKER_TEXT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Images with everything that they need.
#[derive(Debug)]
pub struct Cargo {
    /// Each image as it was asked for.
    pub images: Vec<Resolved>,
    /// The payload's files, in the order in which a device takes them.
    pub files: Vec<Part>,
    /// Layers that the images need and that devices have, in ascending order.
    pub left_out: BTreeMap<Digest, u64>,
}

/// A file of the payload.
#[derive(Debug)]
pub struct Part {
    /// Its name there.
    pub name: String,
    /// What it holds.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Read already.
    Document(Vec<u8>),
    /// A layer, and the image that it is for.
    Layer(Arc<Found>, Descriptor),
}

/// An image whose documents have been read.
#[derive(Debug, Clone)]
struct Whole {
    found: Arc<Found>,
    root: Descriptor,
    documents: Vec<(Digest, Vec<u8>)>,
    layers: Vec<Descriptor>,
}

impl Whole {
    fn of(found: Found, request: &Request) -> Result<Whole, Refusal> {
        let (Root { descriptor, index }, picked) = platform::pick(&found, &request.platforms)?;
        let mut documents: Vec<(Digest, Vec<u8>)> = Vec::new();
        documents.extend(index.map(|index| (found.digest, index)));
        let mut layers = Vec::new();
        for one in picked {
            let config = one.config(&found)?;
            let Picked {
                digest,
                bytes,
                manifest,
                ..
            } = one;
            documents.push((digest, bytes));
            documents.push((manifest.config.digest, config));
            layers.extend(manifest.layers);
        }
        Ok(Whole {
            found: Arc::new(found),
            root: descriptor,
            documents,
            layers,
        })
    }
}

impl Cargo {
    /// Reads the documents of all images, and plans what travels. No layer is fetched.
    pub fn plan(
        request: &Request,
        client: &Client,
        host: &Host,
        progress: &Progress,
    ) -> Result<Cargo, Refusal> {
        let images = once_each(&request.images, |asked| {
            let found = Found::of(asked, &request.platforms, client, host)?;
            progress.say(format_args!("{} is {}", found.word, found.digest));
            Whole::of(found, request)
        })?;
        check_names(&images)?;
        let (known, warnings) = assumed(request, &images, client, progress)?;
        for warning in warnings {
            eprintln!("Warning: {warning}");
        }
        let mut plan = Plan::default();
        let index = index(&images);
        plan.document(MARKER.to_owned(), MARKER_TEXT.to_vec());
        plan.document(INDEX.to_owned(), index.into_bytes());
        for (digest, bytes) in images.iter().flat_map(|image| &image.documents) {
            if plan.is_new(*digest, bytes.len() as u64)? {
                plan.document(blob_name(digest), bytes.clone());
            }
        }
        for image in &images {
            plan.layers(image, &known)?;
        }
        if plan.left_out.len() > MAX_ASSUMED {
            return Err(Refusal::usage(format!(
                "--assume leaves out {} layers; at most {MAX_ASSUMED} are possible",
                plan.left_out.len()
            )));
        }
        Ok(Cargo {
            images: images.iter().map(resolved).collect(),
            files: plan.files,
            left_out: plan.left_out,
        })
    }

    /// Documents and layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Part> {
        let is_blob = |part: &&Part| blob_digest(&part.name).is_some();
        self.files.iter().filter(is_blob)
    }

    /// Bytes that have to be fetched.
    pub fn layer_bytes(&self) -> u64 {
        let layers = self.files.iter().filter(|part| part.image().is_some());
        layers.map(|part| part.size).sum()
    }

    /// Bytes that need not travel.
    pub fn left_out_bytes(&self) -> u64 {
        self.left_out.values().sum()
    }

    /// What the device is asked to run, and how its images come.
    pub fn request(&self, run_args: &str) -> Payload {
        let images = self.images.iter().map(|image| image.pinned.clone());
        let mut payload = Payload::shared(images.collect(), run_args);
        payload.payload = Some(Carried::OciLayout);
        payload.assumes = self.left_out.keys().copied().collect();
        payload
    }
}

impl Part {
    /// The image that it is a layer of, as it was asked for; `None` for what has been read already.
    pub fn image(&self) -> Option<&Found> {
        match &self.content {
            Content::Layer(image, _) => Some(image),
            Content::Document(_) => None,
        }
    }

    /// Opens it; a layer begins to come then.
    pub fn open(&self) -> io::Result<Box<dyn Read>> {
        match &self.content {
            Content::Document(bytes) => Ok(Box::new(Cursor::new(bytes.clone()))),
            Content::Layer(image, layer) => image.source.blob(layer),
        }
    }
}

#[derive(Debug, Default)]
struct Plan {
    files: Vec<Part>,
    sizes: BTreeMap<Digest, u64>,
    left_out: BTreeMap<Digest, u64>,
}

impl Plan {
    /// Whether a blob was not planned before; one digest cannot have two sizes.
    fn is_new(&mut self, digest: Digest, size: u64) -> Result<bool, Refusal> {
        match self.sizes.insert(digest, size) {
            None => Ok(true),
            Some(known) if known == size => Ok(false),
            Some(known) => Err(Refusal::Registry(format!(
                "the images do not agree on how large {digest} is: {known} or {size} bytes"
            ))),
        }
    }

    fn document(&mut self, name: String, bytes: Vec<u8>) {
        self.files.push(Part {
            name,
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
            content: Content::Document(bytes),
        });
    }

    fn layers(&mut self, image: &Whole, known: &BTreeSet<Digest>) -> Result<(), Refusal> {
        let mut travel = Vec::new();
        for layer in &image.layers {
            if !self.is_new(layer.digest, layer.size)? {
                continue;
            }
            match known.contains(&layer.digest) {
                true => drop(self.left_out.insert(layer.digest, layer.size)),
                false => travel.push(layer),
            }
        }
        image.found.prove(&travel)?;
        self.files.extend(travel.into_iter().map(|layer| Part {
            name: blob_name(&layer.digest),
            digest: layer.digest,
            size: layer.size,
            content: Content::Layer(Arc::clone(&image.found), layer.clone()),
        }));
        Ok(())
    }
}

/// What devices have, and which of the words for it say nothing about these images.
fn assumed(
    request: &Request,
    images: &[Whole],
    client: &Client,
    progress: &Progress,
) -> Result<(BTreeSet<Digest>, Vec<String>), Refusal> {
    let needed: BTreeSet<Digest> = images
        .iter()
        .flat_map(|image| image.layers.iter().map(|layer| layer.digest))
        .collect();
    let (mut known, mut warnings) = (BTreeSet::new(), Vec::new());
    for assumed in &request.assumed {
        progress.say(format_args!("Looking at {}", assumed.word()));
        let blobs = assumed.blobs(&request.platforms, client)?;
        if blobs.is_disjoint(&needed) {
            warnings.push(format!(
                "--assume {} leaves nothing out: it shares no layer with these images",
                assumed.word()
            ));
        }
        known.extend(blobs);
    }
    Ok((known, warnings))
}

fn resolved(image: &Whole) -> Resolved {
    Resolved {
        requested: image.found.word.clone(),
        name: image.found.name.clone(),
        pinned: image.found.container(),
        media_type: image.root.media_type.clone(),
        size: image.root.size,
    }
}

/// Refuses two images that a device could not tell apart.
fn check_names(images: &[Whole]) -> Result<(), Refusal> {
    let mut known: BTreeMap<Reference, &Found> = BTreeMap::new();
    for Whole { found, .. } in images {
        let container = found.container();
        let name = container.familiar();
        let other = known.insert(container, &**found);
        if let Some(other) = other.filter(|other| other.digest != found.digest) {
            return Err(Refusal::usage(format!(
                "{} and {} are two images, and both are called {name}",
                other.word, found.word
            )));
        }
    }
    Ok(())
}

fn index(images: &[Whole]) -> String {
    let mut known: BTreeSet<Reference> = BTreeSet::new();
    let mut manifests: Vec<Value> = Vec::new();
    for Whole { found, root, .. } in images {
        if known.insert(found.container()) {
            let Descriptor {
                media_type,
                digest,
                size,
                ..
            } = root;
            manifests.push(carried::entry(
                &found.name,
                media_type,
                *digest,
                *size,
                found.is_stated,
            ));
        }
    }
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}).to_string()
}
