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
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::mend::{MEND, is_under};
use super::{Image, Images, ImagesError, Pin};
use crate::oci::{Digest, Reference};
use crate::sys::fs;

/// The format this release writes and reads.
const VERSION: u64 = 1;

/// Longest holder: a file name with room for a scratch name's own parts.
const MAX_HOLDER: usize = 200;

/// All that one image consists of.
///
/// What `docker save` wrote has no digest that a registry would know, and none is made up: `digest` is the image's id
/// then (as `config`), which shows as `<none>`. `manifest` is made here for such an image and listed like any other, so
/// that pins, collection and the check of its layers need not know the difference; and the record's format is the same,
/// so that every release reads it.
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
pub(super) struct NameFile {
    version: u64,
    pub(super) name: String,
    pub(super) image: Root,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PinFile {
    version: u64,
    pub(super) images: Vec<Root>,
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

    /// The digest by which others know it; none of an image that came without one.
    pub(super) fn stated(&self) -> Option<Digest> {
        Some(self.digest).filter(|digest| *digest != self.config)
    }

    /// Whether it is the image with this digest of whatever kind.
    pub(super) fn is(&self, digest: &Digest) -> bool {
        [self.digest, self.manifest, self.config].contains(digest)
    }
}

/// What stands for the name of an image that has none: where docker keeps such an image until somebody prunes it, here
/// only names and pins keep any. Shown nowhere.
pub(super) fn unnamed(id: Digest) -> Reference {
    Reference {
        host: "localhost".to_owned(),
        repository: "unnamed".to_owned(),
        tag: None,
        digest: Some(id),
    }
}

/// Whether a name is one of those.
pub(super) fn is_unnamed(name: &Reference) -> bool {
    name.digest.is_some_and(|id| *name == unnamed(id))
}

impl Images {
    /// Keeps an image without a name until [`Images::remove`] or [`Images::forget`].
    pub fn keep(&self, image: &Image) -> Result<(), ImagesError> {
        match image.names.is_empty() {
            true => self.tag(&unnamed(image.id), image),
            false => Ok(()),
        }
    }

    /// When the last of an image's names was given.
    pub fn last_tagged(&self, image: &Image) -> Result<Option<SystemTime>, ImagesError> {
        let mut last = None;
        for name in &image.names {
            let path = self.name_path(&name.to_string());
            let metadata = path.metadata().and_then(|metadata| metadata.modified());
            last = last.max(Some(metadata.map_err(failed("read", &path))?));
        }
        Ok(last)
    }

