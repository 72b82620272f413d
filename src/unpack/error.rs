//! Why a layer cannot be unpacked.

use std::io;

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
    /// Whether the disk, and not the layer, is at fault: it has filled up.
    pub fn is_of_room(&self) -> bool {
        let is_full = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        };
        match self {
            // What is more than was planned may be the layer's fault.
            UnpackError::Archive(error) => matches!(error, ArchiveError::Filled { .. }),
            UnpackError::Write { source, .. } | UnpackError::Xattr { source, .. } => {
                is_full(source)
            }
            UnpackError::Refused { .. } | UnpackError::Read(_) => false,
        }
    }
}
