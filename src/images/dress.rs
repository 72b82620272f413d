//! The folder on top of an image's layers.
//!
//! Overlay shows a folder with the attributes that its topmost copy has. Two kinds of copies must not decide them: the
//! top folder's own mount points, and folders that a layer uses without describing them (`unpack`). Both get the
//! attributes here that the image means.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::record::failed;
use super::{Image, Images, ImagesError};
use crate::oci::Digest;
use crate::sys::beneath::{self, FileType};
use crate::unpack::{Seal, TreePath};

/// Attributes that belong to overlay, not to the folder.
const OVERLAY: &[u8] = b"trusted.overlay.";
const OPAQUE: &[u8] = b"trusted.overlay.opaque";

/// A mount point that the image does not have.
const MOUNT_POINT_MODE: u32 = 0o755;

/// One layer of the image, open.
struct Layer {
    tree: OwnedFd,
    implied: BTreeSet<Vec<u8>>,
}

/// What one layer says about a folder.
enum Word {
    /// Nothing; the layers below decide.
    None,
    /// There is no folder, and none below shows through.
    Hidden,
    /// There is one; `opaque`: and none below shows through.
    Folder { handle: OwnedFd, opaque: bool },
}

/// What the image says about a folder.
struct Meaning {
    /// Where its attributes are.
    handle: OwnedFd,
    /// Overlay would take them from elsewhere.
    differs: bool,
}

impl Images {
    /// The folders of an image's layers (diff ids, bottom first) for overlay's `lowerdir`, top first. A layer that an
    /// image has twice counts where it is highest, which hides the lower one entirely; overlay refuses to stack a
    /// folder twice.
    pub fn lower_dirs(&self, layers: &[Digest]) -> Result<Vec<PathBuf>, ImagesError> {
        let layers = self.stack(layers)?;
        Ok(layers.iter().map(|(id, _)| self.layer_dir(id)).collect())
    }

    /// Prepares the empty folder that goes on top of an image's layers: gives it the attributes of the image's root,
    /// and puts real folders into it at `mount_points` (relative paths, no links followed) with the attributes that
    /// the image's folders of that name have.
    pub fn dress(
        &self,
        image: &Image,
        top: &Path,
        mount_points: &[&str],
    ) -> Result<(), ImagesError> {
        let layers = self.open_layers(image)?;
        beneath::open_dir(top)
            .and_then(|top| dress(&layers, top.as_fd(), mount_points))
            .map_err(failed("prepare", top))
    }

    /// Gives a folder the attributes of the image's root; for the one that a container writes to, which decides them.
    pub fn dress_root(&self, image: &Image, dir: &Path) -> Result<(), ImagesError> {
        let layers = self.open_layers(image)?;
        beneath::open_dir(dir)
            .and_then(|dir| dress_all(&layers, dir.as_fd(), &BTreeSet::from([Vec::new()])))
            .map_err(failed("prepare", dir))
    }

    fn open_layers(&self, image: &Image) -> Result<Vec<Layer>, ImagesError> {
        let open = |(diff_id, seal): (Digest, Seal)| {
            let path = self.layer_dir(&diff_id);
            Ok(Layer {
                tree: beneath::open_dir(&path).map_err(failed("open", &path))?,
                implied: seal
                    .implied
                    .into_iter()
                    .map(|TreePath(path)| path)
                    .collect(),
            })
        };
        self.stack(&image.layers)?.into_iter().map(open).collect()
    }

    fn no_seal(&self, layer: &Digest) -> ImagesError {
        match self.store.has_layer(layer) {
            false => ImagesError::NoLayer(*layer),
            true => ImagesError::NoSeal(*layer),
        }
    }

    fn stack(&self, layers: &[Digest]) -> Result<Vec<(Digest, Seal)>, ImagesError> {
        let mut stack: Vec<(Digest, Seal)> = Vec::new();
        for layer in layers.iter().rev() {
            if stack.iter().any(|(above, _)| above == layer) {
                continue;
            }
            let seal = self.seal(layer)?.ok_or_else(|| self.no_seal(layer))?;
            let ends = seal.opaque_root;
            stack.push((*layer, seal));
            if ends {
                break;
            }
        }
        Ok(stack)
    }
}

