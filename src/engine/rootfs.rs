//! The root filesystem of a container: the image's layers, above them a layer of the engine's own, then what it writes.
//!
//! ```text
//! upper      containers/<id>/upper: what the container writes
//! top        containers/<id>/top: real folders /dev /proc /sys /etc, real files /etc/{hosts,hostname,resolv.conf} and
//!            /.dockerenv, by which programs notice that they are in a container
//! layer n    the image
//! …
//! layer 0
//! ```
//!
//! The engine's layer makes sure that no symlink in the image leads a mount of the runtime somewhere else.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::record::{Folders, Record};
use super::{Engine, EngineError};
use crate::images::{Image, Images};
use crate::sys::{beneath, fs, mount};

const MOUNT_POINTS: [&str; 6] = ["dev", "dev/pts", "dev/shm", "proc", "sys", "etc"];
const FILES: [(&str, u32); 4] = [
    ("etc/hosts", 0o644),
    ("etc/hostname", 0o644),
    ("etc/resolv.conf", 0o644),
    (".dockerenv", 0o755),
];

/// Makes the folders of a new container's root below `container`.
pub fn make(images: &Images, image: &Image, container: &Path) -> Result<(), EngineError> {
    let write = |source| EngineError::write(container, source);
    for (name, mode) in [("top", 0o755), ("upper", 0o755), ("work", 0o700)] {
        DirBuilder::new()
            .mode(mode)
            .create(container.join(name))
            .map_err(write)?;
    }
    let top = container.join("top");
    images.dress(image, &top, &MOUNT_POINTS)?;
    // The uppermost folder's attributes are those of `/`.
    images.dress_root(image, &container.join("upper"))?;
    for (name, mode) in FILES {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(top.join(name))
            .map_err(write)?;
    }
    Ok(())
}

/// Mounts a container's root, in the mount namespace of the calling process, and returns where.
pub fn mount(engine: &Engine, record: &Record, folders: &Folders) -> Result<PathBuf, EngineError> {
    let (upper, work) = (folders.state.join("upper"), folders.state.join("work"));
    mount_over(engine, record, folders, Some([&upper, &work])).map_err(|error| {
        // The kernel says of a disk that is read-only that the mount is invalid.
        writable(folders).err().unwrap_or(error)
    })
}

/// The same for those who only read, as it is without a disk that takes anything.
pub fn mount_to_read(
    engine: &Engine,
    record: &Record,
    folders: &Folders,
) -> Result<PathBuf, EngineError> {
    mount_over(engine, record, folders, None)
}

fn mount_over(
    engine: &Engine,
    record: &Record,
    folders: &Folders,
    upper: Option<[&Path; 2]>,
) -> Result<PathBuf, EngineError> {
    let (root, links) = (folders.run.join("rootfs"), folders.run.join("layers"));
    for folder in [&root, &links] {
        fs::create_dirs(folder).map_err(|source| EngineError::write(folder, source))?;
    }
    let mut lower = vec![folders.state.join("top")];
    if upper.is_none() {
        lower.insert(0, folders.state.join("upper"));
    }
    lower.extend(engine.images().lower_dirs(&record.layers)?);
    let overlay = mount::Overlay {
        lower: &lower,
        upper,
        scratch: &links,
    };
    mount::overlay(&overlay, &root).map_err(|source| EngineError::System {
        action: format!("mount the root of {}", record.name),
        source,
    })?;
    Ok(root)
}

/// Refuses a container whose own files are on a disk that is read-only.
pub fn writable(folders: &Folders) -> Result<(), EngineError> {
    check_writable(&folders.state.join("upper"))
}

/// Refuses a folder on a disk that is read-only.
pub fn check_writable(folder: &Path) -> Result<(), EngineError> {
    match fs::try_beside(folder) {
        Err(source) if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            Err(EngineError::write(folder, source))
        }
        // Of everything else whoever writes there says more.
        _ => Ok(()),
    }
}

/// Takes a container's root down again, in the mount namespace of the calling process.
pub fn unmount(folders: &Folders) -> Result<(), EngineError> {
    let root = folders.run.join("rootfs");
    mount::unmount(&root).map_err(EngineError::system(format!("unmount {}", root.display())))
}

/// Creates folder `path` of the container where it is missing, as Docker does for the working directory. No symlink leads
/// out of `root`.
pub fn make_folder(root: &Path, path: &str) -> io::Result<()> {
    let root = beneath::open_dir(root)?;
    let mut parent = beneath::open_in_root(root.as_fd(), b"")?;
    let mut done = PathBuf::new();
    for component in Path::new(path).components() {
        let std::path::Component::Normal(name) = component else {
            continue;
        };
        done.push(name);
        let so_far = done.as_os_str().as_encoded_bytes();
        parent = match beneath::open_in_root(root.as_fd(), so_far) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                beneath::make_dir(parent.as_fd(), name.as_encoded_bytes())?;
                let made = beneath::open_child(parent.as_fd(), name.as_encoded_bytes())?;
                beneath::set_mode(made.as_fd(), 0o755)?;
                made
            }
            opened => opened?,
        };
    }
    Ok(())
}

/// Permission bits of folder `path` of the container. No symlink leads out of `root`.
pub fn mode(root: &Path, path: &str) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let root = beneath::open_dir(root)?;
    let folder = beneath::open_in_root(root.as_fd(), path.as_bytes())?;
    let meta = std::fs::File::from(folder).metadata()?;
    Ok(meta.permissions().mode() & 0o7777)
}

/// The content of a file of the container, at most `limit` bytes; no file is empty. No symlink leads out of `root`.
pub fn read(root: &Path, path: &str, limit: u64) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let root = beneath::open_dir(root)?;
    let file = match beneath::open_file_in_root(root.as_fd(), path.as_bytes()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content)?;
    Ok(content)
}
