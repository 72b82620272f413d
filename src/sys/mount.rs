//! Mounts: a private mount namespace, overlays of any number of layers, detached unmounting.

mod patient;

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;

use super::process::owned;

pub use patient::filesystem_in_time;

/// mount(2) silently truncates options at one page; an overlay that lost its last layers would end in the host's root.
const OPTIONS_LIMIT: usize = 4000;

/// Room enough for a few system calls; the default of 2 MiB is for threads that compute.
const THREAD_STACK: usize = 64 * 1024;

const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;

/// Gives the calling process a mount namespace of its own in which nothing it mounts is seen outside, while mounts of
/// the host still arrive. It goes away, with all that was mounted in it, with its last process.
pub fn private_namespace() -> io::Result<()> {
    // SAFETY: unshare takes an integer; the caller is single-threaded.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: constant path, no data.
    let done = unsafe {
        libc::mount(
            c"none".as_ptr(),
            c"/".as_ptr(),
            std::ptr::null(),
            libc::MS_REC | libc::MS_SLAVE,
            std::ptr::null(),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// An overlay filesystem to be mounted.
#[derive(Debug, Clone, Copy)]
pub struct Overlay<'a> {
    /// Read-only layers, the uppermost first.
    pub lower: &'a [PathBuf],
    /// What receives all that is written, and a folder of the overlay's own on the same filesystem; without them nobody can
    /// write.
    pub upper: Option<[&'a Path; 2]>,
    /// Folder of the caller's, on any filesystem, for short names where the kernel needs them.
    pub scratch: &'a Path,
}

/// Mounts `overlay` at `target`.
pub fn overlay(overlay: &Overlay<'_>, target: &Path) -> io::Result<()> {
    match overlay_by_parts(overlay, target) {
        // A kernel without the call or without `lowerdir+` (before 6.7).
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOSYS | libc::EINVAL | libc::EPERM)
            ) =>
        {
            overlay_by_options(overlay, target)
        }
        done => done,
    }
}

/// Layer by layer through fsconfig: up to 500 of them, names of any length.
fn overlay_by_parts(overlay: &Overlay<'_>, target: &Path) -> io::Result<()> {
    const FSOPEN_CLOEXEC: libc::c_uint = 1;
    const FSMOUNT_CLOEXEC: libc::c_uint = 1;
    const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
    // SAFETY: constant name; returns a new descriptor or -1.
    let context =
        owned(
            unsafe { libc::syscall(libc::SYS_fsopen, c"overlay".as_ptr(), FSOPEN_CLOEXEC) } as i32,
        )?;
    for layer in overlay.lower {
        set_string(&context, c"lowerdir+", layer)?;
    }
    if let Some([upper, work]) = overlay.upper {
        set_string(&context, c"upperdir", upper)?;
        set_string(&context, c"workdir", work)?;
    }
    for (key, value) in [
        (c"metacopy", c"off"),
        (c"redirect_dir", c"off"),
        (c"index", c"off"),
    ] {
        set_raw(&context, key, value)?;
    }
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: the context is open; creating takes no key, value or number.
    if unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            FSCONFIG_CMD_CREATE,
            null,
            null,
            0,
        )
    } != 0
    {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the context is open; returns a new descriptor or -1.
    let mount =
        owned(
            unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, 0) }
                as i32,
        )?;
    attach(mount.as_fd(), target)
}

fn set_string(context: &OwnedFd, key: &CStr, value: &Path) -> io::Result<()> {
    set_raw(context, key, &path(value)?)
}

fn set_raw(context: &OwnedFd, key: &CStr, value: &CStr) -> io::Result<()> {
    const FSCONFIG_SET_STRING: libc::c_uint = 1;
    // SAFETY: key and value are C strings that outlive the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            FSCONFIG_SET_STRING,
            key.as_ptr(),
            value.as_ptr(),
            0,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// In one option string, with short links instead of the layers' names; refused when the string would not fit.
fn overlay_by_options(overlay: &Overlay<'_>, target: &Path) -> io::Result<()> {
    let mut names = Vec::new();
    for (number, layer) in overlay.lower.iter().enumerate() {
        let name = format!("{number}");
        let link = overlay.scratch.join(&name);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(layer, &link)?;
        names.push(name);
    }
    let mut options = format!("lowerdir={}", names.join(":")).into_bytes();
    let own = [&b",upperdir="[..], b",workdir="].into_iter();
    for (key, text) in own.zip(overlay.upper.into_iter().flatten()) {
        let bytes = text.as_os_str().as_bytes();
        if bytes.iter().any(|b| matches!(b, b',' | b':' | b'\\')) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{} has a comma, colon or backslash, which overlay mounts of this kernel cannot take",
                    text.display()
                ),
            ));
        }
        options.extend_from_slice(key);
        options.extend_from_slice(bytes);
    }
    if options.len() > OPTIONS_LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{} layers do not fit this kernel's limit on mount options",
                overlay.lower.len()
            ),
        ));
    }
    let (options, target) = (CString::new(options)?, path(target)?);
    let before = std::env::current_dir()?;
    std::env::set_current_dir(overlay.scratch)?;
    // SAFETY: all strings outlive the call.
    let done = unsafe {
        libc::mount(
            c"overlay".as_ptr(),
            target.as_ptr(),
            c"overlay".as_ptr(),
            0,
            options.as_ptr().cast(),
        )
    };
    let result = if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    };
    std::env::set_current_dir(before)?;
    result
}

