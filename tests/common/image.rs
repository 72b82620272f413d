//! Images built in memory, from a list of files to digests.
//!
//! ```ignore
//! let layer = Layer::of(&[Entry::dir("etc"), Entry::file("etc/motd", "hello\n").mode(0o600)]);
//! let image = Image::oci([layer]).config(json!({"Cmd": ["/bin/true"]})).build();
//! let both = index(Flavour::Oci, &[&image, &Image::oci([other]).platform("linux/arm64").build()]);
//! registry.push("shop/web", "1", &both);          // see `registry`
//! image.write_layout(&dir, "1");                  // for skopeo, umoci, podman: oci:DIR:1
//! ```
//!
//! The same input always gives the same digests: times are 0 unless said otherwise.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use dray::oci::{Digest, media_type};
use serde_json::{Value, json};

/// One member of a layer's tar. Nothing is checked, so hostile names are as easy as good ones.
#[derive(Debug, Clone)]
pub struct Entry {
    path: Vec<u8>,
    kind: u8,
    link: Vec<u8>,
    content: Vec<u8>,
    mode: u32,
    owner: (u64, u64),
    mtime: u64,
    device: (u32, u32),
    pax: Vec<(String, Vec<u8>)>,
}

impl Entry {
    fn new(path: impl AsRef<[u8]>, kind: u8, mode: u32) -> Entry {
        Entry {
            path: path.as_ref().to_vec(),
            kind,
            link: Vec::new(),
            content: Vec::new(),
            mode,
            owner: (0, 0),
            mtime: 0,
            device: (0, 0),
            pax: Vec::new(),
        }
    }

    /// A regular file, 0644.
    pub fn file(path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Entry {
        Entry {
            content: content.as_ref().to_vec(),
            ..Entry::new(path, b'0', 0o644)
        }
    }

    /// A folder, 0755.
    pub fn dir(path: impl AsRef<[u8]>) -> Entry {
        Entry::new(path, b'5', 0o755)
    }

    /// A symbolic link.
    pub fn symlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
        Entry {
            link: target.as_ref().to_vec(),
            ..Entry::new(path, b'2', 0o777)
        }
    }

