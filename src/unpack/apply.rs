//! Puts one entry onto the disk. Of two entries with one name the later one counts; folders merge.

use std::cell::Cell;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use super::UnpackError;
use super::archive::{Archive, CopyError};
use super::content::{Counted, Summing};
use super::entry::{Entry, Kind};
use super::tree::{Folder, Tree, failed};
use super::whiteout::{self, Whiteout};
use crate::sys::beneath::{self, FileType};
use crate::tarball::{SafePath, SparseMap, Xattr, quoted};

/// Overlay's own attributes: in a layer they would change what other layers show.
const OVERLAY: &[u8] = b"trusted.overlay.";

/// Labels of the machine that built the image; this device has its own policy or none. Docker and umoci skip it too.
const SELINUX: &[u8] = b"security.selinux";

/// Makes what `entry` describes.
pub(super) fn apply(
    tree: &mut Tree<'_>,
    archive: &mut Archive<'_>,
    entry: &Entry,
) -> Result<(), UnpackError> {
    if entry.path.is_root() {
        return apply_root(tree, entry);
    }
    let (folder_path, name) = entry.path.split();
    let whiteout = whiteout::parse(folder_path, name)?;
    if whiteout == Some(Whiteout::Note) {
        return Ok(());
    }
    let folder = tree.folder(folder_path)?;
    match (whiteout, &entry.kind) {
        (Some(Whiteout::Name(hidden)), _) => {
            whiteout::hide(tree, &folder, hidden, entry.attributes.modified)
        }
        (Some(_), _) => tree.make_opaque(folder.handle(), folder_path),
        (None, Kind::Directory) => make_dir(tree, &folder, name, entry),
        (None, Kind::File { stored, map }) => {
            let (mut file, _) = tree.place(&folder, name, beneath::create_file)?;
            let path = folder.path_of(name);
            let body = (*stored, map.as_ref());
            fill(archive, &mut tree.summing, &mut file, body, entry)?;
            let size = map.as_ref().map_or(*stored, |map| map.real_size);
            tree.summing.end(&path, size);
            dress(file.as_fd(), entry)?;
            note_attributes(tree, &path, entry, || beneath::xattrs(file.as_fd()))
        }
        (None, Kind::Symlink(text)) => {
            tree.place(&folder, name, |dir, name| {
                beneath::make_symlink(dir, name, text)
            })?;
            dress_name(folder.handle(), name, entry)?;
            let path = folder.path_of(name);
            tree.summing.link(&path, text);
            let read = || beneath::xattrs_of(folder.handle(), name);
            note_attributes(tree, &path, entry, read)
        }
        (None, Kind::Node { file_type, device }) => {
            tree.place(&folder, name, |dir, name| {
                beneath::make_node(dir, name, *file_type, *device)
            })?;
            dress_name(folder.handle(), name, entry)?;
            let read = || beneath::xattrs_of(folder.handle(), name);
            note_attributes(tree, &folder.path_of(name), entry, read)
        }
        // The attributes are the other name's; its own header repeats them.
        (None, Kind::HardLink(target)) => make_link(tree, &folder, name, target, &entry.path),
    }
}

fn apply_root(tree: &mut Tree<'_>, entry: &Entry) -> Result<(), UnpackError> {
    if !matches!(entry.kind, Kind::Directory) {
        return Err(UnpackError::Refused {
            path: quoted(b"/"),
            reason: "the image's root must be a folder".to_owned(),
        });
    }
    tree.leave()?;
    let root = tree.root();
    tree.describe(root, b"")?;
    dress(root, entry)?;
    if !entry.attributes.xattrs.is_empty() {
        // It may be described again.
        tree.summing.spoil();
    }
    Ok(())
}

fn make_dir(
    tree: &mut Tree<'_>,
    folder: &Folder,
    name: &[u8],
    entry: &Entry,
) -> Result<(), UnpackError> {
    let path = entry.path.as_bytes();
    let existed = Cell::new(false);
    let open = |dir: BorrowedFd<'_>, name: &[u8]| match beneath::make_dir(dir, name) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            existed.set(true);
            match beneath::status_of(dir, name)?.file_type {
                FileType::Directory => beneath::open_child(dir, name),
                _ => Err(error),
            }
        }
        made => made.and_then(|()| beneath::open_child(dir, name)),
    };
    let (dir, hid) = tree.place(folder, name, open)?;
    tree.describe(dir.as_fd(), path)?;
    if hid {
        // What it replaces had hidden the lower layers' folder of this name, which must not come back.
        tree.make_opaque(dir.as_fd(), path)?;
    }
    dress(dir.as_fd(), entry)?;
    if existed.get() && !entry.attributes.xattrs.is_empty() {
        // Some may have been counted already.
        tree.summing.spoil();
    }
    let path = folder.path_of(name);
    note_attributes(tree, &path, entry, || beneath::xattrs(dir.as_fd()))
}