fn dress(layers: &[Layer], top: BorrowedFd<'_>, mount_points: &[&str]) -> io::Result<()> {
    let mut wanted = BTreeSet::from([Vec::new()]);
    for path in mount_points {
        want(&mut wanted, path.as_bytes());
    }
    for path in layers.iter().flat_map(|layer| &layer.implied) {
        if meaning(layers, path)?.is_some_and(|meaning| meaning.differs) {
            want(&mut wanted, path);
        }
    }
    dress_all(layers, top, &wanted)
}

fn dress_all(layers: &[Layer], top: BorrowedFd<'_>, wanted: &BTreeSet<Vec<u8>>) -> io::Result<()> {
    // Folders before what is in them; attributes the other way round, since a new name changes its folder's time.
    for path in wanted.iter().filter(|path| !path.is_empty()) {
        match beneath::make_dir(
            beneath::open_beneath(top, parent(path))?.as_fd(),
            name(path),
        ) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
    }
    for path in wanted.iter().rev() {
        let made = beneath::open_beneath(top, path)?;
        match meaning(layers, path)? {
            Some(meaning) => copy_attributes(meaning.handle.as_fd(), made.as_fd())?,
            None => beneath::set_mode(made.as_fd(), MOUNT_POINT_MODE)?,
        }
    }
    Ok(())
}

/// The path and all folders above it.
fn want(wanted: &mut BTreeSet<Vec<u8>>, path: &[u8]) {
    let mut path = path;
    while !path.is_empty() {
        wanted.insert(path.to_vec());
        path = parent(path);
    }
}

fn parent(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|&byte| byte == b'/');
    &path[..slash.unwrap_or(0)]
}

fn name(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|&byte| byte == b'/');
    &path[slash.map_or(0, |slash| slash + 1)..]
}

/// Whose attributes the image's folder `path` has; `None` if the image has no such folder.
fn meaning(layers: &[Layer], path: &[u8]) -> io::Result<Option<Meaning>> {
    let mut topmost = None;
    for layer in layers {
        let (handle, opaque) = match ask(layer, path)? {
            Word::None => continue,
            Word::Hidden => break,
            Word::Folder { handle, opaque } => (handle, opaque),
        };
        if !layer.implied.contains(path) {
            return Ok(Some(Meaning {
                handle,
                differs: topmost.is_some(),
            }));
        }
        topmost.get_or_insert(handle);
        if opaque {
            break;
        }
    }
    // Nobody describes it: it is as the topmost layer's user of it was given it.
    Ok(topmost.map(|handle| Meaning {
        handle,
        differs: false,
    }))
}

fn ask(layer: &Layer, path: &[u8]) -> io::Result<Word> {
    let mut handle = beneath::open_beneath(layer.tree.as_fd(), b".")?;
    let mut opaque = false;
    for part in path
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty())
    {
        match beneath::status_if_present(handle.as_fd(), part)? {
            None if opaque => return Ok(Word::Hidden),
            None => return Ok(Word::None),
            Some(status) if status.file_type == FileType::Directory => {}
            Some(_) => return Ok(Word::Hidden),
        }
        handle = beneath::open_child(handle.as_fd(), part)?;
        let xattrs = beneath::xattrs(handle.as_fd())?;
        opaque |= xattrs
            .iter()
            .any(|(name, value)| name == OPAQUE && value == b"y");
    }
    Ok(Word::Folder { handle, opaque })
}

fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let status = beneath::status(from)?;
    beneath::set_owner(to, status.uid, status.gid)?;
    beneath::set_mode(to, status.mode)?;
    for (name, value) in beneath::xattrs(from)? {
        if !name.starts_with(OVERLAY) {
            beneath::set_xattr(to, &name, &value)?;
        }
    }
    beneath::set_modified(to, status.modified)
}
