//! Advisory file locks as guards: a function that needs the lock takes the guard.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// An exclusive lock, released when dropped or when the process dies. Descriptors are close-on-exec, so no child keeps it.
#[derive(Debug)]
pub struct Exclusive(File);

/// A shared lock; any number of holders, never together with an exclusive one.
#[derive(Debug)]
pub struct Shared(File);

impl Exclusive {
    /// Waits until the lock is free.
    pub fn wait(path: &Path) -> io::Result<Exclusive> {
        Ok(Exclusive(lock(path, libc::LOCK_EX)?))
    }

    /// Takes the lock if it is free; `None` if somebody holds it.
    pub fn attempt(path: &Path) -> io::Result<Option<Exclusive>> {
        unless_held(lock(path, libc::LOCK_EX | libc::LOCK_NB)).map(|file| file.map(Exclusive))
    }

    /// Whether somebody has the lock. Makes nothing, and so can be asked on a disk that takes nothing; what is gone nobody has.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let free = unless_held(convert(&file, libc::LOCK_SH | libc::LOCK_NB))?;
        Ok(free.is_none())
    }
}

/// A process that is given the descriptor holds the lock too: it is free once both have closed it.
impl AsFd for Exclusive {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Shared {
    /// Waits until no exclusive lock is held.
    pub fn wait(path: &Path) -> io::Result<Shared> {
        Ok(Shared(lock(path, libc::LOCK_SH)?))
    }

    /// Shares the lock unless somebody has it alone; `None` then.
    pub fn attempt(path: &Path) -> io::Result<Option<Shared>> {
        unless_held(lock(path, libc::LOCK_SH | libc::LOCK_NB)).map(|file| file.map(Shared))
    }

    /// Does `work` while nobody else has the lock, and then shares it again; `None` if somebody has it. Before `work` and after
    /// it others may have had it to themselves.
    pub fn alone<T>(&self, work: impl FnOnce(&Exclusive) -> T) -> io::Result<Option<T>> {
        let alone = Exclusive(self.0.try_clone()?);
        let locked = unless_held(convert(&self.0, libc::LOCK_EX | libc::LOCK_NB))?;
        let done = locked.map(|()| work(&alone));
        // Also after a refusal: the kernel takes the shared one away first.
        convert(&self.0, libc::LOCK_SH)?;
        Ok(done)
    }
}

fn unless_held<T>(locked: io::Result<T>) -> io::Result<Option<T>> {
    match locked {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        other => other.map(Some),
    }
}

fn lock(path: &Path, operation: libc::c_int) -> io::Result<File> {
    // Nothing is ever written to a lock file, so it needs no durable writer.
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    convert(&file, operation).map(|()| file)
}

fn convert(file: &File, operation: libc::c_int) -> io::Result<()> {
    loop {
        // SAFETY: flock takes a descriptor that `file` keeps open and touches no memory.
        if unsafe { libc::flock(file.as_raw_fd(), operation) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
