//! The images that travel inside an artifact, as far as its index and the names of its files say.

use std::io::{self, Read};

use serde_json::{Map, Value, json};

use dray::archive::{MADE_HERE, NAMES};
use dray::artifact::carried::{INDEX, blob_digest};
use dray::artifact::reader::{FileHead, PayloadHead};
use dray::oci::stream::read_limited;
use dray::oci::{Digest, Document, Index, MAX_MANIFEST, Reference};

/// What a carried payload has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// In the order of the index.
    pub images: Vec<Entry>,
    /// Documents and layers.
    pub blobs: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Layers that it leaves out.
    pub left_out: usize,
    has_index: bool,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Without digest, in full.
    pub name: String,
    /// Of its index or manifest.
    pub digest: Digest,
    /// Whether that digest means something to a registry.
    pub is_stated: bool,
}

impl Carried {
    /// Begins with what the meta-data says; `None` for a payload without images.
    pub fn of(payload: &PayloadHead) -> Option<Carried> {
        let dray = payload.meta_data.as_ref()?.get("dray")?;
        let is_ours = payload.kind.as_deref() == Some("docker");
        let assumes = dray.get("assumes").and_then(Value::as_array);
        (is_ours && dray.get("payload")? == "oci-layout").then(|| Carried {
            left_out: assumes.map_or(0, Vec::len),
            ..Carried::default()
        })
    }

    /// Takes a file of the payload.
    pub fn file(&mut self, file: &FileHead, content: &mut dyn Read) -> io::Result<()> {
        if file.name == INDEX {
            let wrong = |problem: &dyn std::fmt::Display| {
                io::Error::other(format!("{INDEX} of the payload is refused: {problem}"))
            };
            let bytes = read_limited(content, MAX_MANIFEST).map_err(|error| wrong(&error))?;
            match Document::parse(&bytes, None).map_err(|refused| wrong(&refused))? {
                Document::Index(index) => self.images = entries(&index),
                Document::Manifest(_) => return Err(wrong(&"it is a manifest")),
            }
            self.has_index = true;
        }
        let Some(named) = blob_digest(&file.name) else {
            return Ok(());
        };
        if named != file.digest {
            let (name, found) = (&file.name, file.digest);
            let problem = format!("payload file {name} has the digest {found}");
            return Err(io::Error::other(problem));
        }
        self.blobs += 1;
        self.bytes += file.size;
        Ok(())
    }

    /// Refuses a payload that says of itself that it carries images and has no list of them.
    pub fn end(&self) -> io::Result<()> {
        match self.has_index {
            true => Ok(()),
            false => Err(io::Error::other(format!("the payload has no {INDEX}"))),
        }
    }

    /// Whether this image is inside.
    pub fn has(&self, image: &Reference) -> bool {
        let name = image.to_string();
        let is_it = |entry: &&Entry| match image.digest {
            Some(digest) => entry.digest == digest,
            None => !entry.is_stated && entry.name == name,
        };
        self.images.iter().any(|entry| is_it(&entry))
    }

    /// Lines in the form of those that mender-artifact prints.
    pub fn text(&self) -> String {
        let mut text = "    Images:\n".to_owned();
        for Entry {
            name,
            digest,
            is_stated,
        } in &self.images
        {
            let digest = match is_stated {
                true => digest.to_string(),
                false => "none, it comes from a docker-archive".to_owned(),
            };
            text += &format!("      name:     {name}\n      digest:   {digest}\n");
        }
        text += &format!("    Blobs:  {}, {} bytes\n", self.blobs, self.bytes);
        if self.left_out > 0 {
            text += &format!("    Layers left out: {}\n", self.left_out);
        }
        text
    }

    /// The same for scripts.
    pub fn json(&self) -> Value {
        let image = |entry: &Entry| json!({"name": entry.name, "digest": entry.is_stated.then_some(entry.digest)});
        json!({
            "images": self.images.iter().map(image).collect::<Vec<Value>>(),
            "blobs": self.blobs,
            "bytes": self.bytes,
            "layers_left_out": self.left_out,
        })
    }
}

/// The entry of an index for an image.
pub fn entry(
    name: &Reference,
    media_type: &str,
    digest: Digest,
    size: u64,
    is_stated: bool,
) -> Value {
    let mut annotations = Map::new();
    annotations.insert(NAMES[0].to_owned(), json!(name.to_string()));
    if !is_stated {
        annotations.insert(MADE_HERE.to_owned(), json!("true"));
    }
    json!({"mediaType": media_type, "digest": digest, "size": size, "annotations": annotations})
}

fn entries(index: &Index) -> Vec<Entry> {
    let entry = |entry: &dray::oci::Descriptor| Entry {
        name: entry.annotations.get(NAMES[0]).cloned().unwrap_or_default(),
        digest: entry.digest,
        is_stated: !entry.annotations.contains_key(MADE_HERE),
    };
    index.manifests.iter().map(entry).collect()
}
