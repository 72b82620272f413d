//! The folder a layer is unpacked into: opens and makes folders in it, and keeps their times.
//!
//! Making a name in a folder changes the folder's time. The folder in use is therefore remembered together with its
//! time, which is put back when another one comes into use; nothing has to be kept for the layer's end.

use std::cell::Cell;
use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

use super::UnpackError;
use super::content::Summing;
use crate::sys::beneath::{self, FileType, Time};
use crate::tarball::{MAX_DEPTH, quoted};

/// Overlay's mark for a folder that hides what lower layers have in it.
pub(super) const OPAQUE: &[u8] = b"trusted.overlay.opaque";
const OPAQUE_VALUE: &[u8] = b"y";

/// What folders get that a layer uses but does not describe, as docker does.
const IMPLIED_MODE: u32 = 0o755;

/// A time that is the same for everybody who unpacks the layer.
const IMPLIED_TIME: Time = Time {
    seconds: 0,
    nanoseconds: 0,
};

/// Most folders that a layer may use without describing them; a few are usual.
const MAX_IMPLIED: usize = 1 << 16;

/// The tree being unpacked.
pub(super) struct Tree<'a> {
    root: BorrowedFd<'a>,
    /// Where the root really lies.
    base: PathBuf,
    current: Option<Rc<Folder>>,
    /// Inodes of the folders that the layer has used but not described.
    implied: HashSet<u64>,
    opaque_root: bool,
    /// What goes into the tree.
    pub(super) summing: Summing,
    /// A symbolic link was met since somebody asked.
    followed: Cell<bool>,
}

/// An open folder in the tree.
pub(super) struct Folder {
    path: Vec<u8>,
    /// Where it really lies, links followed.
    real: Vec<u8>,
    handle: OwnedFd,
    /// Its time before anything was made in it here.
    modified: Time,
    dirty: Cell<bool>,
    /// Something was removed, so that the path may lead elsewhere now.
    stale: Cell<bool>,
}

impl Folder {
    pub(super) fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// The path in the tree of a name in it.
    pub(super) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        joined(&self.real, name)
    }

    fn restore(&self) -> io::Result<()> {
        if self.dirty.get() {
            beneath::set_modified(self.handle(), self.modified)?;
        }
        Ok(())
    }
}

impl<'a> Tree<'a> {
    /// Takes an empty folder.
    pub(super) fn new(root: BorrowedFd<'a>) -> Result<Tree<'a>, UnpackError> {
        let mut tree = Tree {
            root,
            base: beneath::path_of(root).map_err(|e| failed("find", b"", e))?,
            current: None,
            implied: HashSet::new(),
            opaque_root: false,
            summing: Summing::new(),
            followed: Cell::new(false),
        };
        tree.imply(root, b"")?;
        Ok(tree)
    }

    pub(super) fn root(&self) -> BorrowedFd<'a> {
        self.root
    }

    /// Opens the folder `path`, making what is missing of it.
    pub(super) fn folder(&mut self, path: &[u8]) -> Result<Rc<Folder>, UnpackError> {
        if let Some(current) = &self.current
            && current.path == path
            && !current.stale.get()
        {
            return Ok(Rc::clone(current));
        }
        self.leave()?;
        self.followed.set(false);
        let handle = match self.open(path) {
            Err(error) if is_missing(&error) => self.open_making(path)?,
            opened => opened.map_err(|e| failed("open folder", path, e))?,
        };
        let status = beneath::status(handle.as_fd()).map_err(|e| failed("read", path, e))?;
        let real = match self.followed.get() {
            true => self
                .real_path(handle.as_fd())
                .map_err(|e| failed("find", path, e))?,
            false => path.to_vec(),
        };
        let folder = Rc::new(Folder {
            path: path.to_vec(),
            real,
            handle,
            modified: status.modified,
            dirty: Cell::new(false),
            stale: Cell::new(false),
        });
        self.current = Some(Rc::clone(&folder));
        Ok(folder)
    }

