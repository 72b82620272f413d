//! What run arguments may refer to: variables, files and the current folder of the machine they are read on.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::RunArgsError;
use crate::host::Host;

/// Largest file that an option may name: lists of variables and seccomp profiles are far smaller, and a device has little
/// memory.
const MAX_FILE: u64 = 4 << 20;

/// The machine that the words are for, unless it is another one.
pub(super) struct Outside<'a> {
    host: Option<&'a Host>,
}

impl<'a> Outside<'a> {
    /// The words are for this machine.
    pub(super) fn here(host: &'a Host) -> Outside<'a> {
        Outside { host: Some(host) }
    }

    /// The words are for another machine: nothing of this one counts.
    pub(super) fn elsewhere() -> Outside<'a> {
        Outside { host: None }
    }

    /// An environment variable; bytes that are not UTF-8 are replaced, as JSON has no place for them.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let value = self.host?.env.get(OsStr::new(name))?;
        Some(value.to_string_lossy().into_owned())
    }

    /// The bytes of a file; `None` if it belongs to another machine.
    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RunArgsError> {
        if self.host.is_none() {
            return Ok(None);
        }
        let failed = |source| RunArgsError::File {
            path: PathBuf::from(path),
            source,
        };
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(failed(std::io::Error::other(format!(
                "file has more than the {MAX_FILE} bytes allowed"
            ))));
        }
        Ok(Some(bytes))
    }

    /// `./x` and `../x` from the current folder, cleaned; on another machine they stay as they are.
    pub(super) fn absolute(&self, path: &str) -> String {
        if self.host.is_none() || !path.starts_with('.') {
            return path.to_owned();
        }
        std::env::current_dir()
            .ok()
            .and_then(|folder| clean(&folder.join(path)))
            .unwrap_or_else(|| path.to_owned())
    }
}

/// Without `.` and `..` parts, by text alone.
fn clean(path: &Path) -> Option<String> {
    use std::path::Component::{CurDir, Normal, ParentDir, Prefix, RootDir};
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            CurDir => {}
            ParentDir => {
                cleaned.pop();
            }
            Normal(_) | RootDir | Prefix(_) => cleaned.push(component),
        }
    }
    cleaned.to_str().map(str::to_owned)
}
