//! Images that come in a file or a folder: OCI image layouts and what `docker save` writes, old and new.
//!
//! ```text
//! oci-layout            {"imageLayoutVersion":"1.0.0"}: it is an OCI image layout
//! index.json            its images, with their names as annotations
//! blobs/sha256/<hex>    manifests, configurations, layers; some may be missing (a sparse layout)
//!
//! manifest.json         docker save: [{"Config":…,"RepoTags":[…],"Layers":[…]}]
//! <id>/layer.tar        a plain layer, or a link to another one's; since docker 25 blobs/sha256/<hex>
//! <hex>.json            a configuration
//! ```
//!
//! What both have (docker writes both since 25) is read as a layout: only that has digests that a registry knows too.
//! `manifest.json` names none, so its manifests are made here ([`Listed::is_stated`] is false), and its images go by
//! their ids. Nothing is ever written below a name from an archive: members are looked up in an index of the tar, links
//! among them are followed there, and what is not a file, a folder or a link is refused.

mod content;
mod docker;
mod error;
mod layout;
mod members;
mod place;
mod spool;
mod transport;
mod write;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use crate::oci::stream::read_limited;
use crate::oci::{Digest, MAX_MANIFEST, Platform, Reference, ReferenceError};

pub use content::Content;
pub use error::ImageArchiveError;
pub use layout::{MADE_HERE, MAX_MARKER, NAMES, listed};
pub use spool::seekable;
pub use transport::{Transport, TransportError};
pub use write::{Writer, Written};

use place::Place;

/// An archive whose index has been read.
#[derive(Debug)]
pub struct Archive {
    place: Place,
    images: Vec<Listed>,
    /// Manifests that were made here.
    made: BTreeMap<Digest, Vec<u8>>,
    /// Where blobs lie whose place is not their digest's.
    elsewhere: BTreeMap<Digest, Vec<u8>>,
}

/// An image in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// As written there: whole names in most archives, in layouts also bare tags.
    pub names: Vec<String>,
    /// Of its index or manifest.
    pub digest: Digest,
    /// Which of the two the archive's index calls it, and of whose making.
    pub media_type: Option<String>,
    /// Whether the archive says so. Otherwise the manifest was made here, and means something to nobody else.
    pub is_stated: bool,
    /// Whom it is for, where that is said.
    pub platform: Option<Platform>,
}

impl Listed {
    /// Whether it is the one that a person means by its name, by a layout's tag or by its digest; what docker leaves out of
    /// a name may be left out.
    pub fn is_meant_by(&self, wanted: &str) -> bool {
        self.digest.to_string() == wanted || self.names.iter().any(|name| is_name(name, wanted))
    }

    /// The names that say which repository they are in; a bare tag does not.
    pub fn whole_names(&self) -> Result<Vec<Reference>, ReferenceError> {
        let whole = self.names.iter().filter(|name| name.contains([':', '/']));
        let mut names = Vec::new();
        for name in whole {
            let name: Reference = name.parse()?;
            // An archive cannot promise what a digest means; that is checked by what is in it.
            if name.digest.is_none() && !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }
}

/// Whether a name in an archive is the one that a person means.
fn is_name(name: &str, wanted: &str) -> bool {
    let parse = |text: &str| text.parse::<Reference>().ok();
    name == wanted
        || (name.contains([':', '/']) && parse(name).is_some_and(|n| parse(wanted) == Some(n)))
}

impl Archive {
    /// Opens a folder with an unpacked archive.
    pub fn folder(path: &Path) -> Result<Archive, ImageArchiveError> {
        Archive::of(Place::folder(path)?)
    }

    /// Opens a folder with a layout whose blobs lie beside its index, under names that `blob` knows.
    pub fn flat_folder(
        path: &Path,
        blob: fn(&str) -> Option<Digest>,
    ) -> Result<Archive, ImageArchiveError> {
        let mut archive = Archive::folder(path)?;
        let failed = || ImageArchiveError::io("list the folder");
        for entry in std::fs::read_dir(path).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            if let Some(digest) = name.to_str().and_then(blob) {
                archive.elsewhere.insert(digest, name.into_encoded_bytes());
            }
        }
        Ok(archive)
    }

    /// Opens a plain tar; see [`seekable`].
    pub fn tar(file: File) -> Result<Archive, ImageArchiveError> {
        Archive::of(Place::tar(file)?)
    }

    fn of(place: Place) -> Result<Archive, ImageArchiveError> {
        let mut archive = Archive {
            place,
            images: Vec::new(),
            made: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
        };
        if archive.place.has(layout::MARKER)? {
            archive.images = layout::read(&archive.place)?;
        } else if archive.place.has(docker::MANIFEST)? {
            docker::read(&mut archive)?;
        } else if archive.place.has(docker::ANCIENT)? {
            return Err(ImageArchiveError::Ancient);
        } else {
            return Err(ImageArchiveError::Unknown);
        }
        Ok(archive)
    }

    /// Its images, in its order; at least one.
    pub fn images(&self) -> &[Listed] {
        &self.images
    }

    /// An index or manifest; `None` if it is not in there.
    pub fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ImageArchiveError> {
        if let Some(made) = self.made.get(digest) {
            return Ok(Some(made.clone()));
        }
        let Some(content) = self.blob(digest)? else {
            return Ok(None);
        };
        let failed = |source| ImageArchiveError::Blob {
            digest: *digest,
            source,
        };
        let bytes = read_limited(content, MAX_MANIFEST).map_err(failed)?;
        match Digest::of(&bytes) {
            found if found == *digest => Ok(Some(bytes)),
            found => Err(ImageArchiveError::Digest {
                expected: *digest,
                found,
            }),
        }
    }

    /// A blob's bytes, unchecked; `None` if it is not in there.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Content>, ImageArchiveError> {
        match self.elsewhere.get(digest) {
            Some(path) => self.place.open(path),
            None => self.place.open(layout::blob_path(digest).as_bytes()),
        }
    }
}

/// The first few, separated by commas, and how many more there are: an archive may list thousands.
pub fn some(mut texts: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 10;
    let first: Vec<String> = texts.by_ref().take(SHOWN).collect();
    match texts.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
