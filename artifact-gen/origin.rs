//! Where an image comes from: a registry, or a file or folder of this machine.

use std::io::{self, Read};
use std::sync::Arc;

use dray::archive::{Archive, Transport, some};
use dray::host::Host;
use dray::oci::stream::{Verified, read_limited};
use dray::oci::{Descriptor, Digest, MAX_CONFIG, Platform, Reference};
use dray::registry::Client;

use crate::args::Asked;
use crate::local;
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
            Transport::File(path, wanted) => (local::open(path, host), path, wanted),
        };
        let refuse = |problem: &dyn std::fmt::Display| {
            Refusal::usage(format!("cannot take {}: {problem}", asked.word))
        };
        let archive = archive.map_err(|error| refuse(&error))?;
        let listed = local::choose(archive.images(), wanted.as_deref(), platforms);
        let listed = listed.map_err(|problem| refuse(&problem))?;
        Ok(Found {
            word: asked.word.clone(),
            name: local::name(listed, wanted.as_deref(), path)
                .map_err(|problem| refuse(&problem))?,
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
