//! A tar stream into a folder of a container, as docker unpacks one: folders are merged, files replaced, and neither takes
//! the place of the other.
//!
//! The stream comes from anybody. Its names never lead up, links are resolved as inside a chroot to the container's root, and
//! what [`crate::unpack`] refuses in a layer is refused here.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::dress::{Attributes, Lost, OVERLAY, SELINUX};
use super::place::replace;
use super::split;
use crate::engine::EngineError;
use crate::sys::beneath::{self, FileType};
use crate::tarball::{ArchiveError, SafePath, SparseMap};
use crate::unpack::{Archive, Budget, CopyError, Entry, Kind};

/// More than any disk holds: the disk's own limit counts, and sums with this one cannot overflow.
const MAX_BYTES: u64 = 1 << 50;

/// Most folders of one stream; each is remembered until the end.
const MAX_FOLDERS: usize = 1 << 18;

/// What folders get that are missing and not described, as docker gives it to them.
const IMPLIED_MODE: u32 = 0o755;

/// Unpacks a stream below a root.
#[derive(Debug)]
pub struct Extract<'a> {
    root: BorrowedFd<'a>,
    /// The folder that is unpacked into, from the root on.
    base: &'a [u8],
    /// Folders that the stream described: filesystem and inode. Making something in them must not change their time.
    described: HashSet<(u64, u64)>,
    /// Bytes of files so far.
    pub bytes: u64,
    /// Attributes that the target cannot store.
    pub lost: Lost,
}

