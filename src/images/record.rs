//! Names and pins on disk: the roots of collection. A record lists all that its image consists of, so that what is
//! needed is known even when a document is damaged.
//!
//! ```text
//! names/<sha256 of the name>   {"version":1,"name":"docker.io/library/web:1","image":{…}}
//! pins/<holder>                {"version":1,"images":[{…},…]}
//! {"digest":…,"manifest":…,"config":…,"layers":[…]}   digests; layers bottom first
//! ```

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Image, Images, ImagesError, Pin};
use crate::oci::{Digest, Reference};
use crate::sys::fs;

/// The format this release writes and reads.
const VERSION: u64 = 1;

/// Longest holder: a file name with room for a scratch name's own parts.
const MAX_HOLDER: usize = 200;

/// All that one image consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Root {
    pub(super) digest: Digest,
    pub(super) manifest: Digest,
    pub(super) config: Digest,
    pub(super) layers: Vec<Digest>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NameFile {
    version: u64,
    name: String,
    image: Root,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinFile {
    version: u64,
    images: Vec<Root>,
}

/// A name and its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) reference: Reference,
    pub(super) image: Root,
}

/// A holder and its images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) holder: String,
    pub(super) images: Vec<Root>,
}

impl Root {
    pub(super) fn of(image: &Image) -> Root {
        Root {
            digest: image.digest,
            manifest: image.manifest,
            config: image.id,
            layers: image.layers.clone(),
        }
    }

    /// Whether it is the image with this digest of whatever kind.
    pub(super) fn is(&self, digest: &Digest) -> bool {
        [self.digest, self.manifest, self.config].contains(digest)
    }
}

impl Images {
    /// Gives an image a durable name, which keeps it until [`Images::remove`]. A name that another image had moves.
    pub fn tag(&self, reference: &Reference, image: &Image) -> Result<(), ImagesError> {
        let _shared = self.store.lock_shared()?;
        self.require(image)?;
        self.write_name(reference, &Root::of(image))
    }

    pub(super) fn write_name(
        &self,
        reference: &Reference,
        image: &Root,
    ) -> Result<(), ImagesError> {
        let _records = self.store.lock_records()?;
        let name = plain(reference).to_string();
        let file = NameFile {
            version: VERSION,
            name: name.clone(),
            image: image.clone(),
        };
        write(&self.name_path(&name), &file)
    }

    /// All names, in alphabetical order.
    pub(super) fn names(&self) -> Result<Vec<Name>, ImagesError> {
        let mut names = Vec::new();
        for path in files(&self.store.names_dir())? {
            let Some(file) = read::<NameFile>(&path)? else {
                continue;
            };
            let reference = file.name.parse::<Reference>();
            let reference = reference.map_err(|error| malformed(&path, error.to_string()))?;
            names.push(Name {
                reference,
                image: file.image,
            });
        }
        names.sort_by_key(|name| name.reference.to_string());
        Ok(names)
    }

    /// Takes one name away; call with the records locked.
    pub(super) fn remove_name(&self, reference: &Reference) -> Result<(), ImagesError> {
        let path = self.name_path(&plain(reference).to_string());
        fs::remove_file(&path).map_err(failed("remove", &path))
    }

    /// Records durably that `holder` needs the image; call before writing the record that names it. A holder may pin
    /// several images, one call each.
    pub fn pin(&self, holder: &str, image: &Image) -> Result<(), ImagesError> {
        let path = self.pin_path(holder)?;
        let _shared = self.store.lock_shared()?;
        self.require(image)?;
        let _records = self.store.lock_records()?;
        let mut file = read::<PinFile>(&path)?.unwrap_or(PinFile {
            version: VERSION,
            images: Vec::new(),
        });
        let root = Root::of(image);
        if file.images.contains(&root) {
            return Ok(());
        }
        file.images.push(root);
        write(&path, &file)
    }

    /// Forgets all that `holder` pinned; call after removing the record that named it. Unknown holders are success.
    pub fn unpin(&self, holder: &str) -> Result<(), ImagesError> {
        let path = self.pin_path(holder)?;
        let _records = self.store.lock_records()?;
        fs::remove_file(&path).map_err(failed("remove", &path))
    }

    /// All pins, by holder in alphabetical order.
    pub fn pins(&self) -> Result<Vec<Pin>, ImagesError> {
        let pin = |holding: Holding| Pin {
            holder: holding.holder,
            images: holding.images.iter().map(|root| root.digest).collect(),
        };
        Ok(self.holdings()?.into_iter().map(pin).collect())
    }

    pub(super) fn holdings(&self) -> Result<Vec<Holding>, ImagesError> {
        let mut holdings = Vec::new();
        for path in files(&self.store.pins_dir())? {
            let holder = path.file_name().unwrap_or_default().to_string_lossy();
            let holder = holder.into_owned();
            if let Some(file) = read::<PinFile>(&path)? {
                holdings.push(Holding {
                    holder,
                    images: file.images,
                });
            }
        }
        holdings.sort_by(|a, b| a.holder.cmp(&b.holder));
        Ok(holdings)
    }

    fn name_path(&self, name: &str) -> PathBuf {
        self.store
            .names_dir()
            .join(Digest::of(name.as_bytes()).hex())
    }

    fn pin_path(&self, holder: &str) -> Result<PathBuf, ImagesError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if holder.is_empty()
            || holder.starts_with('.')
            || holder.len() > MAX_HOLDER
            || !holder.chars().all(plain)
        {
            return Err(ImagesError::Holder(
                holder.chars().take(MAX_HOLDER).collect(),
            ));
        }
        Ok(self.store.pins_dir().join(holder))
    }
}

/// As docker names images: a digest makes the tag beside it meaningless.
pub(super) fn plain(reference: &Reference) -> Reference {
    let mut plain = reference.clone();
    if plain.digest.is_some() {
        plain.tag = None;
    }
    plain
}

/// The records in a folder; scratch is none.
fn files(dir: &Path) -> Result<Vec<PathBuf>, ImagesError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed("read", dir))? {
        let entry = entry.map_err(failed("read", dir))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// A record; `None` if it is gone. One that cannot be read is an error: it may be all that keeps an image.
fn read<T: DeserializeOwned + Versioned>(path: &Path) -> Result<Option<T>, ImagesError> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(failed("read", path))?,
    };
    let file: T =
        serde_json::from_slice(&bytes).map_err(|error| malformed(path, error.to_string()))?;
    if file.version() == VERSION {
        Ok(Some(file))
    } else {
        let reason = format!("it has version {}, known is {VERSION}", file.version());
        Err(malformed(path, reason))
    }
}

fn write<T: Serialize>(path: &Path, file: &T) -> Result<(), ImagesError> {
    let bytes = serde_json::to_vec(file).map_err(|error| malformed(path, error.to_string()))?;
    fs::replace(path, 0o600, &bytes).map_err(failed("write", path))
}

trait Versioned {
    fn version(&self) -> u64;
}

impl Versioned for NameFile {
    fn version(&self) -> u64 {
        self.version
    }
}

impl Versioned for PinFile {
    fn version(&self) -> u64 {
        self.version
    }
}

fn malformed(path: &Path, reason: String) -> ImagesError {
    ImagesError::Record {
        path: path.to_owned(),
        reason,
    }
}

/// The error for a failed system call on `path`.
pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ImagesError {
    let path = path.to_owned();
    move |source| ImagesError::Io {
        action,
        path,
        source,
    }
}
