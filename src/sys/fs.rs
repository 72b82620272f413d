//! Durable files: every state change on disk goes through [`replace`] or [`publish`].
//!
//! The order that survives a power cut is data, name, reference: write, sync the data, rename, sync the
//! folder, and only then write the record that names the thing. Deletion goes the other way round.
//! A failed sync means the data is lost; it is never retried on the same descriptor.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the durable writer that the lint points to"
)]

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

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

/// Prefix of names that a start may delete without asking: unfinished writes and half-deleted trees.
pub const SCRATCH_PREFIX: &str = ".tmp-";

/// A path beside `path` that no other call of this or another live process returns.
pub fn scratch_beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!("{SCRATCH_PREFIX}{}-{count}", std::process::id()))
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

/// A file without a name on the filesystem of the folder `dir`: however its owner ends, nothing is left. `None` where the
/// filesystem has no such files.
pub fn unnamed(dir: &Path, mode: u32) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .mode(mode)
        .custom_flags(libc::O_TMPFILE);
    match options.open(dir) {
        Ok(file) => Ok(Some(file)),
        // Kernels and filesystems that do not know the flag see a folder being opened for writing.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EOPNOTSUPP | libc::EISDIR | libc::ENOENT)
            ) && dir.is_dir() =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A file of its own in the folder `dir` that goes with its descriptor, on any filesystem.
pub fn nameless(dir: &Path) -> io::Result<File> {
    let path = scratch_beside(&dir.join("nameless"));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let file = options.open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// Gives an [`unnamed`] file the name `path` on the same filesystem, durably and in one step; what had it is gone.
pub fn publish_unnamed(file: &File, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    let scratch = scratch_beside(path);
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    nix::unistd::linkat(
        None,
        Path::new(&open),
        None,
        scratch.as_path(),
        nix::fcntl::AtFlags::AT_SYMLINK_FOLLOW,
    )?;
    publish(&scratch, path).inspect_err(|_| {
        let _ = fs::remove_file(&scratch);
    })
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
fn remove_folders(top: &Path) -> io::Result<()> {
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

/// Whether the disk says that it no longer knows what was written there.
pub fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EUCLEAN | libc::EBADMSG)
    )
}

/// Somebody else may remove the same thing at the same time.
fn gone_is_success(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
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

/// Makes a named pipe.
pub fn make_fifo(path: &Path, mode: u32) -> io::Result<()> {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(mode))?;
    Ok(())
}

/// Opens a named pipe for writing without ever waiting, neither now nor later; `None` while nobody reads from it.
pub fn open_fifo(path: &Path) -> io::Result<Option<File>> {
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    match opened {
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        opened => opened.map(Some),
    }
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

    fn scratch_dir(name: &str) -> PathBuf {
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
    fn an_unnamed_file_leaves_nothing_until_it_has_a_name() {
        let dir = scratch_dir("unnamed");
        let names = || fs::read_dir(&dir).unwrap().count();
        let path = dir.join("file");
        for content in ["one", "two"] {
            let before = names();
            // tmpfs, ext4, xfs and btrfs all have them.
            let mut file = unnamed(&dir, 0o600).unwrap().unwrap();
            file.write_all(content.as_bytes()).unwrap();
            assert_eq!(names(), before);
            publish_unnamed(&file, &path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(names(), 1);
        }
        drop(unnamed(&dir, 0o600).unwrap());
        assert_eq!(names(), 1);
        assert!(unnamed(&dir.join("absent"), 0o600).is_err());
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
