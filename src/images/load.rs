//! Images from files and folders into the store.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::source::{Source, Wish};
use super::{Image, Images, ImagesError, Progress};
use crate::archive::{self, Archive, Content, ImageArchiveError, Listed, some};
use crate::oci::{Descriptor, Digest, Platform, Reference};
use crate::sys::fs;

/// Where an archive is.
#[derive(Debug)]
pub enum Place {
    /// A folder.
    Folder(PathBuf),
    /// A file or pipe, and what it is called in messages.
    Stream(File, PathBuf),
}

/// An archive of images whose index has been read.
#[derive(Debug)]
pub struct Carried {
    archive: Archive,
    path: PathBuf,
}

/// An image of an archive that is meant.
#[derive(Debug)]
pub struct Chosen<'a> {
    listed: &'a Listed,
    /// The whole names that the archive gives it.
    pub names: Vec<Reference>,
}

/// An archive as a pull sees it.
pub(super) struct Inside<'a> {
    archive: &'a Archive,
    path: &'a Path,
    /// What its image is called in messages.
    name: &'a str,
}

impl Images {
    /// Reads an archive's index. What is compressed or comes through a pipe is copied into the state folder first, into
    /// a file without a name.
    pub fn open_archive(&self, place: Place) -> Result<Carried, ImagesError> {
        let (archive, path) = match place {
            Place::Folder(path) => (Archive::folder(&path), path),
            Place::Stream(file, path) => {
                let tar = archive::seekable(file, || self.nameless(), self.free()?);
                (tar.and_then(Archive::tar), path)
            }
        };
        match archive {
            Ok(archive) => Ok(Carried { archive, path }),
            Err(source) => Err(refused(&path, source)),
        }
    }

    /// Brings an image of an archive and names it as that does.
    pub fn load_image(
        &self,
        carried: &Carried,
        chosen: &Chosen<'_>,
        platform: &Platform,
        progress: &dyn Progress,
    ) -> Result<Image, ImagesError> {
        let name = chosen.called();
        let source = Inside::new(&carried.archive, &carried.path, &name);
        let wish = Wish {
            source: &source,
            name: &name,
            digest: chosen.listed.digest,
            is_stated: chosen.listed.is_stated,
            platform,
        };
        let _hold = self.hold()?;
        let image = self.bring(&wish, progress)?;
        for name in &chosen.names {
            self.tag(name, &image)?;
        }
        if chosen.names.is_empty() {
            self.keep(&image)?;
        }
        Ok(image)
    }

    /// A file that goes with its descriptor.
    pub(super) fn nameless(&self) -> io::Result<File> {
        fs::nameless(self.store.root())
    }
}

impl Carried {
    /// Chooses images by a name, or in a layout by a tag, else all of them; of several with the same names the one that
    /// fits the platform best.
    pub fn choose(
        &self,
        wanted: Option<&str>,
        platform: &Platform,
    ) -> Result<Vec<Chosen<'_>>, ImagesError> {
        let mut chosen = Vec::new();
        for listed in self.meant(wanted, platform)? {
            let names = listed.whole_names();
            let names = names.map_err(|source| ImagesError::Name {
                path: self.path.clone(),
                source,
            })?;
            chosen.push(Chosen { listed, names });
        }
        Ok(chosen)
    }

    /// The images that are meant: those of a name, else all that fit the platform.
    fn meant(
        &self,
        wanted: Option<&str>,
        platform: &Platform,
    ) -> Result<Vec<&Listed>, ImagesError> {
        let named: Vec<&Listed> = match wanted {
            None => self.archive.images().iter().collect(),
            Some(wanted) => {
                let listed = self.archive.images().iter();
                listed.filter(|listed| listed.is_meant_by(wanted)).collect()
            }
        };
        if let (Some(wanted), true) = (wanted, named.is_empty()) {
            let offered = self.archive.images().iter().flat_map(|l| &l.names);
            return Err(ImagesError::NotThere {
                path: self.path.clone(),
                wanted: wanted.to_owned(),
                offered: some(offered.map(|name| shown(name))),
            });
        }
        let rank = |listed: &Listed| {
            listed
                .platform
                .as_ref()
                .map_or(Some(0), |p| platform.rank(p))
        };
        let is_best = |one: &&&Listed| {
            let better = |other: &&Listed| {
                other.names == one.names && !one.names.is_empty() && rank(other) < rank(one)
            };
            rank(one).is_some()
                && !named
                    .iter()
                    .any(|other| rank(other).is_some() && better(other))
        };
        let best: Vec<&Listed> = named.iter().filter(is_best).copied().collect();
        if best.is_empty() {
            let offered = named.iter().filter_map(|listed| listed.platform.as_ref());
            return Err(ImagesError::Platform {
                image: self.path.display().to_string(),
                wanted: platform.clone(),
                offered: some(offered.map(|platform| shown(&platform.to_string()))),
            });
        }
        Ok(best)
    }
}

