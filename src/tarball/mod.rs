//! Tar, as far as layers and archives of images need it: headers, extensions, sparse maps and safe names, with limits.
//!
//! Disagreement between parsers is how content is smuggled past checks (TARmageddon), so everything in dray that reads
//! a tar of a stranger reads it with these parts, and they follow Go's `archive/tar`.

mod block;
mod error;
mod extension;
mod path;
mod pax;
pub mod sparse;

pub use block::{BLOCK, Block};
pub use error::ArchiveError;
pub use extension::Extensions;
pub use path::{MAX_DEPTH, PathError, SafePath, quoted};
pub use pax::{Pax, PaxSparse, Xattr};
pub use sparse::{Region, SparseMap};

/// Largest extension header; real ones hold a few paths and attributes.
pub const MAX_EXTENSION: u64 = 1 << 20;

/// Most entries of one layer; the largest images in use have a few hundred thousand.
pub const MAX_ENTRIES: u64 = 4_000_000;