    /// A hard link to an earlier member.
    pub fn hardlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
        Entry {
            link: target.as_ref().to_vec(),
            ..Entry::new(path, b'1', 0o644)
        }
    }

    /// A character device, 0666.
    pub fn char_device(path: impl AsRef<[u8]>, major: u32, minor: u32) -> Entry {
        Entry {
            device: (major, minor),
            ..Entry::new(path, b'3', 0o666)
        }
    }

    /// A block device, 0660.
    pub fn block_device(path: impl AsRef<[u8]>, major: u32, minor: u32) -> Entry {
        Entry {
            device: (major, minor),
            ..Entry::new(path, b'4', 0o660)
        }
    }

    /// A named pipe, 0644.
    pub fn fifo(path: impl AsRef<[u8]>) -> Entry {
        Entry::new(path, b'6', 0o644)
    }

    /// A member of any type, for hostile tars.
    pub fn raw(path: impl AsRef<[u8]>, kind: u8, content: impl AsRef<[u8]>) -> Entry {
        Entry {
            content: content.as_ref().to_vec(),
            ..Entry::new(path, kind, 0o644)
        }
    }

    /// Permission bits, set-uid and its like included.
    pub fn mode(self, mode: u32) -> Entry {
        Entry { mode, ..self }
    }

    /// User and group.
    pub fn owner(self, user: u64, group: u64) -> Entry {
        Entry {
            owner: (user, group),
            ..self
        }
    }

    /// Modification time, seconds.
    pub fn mtime(self, seconds: u64) -> Entry {
        Entry {
            mtime: seconds,
            ..self
        }
    }

    /// An extended attribute, written as docker does (PAX record `SCHILY.xattr.NAME`).
    pub fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Entry {
        self.pax(&format!("SCHILY.xattr.{name}"), value)
    }

    /// Any PAX record, such as `size` or `mtime`.
    pub fn pax(mut self, key: &str, value: impl AsRef<[u8]>) -> Entry {
        self.pax.push((key.to_owned(), value.as_ref().to_vec()));
        self
    }

    fn append(&self, tar: &mut Vec<u8>) {
        /// What fits into the fixed fields of a header.
        const FIELD: usize = 100;
        let mut pax = self.pax.clone();
        for (key, value) in [("path", &self.path), ("linkpath", &self.link)] {
            if value.len() > FIELD {
                pax.push((key.to_owned(), value.clone()));
            }
        }
        if !pax.is_empty() {
            let records: Vec<u8> = pax.iter().flat_map(|(k, v)| pax_record(k, v)).collect();
            let header = Entry::raw("pax", b'x', records);
            header.append_plain(tar);
        }
        self.append_plain(tar);
    }

    fn append_plain(&self, tar: &mut Vec<u8>) {
        let mut header = tar::Header::new_ustar();
        copy_field(&mut header.as_old_mut().name, &self.path);
        copy_field(&mut header.as_old_mut().linkname, &self.link);
        header.set_entry_type(tar::EntryType::new(self.kind));
        header.set_mode(self.mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(self.mtime);
        header.set_size(self.content.len() as u64);
        header.set_device_major(self.device.0).unwrap();
        header.set_device_minor(self.device.1).unwrap();
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(&self.content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
}

fn copy_field(field: &mut [u8], value: &[u8]) {
    let fitting = value.len().min(field.len());
    field[..fitting].copy_from_slice(&value[..fitting]);
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn pax_record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = 1 + key.len() + 1 + value.len() + 1;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    let mut record = format!("{length} {key}=").into_bytes();
    record.extend_from_slice(value);
    record.push(b'\n');
    record
}

/// A plain tar of `entries`, closed by two empty blocks.
pub fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        entry.append(&mut tar);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// gzip, what nearly all images have.
    Gzip,
    /// zstd.
    Zstd,
    /// A plain tar.
    Plain,
}

/// A layer: a plain tar, and how it is to be packed.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The plain tar, whose digest is the diff ID.
    pub tar: Vec<u8>,
    /// How it travels.
    pub packing: Packing,
    /// Instead of what the packing says.
    pub media_type: Option<String>,
}

impl Layer {
    /// Of these members, in gzip.
    pub fn of(entries: &[Entry]) -> Layer {
        Layer::of_tar(tar(entries))
    }

    /// Of a tar made elsewhere, in gzip.
    pub fn of_tar(tar: Vec<u8>) -> Layer {
        Layer {
            tar,
            packing: Packing::Gzip,
            media_type: None,
        }
    }

    /// Packed otherwise.
    pub fn packed(self, packing: Packing) -> Layer {
        Layer { packing, ..self }
    }

    /// With another media type than the right one.
    pub fn media_type(self, media_type: &str) -> Layer {
        Layer {
            media_type: Some(media_type.to_owned()),
            ..self
        }
    }

    /// As it travels.
    pub fn blob(&self) -> Vec<u8> {
        match self.packing {
            Packing::Plain => self.tar.clone(),
            Packing::Zstd => zstd::bulk::compress(&self.tar, 3).unwrap(),
            Packing::Gzip => {
                let mut gzip =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(&self.tar).unwrap();
                gzip.finish().unwrap()
            }
        }
    }

    fn type_in(&self, flavour: Flavour) -> String {
        let suffix = match (flavour, self.packing) {
            (_, Packing::Plain) => "",
            (Flavour::Oci, Packing::Gzip) => "+gzip",
            (Flavour::Oci, Packing::Zstd) => "+zstd",
            (Flavour::Docker, Packing::Gzip) => ".gzip",
            (Flavour::Docker, Packing::Zstd) => ".zstd",
        };
        let base = match flavour {
            Flavour::Oci => "application/vnd.oci.image.layer.v1.tar",
            Flavour::Docker => "application/vnd.docker.image.rootfs.diff.tar",
        };
        self.media_type
            .clone()
            .unwrap_or_else(|| format!("{base}{suffix}"))
    }
}

/// Whose media types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// OCI's.
    Oci,
    /// Docker's schema 2.
    Docker,
}

