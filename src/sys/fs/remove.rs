//! Removal: a name goes first, durably, and then what it named, so that a cut leaves all of it or nothing under its name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{folder_of, scratch_beside, sync_dir, sync_parent};

/// As [`remove_tree`] or [`remove_file`] for several things, with one sync of each folder.
pub fn remove_all(paths: &[PathBuf]) -> io::Result<()> {
    let mut trash = Vec::new();
    for path in paths {
        trash.extend(put_aside(path)?);
    }
    let mut folders: Vec<&Path> = trash.iter().map(|path| folder_of(path)).collect();
    folders.dedup();
    folders.into_iter().try_for_each(sync_dir)?;
    for path in &trash {
        if path.is_dir() {
            remove_folders(path)?;
        } else {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Removes a file durably; a file that is already gone is success.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// As [`remove_file`] for a file that need not outlive this boot: not synced.
pub fn remove_file_volatile(path: &Path) -> io::Result<()> {
    gone_is_success(fs::remove_file(path))
}

/// Removes a tree so that a cut never leaves a half-deleted tree under its name; gone already is success.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let Some(trash) = put_aside(path)? else {
        return Ok(());
    };
    sync_parent(path)?;
    remove_folders(&trash)
}

/// As [`remove_tree`] for what goes with this boot: not synced.
pub fn remove_tree_volatile(path: &Path) -> io::Result<()> {
    put_aside(path)?.map_or(Ok(()), |trash| remove_folders(&trash))
}

/// How far down a tree is looked at when it is too deep: as many names as fit into a path.
const LEVELS: usize = 8;

/// Removes a folder with all that is in it, however deep: a container may make more folders in folders than this process may
/// have open files, and the removal of the standard library needs one for each.
pub(super) fn remove_folders(top: &Path) -> io::Result<()> {
    loop {
        match fs::remove_dir_all(top) {
            Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
                if lift_folders(top)? == 0 {
                    return Err(error);
                }
            }
            removed => return removed,
        }
    }
}

/// Moves the folders that are [`LEVELS`] below `top` up into it, and says how many.
fn lift_folders(top: &Path) -> io::Result<usize> {
    let mut level = vec![top.to_owned()];
    for _ in 0..LEVELS {
        let mut below = Vec::new();
        for folder in &level {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    below.push(entry.path());
                }
            }
        }
        level = below;
    }
    for folder in &level {
        fs::rename(folder, scratch_beside(&top.join("lifted")))?;
    }
    Ok(level.len())
}

/// Takes a name away from what is to be removed: what it is called now, or `None` if there is nothing.
fn put_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    let trash = scratch_beside(path);
    match fs::rename(path, &trash) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        renamed => renamed.map(|()| Some(trash)),
    }
}

/// Somebody else may remove the same thing at the same time.
pub(super) fn gone_is_success(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
