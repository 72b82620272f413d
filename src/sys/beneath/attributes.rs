//! Owner, mode, times and extended attributes, without following a link and without opening a device.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use nix::NixPath;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::Mode;

use super::{FileType, Time, owned, result, status, through_proc};

/// Sets owner and group of an open file or directory. Clears set-user-ID and file capabilities: set those afterwards.
pub fn set_owner(file: BorrowedFd<'_>, uid: u32, gid: u32) -> io::Result<()> {
    Ok(nix::unistd::fchown(
        file.as_raw_fd(),
        Some(uid.into()),
        Some(gid.into()),
    )?)
}

/// Sets owner and group of `name` in `dir`; of a symbolic link itself.
pub fn set_owner_of(dir: BorrowedFd<'_>, name: &[u8], uid: u32, gid: u32) -> io::Result<()> {
    Ok(nix::unistd::fchownat(
        Some(dir.as_raw_fd()),
        name,
        Some(uid.into()),
        Some(gid.into()),
        AtFlags::AT_SYMLINK_NOFOLLOW,
    )?)
}

/// Sets the permission bits of an open file or directory.
pub fn set_mode(file: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    Ok(nix::sys::stat::fchmod(
        file.as_raw_fd(),
        Mode::from_bits_truncate(mode),
    )?)
}

/// Sets the permission bits of the device or pipe `name` in `dir`, without opening it (opening a device acts on it)
/// and without following a link.
pub fn set_mode_of_node(dir: BorrowedFd<'_>, name: &[u8], mode: u32) -> io::Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let node = owned(nix::fcntl::openat(
        Some(dir.as_raw_fd()),
        name,
        flags,
        Mode::empty(),
    ))?;
    if status(node.as_fd())?.file_type == FileType::Symlink {
        return Err(io::Error::from_raw_os_error(libc::ELOOP));
    }
    Ok(nix::sys::stat::fchmodat(
        None,
        through_proc(node.as_fd()).as_path(),
        Mode::from_bits_truncate(mode),
        nix::sys::stat::FchmodatFlags::FollowSymlink,
    )?)
}

/// Sets the time of the last change (and of the last access) of an open file or directory.
pub fn set_modified(file: BorrowedFd<'_>, time: Time) -> io::Result<()> {
    let time = time_spec(time);
    Ok(nix::sys::stat::futimens(file.as_raw_fd(), &time, &time)?)
}

/// Sets the time of the last change (and of the last access) of `name` in `dir`; of a symbolic link itself.
pub fn set_modified_of(dir: BorrowedFd<'_>, name: &[u8], time: Time) -> io::Result<()> {
    let time = time_spec(time);
    Ok(nix::sys::stat::utimensat(
        Some(dir.as_raw_fd()),
        name,
        &time,
        &time,
        nix::sys::stat::UtimensatFlags::NoFollowSymlink,
    )?)
}

fn time_spec(time: Time) -> nix::sys::time::TimeSpec {
    // 32 bits wide on 32-bit architectures: the nearest time there is.
    let seconds = libc::time_t::try_from(time.seconds).unwrap_or(if time.seconds < 0 {
        libc::time_t::MIN
    } else {
        libc::time_t::MAX
    });
    nix::sys::time::TimeSpec::new(seconds, time.nanoseconds as libc::c_long)
}

/// Sets an extended attribute of an open file or directory.
pub fn set_xattr(file: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> io::Result<()> {
    let name = CString::new(name)?;
    // SAFETY: the descriptor is open, `name` is terminated, and `value` is valid for its length.
    result(unsafe {
        libc::fsetxattr(
            file.as_raw_fd(),
            name.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    })
    .map(drop)
}

/// Sets an extended attribute of `child` in `dir`; of a symbolic link itself.
pub fn set_xattr_of(
    dir: BorrowedFd<'_>,
    child: &[u8],
    name: &[u8],
    value: &[u8],
) -> io::Result<()> {
    let path = through_proc(dir).join(OsStr::from_bytes(child));
    let name = CString::new(name)?;
    path.with_nix_path(|path| {
        // SAFETY: both texts are terminated, and `value` is valid for its length.
        result(unsafe {
            libc::lsetxattr(
                path.as_ptr(),
                name.as_ptr(),
                value.as_ptr().cast(),
                value.len(),
                0,
            )
        })
        .map(drop)
    })?
}

/// The extended attributes of an open file or directory that this process may see.
pub fn xattrs(file: BorrowedFd<'_>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    read_all(
        |buffer| {
            // SAFETY: the descriptor is open and the kernel writes at most the buffer's length.
            unsafe { libc::flistxattr(file.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) }
        },
        |name, buffer| {
            // SAFETY: the descriptor is open, `name` is terminated and the kernel writes at most the buffer's length.
            unsafe {
                libc::fgetxattr(
                    file.as_raw_fd(),
                    name.as_ptr(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                )
            }
        },
    )
}

/// The same of `child` in `dir`, without opening it; of a symbolic link itself.
pub fn xattrs_of(dir: BorrowedFd<'_>, child: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = through_proc(dir).join(OsStr::from_bytes(child));
    let path = CString::new(path.into_os_string().into_encoded_bytes())?;
    read_all(
        |buffer| {
            // SAFETY: the path is terminated and the kernel writes at most the buffer's length.
            unsafe { libc::llistxattr(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) }
        },
        |name, buffer| {
            // SAFETY: both texts are terminated and the kernel writes at most the buffer's length.
            unsafe {
                libc::lgetxattr(
                    path.as_ptr(),
                    name.as_ptr(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                )
            }
        },
    )
}

/// All names with their values, by the two calls that the kernel has for it.
fn read_all(
    list: impl FnMut(&mut [u8]) -> libc::ssize_t,
    mut value: impl FnMut(&CStr, &mut [u8]) -> libc::ssize_t,
) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let names = match grown(list) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(Vec::new()),
        other => other?,
    };
    names
        .split_inclusive(|&byte| byte == 0)
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
        .map(|name| {
            let value = grown(|buffer| value(name, buffer))?;
            Ok((name.to_bytes().to_vec(), value))
        })
        .collect()
}

/// Calls `fill` with a buffer that grows until the answer fits.
fn grown(mut fill: impl FnMut(&mut [u8]) -> libc::ssize_t) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 256];
    loop {
        let filled = fill(&mut buffer);
        match usize::try_from(filled) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(_) => {
                let error = io::Error::last_os_error();
                // Names and values end at 64 KiB each, so this ends.
                if error.raw_os_error() != Some(libc::ERANGE) || buffer.len() > 1 << 20 {
                    return Err(error);
                }
                buffer.resize(buffer.len() * 4, 0);
            }
        }
    }
}