    /// Gives an image a durable name, which keeps it until [`Images::remove`]. A name that another image had moves.
    pub fn tag(&self, reference: &Reference, image: &Image) -> Result<(), ImagesError> {
        let _shared = self.store.lock_shared()?;
        self.require(image)?;
        self.write_name(reference, &Root::of(image))?;
        self.store.forget_unfinished(&image.layers)?;
        let stand_in = unnamed(image.id);
        if *reference == stand_in || !self.name_path(&stand_in.to_string()).exists() {
            return Ok(());
        }
        // It has a name now, and goes with that.
        let _records = self.store.lock_records()?;
        self.remove_name(&stand_in)
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

    /// All names, in alphabetical order, without the damaged ones.
    pub(super) fn names(&self) -> Result<Vec<Name>, ImagesError> {
        let mut names = Vec::new();
        for path in files(&self.store.names_dir())? {
            names.extend(sound(read_name(&path))?);
        }
        names.sort_by_key(|name| name.reference.to_string());
        Ok(names)
    }

    /// Fails if there is a record of this name and it is damaged.
    pub(super) fn check_name(&self, reference: &Reference) -> Result<(), ImagesError> {
        read_name(&self.name_path(&plain(reference).to_string())).map(drop)
    }

    /// Takes one name away; call with the records locked.
    pub(super) fn remove_name(&self, reference: &Reference) -> Result<(), ImagesError> {
        let path = self.name_path(&plain(reference).to_string());
        fs::remove_file(&path).map_err(failed("remove", &path))
    }

    /// Records durably that `holder` needs the image; call before writing the record that names it. A holder may pin
    /// several images, one call each.
    pub fn pin(&self, holder: &str, image: &Image) -> Result<(), ImagesError> {
        self.pin_by(holder, image, fs::replace)
    }

    /// As [`Images::pin`] for a holder that goes with this boot: a power cut may take the pin away, but never tears it.
    pub fn pin_until_boot(&self, holder: &str, image: &Image) -> Result<(), ImagesError> {
        self.pin_by(holder, image, fs::replace_whole)
    }

    fn pin_by(&self, holder: &str, image: &Image, replace: Replace) -> Result<(), ImagesError> {
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
        write_by(&path, &file, replace)?;
        Ok(self.store.forget_unfinished(&image.layers)?)
    }

    /// Notes for a scope what `holder` pins: the images beside it have not come yet, and whoever wants those wants it too.
    pub fn keep_for_a_while(&self, holder: &str, scope: &str) -> Result<(), ImagesError> {
        let _shared = self.store.lock_shared()?;
        // A damaged one is said wherever something hangs on it.
        let pinned = sound(read::<PinFile>(&self.pin_path(holder)?))?;
        for root in pinned.map_or(Vec::new(), |file| file.images) {
            let packed = self.packed(&root);
            for layer in &root.layers {
                let blob = packed.iter().find(|(_, diff_id)| diff_id == layer);
                let blob = blob.map(|(blob, _)| &blob.digest);
                self.store.note_unfinished(layer, blob, scope);
            }
        }
        Ok(())
    }

    /// A deployment of this scope has come to its end: what was noted for one that was broken off is kept no longer.
    pub fn end_notes(&self, scope: &str) -> Result<(), ImagesError> {
        Ok(self.store.end_unfinished(scope)?)
    }

    /// Lets another holder pin what `holder` pins, and that only.
    pub fn copy_pin(&self, holder: &str, to: &str) -> Result<(), ImagesError> {
        let (from, to) = (self.pin_path(holder)?, self.pin_path(to)?);
        let _shared = self.store.lock_shared()?;
        let _records = self.store.lock_records()?;
        match read::<PinFile>(&from)? {
            Some(file) => write(&to, &file),
            None => Ok(()),
        }
    }

    /// Forgets all that `holder` pinned; call after removing the record that named it. Unknown holders are success.
    pub fn unpin(&self, holder: &str) -> Result<(), ImagesError> {
        self.unpin_by(holder, fs::remove_file)
    }

    /// As [`Images::unpin`] for a holder that goes with this boot: a pin that a power cut brings back goes with the next
    /// settling.
    pub fn unpin_until_boot(&self, holder: &str) -> Result<(), ImagesError> {
        self.unpin_by(holder, fs::remove_file_volatile)
    }

    fn unpin_by(
        &self,
        holder: &str,
        remove: fn(&Path) -> std::io::Result<()>,
    ) -> Result<(), ImagesError> {
        let path = self.pin_path(holder)?;
        let _records = self.store.lock_records()?;
        remove(&path).map_err(failed("remove", &path))
    }

    /// All pins, by holder in alphabetical order.
    pub fn pins(&self) -> Result<Vec<Pin>, ImagesError> {
        let pin = |holding: Holding| Pin {
            holder: holding.holder,
            images: holding.images.iter().map(|root| root.digest).collect(),
        };
        Ok(self.holdings()?.into_iter().map(pin).collect())
    }

    /// All pins; of a damaged one the holder alone is known.
    pub(super) fn holdings(&self) -> Result<Vec<Holding>, ImagesError> {
        let mut holdings = Vec::new();
        for path in files(&self.store.pins_dir())? {
            let holder = path.file_name().unwrap_or_default().to_string_lossy();
            let holder = holder.into_owned();
            let images = match read::<PinFile>(&path) {
                Ok(Some(file)) => file.images,
                // It was taken away meanwhile.
                Ok(None) => continue,
                Err(ImagesError::Record { .. }) => Vec::new(),
                Err(error) => return Err(error),
            };
            holdings.push(Holding { holder, images });
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
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>, ImagesError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed("read", dir))? {
        let entry = entry.map_err(failed("read", dir))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// A record; `None` if it is gone.
pub(super) fn read<T: DeserializeOwned + Kind>(path: &Path) -> Result<Option<T>, ImagesError> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // What the disk no longer gives is as lost as what cannot be parsed.
        read => read.map_err(|error| malformed(path, error.to_string(), T::REMEDY))?,
    };
    let file: T = serde_json::from_slice(&bytes)
        .map_err(|error| malformed(path, error.to_string(), T::REMEDY))?;
    if file.version() == VERSION {
        Ok(Some(file))
    } else {
        let reason = format!("it has version {}, known is {VERSION}", file.version());
        Err(malformed(path, reason, T::REMEDY))
    }
}

pub(super) fn read_name(path: &Path) -> Result<Option<Name>, ImagesError> {
    let Some(file) = read::<NameFile>(path)? else {
        return Ok(None);
    };
    let under = path.file_name().unwrap_or_default();
    if !is_under(file.name.as_bytes(), under) {
        let reason = format!(
            "its name {:?} is not what its file is called after",
            file.name
        );
        return Err(malformed(path, reason, MEND));
    }
    match file.name.parse::<Reference>() {
        Ok(reference) => Ok(Some(Name {
            reference,
            image: file.image,
        })),
        Err(error) => Err(malformed(path, error.to_string(), NameFile::REMEDY)),
    }
}

/// Leaves out what is damaged.
fn sound<T>(read: Result<Option<T>, ImagesError>) -> Result<Option<T>, ImagesError> {
    match read {
        Err(ImagesError::Record { .. }) => Ok(None),
        read => read,
    }
}

pub(super) fn write<T: Serialize + Kind>(path: &Path, file: &T) -> Result<(), ImagesError> {
    write_by(path, file, fs::replace)
}

/// One of the writers of [`fs`].
type Replace = fn(&Path, u32, &[u8]) -> std::io::Result<()>;

fn write_by<T: Serialize + Kind>(
    path: &Path,
    file: &T,
    replace: Replace,
) -> Result<(), ImagesError> {
    let bytes =
        serde_json::to_vec(file).map_err(|error| malformed(path, error.to_string(), T::REMEDY))?;
    replace(path, 0o600, &bytes).map_err(failed("write", path))
}

/// A kind of record.
pub(super) trait Kind {
    /// What helps if one is damaged.
    const REMEDY: &'static str;
    fn version(&self) -> u64;
}

impl Kind for NameFile {
    const REMEDY: &'static str = "pull its image again, which writes it anew, or remove the file";
    fn version(&self) -> u64 {
        self.version
    }
}

impl Kind for PinFile {
    const REMEDY: &'static str =
        "remove the container that it is named after, deploy anew, or remove the file";
    fn version(&self) -> u64 {
        self.version
    }
}

pub(super) fn malformed(path: &Path, reason: String, remedy: &'static str) -> ImagesError {
    ImagesError::Record {
        path: path.to_owned(),
        reason,
        remedy,
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
