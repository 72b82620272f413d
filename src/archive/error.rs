//! Why an archive of images is refused.

use std::io;

use super::members::{MAX_LINKS, MAX_MEMBERS, MAX_NAMES};
use crate::oci::{Digest, ManifestError};
use crate::tarball::ArchiveError;

/// What is wrong with an archive of images; the archive's name is the caller's to add.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageArchiveError {
    /// It cannot be read.
    #[error("failed to {action}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The tar is damaged or hostile.
    #[error(transparent)]
    Tar(#[from] ArchiveError),
    /// Packed by a program that is not built in.
    #[error(
        "it is compressed with {name}, which is not supported; unpack it first, as in {unpack}"
    )]
    Compression {
        /// Whose.
        name: &'static str,
        /// What helps.
        unpack: &'static str,
    },
    /// Nothing comes.
    #[error("it is empty")]
    Empty,
    /// What is unpacked or comes through a pipe has to be kept until it is whole.
    #[error(
        "it has more than the {0} bytes that are free for a copy of it; give it as a file that is a plain tar, which needs none"
    )]
    Spool(u64),
    /// Something else altogether.
    #[error("it is no tar archive")]
    NoTar,
    /// Neither of the known forms.
    #[error(
        "it is no image archive: it has neither oci-layout nor manifest.json; a root filesystem without them is for dray import"
    )]
    Unknown,
    /// What docker wrote before images had ids of their content.
    #[error(
        "it is in the form of docker before 1.10, which has no image configurations; load it into a later docker and save it again"
    )]
    Ancient,
    /// A layout of another version.
    #[error("its image layout has version {0:?}, only 1.0.0 is supported")]
    Version(String),
    /// There is nothing in it.
    #[error("it lists no images")]
    NoImages,
    /// More than any real archive has.
    #[error("it has more than {MAX_MEMBERS} members")]
    Members,
    /// More than any real archive has.
    #[error("its members have names of more than {MAX_NAMES} bytes together")]
    Names,
    /// Of two members with one name, readers take different ones.
    #[error("it has member {0} twice")]
    Twice(String),
    /// A member that no archive of images has.
    #[error("its member {name} is a {kind}")]
    Kind {
        /// Its name, quoted.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// A link that leads out of the archive.
    #[error("its member {0} is a link that leads out of the archive")]
    LinkOut(String),
    /// Links that lead to each other.
    #[error("its member {0} is a link to a link, more than {MAX_LINKS} times")]
    LinkLoop(String),
    /// A member that has to be there.
    #[error("its member {0} is missing")]
    Missing(String),
    /// A document of its own that cannot be read.
    #[error("its {name} is malformed: {reason}")]
    Document {
        /// Which one.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Its index is not one.
    #[error("its index.json is refused: {0}")]
    Index(#[source] ManifestError),
    /// A blob that cannot be read.
    #[error("failed to read {digest} in it: {source}")]
    Blob {
        /// Which one.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// A document that is not what its name says.
    #[error("{expected} in it has the digest {found}")]
    Digest {
        /// Its name.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
}

impl ImageArchiveError {
    /// For a failed system call.
    pub(super) fn io(action: &'static str) -> impl FnOnce(io::Error) -> ImageArchiveError {
        move |source| ImageArchiveError::Io { action, source }
    }
}