/// An image to be built.
#[derive(Debug, Clone)]
pub struct Image {
    flavour: Flavour,
    layers: Vec<Layer>,
    platform: String,
    config: Value,
    diff_ids: Option<Vec<Digest>>,
}

impl Image {
    /// An OCI image for this machine's platform.
    pub fn oci(layers: impl IntoIterator<Item = Layer>) -> Image {
        Image::new(Flavour::Oci, layers)
    }

    /// A Docker schema 2 image for this machine's platform.
    pub fn docker(layers: impl IntoIterator<Item = Layer>) -> Image {
        Image::new(Flavour::Docker, layers)
    }

    fn new(flavour: Flavour, layers: impl IntoIterator<Item = Layer>) -> Image {
        Image {
            flavour,
            layers: layers.into_iter().collect(),
            platform: dray::oci::Platform::host().to_string(),
            config: json!({}),
            diff_ids: None,
        }
    }

    /// The `config` member of the image configuration: `{"Env": […], "Cmd": […]}`.
    pub fn config(self, config: Value) -> Image {
        Image { config, ..self }
    }

    /// For another platform: `linux/arm/v7`.
    pub fn platform(self, platform: &str) -> Image {
        Image {
            platform: platform.to_owned(),
            ..self
        }
    }

    /// With diff IDs that need not be the layers'.
    pub fn diff_ids(self, diff_ids: Vec<Digest>) -> Image {
        Image {
            diff_ids: Some(diff_ids),
            ..self
        }
    }

    /// Packs the layers and writes configuration and manifest.
    pub fn build(&self) -> Built {
        let (manifest_type, config_type) = match self.flavour {
            Flavour::Oci => (media_type::OCI_MANIFEST, media_type::OCI_CONFIG),
            Flavour::Docker => (media_type::DOCKER_MANIFEST, media_type::DOCKER_CONFIG),
        };
        let right: Vec<Digest> = self
            .layers
            .iter()
            .map(|layer| Digest::of(&layer.tar))
            .collect();
        let diff_ids = self.diff_ids.clone().unwrap_or(right);
        let mut config = platform_json(&self.platform);
        config["created"] = json!("1970-01-01T00:00:00Z");
        config["config"] = self.config.clone();
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let config = config.to_string().into_bytes();
        let mut blobs = BTreeMap::new();
        let mut layers = Vec::new();
        for layer in &self.layers {
            let blob = layer.blob();
            layers.push(descriptor(&layer.type_in(self.flavour), &blob));
            blobs.insert(Digest::of(&blob), blob);
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": descriptor(config_type, &config),
            "layers": layers,
        });
        let config_digest = Digest::of(&config);
        blobs.insert(config_digest, config);
        Built {
            blobs,
            config: config_digest,
            diff_ids,
            platform: self.platform.clone(),
            ..Built::of_document(manifest_type, manifest.to_string().into_bytes())
        }
    }
}

/// `{"os": …, "architecture": …, "variant": …}`
fn platform_json(platform: &str) -> Value {
    let words: Vec<&str> = platform.split('/').collect();
    let mut value = json!({"architecture": words[1], "os": words[0]});
    if let Some(variant) = words.get(2) {
        value["variant"] = json!(variant);
    }
    value
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()})
}

/// A finished image or index: documents and blobs by digest.
#[derive(Debug, Clone)]
pub struct Built {
    /// Digest of the document to push: the manifest's or the index's.
    pub digest: Digest,
    /// Media type of that document.
    pub media_type: String,
    /// Manifests and indexes: media type and bytes.
    pub documents: BTreeMap<Digest, (String, Vec<u8>)>,
    /// Layers and configurations.
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    /// Digest of the configuration, which is the image's id; of an index's first image.
    pub config: Digest,
    /// Digests of the layers' plain tars, bottom first; of an index's first image.
    pub diff_ids: Vec<Digest>,
    /// `linux/amd64`; of an index's first image.
    pub platform: String,
}

