//! First content of a volume: what the image has where the volume is mounted, owners and modes included, as in Docker.
//!
//! ```text
//! volumes/<name>/_data      the volume
//! volumes/<name>/filling    there while content is being copied: a volume found with it is emptied and filled again
//! ```
//!
//! Only an empty volume is filled, so nothing that a container wrote is ever touched. One that is mounted, a disk or another
//! machine's folder, is never emptied: what is in it after a failure is the business of whoever owns it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::super::tree::{Copy, Rules};
use crate::sys::beneath::{self, FileType};
use crate::sys::fs;

/// Everything as the image has it; a container starts only after it.
const RULES: Rules = Rules {
    owners: true,
    fresh: true,
};

/// The mark of a volume whose data lies at `data`.
pub fn mark(data: &Path) -> PathBuf {
    data.with_file_name("filling")
}

/// Fills the volume whose data lies at `data` from `path` below the container's mounted `root`; without a `mark` nothing tells
/// the next one that it did not come to its end. The caller holds the volume's lock.
pub fn fill(root: &Path, path: &str, data: &Path, mark: Option<&Path>) -> io::Result<()> {
    let root = beneath::open_dir(root)?;
    let from = match beneath::open_in_root(root.as_fd(), path.as_bytes()) {
        Ok(from) => from,
        // The image has nothing there, or no folder: then the volume starts empty.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let to = beneath::open_dir(data)?;
    if mark.is_some_and(Path::exists) {
        clear(to.as_fd())?;
    } else if !names(to.as_fd())?.is_empty() {
        return Ok(());
    }
    let mut copy = Copy::new(to.as_fd(), RULES);
    let mut copy = || copy.folder(from.as_fd()).map_err(io::Error::other);
    if names(from.as_fd())?.is_empty() {
        return copy();
    }
    if let Some(mark) = mark {
        fs::replace(mark, 0o600, b"")?;
    }
    copy()?;
    fs::sync_filesystem(data)?;
    mark.map_or(Ok(()), fs::remove_file)
}

fn names(folder: BorrowedFd<'_>) -> io::Result<Vec<(CString, FileType)>> {
    let mut names = Vec::new();
    beneath::visit(folder, |name, file_type| {
        names.push((name.to_owned(), file_type));
        Ok::<(), io::Error>(())
    })?;
    Ok(names)
}

fn clear(folder: BorrowedFd<'_>) -> io::Result<()> {
    for (name, file_type) in names(folder)? {
        match file_type {
            FileType::Directory => beneath::remove_tree(folder, name.to_bytes())?,
            _ => beneath::unlink(folder, name.to_bytes())?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::fill;

    /// An image's root with something at `/data`, and an empty volume; both go with it.
    struct Scene(PathBuf);

    impl Scene {
        fn new(name: &str) -> Scene {
            let dir = std::env::temp_dir().join(format!("dray-fill-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            for folder in ["root/data/sub", "root/empty", "volume/_data"] {
                fs::create_dir_all(dir.join(folder)).unwrap();
            }
            let scene = Scene(dir);
            let data = scene.root().join("data");
            fs::set_permissions(&data, fs::Permissions::from_mode(0o2750)).unwrap();
            put(&data.join("file"), "content");
            fs::set_permissions(data.join("file"), fs::Permissions::from_mode(0o4711)).unwrap();
            fs::hard_link(data.join("file"), data.join("sub/again")).unwrap();
            symlink("../../outside", data.join("sub/link")).unwrap();
            symlink("/data", scene.root().join("way")).unwrap();
            scene
        }

        fn root(&self) -> PathBuf {
            self.0.join("root")
        }

        fn volume(&self) -> PathBuf {
            self.0.join("volume/_data")
        }

        fn fill(&self, path: &str) {
            fill(
                &self.root(),
                path,
                &self.volume(),
                Some(&super::mark(&self.volume())),
            )
            .unwrap();
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.volume()).unwrap();
            let mut names: Vec<String> = entries
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn put(path: &std::path::Path, content: &str) {
        use std::io::Write as _;
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .unwrap();
        file.write_all(content.as_bytes()).unwrap();
    }

    #[test]
    fn an_empty_volume_gets_what_the_image_has() {
        for path in ["/data", "data/", "/way", "/../data"] {
            let scene = Scene::new("gets");
            scene.fill(path);
            assert_eq!(scene.names(), ["file", "sub"], "{path}");
            let volume = scene.volume();
            let (image, copy) = (scene.root().join("data"), |name: &str| {
                fs::symlink_metadata(volume.join(name)).unwrap()
            });
            assert_eq!(fs::read_to_string(volume.join("file")).unwrap(), "content");
            assert_eq!(copy("").mode() & 0o7777, 0o2750);
            assert_eq!(copy("file").mode() & 0o7777, 0o4711);
            assert_eq!(copy("file").ino(), copy("sub/again").ino());
            assert_eq!(
                fs::read_link(volume.join("sub/link")).unwrap(),
                PathBuf::from("../../outside")
            );
            assert_eq!(
                copy("file").mtime_nsec(),
                fs::metadata(image.join("file")).unwrap().mtime_nsec()
            );
            assert_eq!(
                copy("").mtime_nsec(),
                fs::metadata(&image).unwrap().mtime_nsec()
            );
            assert!(!volume.with_file_name("filling").exists());
        }
    }

    #[test]
    fn a_volume_with_content_is_left_alone() {
        let scene = Scene::new("alone");
        put(&scene.volume().join("own"), "mine");
        scene.fill("/data");
        assert_eq!(scene.names(), ["own"]);
        assert_ne!(
            fs::metadata(scene.volume()).unwrap().mode() & 0o7777,
            0o2750
        );
    }

    #[test]
    fn a_copy_that_was_cut_off_is_made_again() {
        let scene = Scene::new("again");
        put(&scene.volume().join("half"), "");
        fs::create_dir_all(scene.volume().join("half-folder/below")).unwrap();
        put(&scene.volume().with_file_name("filling"), "");
        scene.fill("/data");
        assert_eq!(scene.names(), ["file", "sub"]);
        assert!(!scene.volume().with_file_name("filling").exists());
    }

    #[test]
    fn nothing_in_the_image_leaves_the_volume_empty() {
        let scene = Scene::new("nothing");
        for path in ["/nowhere", "/data/file", "/nowhere/below"] {
            scene.fill(path);
            assert_eq!(scene.names(), [""; 0], "{path}");
        }
        fs::set_permissions(
            scene.root().join("empty"),
            fs::Permissions::from_mode(0o1777),
        )
        .unwrap();
        scene.fill("/empty");
        assert_eq!(
            fs::metadata(scene.volume()).unwrap().mode() & 0o7777,
            0o1777
        );
    }
}