    /// Opens a folder that must exist.
    pub(super) fn existing(&self, path: &[u8]) -> io::Result<OwnedFd> {
        self.open(path)
    }

    /// Puts the time of the folder in use back; nothing is in use afterwards.
    pub(super) fn leave(&mut self) -> Result<(), UnpackError> {
        match self.current.take() {
            Some(folder) => folder
                .restore()
                .map_err(|e| failed("set the time of", &folder.path, e)),
            None => Ok(()),
        }
    }

    /// Makes `name` in `folder`, in place of what has that name; tells whether there was something that hid the name
    /// in lower layers.
    pub(super) fn place<T>(
        &mut self,
        folder: &Folder,
        name: &[u8],
        make: impl Fn(BorrowedFd<'_>, &[u8]) -> io::Result<T>,
    ) -> Result<(T, bool), UnpackError> {
        folder.dirty.set(true);
        match make(folder.handle(), name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let hid = self.clear(folder, name)?;
                make(folder.handle(), name).map(|made| (made, hid))
            }
            made => made.map(|made| (made, false)),
        }
        .map_err(|e| failed("make", &joined(&folder.path, name), e))
    }

    fn clear(&mut self, folder: &Folder, name: &[u8]) -> Result<bool, UnpackError> {
        folder.stale.set(true);
        self.summing.spoil();
        let removed = (|| {
            let status = beneath::status_of(folder.handle(), name)?;
            if status.file_type == FileType::Directory {
                beneath::remove_tree(folder.handle(), name)?;
                return Ok(false);
            }
            beneath::unlink(folder.handle(), name)?;
            Ok(true)
        })();
        removed.map_err(|e| failed("replace", &joined(&folder.path, name), e))
    }

    /// Hides what lower layers have in an open folder.
    pub(super) fn make_opaque(
        &mut self,
        dir: BorrowedFd<'_>,
        path: &[u8],
    ) -> Result<(), UnpackError> {
        let inode = |dir| beneath::status(dir).map(|status| status.inode);
        let is_root = inode(dir)
            .and_then(|this| Ok(this == inode(self.root)?))
            .map_err(|e| failed("read", path, e))?;
        if is_root {
            // Overlay does not look for the mark there; the layers below are left out instead.
            self.opaque_root = true;
            return Ok(());
        }
        let mark = || {
            let marked = beneath::xattrs(dir)?.iter().any(|(name, _)| name == OPAQUE);
            beneath::set_xattr(dir, OPAQUE, OPAQUE_VALUE)?;
            Ok((!marked).then_some(self.real_path(dir)?))
        };
        let newly = mark().map_err(|e| failed("mark as opaque", path, e))?;
        if let Some(path) = newly {
            self.summing.opaque(&path, OPAQUE_VALUE);
        }
        Ok(())
    }

    /// Notes that the layer describes this folder itself.
    pub(super) fn describe(&mut self, dir: BorrowedFd<'_>, path: &[u8]) -> Result<(), UnpackError> {
        if !self.implied.is_empty() {
            let status = beneath::status(dir).map_err(|e| failed("read", path, e))?;
            self.implied.remove(&status.inode);
        }
        Ok(())
    }

    /// Ends the work: inodes of the folders that the layer did not describe, whether its root is opaque, and what is in it.
    pub(super) fn finish(mut self) -> Result<(HashSet<u64>, bool, Summing), UnpackError> {
        self.leave()?;
        Ok((self.implied, self.opaque_root, self.summing))
    }

    /// Symbolic links in `path` lead where they would inside a chroot, as for docker and umoci.
    fn open(&self, path: &[u8]) -> io::Result<OwnedFd> {
        match beneath::open_beneath(self.root, path) {
            Err(error) if beneath::met_symlink(&error) => {
                self.followed.set(true);
                let opened = beneath::open_in_root(self.root, path)?;
                self.check_depth(opened.as_fd())?;
                Ok(opened)
            }
            opened => opened,
        }
    }

