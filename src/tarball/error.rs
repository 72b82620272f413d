//! Why a tar is refused.

use std::io;

use super::path::PathError;
use super::sparse::MAX_REGIONS;
use super::{MAX_ENTRIES, MAX_EXTENSION};

/// Why a stream is not an archive that may be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The stream itself failed: the network, the decompressor, the digest.
    #[error("{0}")]
    Read(#[source] io::Error),
    /// It ends in the middle of an entry.
    #[error("the archive ends in the middle of an entry")]
    Truncated,
    /// A header is damaged, or not a header.
    #[error("a header's checksum is wrong")]
    Checksum,
    /// A field is not a number in its range.
    #[error("a header's {0} is not a number in its range")]
    Number(&'static str),
    /// An extension record that cannot be read.
    #[error("an extension header is malformed at {0}")]
    Pax(&'static str),
    /// An extension header that other readers would apply to other entries.
    #[error("an extension header contradicts another one about {0}")]
    Contradiction(&'static str),
    /// Bytes that no checksum covers and that some readers see.
    #[error(
        "it goes on behind where the archive ends: it is damaged, or something else altogether"
    )]
    Trailing,
    /// A global header that changes entries.
    #[error("a global extension header would change the entries after it")]
    Global,
    /// An extension header larger than any real one.
    #[error("an extension header has {0} bytes, more than the {MAX_EXTENSION} allowed")]
    ExtensionSize(u64),
    /// A sparse map that does not fit its file.
    #[error("a sparse file is malformed: {0}")]
    Sparse(&'static str),
    /// A sparse map larger than any real one.
    #[error("a sparse file has more than {limit} regions", limit = MAX_REGIONS)]
    SparseRegions,
    /// A type of entry that is not part of layers.
    #[error("entry {name} has the unknown type {flag:?}")]
    Type {
        /// Its name, quoted.
        name: String,
        /// The type's letter.
        flag: char,
    },
    /// A name that leads out.
    #[error("entry {name} is refused: {source}")]
    Path {
        /// The name, quoted.
        name: String,
        /// What is wrong with it.
        source: PathError,
    },
    /// More entries than any real layer has.
    #[error("the archive has more than {MAX_ENTRIES} entries")]
    Entries,
    /// More data than there may be.
    #[error("it unpacks to more than the {0} bytes it may take")]
    Full(u64),
    /// More files than there is room for.
    #[error("it has more files than the {0} that the disk has inodes for")]
    Inodes(u64),
    /// Somebody else takes what is left of the disk.
    #[error(
        "the disk has filled up meanwhile: {free} bytes are free, {reserve} have to stay so ([store] reserve)"
    )]
    Filled {
        /// What there is.
        free: u64,
        /// What is to stay.
        reserve: u64,
    },
    /// How much room there is cannot be told.
    #[error("failed to read the free space: {0}")]
    Room(#[source] io::Error),
}
