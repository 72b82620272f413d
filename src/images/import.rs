//! A root filesystem's tar into the store, as an image of one layer.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::change::change;

use super::source::{Source, Wish};
use super::{Image, Images, ImagesError, Progress};
use crate::archive;
use crate::oci::media_type::{OCI_CONFIG, OCI_MANIFEST};
use crate::oci::{Descriptor, Digest, Platform, Reference};

/// What an imported image is besides its files.
#[derive(Debug)]
pub struct Import<'a> {
    /// A tar, compressed or not.
    pub file: File,
    /// What it is called in messages.
    pub path: PathBuf,
    /// Instructions of a Dockerfile.
    pub changes: &'a [String],
    /// A remark.
    pub message: &'a str,
    /// Whom it is for.
    pub platform: &'a Platform,
    /// When it is made.
    pub created: SystemTime,
    /// Its name.
    pub name: Option<&'a Reference>,
}

/// The parts of the new image.
struct Parts {
    tar: File,
    layer: Digest,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

impl Images {
    /// Makes an image of a root filesystem. Its layer is the tar as it is, so that the same file gives the same layer;
    /// what is compressed or comes through a pipe is kept in a file without a name meanwhile.
    pub fn import(
        &self,
        import: Import<'_>,
        progress: &dyn Progress,
    ) -> Result<Image, ImagesError> {
        let mut config = Map::new();
        for text in import.changes {
            change(&mut config, text)?;
        }
        let tar = archive::seekable(import.file, || self.nameless(), self.free()?);
        let tar = tar.map_err(|source| ImagesError::Archive {
            path: import.path.clone(),
            source,
        })?;
        let (layer, size) = digest(&tar).map_err(|source| ImagesError::Io {
            action: "read",
            path: import.path.clone(),
            source,
        })?;
        let created = DateTime::<Utc>::from(import.created);
        let created = created.to_rfc3339_opts(SecondsFormat::Nanos, true);
        let mut document = json!({
            "architecture": import.platform.architecture,
            "comment": import.message,
            "config": config,
            "created": created,
            "history": [{"created": created, "comment": import.message}],
            "os": import.platform.os,
            "rootfs": {"type": "layers", "diff_ids": [layer]},
        });
        if let Some(variant) = &import.platform.variant {
            document["variant"] = json!(variant);
        }
        let config = document.to_string().into_bytes();
        let manifest = manifest(&config, &layer, size);
        let parts = Parts {
            tar,
            layer,
            config,
            manifest: manifest.to_string().into_bytes(),
        };
        let wish = Wish {
            source: &parts,
            name: &import.path.display().to_string(),
            digest: Digest::of(&parts.manifest),
            // It was never anywhere else.
            is_stated: false,
            platform: import.platform,
        };
        let _hold = self.hold()?;
        let image = self.bring(&wish, progress)?;
        match import.name {
            Some(name) => self.tag(name, &image)?,
            None => self.keep(&image)?,
        }
        Ok(image)
    }
}

fn manifest(config: &[u8], layer: &Digest, size: u64) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": Digest::of(config), "size": config.len()},
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": size,
        }],
    })
}

fn digest(tar: &File) -> io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut reader = Positioned { file: tar, at: 0 };
    let size = io::copy(&mut reader, &mut hasher)?;
    Ok((Digest::finish(hasher), size))
}

impl Source for Parts {
    fn document(&self, _digest: &Digest) -> Result<(Vec<u8>, Option<String>), ImagesError> {
        Ok((self.manifest.clone(), None))
    }

    fn blob(&self, blob: &Descriptor, from: u64) -> Result<Box<dyn Read + Send + '_>, ImagesError> {
        Ok(match blob.digest == self.layer {
            true => Box::new(Positioned {
                file: &self.tar,
                at: from,
            }),
            false => Box::new(self.config.get(from as usize..).unwrap_or_default()),
        })
    }
}

/// Reads a file from its start, wherever its own position is.
struct Positioned<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
