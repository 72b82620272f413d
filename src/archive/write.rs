//! Writes an archive that is both an OCI image layout and what `docker save` writes, as docker does since 25: its own
//! load, skopeo, podman and containerd each read the half they know. The same images always give the same bytes.

use std::io::{self, Read, Write};

use serde_json::{Value, json};
use tar::{EntryType, Header};

use super::docker;
use super::layout::{self, MADE_HERE, NAMES, blob_path};
use crate::oci::media_type::OCI_INDEX;
use crate::oci::{Descriptor, Digest, Reference};
use crate::tarball::BLOCK;

/// An image's place in the lists of an archive; its blobs are written one by one.
#[derive(Debug)]
pub struct Written<'a> {
    /// The index or manifest that it goes by, with its media type and size.
    pub root: &'a Descriptor,
    /// Whether that digest means something to others.
    pub is_stated: bool,
    /// The configuration.
    pub config: Digest,
    /// The layers as they are in the archive, bottom first.
    pub layers: Vec<Digest>,
    /// What it is called.
    pub names: &'a [Reference],
}

/// An archive being written.
#[derive(Debug)]
pub struct Writer<W>(W);

impl<W: Write> Writer<W> {
    /// Begins one.
    pub fn new(out: W) -> io::Result<Writer<W>> {
        let mut writer = Writer(out);
        for folder in ["blobs/", "blobs/sha256/"] {
            writer.header(folder, EntryType::Directory, 0o755, 0)?;
        }
        Ok(writer)
    }

    /// Adds a blob; `content` checks itself and ends after exactly `size` bytes.
    pub fn blob(&mut self, digest: &Digest, size: u64, content: &mut dyn Read) -> io::Result<()> {
        self.file(&blob_path(digest), size, content)
    }

    /// Writes the lists of images, and ends the archive.
    pub fn finish(mut self, images: &[Written<'_>]) -> io::Result<W> {
        for (name, value) in [
            ("index.json", index(images)),
            (docker::MANIFEST, docker_list(images)),
            (layout::MARKER, json!({"imageLayoutVersion": "1.0.0"})),
        ] {
            let text = value.to_string();
            self.file(name, text.len() as u64, &mut text.as_bytes())?;
        }
        self.0.write_all(&[0; 2 * BLOCK])?;
        self.0.flush()?;
        Ok(self.0)
    }

    fn file(&mut self, name: &str, size: u64, content: &mut dyn Read) -> io::Result<()> {
        self.header(name, EntryType::Regular, 0o644, size)?;
        let copied = io::copy(content, &mut self.0)?;
        if copied != size {
            return Err(io::Error::other(format!(
                "{name} has {copied} bytes instead of {size}"
            )));
        }
        let padding = copied.next_multiple_of(BLOCK as u64) - copied;
        self.0.write_all(&[0; BLOCK][..padding as usize])
    }

    fn header(&mut self, name: &str, kind: EntryType, mode: u32, size: u64) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_path(name)?;
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        header.set_cksum();
        self.0.write_all(header.as_bytes())
    }
}

/// One entry for each name, as containerd writes it.
fn index(images: &[Written<'_>]) -> Value {
    let mut manifests = Vec::new();
    for image in images {
        let names = image.names.iter().map(Some);
        // One that has no name is there all the same.
        let none = image.names.is_empty().then_some(None);
        for name in names.chain(none) {
            let mut annotations = serde_json::Map::new();
            if let Some(name) = name {
                annotations.insert(NAMES[0].to_owned(), json!(name.to_string()));
                annotations.insert(NAMES[1].to_owned(), json!(name.tag()));
            }
            if !image.is_stated {
                annotations.insert(MADE_HERE.to_owned(), json!("true"));
            }
            let root = image.root;
            let mut entry = json!({
                "mediaType": root.media_type, "digest": root.digest, "size": root.size,
            });
            if !annotations.is_empty() {
                entry["annotations"] = annotations.into();
            }
            manifests.push(entry);
        }
    }
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
}

fn docker_list(images: &[Written<'_>]) -> Value {
    let item = |image: &Written<'_>| {
        let tags: Vec<String> = image.names.iter().map(Reference::familiar).collect();
        let layers: Vec<String> = image.layers.iter().map(blob_path).collect();
        json!({"Config": blob_path(&image.config), "RepoTags": tags, "Layers": layers})
    };
    images.iter().map(item).collect()
}
