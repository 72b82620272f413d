//! Files without a name: however their owner ends, nothing of them is left.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{publish, scratch_beside};

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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::tests::scratch_dir;
    use super::*;

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
}
