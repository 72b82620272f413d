//! Names and pins against what they name. Documents are checked by their digests, records by nothing but this: a bit that
//! flips in a digest of one leaves a record that reads well and keeps nothing of its image. What is here and differs from
//! such a digest in one digit only is what it was, and what a manifest says of its image is so.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::record::{NameFile, PinFile, Root, files, malformed, read, read_name, write};
use super::{Images, ImagesError};
use crate::oci::{Digest, Document, ImageConfig, Reference};
use crate::store::StoreError;

/// What is wrong with a record.
pub(super) struct Fault {
    pub(super) path: PathBuf,
    pub(super) error: ImagesError,
    /// The record is right as far as can be told: what it names has gone.
    pub(super) is_of_data: bool,
}

/// What brings back what a record names.
const PULL: &str = "dray verify --repair brings it back, or pull or load its image again";

/// What puts a record right.
pub(super) const MEND: &str = "dray verify --repair puts it right, or pull its image again";

impl Images {
    /// What is wrong with names and pins that cannot be read, or name what is not so. Other images are not affected, but
    /// nothing is collected while there is one: it may be all that keeps an image.
    pub fn damaged(&self) -> Result<Vec<ImagesError>, ImagesError> {
        let faults = self.faults()?.into_iter();
        Ok(faults.map(|fault| fault.error).collect())
    }

    pub(super) fn faults(&self) -> Result<Vec<Fault>, ImagesError> {
        let mut faults = Vec::new();
        for path in self.records()? {
            faults.extend(self.fault(&path)?);
        }
        Ok(faults)
    }

    /// Paths of all names and pins.
    fn records(&self) -> Result<Vec<PathBuf>, ImagesError> {
        let mut records = files(&self.store.names_dir())?;
        records.extend(files(&self.store.pins_dir())?);
        Ok(records)
    }

    /// What is wrong with a record.
    pub(super) fn fault(&self, path: &Path) -> Result<Option<Fault>, ImagesError> {
        let fault = |error, is_of_data| Fault {
            path: path.to_owned(),
            error,
            is_of_data,
        };
        let mut before = None;
        loop {
            let said = match self.said(path) {
                Ok(said) => said,
                Err(error) => return Ok(Some(fault(error, false))),
            };
            let mut found = None;
            for (name, root) in &said {
                if self.mended(root)? != *root {
                    let text = format!("what it says of {name} is not what the documents say");
                    found = Some(fault(malformed(path, text, MEND), false));
                } else if let Some(part) = self.lacks(root)? {
                    let text = format!("it is of {name}, whose {part} is not here");
                    found = Some(fault(malformed(path, text, PULL), true));
                }
            }
            // It may have been taken away meanwhile, and its data after it.
            if found.is_none() || before.as_ref() == Some(&said) {
                return Ok(found);
            }
            before = Some(said);
        }
    }

    /// The images of a record and what they are called; none if it is gone.
    fn said(&self, path: &Path) -> Result<Vec<(String, Root)>, ImagesError> {
        if path.parent() == Some(&self.store.names_dir()) {
            let name = read_name(path)?.into_iter();
            return Ok(name.map(|n| (n.reference.familiar(), n.image)).collect());
        }
        let pinned = read::<PinFile>(path)?.map_or(Vec::new(), |file| file.images);
        let pinned = pinned.into_iter();
        Ok(pinned.map(|r| (format!("image {}", r.digest), r)).collect())
    }

    /// A part of an image that is not here, neither whole nor damaged, and may be another in truth. Of layers that the
    /// configuration names too that is known: where one has gone, the record is right, and nothing is lost by a collection
    /// that makes room for it.
    fn lacks(&self, root: &Root) -> Result<Option<String>, ImagesError> {
        let mut documents = [root.digest, root.manifest, root.config].into_iter();
        if let Some(absent) = documents.find(|digest| self.store.blob(digest).is_none()) {
            return Ok(Some(format!("document {absent}")));
        }
        if self.store.document(&root.config)?.is_some() {
            return Ok(None);
        }
        let absent = root.layers.iter().find(|l| !self.store.has_layer(l));
        Ok(absent.map(|layer| format!("layer {layer}")))
    }

    /// What a record was to say of an image; what it says if nothing speaks against that.
    pub(super) fn mended(&self, said: &Root) -> Result<Root, ImagesError> {
        let mut root = said.clone();
        for digest in [&mut root.digest, &mut root.manifest, &mut root.config] {
            if self.store.blob(digest).is_none() {
                *digest = nearest(digest, self.store.blobs()?);
            }
        }
        for layer in &mut root.layers {
            if !self.store.has_layer(layer) {
                *layer = nearest(layer, self.store.layers()?);
            }
        }
        let document = |digest: &Digest| -> Result<Vec<u8>, StoreError> {
            Ok(self.store.document(digest)?.unwrap_or_default())
        };
        if let Ok(Document::Manifest(manifest)) = Document::parse(&document(&root.manifest)?, None)
        {
            root.config = manifest.config.digest;
        }
        if let Ok(config) = ImageConfig::parse(&document(&root.config)?) {
            root.layers = config.rootfs_diff_ids;
        }
        Ok(root)
    }

    /// Writes a record anew as it was to be, as far as that can be told.
    pub(super) fn mend(&self, path: &Path) -> Result<(), ImagesError> {
        let _shared = self.store.lock_shared()?;
        let _records = self.store.lock_records()?;
        if path.parent() == Some(&self.store.names_dir()) {
            let Some(mut file) = read::<NameFile>(path)? else {
                return Ok(());
            };
            file.image = self.mended(&file.image)?;
            file.name = path
                .file_name()
                .and_then(|under| name_under(&file.name, under))
                .unwrap_or(file.name);
            write(path, &file)
        } else if let Some(mut file) = read::<PinFile>(path)? {
            for root in &mut file.images {
                *root = self.mended(root)?;
            }
            file.images.dedup();
            write(path, &file)
        } else {
            Ok(())
        }
    }
}

/// The only one of `all` that differs from a digest in one digit, or that digest itself.
fn nearest(digest: &Digest, all: Vec<Digest>) -> Digest {
    let hex = digest.hex();
    let differs = |other: &Digest| {
        let other = other.hex();
        let pairs = hex.bytes().zip(other.bytes());
        pairs.filter(|(one, other)| one != other).count() == 1
    };
    let mut near = all.into_iter().filter(differs);
    match (near.next(), near.next()) {
        (Some(near), None) => near,
        _ => *digest,
    }
}

/// Whether a name is the one that its file is called after.
pub(super) fn is_under(name: &[u8], file: &OsStr) -> bool {
    Digest::of(name).hex().as_str() == file
}

/// The name that a file is called after, if `name` is one bit away from that.
fn name_under(name: &str, file: &OsStr) -> Option<String> {
    let mut bytes = name.as_bytes().to_vec();
    for bit in 0..8 * bytes.len() {
        let flip = 1 << (bit % 8);
        bytes[bit / 8] ^= flip;
        if is_under(&bytes, file) {
            let name = String::from_utf8(bytes).ok()?;
            return name.parse::<Reference>().is_ok().then_some(name);
        }
        bytes[bit / 8] ^= flip;
    }
    None
}
