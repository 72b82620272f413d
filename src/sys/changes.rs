//! Waiting for changes in a folder.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::process::owned;

/// Becomes readable when a file of a folder is written, made or renamed.
#[derive(Debug)]
pub struct Changes(OwnedFd);

impl Changes {
    /// Watches the files directly in `folder`.
    pub fn of_folder(folder: &Path) -> io::Result<Changes> {
        let path = CString::new(folder.as_os_str().as_bytes())?;
        let events = libc::IN_MODIFY | libc::IN_CREATE | libc::IN_MOVED_TO;
        // SAFETY: takes integers, and a path that outlives the call.
        unsafe {
            let changes = Changes(owned(libc::inotify_init1(
                libc::IN_CLOEXEC | libc::IN_NONBLOCK,
            ))?);
            match libc::inotify_add_watch(changes.0.as_raw_fd(), path.as_ptr(), events) {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(changes),
            }
        }
    }

    /// Forgets the changes so far.
    pub fn drain(&self) {
        let mut buffer = [0u8; 4096];
        // SAFETY: the buffer outlives the call and its length is given.
        while unsafe { libc::read(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) }
            > 0
        {}
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
