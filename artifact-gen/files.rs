//! What travels inside the artifact from this machine: state scripts and payload files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use dray::artifact::limits::MAX_SCRIPT_BYTES;
use dray::artifact::scripts;
use dray::artifact::writer::Script;
use dray::oci::Digest;

use crate::refusal::Refusal;
use crate::signer::read_small;

/// A file whose content is known.
#[derive(Debug)]
pub struct Local {
    /// The last part of its path.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What was in it; the writer notices if that changes.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

impl Local {
    /// Opens it once more.
    pub fn open(&self) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(&self.path)?))
    }
}

/// Reads state scripts; a folder stands for all files in it, as with mender-artifact.
pub fn read_scripts(paths: &[PathBuf]) -> Result<Vec<Script>, Refusal> {
    let mut files = Vec::new();
    for path in paths {
        let listed = (|| match fs::metadata(path)?.is_dir() {
            false => Ok(vec![path.clone()]),
            true => fs::read_dir(path)?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect(),
        })();
        files.extend(listed.map_err(|error| unreadable("state script", path, &error))?);
    }
    // The order of a folder's entries is the filesystem's.
    files.sort();
    let read = |path: &PathBuf| {
        let name = name_of(path, "state script")?;
        scripts::check_name(&name).map_err(Refusal::usage)?;
        let content = read_small(path, MAX_SCRIPT_BYTES)
            .map_err(|error| unreadable("state script", path, &error))?;
        Ok(Script { name, content })
    };
    files.iter().map(read).collect()
}

/// Looks at payload files: their sizes and checksums come before their content.
pub fn look_at(paths: &[PathBuf]) -> Result<Vec<Local>, Refusal> {
    let look = |path: &PathBuf| {
        let name = name_of(path, "payload file")?;
        let (digest, size) = sum(path).map_err(|error| unreadable("payload file", path, &error))?;
        let path = path.clone();
        Ok(Local {
            name,
            path,
            digest,
            size,
        })
    };
    paths.iter().map(look).collect()
}

fn sum(path: &Path) -> io::Result<(Digest, u64)> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut hasher = Sha256::new();
    let size = io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok((Digest::finish(hasher), size))
}

fn name_of(path: &Path, what: &str) -> Result<String, Refusal> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| {
        Refusal::usage(format!(
            "{what} {}: it has no name in UTF-8",
            path.display()
        ))
    })
}

fn unreadable(what: &str, path: &Path, error: &io::Error) -> Refusal {
    Refusal::usage(format!("cannot read {what} {}: {error}", path.display()))
}