    /// Links let a short path lead deep; a tree that cannot be removed again must not come to be.
    fn check_depth(&self, dir: BorrowedFd<'_>) -> io::Result<()> {
        let path = self.real_path(dir)?;
        if path.split(|&byte| byte == b'/').count() < MAX_DEPTH {
            Ok(())
        } else {
            Err(io::Error::other(format!(
                "it lies more than {MAX_DEPTH} folders deep"
            )))
        }
    }

    /// Where an open folder really lies, from the root on.
    fn real_path(&self, dir: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
        let path = beneath::path_of(dir)?;
        let below = path.strip_prefix(&self.base).map_err(io::Error::other)?;
        Ok(below.as_os_str().as_encoded_bytes().to_vec())
    }

    fn open_making(&mut self, path: &[u8]) -> Result<OwnedFd, UnpackError> {
        let ends = (0..path.len()).filter(|&at| path[at] == b'/');
        let mut dir = None::<OwnedFd>;
        let mut start = 0;
        for end in ends.chain([path.len()]) {
            let prefix = &path[..end];
            let opened = match self.open(prefix) {
                Err(error) if is_missing(&error) => {
                    let above = dir.as_ref().map_or(self.root, AsFd::as_fd);
                    self.make_implied(above, &path[start..end], prefix)?
                }
                opened => opened.map_err(|e| failed("open folder", prefix, e))?,
            };
            dir = Some(opened);
            start = end + 1;
        }
        dir.ok_or_else(|| failed("open folder", path, io::ErrorKind::NotFound.into()))
    }

    fn make_implied(
        &mut self,
        above: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
    ) -> Result<OwnedFd, UnpackError> {
        let wrap = |action| move |e| failed(action, path, e);
        let before = beneath::status(above).map_err(wrap("read the folder of"))?;
        let there = beneath::status_if_present(above, name).map_err(wrap("read"))?;
        let opaque = match there {
            None => false,
            Some(status) if status.is_whiteout() => {
                beneath::unlink(above, name).map_err(wrap("replace"))?;
                true
            }
            Some(_) => {
                return Err(UnpackError::Refused {
                    path: quoted(path),
                    reason: "it is used as a folder but is none".to_owned(),
                });
            }
        };
        beneath::make_dir(above, name).map_err(wrap("make folder"))?;
        let made = beneath::open_child(above, name).map_err(wrap("open folder"))?;
        self.check_depth(made.as_fd())
            .map_err(wrap("make folder"))?;
        self.imply(made.as_fd(), path)?;
        if opaque {
            self.make_opaque(made.as_fd(), path)?;
        }
        beneath::set_modified(above, before.modified).map_err(wrap("set the time above"))?;
        Ok(made)
    }

    fn imply(&mut self, dir: BorrowedFd<'_>, path: &[u8]) -> Result<(), UnpackError> {
        if self.implied.len() == MAX_IMPLIED {
            return Err(UnpackError::Refused {
                path: quoted(path),
                reason: format!("more than {MAX_IMPLIED} folders are used but not described"),
            });
        }
        let inode = (|| {
            beneath::set_owner(dir, 0, 0)?;
            beneath::set_mode(dir, IMPLIED_MODE)?;
            beneath::set_modified(dir, IMPLIED_TIME)?;
            beneath::status(dir).map(|status| status.inode)
        })();
        self.implied
            .insert(inode.map_err(|e| failed("set the attributes of", path, e))?);
        Ok(())
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

pub(super) fn joined(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        return name.to_vec();
    }
    [folder, b"/", name].concat()
}

/// The error for a failed system call on `path` in the layer.
pub(super) fn failed(action: &'static str, path: &[u8], source: io::Error) -> UnpackError {
    UnpackError::Write {
        action,
        path: quoted(path),
        source,
    }
}