/// Counts the attributes that an entry brought, as they came to be: the kernel has its own way to write some of them.
fn note_attributes(
    tree: &mut Tree<'_>,
    path: &[u8],
    entry: &Entry,
    read: impl FnOnce() -> std::io::Result<Vec<(Vec<u8>, Vec<u8>)>>,
) -> Result<(), UnpackError> {
    if entry.attributes.xattrs.is_empty() {
        return Ok(());
    }
    let attributes = read().map_err(|e| failed("read", path, e))?;
    tree.summing.attributes(path, &attributes);
    Ok(())
}

fn make_link(
    tree: &mut Tree<'_>,
    folder: &Folder,
    name: &[u8],
    target: &SafePath,
    path: &SafePath,
) -> Result<(), UnpackError> {
    let absent = || UnpackError::Refused {
        path: path.to_string(),
        reason: format!("it is a hard link to {target}, which this layer does not have"),
    };
    let (target_folder, target_name) = target.split();
    let target_dir = tree.existing(target_folder).map_err(|_| absent())?;
    let status = beneath::status_of(target_dir.as_fd(), target_name).map_err(|_| absent())?;
    if status.is_whiteout() {
        return Err(absent());
    }
    tree.place(folder, name, |dir, name| {
        beneath::make_link(target_dir.as_fd(), target_name, dir, name)
    })?;
    let (dir, path) = (folder.handle(), folder.path_of(name));
    let status = beneath::status_of(dir, name).map_err(|e| failed("read", &path, e))?;
    tree.summing.name(dir, name, &path, &status, &|_| {})
}

fn fill(
    archive: &mut Archive<'_>,
    summing: &mut Summing,
    file: &mut File,
    (stored, map): (u64, Option<&SparseMap>),
    entry: &Entry,
) -> Result<(), UnpackError> {
    let write = |e| failed("write", entry.path.as_bytes(), e);
    let copied = |error| match error {
        CopyError::Archive(error) => UnpackError::Archive(error),
        CopyError::Write(error) => write(error),
    };
    let mut counted = Counted {
        file,
        sum: summing.begin(),
    };
    let Some(map) = map else {
        return archive.copy_body(stored, &mut counted).map_err(copied);
    };
    for region in &map.regions {
        counted.seek(region.offset).map_err(write)?;
        archive
            .copy_body(region.length, &mut counted)
            .map_err(copied)?;
    }
    file.set_len(map.real_size).map_err(write)
}

/// Owner, mode, attributes and time of an open file or folder, in the order in which none undoes another.
fn dress(file: BorrowedFd<'_>, entry: &Entry) -> Result<(), UnpackError> {
    let path = entry.path.as_bytes();
    let attributes = &entry.attributes;
    beneath::set_owner(file, attributes.uid, attributes.gid)
        .and_then(|()| beneath::set_mode(file, attributes.mode))
        .map_err(|e| failed("set owner and mode of", path, e))?;
    set_xattrs(entry, |xattr| {
        beneath::set_xattr(file, &xattr.name, &xattr.value)
    })?;
    beneath::set_modified(file, attributes.modified).map_err(|e| failed("set the time of", path, e))
}

/// The same of a name that must not be opened: a device, which that would act on, or a symbolic link.
fn dress_name(dir: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<(), UnpackError> {
    let path = entry.path.as_bytes();
    let attributes = &entry.attributes;
    beneath::set_owner_of(dir, name, attributes.uid, attributes.gid)
        .map_err(|e| failed("set owner of", path, e))?;
    if !matches!(entry.kind, Kind::Symlink(_)) {
        beneath::set_mode_of_node(dir, name, attributes.mode)
            .map_err(|e| failed("set mode of", path, e))?;
    }
    set_xattrs(entry, |xattr| {
        beneath::set_xattr_of(dir, name, &xattr.name, &xattr.value)
    })?;
    beneath::set_modified_of(dir, name, attributes.modified)
        .map_err(|e| failed("set the time of", path, e))
}

fn set_xattrs(
    entry: &Entry,
    set: impl Fn(&Xattr) -> std::io::Result<()>,
) -> Result<(), UnpackError> {
    for xattr in &entry.attributes.xattrs {
        if xattr.name == SELINUX {
            continue;
        }
        if xattr.name.starts_with(OVERLAY) {
            return Err(UnpackError::Refused {
                path: entry.path.to_string(),
                reason: format!("it brings overlay's own attribute {}", quoted(&xattr.name)),
            });
        }
        set(xattr).map_err(|source| UnpackError::Xattr {
            path: entry.path.to_string(),
            name: quoted(&xattr.name),
            source,
        })?;
    }
    Ok(())
}
