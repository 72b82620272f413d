//! Why a layer cannot be unpacked.

use std::io;

use crate::sys::fs::is_of_disk;
use crate::tarball::ArchiveError;

/// Why a layer cannot be unpacked. The layer's name is the caller's to add.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The stream cannot be read, or must not be trusted.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The system refused something.
    #[error("failed to {action} {path}: {source}")]
    Write {
        /// What was attempted.
        action: &'static str,
        /// The path in the layer, quoted.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// An extended attribute cannot be stored.
    #[error("failed to set attribute {name} of {path}: {source}")]
    Xattr {
        /// The path in the layer, quoted.
        path: String,
        /// The attribute's name, quoted.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The layer asks for something that no layer may have.
    #[error("{path} is refused: {reason}")]
    Refused {
        /// The path in the layer, quoted.
        path: String,
        /// Why.
        reason: String,
    },
    /// The folder cannot be read.
    #[error("failed to read the unpacked layer: {0}")]
    Read(#[from] io::Error),
}

impl UnpackError {
    /// Whether it is the disk that fails, so that another copy of the layer would not do better.
    pub fn is_of_disk(&self) -> bool {
        match self {
            UnpackError::Archive(error) => {
                matches!(error, ArchiveError::Filled { .. } | ArchiveError::Room(_))
            }
            UnpackError::Write { source, .. } | UnpackError::Xattr { source, .. } => {
                is_of_disk(source)
            }
            UnpackError::Refused { .. } | UnpackError::Read(_) => false,
        }
    }
}
