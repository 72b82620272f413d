//! Where an image comes from: a registry, or a file or folder of this machine.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dray::archive::{Archive, ImageArchiveError, Listed, Transport, seekable, some};
use dray::host::Host;
use dray::oci::stream::{Verified, read_limited};
use dray::oci::{Descriptor, Digest, MAX_CONFIG, Platform, Reference};
use dray::registry::Client;
use dray::sys::{beneath, fs};

use crate::args::Asked;
use crate::refusal::Refusal;

/// Has an image's documents and blobs by digest.
#[derive(Debug, Clone)]
pub enum Source {
    /// Over the network.
    Registry(Client, Reference),
    /// On this machine.
    Archive {
        /// Its index has been read.
        archive: Arc<Archive>,
        /// What its index calls the image's root.
        root: (Digest, Option<String>),
    },
}

/// An image whose digest is known.
#[derive(Debug, Clone)]
pub struct Found {
    /// As the caller wrote it.
    pub word: String,
    /// What it is called on devices, without digest.
    pub name: Reference,
    /// Of its index or manifest.
    pub digest: Digest,
    /// Whether that digest means something to a registry.
    pub is_stated: bool,
    /// Where the rest of it is.
    pub source: Source,
}

impl Found {
    /// Finds out what a word means; of an archive with several images the one that the platforms leave.
    pub fn of(
        asked: &Asked,
        platforms: &[Platform],
        client: &Client,
        host: &Host,
    ) -> Result<Found, Refusal> {
        let (archive, path, wanted) = match &asked.from {
            Transport::Registry(name) => return Found::in_registry(name, client),
            Transport::Folder(path, wanted) => (Archive::folder(path), path, wanted),
            Transport::File(path, wanted) => (open(path, host), path, wanted),
        };
        let refuse = |problem: &dyn std::fmt::Display| {
            Refusal::usage(format!("cannot take {}: {problem}", asked.word))
        };
        let archive = archive.map_err(|error| refuse(&error))?;
        let listed = choose(archive.images(), wanted.as_deref(), platforms);
        let listed = listed.map_err(|problem| refuse(&problem))?;
        Ok(Found {
            word: asked.word.clone(),
            name: name(listed, wanted.as_deref(), path).map_err(|problem| refuse(&problem))?,
            digest: listed.digest,
            is_stated: listed.is_stated,
            source: Source::Archive {
                root: (listed.digest, listed.media_type.clone()),
                archive: Arc::new(archive),
            },
        })
    }

    /// Asks a registry.
    pub fn in_registry(name: &Reference, client: &Client) -> Result<Found, Refusal> {
        let found = client
            .resolve(name)
            .map_err(|refused| Refusal::Registry(refused.to_string()))?;
        Ok(Found::pinned(name, found.digest, client))
    }

    /// An image of a registry by a digest that is known already.
    pub fn pinned(name: &Reference, digest: Digest, client: &Client) -> Found {
        Found {
            word: name.familiar(),
            name: Reference {
                digest: None,
                ..name.clone()
            },
            digest,
            is_stated: true,
            source: Source::Registry(client.clone(), name.pinned(digest)),
        }
    }

    /// What a device is asked to run.
    pub fn container(&self) -> Reference {
        match self.is_stated {
            true => self.name.pinned(self.digest),
            // A digest that no registry knows would be a promise that none can keep.
            false => self.name.clone(),
        }
    }

    /// An index or manifest, and what its source or the index above it, if any, calls it.
    pub fn document(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), Refusal> {
        match &self.source {
            Source::Registry(client, name) => client
                .manifest(name, digest)
                .map_err(|refused| Refusal::Registry(refused.to_string())),
            Source::Archive { archive, root } => {
                let found = archive.document(digest);
                let found = found.map_err(|error| self.refused(&error))?;
                let bytes = found.ok_or_else(|| self.lacks(&[*digest]))?;
                let said = root.1.clone().filter(|_| root.0 == *digest);
                Ok((bytes, said))
            }
        }
    }

    /// A configuration's bytes.
    pub fn config(&self, config: &Descriptor) -> Result<Vec<u8>, Refusal> {
        loop {
            let blob = match &self.source {
                Source::Registry(client, name) => client
                    .blob(name, config)
                    .map_err(|refused| Refusal::Registry(refused.to_string()))?,
                Source::Archive { archive, .. } => {
                    let found = archive.blob(&config.digest);
                    let found = found.map_err(|error| self.refused(&error))?;
                    Box::new(found.ok_or_else(|| self.lacks(&[config.digest]))?)
                }
            };
            match read_limited(Verified::of(blob, config), MAX_CONFIG) {
                Ok(bytes) => return Ok(bytes),
                Err(_) if self.distrust(&config.digest) => {}
                Err(error) => return Err(self.refused(&error)),
            }
        }
    }

    /// The bytes that came for this blob are wrong; whether it may come from elsewhere now, since they were a mirror's.
    pub fn distrust(&self, blob: &Digest) -> bool {
        match &self.source {
            Source::Registry(client, _) => client.distrust(blob),
            Source::Archive { .. } => false,
        }
    }

