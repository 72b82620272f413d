//! Scratch: what is being written or removed, under names that say so and by which process.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::remove::{gone_is_success, remove_folders};

/// Prefix of names that a start may delete without asking: unfinished writes and half-deleted trees.
pub const SCRATCH_PREFIX: &str = ".tmp-";

/// A path beside `path` that no other call of this or another live process returns.
pub fn scratch_beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!("{SCRATCH_PREFIX}{}-{count}", std::process::id()))
}

/// Whether interrupted writes or deletions left something directly below `dir`, or somebody is writing there.
pub fn has_scratch(dir: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        if is_scratch(&entry?.file_name()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_scratch(name: &OsStr) -> bool {
    name.as_encoded_bytes()
        .starts_with(SCRATCH_PREFIX.as_bytes())
}

/// Removes what interrupted writes and deletions left directly below `dir`. Call under the lock that guards `dir`.
pub fn sweep_scratch(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if is_scratch(&entry.file_name()) {
            let removed = match entry.file_type()?.is_dir() {
                true => remove_folders(&entry.path()),
                false => fs::remove_file(entry.path()),
            };
            gone_or_kept(removed)?;
        }
    }
    Ok(())
}

/// What is to be swept may be gone already, and a disk that takes nothing any more keeps it: that is in nobody's way.
fn gone_or_kept(result: io::Result<()>) -> io::Result<()> {
    match gone_is_success(result) {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        other => other,
    }
}

/// Bytes that the files below a folder take on the disk; of what cannot be read 0.
pub fn size_below(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| size_of(&entry)).sum()
}

fn size_of(entry: &fs::DirEntry) -> u64 {
    match entry.metadata() {
        Ok(found) if found.is_dir() => size_below(&entry.path()),
        found => found.map_or(0, |found| found.blocks() * 512),
    }
}

/// What interrupted writes and deletions left directly below `dir`: nothing that a living process may still be writing.
fn abandoned(dir: &Path) -> io::Result<Vec<fs::DirEntry>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let writer = name
            .to_str()
            .and_then(|name| name.strip_prefix(SCRATCH_PREFIX))
            .and_then(|rest| rest.split('-').next())
            .and_then(|pid| pid.parse::<u32>().ok());
        // A process id that was given again only puts the removal off.
        if let Some(pid) = writer
            && !Path::new("/proc").join(pid.to_string()).exists()
        {
            found.push(entry);
        }
    }
    Ok(found)
}

/// Bytes of what interrupted writes and deletions left directly below `dir`.
pub fn size_abandoned(dir: &Path) -> io::Result<u64> {
    Ok(abandoned(dir)?.iter().map(size_of).sum())
}

/// As [`sweep_scratch`], for a folder that no lock guards: spares what a living process may still be writing.
pub fn sweep_abandoned(dir: &Path) -> io::Result<()> {
    for entry in abandoned(dir)? {
        if entry.file_type()?.is_file() {
            gone_or_kept(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::remove_tree;
    use super::super::tests::scratch_dir;
    use super::*;

    #[test]
    fn sweep_spares_what_the_living_write() {
        let dir = scratch_dir("abandoned");
        let own = scratch_beside(&dir.join("record"));
        // Above every pid that Linux gives.
        let dead = dir.join(format!("{SCRATCH_PREFIX}4194305-0"));
        for file in [&own, &dead, &dir.join("keep")] {
            fs::write(file, "x").unwrap();
        }
        sweep_abandoned(&dir).unwrap();
        assert!(own.exists() && !dead.exists() && dir.join("keep").exists());
        remove_tree(&dir).unwrap();
    }

    #[test]
    fn sweep_removes_scratch_only() {
        let dir = scratch_dir("sweep");
        fs::create_dir_all(dir.join(".tmp-1-0/deep")).unwrap();
        fs::write(dir.join(".tmp-2-0"), "x").unwrap();
        fs::write(dir.join("keep"), "x").unwrap();
        sweep_scratch(&dir).unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        remove_tree(&dir).unwrap();
        assert!(!dir.exists());
    }
}
