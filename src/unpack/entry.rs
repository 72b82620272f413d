//! One entry of a layer, as a type.

use crate::sys::beneath::{FileType, Time};
use crate::tarball::{SafePath, SparseMap, Xattr};

/// What an entry makes or changes, before whiteouts are told apart.
#[derive(Debug)]
pub struct Entry {
    /// Its place, from the root on.
    pub path: SafePath,
    /// What it is.
    pub kind: Kind,
    /// What it has beside its content.
    pub attributes: Attributes,
}

/// The type of an entry with what only that type has.
#[derive(Debug)]
pub enum Kind {
    /// The body follows in the archive.
    File {
        /// Bytes of the body.
        stored: u64,
        /// Where they belong; `None` for a file without holes.
        map: Option<SparseMap>,
    },
    /// A folder.
    Directory,
    /// The text, as it is.
    Symlink(Vec<u8>),
    /// The other name, from the image's root.
    HardLink(SafePath),
    /// A device or pipe.
    Node {
        /// Which of them.
        file_type: FileType,
        /// Device number, of devices only.
        device: (u32, u32),
    },
}

/// What every inode has.
#[derive(Debug)]
pub struct Attributes {
    /// Permission bits with set-user-ID, set-group-ID and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of content.
    pub modified: Time,
    /// Extended attributes.
    pub xattrs: Vec<Xattr>,
}
