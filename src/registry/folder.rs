//! Files that people put into folders for us.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::oci::stream::read_limited;

/// The files of a folder with this extension, in order of their names; none where there is no folder.
pub(super) fn files(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let Some(entries) = present(std::fs::read_dir(folder))? else {
        return Ok(Vec::new());
    };
    let paths = entries.map(|entry| Ok(entry?.path()));
    let mut paths = paths.collect::<io::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    Ok(paths)
}

/// What is in a file of at most so many bytes, if it is there.
pub(super) fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    present(File::open(path).and_then(|file| read_limited(file, limit)))
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
