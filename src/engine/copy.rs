//! Files of a container, running or not, for `dray cp`: its root as a handle.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::record::MountPoint;
use super::{Container, Engine, EngineError, Record, rootfs, volumes};
use crate::sys::beneath::{self, FileType};
use crate::sys::lock::Exclusive;
use crate::sys::mount;

/// What the engine writes for a container and mounts below its `/etc`.
pub const NAME_FILES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// What somebody wants to do with a container's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Look at them.
    Read,
    /// Change them.
    Write,
}

/// The root of a container.
#[derive(Debug)]
pub struct Root {
    handle: OwnedFd,
    /// Of one that does not run: nobody may start it meanwhile.
    lock: Option<Exclusive>,
    readonly: bool,
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl Root {
    /// Whether processes of the container use it just now.
    pub fn is_live(&self) -> bool {
        self.lock.is_none()
    }

    /// Refuses to write into `folder` if that belongs to a root that is read-only; volumes below it do not.
    pub fn check_writable(&self, folder: BorrowedFd<'_>) -> Result<(), EngineError> {
        let filesystem = |folder| {
            let status = beneath::status(folder);
            status.map(|status| status.filesystem)
        };
        let failed = || EngineError::system("look at a folder of the container");
        let own = filesystem(self.as_fd()).map_err(failed())?;
        if self.readonly && filesystem(folder).map_err(failed())? == own {
            return Err(EngineError::ReadOnlyRoot);
        }
        Ok(())
    }
}

impl Engine {
    /// The root of a container as its processes see it. That of one which does not run is mounted for it, volumes too, in a
    /// mount namespace of this process, so the calling process has to end after it. Who only reads gets it from a disk that is
    /// read-only too.
    pub fn root(&self, container: &Container, access: Access) -> Result<Root, EngineError> {
        let id = container.id();
        let failed = || EngineError::system(format!("open the root of {}", container.name()));
        let readonly = container.record.body.host_config.readonly_rootfs;
        let lock = self.lock(id)?;
        if let Some(init) = self.load(id)?.now.and_then(|now| now.init) {
            let path = PathBuf::from(format!("/proc/{}/root", init.pid));
            let handle = beneath::open_dir(&path).map_err(failed())?;
            if init.is_alive() {
                return Ok(Root {
                    handle,
                    lock: None,
                    readonly,
                });
            }
            let name = container.name().to_owned();
            return Err(EngineError::NotRunning { name });
        }
        mount::private_namespace().map_err(failed())?;
        let (record, folders) = (&container.record, self.folders(id));
        let path = match rootfs::mount(self, record, &folders) {
            Err(error) if access == Access::Read && error.is_read_only() => {
                rootfs::mount_to_read(self, record, &folders)
            }
            mounted => mounted,
        }?;
        let handle = beneath::open_dir(&path).map_err(failed())?;
        self.show_names(handle.as_fd(), &container.record)
            .map_err(failed())?;
        self.show_all(handle.as_fd(), &container.record)?;
        if readonly {
            // As when it runs: a link in a volume may lead back into the root.
            mount::forbid_writing(handle.as_fd()).map_err(failed())?;
        }
        Ok(Root {
            handle,
            lock: Some(lock),
            readonly,
        })
    }

    /// Gives the new volumes of a container that has not run what its image has in their places, for those who take them over
    /// before it does; a start does the same, and fills those too that have a filesystem of their own. In a mount namespace of
    /// this process, so the calling process has to end after it.
    pub fn fill_volumes(&self, id: &str) -> Result<(), EngineError> {
        let _lock = self.lock(id)?;
        let record = self.load(id)?.record;
        let is_filled = |mount: &MountPoint| volumes::is_filled(mount) && !mount.mounted;
        if !record.mounts.iter().any(is_filled) {
            return Ok(());
        }
        mount::private_namespace()
            .map_err(EngineError::system("enter a mount namespace of our own"))?;
        let root = rootfs::mount(self, &record, &self.folders(id))?;
        volumes::fill(&root, &self.host.run, &record, is_filled)
    }

    /// Shows the files by which a container knows names, as it had them when it last ran; one that never ran has none.
    fn show_names(&self, root: BorrowedFd<'_>, record: &Record) -> io::Result<()> {
        let shared = record
            .body
            .host_config
            .network_mode
            .strip_prefix("container:");
        let id = match shared.map(|owner| self.find(owner)) {
            None => record.id.clone(),
            Some(Ok(owner)) => owner.id().to_owned(),
            // With the owner its files are gone.
            Some(Err(_)) => return Ok(()),
        };
        let run = self.folders(&id).run;
        for name in NAME_FILES {
            let file = match beneath::open_dir(&run) {
                Ok(run) => beneath::find_beneath(run.as_fd(), name.as_bytes()),
                Err(error) => Err(error),
            };
            let place = beneath::find_in_root(root, format!("etc/{name}").as_bytes());
            match (file, place) {
                (Ok(file), Ok(place)) => {
                    mount::bind(file.as_fd(), &beneath::through_proc(place.as_fd()))?;
                }
                // What is not there, or was removed, has nothing to be shown on.
                (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
                (Err(error), _) | (_, Err(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Shows volumes and binds of a container, in the mount namespace of this process.
    fn show_all(&self, root: BorrowedFd<'_>, record: &Record) -> Result<(), EngineError> {
        volumes::mount_all(self, record)?;
        let subpaths = volumes::Subpaths::mount(self, record)?;
        for (number, mount) in record.mounts.iter().enumerate() {
            let source = volumes::source_of(&self.host.run, record, number);
            show(root, mount, &source).map_err(|error| EngineError::Mount {
                name: record.name.clone(),
                source_path: source.display().to_string(),
                target: mount.destination.clone(),
                reason: error.to_string(),
            })?;
        }
        // They are held where they are shown.
        drop(subpaths);
        volumes::unmount_all(self, record)
    }
}

/// Shows a volume or bind where the container has it; the place is made if it never ran, as the runtime would.
fn show(root: BorrowedFd<'_>, mount: &MountPoint, source: &Path) -> io::Result<()> {
    let host = beneath::open_dir("/".as_ref())?;
    let source = beneath::find_in_root(host.as_fd(), source.as_os_str().as_bytes())?;
    let place = match beneath::find_in_root(root, mount.destination.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_dir = beneath::status(source.as_fd())?.file_type == FileType::Directory;
            match make_place(root, &mount.destination, is_dir) {
                // Of one that never ran, on a disk that takes nothing: what is there can be read all the same.
                Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => return Ok(()),
                made => made?,
            }
            beneath::find_in_root(root, mount.destination.as_bytes())?
        }
        found => found?,
    };
    mount::bind(source.as_fd(), &beneath::through_proc(place.as_fd()))?;
    if !mount.rw {
        // What the handle led to lies below the mount.
        let place = beneath::find_in_root(root, mount.destination.as_bytes())?;
        mount::forbid_writing(place.as_fd())?;
    }
    Ok(())
}

/// Makes the folder or empty file that something is mounted on.
fn make_place(root: BorrowedFd<'_>, path: &str, is_dir: bool) -> io::Result<()> {
    let through = beneath::through_proc(root);
    let path = path.trim_end_matches('/');
    if is_dir {
        return rootfs::make_folder(&through, path);
    }
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    rootfs::make_folder(&through, above)?;
    let above = beneath::open_in_root(root, above.as_bytes())?;
    let file = beneath::create_file(above.as_fd(), name.as_bytes())?;
    beneath::set_mode(file.as_fd(), 0o644)
}