/// Shows at `target` what `source` is a handle of, with the mounts below it.
pub fn bind(source: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
    let source = path(&super::beneath::through_proc(source))?;
    let target = path(target)?;
    // SAFETY: both paths outlive the call; a bind takes neither type nor data.
    let done = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            std::ptr::null(),
            libc::MS_BIND | libc::MS_REC,
            std::ptr::null(),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Lets nobody write through the mount at `target`.
pub fn forbid_writing(target: BorrowedFd<'_>) -> io::Result<()> {
    let target = path(&super::beneath::through_proc(target))?;
    // SAFETY: the path outlives the call; a remount takes neither source nor type nor data.
    let done = unsafe {
        libc::mount(
            std::ptr::null(),
            target.as_ptr(),
            std::ptr::null(),
            libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY,
            std::ptr::null(),
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A copy of what is at `place` in another mount namespace, as seen from there, where asked for with the mounts below it;
/// attached nowhere yet.
pub fn copy_from(namespace: BorrowedFd<'_>, place: &Path, recursive: bool) -> io::Result<OwnedFd> {
    // On a thread that ends with it: there is no way back that could fail and leave the caller in a foreign namespace.
    let inside = || {
        // Threads share root and current folder, which the other namespace replaces.
        nix::sched::unshare(CloneFlags::CLONE_FS)?;
        nix::sched::setns(namespace, CloneFlags::CLONE_NEWNS)?;
        copy(place, recursive)
    };
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(THREAD_STACK)
            .spawn_scoped(scope, inside)?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The same of what is at `place` in the mount namespace of the calling process.
pub fn copy(place: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let place = path(place)?;
    let mut flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= libc::AT_RECURSIVE as libc::c_uint;
    }
    // SAFETY: the path outlives the call, which returns a new descriptor or -1.
    owned(
        unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, place.as_ptr(), flags) } as i32,
    )
}

/// Attaches a copy, with its mounts below it, at `target`.
pub fn attach(tree: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
    let target = path(target)?;
    // SAFETY: both paths are C strings that outlive the call.
    let moved = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    match moved {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Words of mount options that are flags of the call; an empty flag is the usual one.
const FLAGS: [(&str, libc::c_ulong); 18] = [
    ("async", 0),
    ("bind", libc::MS_BIND),
    ("defaults", 0),
    ("dev", 0),
    ("dirsync", libc::MS_DIRSYNC),
    ("exec", 0),
    ("noatime", libc::MS_NOATIME),
    ("nodev", libc::MS_NODEV),
    ("nodiratime", libc::MS_NODIRATIME),
    ("noexec", libc::MS_NOEXEC),
    ("nosuid", libc::MS_NOSUID),
    ("rbind", libc::MS_BIND | libc::MS_REC),
    ("relatime", libc::MS_RELATIME),
    ("ro", libc::MS_RDONLY),
    ("rw", 0),
    ("strictatime", libc::MS_STRICTATIME),
    ("suid", 0),
    ("sync", libc::MS_SYNCHRONOUS),
];

/// Mounts a filesystem, or with the option `bind` a folder, at `target`; the kernel reads what is no flag.
fn filesystem(device: &str, target: &Path, kind: &str, options: &str) -> io::Result<()> {
    let mut flags = 0;
    let mut data: Vec<&str> = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match FLAGS.iter().find(|(word, _)| *word == option) {
            Some((_, flag)) => flags |= flag,
            None => data.push(option),
        }
    }
    let data = data.join(",");
    if data.len() > OPTIONS_LIMIT {
        let long = "the options do not fit the kernel's limit";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, long));
    }
    let bind = flags & libc::MS_BIND != 0;
    mount_call(device, target, kind, flags, &data)?;
    let rest = flags & !(libc::MS_BIND | libc::MS_REC);
    match bind && rest != 0 {
        // A bind takes its other flags from its source at first.
        true => mount_call(
            device,
            target,
            kind,
            libc::MS_REMOUNT | libc::MS_BIND | rest,
            "",
        )
        .inspect_err(|_| drop(unmount(target))),
        false => Ok(()),
    }
}

fn mount_call(
    device: &str,
    target: &Path,
    kind: &str,
    flags: libc::c_ulong,
    data: &str,
) -> io::Result<()> {
    let (device, kind, data) = (
        CString::new(device)?,
        CString::new(kind)?,
        CString::new(data)?,
    );
    let target = path(target)?;
    // SAFETY: all strings outlive the call.
    let done = unsafe {
        libc::mount(
            device.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            data.as_ptr().cast(),
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Unmounts what lies at `target` as soon as nobody uses it; nothing mounted there is success.
pub fn unmount(target: &Path) -> io::Result<()> {
    let target = path(target)?;
    // SAFETY: the path outlives the call.
    if unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW) } == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOENT)) => Ok(()),
        error => Err(error),
    }
}

pub(super) fn path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}
