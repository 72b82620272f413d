//! Why an artifact is refused.

use std::io;

use crate::artifact::limits::MAX_PAYLOADS;
use crate::artifact::manifest::ManifestError;
use crate::artifact::scripts::ScriptError;
use crate::oci::Digest;
use crate::tarball::ArchiveError;
use crate::trust::TrustError;

/// The first defect found, by the member that has it.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The archive itself, or one inside it, cannot be read.
    #[error("{part}: {source}")]
    Archive {
        /// Which archive.
        part: String,
        /// What is wrong.
        source: ArchiveError,
    },
    /// A member that has no place where it is.
    #[error("{found:?} is out of place: {expected} is expected there")]
    Place {
        /// Its name.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// The archive ends too early.
    #[error("the artifact ends before {0}")]
    Missing(String),
    /// A header that no signature covers and that would override the signed one.
    #[error("{0:?} is refused: no signature covers it, and it would override what is signed")]
    Augmented(String),
    /// A member that is larger than any real one.
    #[error("{name} has {size} bytes, more than the {limit} allowed")]
    Large {
        /// Its name.
        name: String,
        /// Its size.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A folder where there must be a file.
    #[error("{0:?} is a folder")]
    Folder(String),
    /// Two members of one name.
    #[error("{0:?} is there twice")]
    Twice(String),
    /// A list of checksums that is none.
    #[error("manifest: {0}")]
    Manifest(#[from] ManifestError),
    /// A checksum that is wrong.
    #[error("{name} has the checksum {found}, but the manifest says {expected}")]
    Checksum {
        /// Of what.
        name: String,
        /// By the manifest.
        expected: Digest,
        /// By its bytes.
        found: Digest,
    },
    /// A member that nothing vouches for.
    #[error("{0:?} is not in the manifest")]
    Unlisted(String),
    /// The opposite.
    #[error("the manifest lists {0:?}, which is not in the artifact")]
    Absent(String),
    /// A document that says something else than it should.
    #[error("{name}: {problem}")]
    Document {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// More payloads than an artifact can have.
    #[error("header-info lists {0} payloads, more than the {MAX_PAYLOADS} allowed")]
    Payloads(usize),
    /// A script that no client runs.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// More scripts, or larger ones, than any real artifact has.
    #[error("the state scripts are too many or too large")]
    Scripts,
    /// A payload file whose name would be trouble on a device.
    #[error(
        "payload file {0:?} has a name with characters other than letters, digits and \".,_-\""
    )]
    FileName(String),
    /// A payload file that breaks off, or whose bytes are not those of the manifest.
    #[error("{name}: {source}")]
    Content {
        /// Its name.
        name: String,
        /// What is wrong.
        source: io::Error,
    },
    /// A signature that is none.
    #[error("manifest.sig: {0}")]
    Signature(#[source] TrustError),
    /// There must be one.
    #[error("the artifact is not signed")]
    Unsigned,
    /// None of the keys fits, or the manifest was changed.
    #[error("the signature was made with another key, or for another manifest")]
    WrongSignature,
    /// Whoever takes the content failed.
    #[error("{0}")]
    Taker(#[source] io::Error),
}

impl ReadError {
    pub(super) fn archive(part: &str) -> impl FnOnce(ArchiveError) -> ReadError {
        let part = part.to_owned();
        |source| ReadError::Archive { part, source }
    }

    pub(super) fn document(name: &str, problem: impl Into<String>) -> ReadError {
        ReadError::Document {
            name: name.to_owned(),
            problem: problem.into(),
        }
    }
}