impl Chosen<'_> {
    /// What to call it: by its first name there, whole or not, or by its digest.
    pub fn called(&self) -> String {
        match self.listed.names.first() {
            Some(name) => shown(name),
            None => self.listed.digest.to_string(),
        }
    }

    /// Whether it is the same image under another name.
    pub fn is_same(&self, other: &Chosen<'_>) -> bool {
        self.listed.digest == other.listed.digest
    }
}

impl<'a> Inside<'a> {
    pub(super) fn new(archive: &'a Archive, path: &'a Path, name: &'a str) -> Inside<'a> {
        Inside {
            archive,
            path,
            name,
        }
    }

    /// The bytes of a blob from this one on, unchecked.
    pub(super) fn blob_of(
        self,
        blob: &Descriptor,
        from: u64,
    ) -> Result<Box<dyn Read + Send + 'a>, ImagesError> {
        match self.content(&blob.digest)? {
            Some(mut content) => {
                content.go_to(from);
                Ok(Box::new(content))
            }
            None => Err(self.lacks(&[blob.digest])),
        }
    }

    fn content(&self, digest: &Digest) -> Result<Option<Content>, ImagesError> {
        let content = self.archive.blob(digest);
        content.map_err(|source| refused(self.path, source))
    }

    fn lacks(&self, digests: &[Digest]) -> ImagesError {
        ImagesError::Sparse {
            path: self.path.to_owned(),
            image: self.name.to_owned(),
            blobs: some(digests.iter().map(Digest::to_string)),
        }
    }
}

impl Source for Inside<'_> {
    fn document(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), ImagesError> {
        let document = self.archive.document(digest);
        let document = document.map_err(|source| refused(self.path, source))?;
        let bytes = document.ok_or_else(|| self.lacks(&[*digest]))?;
        let mut images = self.archive.images().iter();
        let listed = images.find(|listed| listed.digest == *digest);
        Ok((bytes, listed.and_then(|listed| listed.media_type.clone())))
    }

    fn blob(&self, blob: &Descriptor, from: u64) -> Result<Box<dyn Read + Send + '_>, ImagesError> {
        Inside::new(self.archive, self.path, self.name).blob_of(blob, from)
    }

    fn peek(&self, blob: &Descriptor, from: u64, length: u64) -> Option<Vec<u8>> {
        let mut content = self.archive.blob(&blob.digest).ok()??;
        content.go_to(from);
        let mut bytes = Vec::new();
        content.take(length).read_to_end(&mut bytes).ok()?;
        (bytes.len() as u64 == length).then_some(bytes)
    }

    fn prove(&self, blobs: &[&Descriptor]) -> Result<(), ImagesError> {
        let mut lacking = Vec::new();
        for blob in blobs {
            match self.content(&blob.digest)? {
                None => lacking.push(blob.digest),
                Some(content) if content.size() == blob.size => {}
                Some(content) => {
                    return Err(ImagesError::Size {
                        path: self.path.to_owned(),
                        blob: blob.digest,
                        expected: blob.size,
                        found: content.size(),
                    });
                }
            }
        }
        match lacking.is_empty() {
            true => Ok(()),
            false => Err(self.lacks(&lacking)),
        }
    }
}

/// What a message repeats of an archive's text.
fn shown(text: &str) -> String {
    /// Real names are shorter.
    const SHOWN: usize = 200;
    text.chars().take(SHOWN).collect()
}

fn refused(path: &Path, source: ImageArchiveError) -> ImagesError {
    ImagesError::Archive {
        path: path.to_owned(),
        source,
    }
}
