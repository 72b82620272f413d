//! The output file: checked before the work, replaced in one step after it, never left half-written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dray::sys::fs::replace;

use crate::refusal::Refusal;

/// Like any file a person makes; the umask takes from it.
const MODE: u32 = 0o644;

/// Where the artifact goes: an absolute path without symlinks in its last step.
#[derive(Debug)]
pub struct Target {
    shown: PathBuf,
    path: PathBuf,
}

impl Target {
    /// Refuses what could not be replaced. An existing file is fine, as with mender-artifact; a link is followed, and a
    /// device, pipe or folder is not an output file.
    pub fn check(path: &Path) -> Result<Target, Refusal> {
        let refuse = |problem: &str| {
            Err(Refusal::Output(format!(
                "cannot write artifact {}: {problem}",
                path.display()
            )))
        };
        let target = |found: PathBuf| {
            Ok(Target {
                shown: path.to_owned(),
                path: found,
            })
        };
        match fs::canonicalize(path) {
            Ok(found) if found.is_file() => target(found),
            Ok(_) => refuse("it exists and is not a regular file"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match new_file(path) {
                Ok(found) => target(found),
                Err(error) => refuse(&error.to_string()),
            },
            Err(error) => refuse(&error.to_string()),
        }
    }

    /// Puts the finished artifact in place.
    pub fn write(&self, artifact: &[u8]) -> Result<(), Refusal> {
        replace(&self.path, MODE, artifact).map_err(|error| {
            Refusal::Output(format!(
                "cannot write artifact {}: {error}",
                self.shown.display()
            ))
        })
    }
}

/// The absolute path of a file that does not exist yet in a folder that does.
fn new_file(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    };
    Ok(fs::canonicalize(folder)?.join(name))
}