impl Built {
    /// Any document without blobs, for hostile manifests.
    pub fn of_document(media_type: &str, bytes: Vec<u8>) -> Built {
        let digest = Digest::of(&bytes);
        Built {
            digest,
            media_type: media_type.to_owned(),
            documents: BTreeMap::from([(digest, (media_type.to_owned(), bytes))]),
            blobs: BTreeMap::new(),
            config: digest,
            diff_ids: Vec::new(),
            platform: String::new(),
        }
    }

    /// Bytes of the document to push.
    pub fn document(&self) -> &[u8] {
        &self.documents[&self.digest].1
    }

    /// Bytes of all layers and configurations together.
    pub fn blob_bytes(&self) -> u64 {
        self.blobs.values().map(|blob| blob.len() as u64).sum()
    }

    /// Writes an OCI image layout that `oci:DIR:TAG` of skopeo, umoci and podman can read; `dir` need not exist.
    /// skopeo finds only OCI's types in there, not Docker's.
    pub fn write_layout(&self, dir: &Path, tag: &str) {
        let blobs = dir.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).unwrap();
        let documents = self
            .documents
            .iter()
            .map(|(digest, (_, bytes))| (digest, bytes));
        for (digest, bytes) in documents.chain(&self.blobs) {
            std::fs::write(blobs.join(digest.hex()), bytes).unwrap();
        }
        let mut root = descriptor(&self.media_type, self.document());
        root["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        let index = json!({"schemaVersion": 2, "manifests": [root]});
        std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
        std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    }
}

/// `docker save` as it was from 1.10 to 24: folders with numbers of their own, a layer that appears twice as a link.
pub fn docker_archive(built: &Built, tars: &[Vec<u8>], tags: &[&str]) -> Vec<Entry> {
    let config = format!("{}.json", built.config.hex());
    let mut entries = vec![Entry::file(&config, &built.blobs[&built.config])];
    let mut paths = Vec::new();
    for (number, content) in tars.iter().enumerate() {
        let id = Digest::of(&[number as u8]).hex();
        entries.push(Entry::dir(format!("{id}/")));
        entries.push(Entry::file(format!("{id}/VERSION"), "1.0"));
        entries.push(Entry::file(format!("{id}/json"), "{}"));
        let path = format!("{id}/layer.tar");
        match tars[..number].iter().position(|other| other == content) {
            Some(first) => {
                let first = Digest::of(&[first as u8]).hex();
                entries.push(Entry::symlink(&path, format!("../{first}/layer.tar")));
            }
            None => entries.push(Entry::file(&path, content)),
        }
        paths.push(path);
    }
    let manifest = json!([{"Config": config, "RepoTags": tags, "Layers": paths}]);
    entries.push(Entry::file("manifest.json", manifest.to_string()));
    entries.push(Entry::file("repositories", "{}"));
    entries
}

/// The members of an image layout, for a tar of it.
pub fn layout_entries(dir: &Path) -> Vec<Entry> {
    let mut entries = vec![Entry::dir("blobs"), Entry::dir("blobs/sha256")];
    for blob in std::fs::read_dir(dir.join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap();
        let name = format!("blobs/sha256/{}", blob.file_name().display());
        entries.push(Entry::file(name, std::fs::read(blob.path()).unwrap()));
    }
    for name in ["index.json", "oci-layout"] {
        entries.push(Entry::file(name, std::fs::read(dir.join(name)).unwrap()));
    }
    entries
}

/// An index of `images`, each listed with its platform.
pub fn index(flavour: Flavour, images: &[&Built]) -> Built {
    let media_type = match flavour {
        Flavour::Oci => media_type::OCI_INDEX,
        Flavour::Docker => media_type::DOCKER_INDEX,
    };
    let entries: Vec<Value> = images
        .iter()
        .map(|image| {
            let mut entry = descriptor(&image.media_type, image.document());
            entry["platform"] = platform_json(&image.platform);
            entry
        })
        .collect();
    let document = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries});
    let mut built = Built::of_document(media_type, document.to_string().into_bytes());
    for image in images {
        built.documents.extend(image.documents.clone());
        built.blobs.extend(image.blobs.clone());
    }
    Built {
        config: images[0].config,
        diff_ids: images[0].diff_ids.clone(),
        platform: images[0].platform.clone(),
        ..built
    }
}
