//! A layer's tar stream into a folder, in the form overlay wants.
//!
//! Nothing an image says can reach outside the folder: names never lead up, folders are opened by the kernel beneath
//! the root, everything else happens to one name in an open folder without following links. What the entries say is
//! kept byte for byte: owner, mode, time, extended attributes with file capabilities, devices, links, holes. The
//! differences to docker and umoci, all of them towards refusing:
//!
//! - `..` in a name, overlay's own attributes, and archives that two readers would read differently are refused.
//! - Attributes that the filesystem cannot store are an error, not a warning.
//! - A folder that a layer uses without describing it gets the attributes that the layers below give it (umoci does
//!   that, docker does not); the [`Seal`] lists them, since layers are unpacked without knowing those below.
//! - As for docker, a layer's folder replaces a symbolic link of that name in a lower layer; links in the same layer
//!   are followed as inside a chroot.

mod apply;
mod archive;
mod budget;
mod content;
mod entry;
mod error;
mod seal;
mod tree;
mod whiteout;

use std::collections::HashSet;
use std::io::BufRead;
use std::os::fd::BorrowedFd;

use content::Summing;
use tree::Tree;

pub use archive::{Archive, CopyError};
pub use budget::Budget;
pub use content::{Content, Pace};
pub use entry::{Attributes, Entry, Kind};
pub use error::UnpackError;
pub use seal::{Seal, TreePath};

pub use crate::tarball::{ArchiveError, PathError};

/// Unpacks the uncompressed layer `source` into the empty folder `root` and looks at the result. Reads the stream to
/// its end, so that a reader that checks it has checked all of it; refuses one that unpacks to more than the `budget`,
/// of which a layer that fails takes nothing. Nothing is synced.
pub fn unpack(
    source: &mut dyn BufRead,
    root: BorrowedFd<'_>,
    budget: &Budget,
) -> Result<(Seal, Content), UnpackError> {
    let mut archive = Archive::new(source, budget);
    let unpacked = unpack_entries(&mut archive, root);
    if unpacked.is_err() {
        archive.refund();
    }
    let (implied, opaque_root, summing) = unpacked?;
    let mut content = summing.finish(root)?;
    let seal = Seal::of(root, &implied, opaque_root, &mut content)?;
    Ok((seal, content))
}

fn unpack_entries(
    archive: &mut Archive<'_>,
    root: BorrowedFd<'_>,
) -> Result<(HashSet<u64>, bool, Summing), UnpackError> {
    let mut tree = Tree::new(root)?;
    while let Some(entry) = archive.next_entry()? {
        apply::apply(&mut tree, archive, &entry)?;
    }
    tree.finish()
}