    /// Refuses if these blobs are known not to be there; a registry shows it when it is asked for them.
    pub fn prove(&self, blobs: &[&Descriptor]) -> Result<(), Refusal> {
        let Source::Archive { archive, .. } = &self.source else {
            return Ok(());
        };
        let mut lacking = Vec::new();
        for blob in blobs {
            let found = archive.blob(&blob.digest);
            match found.map_err(|error| self.refused(&error))? {
                None => lacking.push(blob.digest),
                Some(content) if content.size() == blob.size => {}
                Some(content) => {
                    let (digest, size, found) = (blob.digest, blob.size, content.size());
                    return Err(self.refused(&format!(
                        "{digest} has {found} bytes instead of the {size} that its manifest says"
                    )));
                }
            }
        }
        match lacking.is_empty() {
            true => Ok(()),
            false => Err(self.lacks(&lacking)),
        }
    }

    /// A refusal of this image, by who has to act on it.
    pub fn refused(&self, problem: &dyn std::fmt::Display) -> Refusal {
        self.refusal(format!("{}: {problem}", self.word))
    }

    /// The same with the whole line.
    pub fn refusal(&self, line: String) -> Refusal {
        match self.source {
            Source::Registry(..) => Refusal::Registry(line),
            Source::Archive { .. } => Refusal::usage(line),
        }
    }

    fn lacks(&self, digests: &[Digest]) -> Refusal {
        let digests = some(digests.iter().map(Digest::to_string));
        self.refused(&format!("it does not contain {digests}"))
    }
}

impl Source {
    /// A blob's bytes, unchecked. From a registry a connection that breaks is gone on with where it broke.
    pub fn blob(&self, blob: &Descriptor) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Source::Registry(client, name) => {
                let blob = client.blob_from(name, blob, 0);
                blob.map_err(io::Error::other)?
            }
            Source::Archive { archive, .. } => {
                let found = archive.blob(&blob.digest).map_err(io::Error::other)?;
                Box::new(found.ok_or(io::ErrorKind::NotFound)?)
            }
        })
    }
}

/// Opens a file with images; what is compressed or comes through a pipe is kept in a file without a name meanwhile.
fn open(path: &Path, host: &Host) -> Result<Archive, ImageArchiveError> {
    let failed = |source| ImageArchiveError::Io {
        action: "open the file",
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let folder = PathBuf::from(host.var("TMPDIR").unwrap_or("/tmp"));
    let room = beneath::room(&folder).map_err(|source| ImageArchiveError::Io {
        action: "look at the room for a copy of it",
        source,
    })?;
    Archive::tar(seekable(file, || fs::nameless(&folder), room.bytes)?)
}

/// The one image that is meant.
fn choose<'a>(
    images: &'a [Listed],
    wanted: Option<&str>,
    platforms: &[Platform],
) -> Result<&'a Listed, String> {
    let meant = |listed: &&Listed| wanted.is_none_or(|wanted| listed.is_meant_by(wanted));
    let mut named: Vec<&Listed> = images.iter().filter(meant).collect();
    if named.is_empty() {
        let offered = some(images.iter().flat_map(|listed| listed.names.clone()));
        return Err(match wanted {
            Some(wanted) => format!("it has no image {wanted:?}; it has {offered}"),
            None => "it lists no images".to_owned(),
        });
    }
    if let ([platform], true) = (platforms, named.len() > 1) {
        // A layout may list the images of one name for several platforms without an index above them.
        let rank = |listed: &Listed| platform.rank(listed.platform.as_ref()?);
        if let Some(best) = named.iter().filter_map(|listed| rank(listed)).min() {
            named.retain(|listed| rank(listed) == Some(best));
        }
    }
    match named.iter().any(|listed| listed.digest != named[0].digest) {
        false => Ok(named[0]),
        true => {
            let called = |listed: &&Listed| match listed.names.first() {
                Some(name) => name.clone(),
                None => listed.digest.to_string(),
            };
            let offered = some(named.iter().map(called));
            Err(format!(
                "it has several images, say behind a colon which one, or with one --platform for which device: {offered}"
            ))
        }
    }
}

/// What an image of an archive is called on devices: as there, or after the file.
fn name(listed: &Listed, wanted: Option<&str>, path: &Path) -> Result<Reference, String> {
    let names = listed
        .whole_names()
        .map_err(|refused| refused.to_string())?;
    let asked = wanted.and_then(|wanted| wanted.parse::<Reference>().ok());
    let is_asked = |name: &&Reference| Some(*name) == asked.as_ref();
    if let Some(name) = names.iter().find(is_asked).or(names.first()) {
        return Ok(name.clone());
    }
    let file = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    let stem = file.split(".tar").next().unwrap_or_default().to_lowercase();
    let words = stem.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let stem = match words.is_empty() {
        true => "image".to_owned(),
        false => words.join("-"),
    };
    let tag = listed.names.first();
    let named = tag.and_then(|tag| format!("localhost/{stem}:{tag}").parse().ok());
    match named {
        Some(named) => Ok(named),
        None => format!("localhost/{stem}")
            .parse()
            .map_err(|refused| format!("{refused}")),
    }
}
