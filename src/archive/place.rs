//! Where an archive's members are found: in a folder, or in a tar.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use super::ImageArchiveError;
use super::content::{Content, Extent};
use super::members::Members;
use crate::oci::stream::read_limited;
use crate::sys::beneath;
use crate::tarball::quoted;

#[derive(Debug)]
pub(super) enum Place {
    Folder(OwnedFd),
    Tar(Members),
}

impl Place {
    pub(super) fn folder(path: &Path) -> Result<Place, ImageArchiveError> {
        let opened = beneath::open_dir(path);
        Ok(Place::Folder(
            opened.map_err(ImageArchiveError::io("open the folder"))?,
        ))
    }

    pub(super) fn tar(file: File) -> Result<Place, ImageArchiveError> {
        Ok(Place::Tar(Members::of(file)?))
    }

    pub(super) fn has(&self, path: &str) -> Result<bool, ImageArchiveError> {
        Ok(self.open(path.as_bytes())?.is_some())
    }

    /// A member's bytes; `None` if it is not there. Links in a folder are followed as inside a chroot.
    pub(super) fn open(&self, path: &[u8]) -> Result<Option<Content>, ImageArchiveError> {
        let folder = match self {
            Place::Tar(members) => return members.open(path),
            Place::Folder(folder) => folder,
        };
        let file = match beneath::open_file_in_root(folder.as_fd(), path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
            opened => opened.map_err(|source| named(path, source.to_string()))?,
        };
        let size = file.metadata().map_err(ImageArchiveError::io("read it"))?;
        let whole = Extent {
            offset: 0,
            length: size.len(),
            at: 0,
        };
        Ok(Some(Content::new(Arc::new(file), vec![whole], size.len())))
    }

    /// A small member as a whole.
    pub(super) fn read(&self, path: &[u8], limit: u64) -> Result<Vec<u8>, ImageArchiveError> {
        let content = self.open(path)?;
        let content = content.ok_or_else(|| ImageArchiveError::Missing(quoted(path)))?;
        read_limited(content, limit).map_err(|source| named(path, source.to_string()))
    }
}

fn named(path: &[u8], reason: String) -> ImageArchiveError {
    ImageArchiveError::Document {
        name: quoted(path),
        reason,
    }
}