impl<'a> Extract<'a> {
    /// Unpacks into the folder `base` below `root`.
    pub fn new(root: BorrowedFd<'a>, base: &'a [u8]) -> Extract<'a> {
        Extract {
            root,
            base,
            described: HashSet::new(),
            bytes: 0,
            lost: Lost::default(),
        }
    }

    /// Unpacks all of `source`. What came before an entry that is refused stays.
    pub fn all(&mut self, source: &mut dyn BufRead) -> Result<(), EngineError> {
        let budget = Budget::new(MAX_BYTES);
        let mut archive = Archive::new(source, &budget);
        let read = |error: ArchiveError| {
            EngineError::system("read the tar stream")(io::Error::other(error))
        };
        while let Some(entry) = archive.next_entry().map_err(read)? {
            let placed = self.place(&mut archive, &entry);
            placed.map_err(EngineError::system(format!("copy {}", entry.path)))?;
        }
        Ok(())
    }

    fn place(&mut self, archive: &mut Archive<'_>, entry: &Entry) -> io::Result<()> {
        if entry.path.is_root() {
            // The folder that is copied into stays as it is.
            return match entry.kind {
                Kind::Directory => Ok(()),
                _ => Err(io::Error::other("it is no folder")),
            };
        }
        let (above, name) = entry.path.split();
        let folder = self.folder(above)?;
        let to = (folder.as_fd(), name);
        let before = beneath::status(to.0)?;
        self.make(archive, entry, to)?;
        if self.described.contains(&(before.filesystem, before.inode)) {
            beneath::set_modified(to.0, before.modified)?;
        }
        Ok(())
    }

    fn make(
        &mut self,
        archive: &mut Archive<'_>,
        entry: &Entry,
        (to, name): (BorrowedFd<'_>, &[u8]),
    ) -> io::Result<()> {
        let there = beneath::status_if_present(to, name)?;
        let there = there.map(|status| status.file_type == FileType::Directory);
        let attributes = attributes(entry)?;
        match &entry.kind {
            Kind::Directory if there == Some(false) => Err(io::Error::other(
                "cannot overwrite non-directory with directory",
            )),
            Kind::Directory => {
                if there.is_none() {
                    beneath::make_dir(to, name)?;
                }
                self.describe(&beneath::open_child(to, name)?, &attributes)
            }
            _ if there == Some(true) => Err(io::Error::other(
                "cannot overwrite directory with non-directory",
            )),
            Kind::File { stored, map } => {
                let lost = &mut self.lost;
                self.bytes += replace(to, name, |name| {
                    let mut file = beneath::create_file(to, name)?;
                    let size = fill(archive, &mut file, *stored, map.as_ref())?;
                    attributes.give(file.as_fd(), Some(lost))?;
                    Ok(size)
                })?;
                Ok(())
            }
            Kind::HardLink(other) => self.link(other, (to, name)),
            Kind::Symlink(text) => {
                let lost = &mut self.lost;
                replace(to, name, |name| {
                    beneath::make_symlink(to, name, text)?;
                    attributes.give_name((to, name), false, Some(lost))
                })
            }
            Kind::Node { file_type, device } => {
                let lost = &mut self.lost;
                replace(to, name, |name| {
                    beneath::make_node(to, name, *file_type, *device)?;
                    attributes.give_name((to, name), true, Some(lost))
                })
            }
        }
    }

    fn describe(&mut self, folder: &OwnedFd, attributes: &Attributes) -> io::Result<()> {
        attributes.give(folder.as_fd(), Some(&mut self.lost))?;
        if self.described.len() == MAX_FOLDERS {
            let said = format!("the stream has more than {MAX_FOLDERS} folders");
            return Err(io::Error::other(said));
        }
        let status = beneath::status(folder.as_fd())?;
        self.described.insert((status.filesystem, status.inode));
        Ok(())
    }

    /// The attributes are the other name's; its own header repeats them.
    fn link(&self, other: &SafePath, (to, name): (BorrowedFd<'_>, &[u8])) -> io::Result<()> {
        let (above, first) = other.split();
        let linked = self.open(above).and_then(|folder| {
            replace(to, name, |name| {
                beneath::make_link(folder.as_fd(), first, to, name)
            })
        });
        linked.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("it is a hard link to {other}: {error}"),
            )
        })
    }

    /// Opens a folder below the base, as a process of the container would.
    fn open(&self, path: &[u8]) -> io::Result<OwnedFd> {
        beneath::open_in_root(self.root, &[self.base, b"/", path].concat())
    }

    /// Opens a folder below the base, making what is missing of it.
    fn folder(&self, path: &[u8]) -> io::Result<OwnedFd> {
        match self.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_empty() => {
                let (above, name) = split(path);
                let above = self.folder(above)?;
                beneath::make_dir(above.as_fd(), name)?;
                let made = beneath::open_child(above.as_fd(), name)?;
                beneath::set_mode(made.as_fd(), IMPLIED_MODE)?;
                Ok(made)
            }
            opened => opened,
        }
    }
}

fn attributes(entry: &Entry) -> io::Result<Attributes> {
    let given = &entry.attributes;
    let mut xattrs = Vec::with_capacity(given.xattrs.len());
    for xattr in &given.xattrs {
        if xattr.name.starts_with(OVERLAY) {
            return Err(io::Error::other(
                "it brings one of overlay's own attributes",
            ));
        }
        if xattr.name != SELINUX {
            xattrs.push((xattr.name.clone(), xattr.value.clone()));
        }
    }
    let owner = (given.uid, given.gid);
    Ok(Attributes::new((given.mode, owner), given.modified, xattrs))
}

/// Writes a file's content; its size.
fn fill(
    archive: &mut Archive<'_>,
    file: &mut File,
    stored: u64,
    map: Option<&SparseMap>,
) -> io::Result<u64> {
    let copied = |error| match error {
        CopyError::Archive(error) => io::Error::other(error),
        CopyError::Write(error) => error,
    };
    let Some(map) = map else {
        return archive
            .copy_body(stored, file)
            .map(|()| stored)
            .map_err(copied);
    };
    for region in &map.regions {
        file.seek(SeekFrom::Start(region.offset))?;
        archive.copy_body(region.length, file).map_err(copied)?;
    }
    file.set_len(map.real_size)?;
    Ok(map.real_size)
}
