//! One entry of a layer, as a type.

use crate::sys::beneath::{FileType, Time};
use crate::tarball::{SafePath, SparseMap, Xattr};

/// What an entry makes or changes, before whiteouts are told apart.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: SafePath,
    pub(super) kind: Kind,
    pub(super) attributes: Attributes,
}

/// The type of an entry with what only that type has.
#[derive(Debug)]
pub(super) enum Kind {
    /// The body follows in the archive.
    File {
        /// Bytes of the body.
        stored: u64,
        /// Where they belong; `None` for a file without holes.
        map: Option<SparseMap>,
    },
    Directory,
    /// The text, as it is.
    Symlink(Vec<u8>),
    /// The other name, from the image's root.
    HardLink(SafePath),
    Node {
        file_type: FileType,
        device: (u32, u32),
    },
}

/// What every inode has.
#[derive(Debug)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) modified: Time,
    pub(super) xattrs: Vec<Xattr>,
}
