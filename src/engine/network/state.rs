//! Files with a version, each one JSON document.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::NetworkError;
use crate::sys;

/// The version that this program writes and reads.
pub(super) const VERSION: u32 = 1;
pub(super) const MODE: u32 = 0o600;

/// The files in `dir`, if there is one, that are not the scratch of a writer.
pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>, NetworkError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        let found = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(paths),
            found => found?,
        };
        for entry in found {
            let entry = entry?;
            let name = entry.file_name();
            if !name
                .as_encoded_bytes()
                .starts_with(sys::fs::SCRATCH_PREFIX.as_bytes())
            {
                paths.push(entry.path());
            }
        }
        // The order of a folder is arbitrary; rules and messages should not be.
        paths.sort();
        Ok(paths)
    };
    list().map_err(|source| NetworkError::State {
        path: dir.to_owned(),
        source,
    })
}

/// What the file says; `None` if there is no such file.
pub(super) fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, NetworkError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(NetworkError::State {
                path: path.to_owned(),
                source,
            });
        }
    };
    let damaged = |source| NetworkError::Record {
        path: path.to_owned(),
        source,
    };
    let Versioned { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if version > VERSION {
        return Err(NetworkError::Newer {
            path: path.to_owned(),
            version,
        });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Replaces the file, for this boot.
pub(super) fn write(path: &Path, record: &impl Serialize) -> Result<(), NetworkError> {
    write_by(sys::fs::replace_volatile, path, record)
}

/// Replaces the file, for good.
pub(super) fn write_durably(path: &Path, record: &impl Serialize) -> Result<(), NetworkError> {
    write_by(sys::fs::replace, path, record)
}

fn write_by(
    replace: impl Fn(&Path, u32, &[u8]) -> io::Result<()>,
    path: &Path,
    record: &impl Serialize,
) -> Result<(), NetworkError> {
    let bytes = serde_json::to_vec(record).map_err(|source| NetworkError::Record {
        path: path.to_owned(),
        source,
    })?;
    replace(path, MODE, &bytes).map_err(|source| NetworkError::State {
        path: path.to_owned(),
        source,
    })
}

/// Removes the file; one that is gone already is no failure.
pub(super) fn remove(path: &Path) -> Result<(), NetworkError> {
    sys::fs::remove_file_volatile(path).map_err(|source| NetworkError::State {
        path: path.to_owned(),
        source,
    })
}
