//! Durable files: every state change on disk goes through [`replace`] or [`publish`].
//!
//! The order that survives a power cut is data, name, reference: write, sync the data, rename, sync the
//! folder, and only then write the record that names the thing. Deletion goes the other way round.
//! A failed sync means the data is lost; it is never retried on the same descriptor.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the durable writer that the lint points to"
)]

mod remove;
mod scratch;
mod unnamed;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use remove::{
    remove_all, remove_file, remove_file_volatile, remove_tree, remove_tree_volatile,
};
pub use scratch::{
    SCRATCH_PREFIX, has_scratch, scratch_beside, size_abandoned, size_below, sweep_abandoned,
    sweep_scratch,
};
pub use unnamed::{nameless, publish_unnamed, unnamed};

/// Whether the disk takes changes beside `path`: the flags of a filesystem do not tell all of it.
pub fn try_beside(path: &Path) -> io::Result<()> {
    let scratch = scratch_beside(path);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&scratch)?;
    fs::remove_file(scratch)
}

/// Whether it is the disk that fails: full, broken or read-only, whatever is written to it.
pub fn is_of_disk(error: &io::Error) -> bool {
    let numbers = [libc::ENOSPC, libc::EDQUOT, libc::EIO, libc::EROFS];
    error
        .raw_os_error()
        .is_some_and(|number| numbers.contains(&number))
}

/// Replaces the file `path` with `content`, durably: after `Ok` the new content survives a power cut, after a cut
/// or an error the old content is there unchanged. Only where the sync of the folder fails it may be the new one, whole.
///
/// `mode` holds from the first byte on. The folder must exist.
pub fn replace(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    replace_whole(path, mode, content)?;
    sync_parent(path)
}

/// Replaces a file on disk that goes with this boot: after a power cut it has the new content, the old or is gone, but is
/// never torn.
pub fn replace_whole(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let scratch = scratch_beside(path);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&scratch)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&scratch, path)
    })();
    // The error that matters is the first one; a scratch file left behind goes at the next start.
    written.inspect_err(|_| {
        let _ = fs::remove_file(&scratch);
    })
}

/// Replaces a file that need not outlive this boot (anything below the run folder): atomic, not synced.
pub fn replace_volatile(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let scratch = scratch_beside(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&scratch)?;
    file.write_all(content)?;
    fs::rename(&scratch, path).inspect_err(|_| {
        let _ = fs::remove_file(&scratch);
    })
}

/// Gives the finished, already synced `scratch` its name and syncs the folder of the new name.
pub fn publish(scratch: &Path, path: &Path) -> io::Result<()> {
    fs::rename(scratch, path)?;
    sync_parent(path)
}

/// As [`publish`] for what goes with this boot: not synced.
pub fn publish_volatile(scratch: &Path, path: &Path) -> io::Result<()> {
    fs::rename(scratch, path)
}

/// Exchanges the names of two folders, durably and in one step; where `path` is gone meanwhile, `other` becomes it. Both are
/// in the same folder.
pub fn exchange(other: &Path, path: &Path) -> io::Result<()> {
    use nix::fcntl::{RenameFlags, renameat2};
    let exchanged = renameat2(None, other, None, path, RenameFlags::RENAME_EXCHANGE);
    match exchanged.map_err(io::Error::from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(other, path)?,
        exchanged => exchanged?,
    }
    sync_parent(path)
}

/// As [`publish`] for several finished, already synced things, with one sync of each folder. A folder that exists under
/// its new name already is whole, so the newcomer is left where it is.
pub fn publish_all(pairs: &[(PathBuf, PathBuf)]) -> io::Result<()> {
    let mut folders: Vec<&Path> = Vec::new();
    for (scratch, path) in pairs {
        match fs::rename(scratch, path) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) => {}
            other => other?,
        }
        let folder = folder_of(path);
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders.into_iter().try_for_each(sync_dir)
}

/// Whether the disk says that it no longer knows what was written there.
pub fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EUCLEAN | libc::EBADMSG)
    )
}

/// Creates `dir` and its missing parents with mode 0700, durably.
pub fn create_dirs(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        create_dirs(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_parent(dir),
    }
}

/// Syncs the folder that holds `path`, so that the name survives a power cut.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    sync_dir(folder_of(path))
}

/// The folder that a name is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        // A bare name: it is in the current folder.
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => Path::new("/"),
    }
}

/// Syncs a folder's own entries.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    if broken("no-directory-fsync") {
        return Ok(());
    }
    File::open(dir)?.sync_all()
}

/// Syncs the whole filesystem that holds `dir`, once for a tree of many small files.
pub fn sync_filesystem(dir: &Path) -> io::Result<()> {
    if broken("no-syncfs") {
        return Ok(());
    }
    let dir = File::open(dir)?;
    // SAFETY: syncfs takes a descriptor that `dir` keeps open for the call and touches no memory.
    if unsafe { libc::syncfs(dir.as_raw_fd()) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether the commit protocol is to be broken at `point` on purpose (`DRAY_BREAK`), so that the power-cut test can
/// show that it would notice. Always false without the feature `failpoints`.
#[cfg(feature = "failpoints")]
pub fn broken(point: &str) -> bool {
    std::env::var("DRAY_BREAK").is_ok_and(|points| points.split(',').any(|p| p == point))
}

/// Always false: this build has no switches that break the commit protocol.
#[cfg(not(feature = "failpoints"))]
pub fn broken(_point: &str) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn scratch_dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("dray-sys-fs-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn replace_leaves_only_the_new_content() {
        let dir = scratch_dir("replace");
        let file = dir.join("record");
        for content in ["one", "two, longer", ""] {
            replace(&file, 0o600, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_failed_replace_leaves_the_old_content_and_no_scratch() {
        let dir = scratch_dir("failed");
        let target = dir.join("is-a-folder");
        fs::create_dir_all(target.join("full")).unwrap();
        assert!(replace(&target, 0o600, b"x").is_err());
        assert!(target.join("full").is_dir());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(&dir).unwrap();
    }
}
