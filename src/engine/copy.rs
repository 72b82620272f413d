//! Files of a container, running or not, for `dray cp`: its root as a handle, and trees copied between two handles.
//!
//! No symbolic link leads out: paths are resolved as inside a chroot, and everything else happens to one name in an open
//! folder without following links.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::record::MountPoint;
use super::{Container, Engine, EngineError, Record, rootfs, volumes};
use crate::sys::beneath::{self, FileType, Status};
use crate::sys::lock::Exclusive;
use crate::sys::mount;

/// Deepest tree that is copied; each level keeps two folders open.
const MAX_DEPTH: u32 = 200;

/// The root of a container.
#[derive(Debug)]
pub struct Root {
    handle: OwnedFd,
    /// Of one that does not run: nobody may start it meanwhile.
    _lock: Option<Exclusive>,
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl Engine {
    /// The root of a container as its processes see it. That of one which does not run is mounted for it, volumes too, in a
    /// mount namespace of this process, so the calling process has to end after it.
    pub fn root(&self, container: &Container) -> Result<Root, EngineError> {
        let id = container.id();
        let failed = || EngineError::system(format!("open the root of {}", container.name()));
        let lock = self.lock(id)?;
        if let Some(init) = self.load(id)?.now.and_then(|now| now.init) {
            let path = PathBuf::from(format!("/proc/{}/root", init.pid));
            let handle = beneath::open_dir(&path).map_err(failed())?;
            if init.is_alive() {
                return Ok(Root {
                    handle,
                    _lock: None,
                });
            }
            let name = container.name().to_owned();
            return Err(EngineError::NotRunning { name });
        }
        mount::private_namespace().map_err(failed())?;
        let path = rootfs::mount(self, &container.record, &self.folders(id))?;
        let handle = beneath::open_dir(&path).map_err(failed())?;
        self.show_all(handle.as_fd(), &container.record)?;
        Ok(Root {
            handle,
            _lock: Some(lock),
        })
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

/// Shows a volume or bind where the container has it; not where there is no place for it yet.
fn show(root: BorrowedFd<'_>, mount: &MountPoint, source: &Path) -> io::Result<()> {
    let place = match beneath::find_in_root(root, mount.destination.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let host = beneath::open_dir("/".as_ref())?;
    let source = beneath::find_in_root(host.as_fd(), source.as_os_str().as_bytes())?;
    mount::bind(source.as_fd(), &beneath::through_proc(place.as_fd()))?;
    if !mount.rw {
        // What the handle led to lies below the mount.
        let place = beneath::find_in_root(root, mount.destination.as_bytes())?;
        mount::forbid_writing(place.as_fd())?;
    }
    Ok(())
}

/// A volume of the container that is read-only is no damage of the disk.
fn said(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => io::Error::other("it is read-only there"),
        _ => error,
    }
}

/// Copies trees from one handle to another.
#[derive(Debug, Default)]
pub struct Copy {
    /// Owners are copied too; else everything is the caller's.
    pub archive: bool,
    /// Bytes of files so far.
    pub bytes: u64,
}

impl Copy {
    /// Copies `name` in `from` as `new` in `to`. Folders are merged; anything else is replaced.
    pub fn entry(
        &mut self,
        (from, name): (BorrowedFd<'_>, &[u8]),
        (to, new): (BorrowedFd<'_>, &[u8]),
        depth: u32,
    ) -> Result<(), EngineError> {
        let name_of = String::from_utf8_lossy(name);
        let failed = || {
            let fail = EngineError::system(format!("copy {name_of}"));
            |error| fail(said(error))
        };
        let status = beneath::status_of(from, name).map_err(failed())?;
        let there = beneath::status_if_present(to, new).map_err(failed())?;
        let is_dir = |status: &Status| status.file_type == FileType::Directory;
        match &there {
            Some(there) if is_dir(there) != is_dir(&status) => {
                let kind = if is_dir(there) {
                    "a folder"
                } else {
                    "no folder"
                };
                return Err(failed()(io::Error::other(format!(
                    "there is {kind} of that name"
                ))));
            }
            Some(there) if !is_dir(there) => beneath::unlink(to, new).map_err(failed())?,
            _ => {}
        }
        if !is_dir(&status) {
            return self
                .single((from, name), (to, new), &status)
                .map_err(failed());
        }
        if there.is_none() {
            beneath::make_dir(to, new).map_err(failed())?;
        }
        let source = beneath::open_child(from, name).map_err(failed())?;
        let target = beneath::open_child(to, new).map_err(failed())?;
        self.content(source.as_fd(), target.as_fd(), depth)?;
        match there {
            None => self.dress(target.as_fd(), &status).map_err(failed()),
            Some(_) => Ok(()),
        }
    }

    /// Copies what is in the folder `from` into the folder `to`.
    pub fn content(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        depth: u32,
    ) -> Result<(), EngineError> {
        if depth > MAX_DEPTH {
            let deep = io::Error::other(format!("it is more than {MAX_DEPTH} folders deep"));
            return Err(EngineError::system("copy a folder")(deep));
        }
        let mut names: Vec<CString> = Vec::new();
        let listed = beneath::visit(from, |name, _| {
            names.push(name.to_owned());
            Ok(())
        });
        listed.map_err(|e: io::Error| EngineError::system("list a folder")(e))?;
        names.iter().try_for_each(|name| {
            let name = name.to_bytes();
            self.entry((from, name), (to, name), depth + 1)
        })
    }

    /// Copies what is no folder.
    fn single(
        &mut self,
        (from, name): (BorrowedFd<'_>, &[u8]),
        (to, new): (BorrowedFd<'_>, &[u8]),
        status: &Status,
    ) -> io::Result<()> {
        match status.file_type {
            FileType::File => return self.file((from, name), (to, new), status),
            FileType::Symlink => {
                beneath::make_symlink(to, new, &beneath::link_text(from, name)?)?;
            }
            // It is of no use without who made it; as docker's.
            FileType::Socket => return Ok(()),
            kind => {
                beneath::make_node(to, new, kind, status.device)?;
                beneath::set_mode_of_node(to, new, status.mode)?;
            }
        }
        if self.archive {
            beneath::set_owner_of(to, new, status.uid, status.gid)?;
        }
        beneath::set_modified_of(to, new, status.modified)
    }

    /// Copies a file; `name` may lead to it through links, as inside a chroot to `from`.
    pub fn file(
        &mut self,
        (from, name): (BorrowedFd<'_>, &[u8]),
        (to, new): (BorrowedFd<'_>, &[u8]),
        status: &Status,
    ) -> io::Result<()> {
        let mut source = beneath::open_file_in_root(from, name)?;
        let mut target = beneath::create_file(to, new)?;
        let copied = io::copy(&mut source, &mut target);
        let copied = copied.and_then(|bytes| self.dress(target.as_fd(), status).map(|()| bytes));
        if copied.is_err() {
            // Half a file is worse than none.
            beneath::unlink(to, new)?;
        }
        self.bytes += copied?;
        Ok(())
    }

    /// Owner first: the change of it takes set-user-ID away.
    fn dress(&self, file: BorrowedFd<'_>, status: &Status) -> io::Result<()> {
        if self.archive {
            beneath::set_owner(file, status.uid, status.gid)?;
        }
        beneath::set_mode(file, status.mode)?;
        beneath::set_modified(file, status.modified)
    }
}
