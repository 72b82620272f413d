//! Files below a directory handle: every call takes an open directory and, at most, one name in it.
//!
//! Paths from an image are only ever resolved by [`open_beneath`] (no symbolic link at all) and [`open_in_root`]
//! (symbolic links resolve as they would inside a chroot), so nothing in the image can lead outside. Every other
//! function takes a single name and never follows a link there.

mod attributes;
mod holes;
mod resolve;
mod status;

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag};

pub use attributes::{
    set_mode, set_mode_of_node, set_modified, set_modified_of, set_owner, set_owner_of, set_xattr,
    set_xattr_of, xattrs, xattrs_of,
};
pub use holes::next_data;
pub use resolve::{
    find_beneath, find_in_root, met_symlink, open_beneath, open_file_in_root, open_in_root,
};
pub use status::{
    FileType, Room, Status, Time, is_mount_point, is_of_kernel, room, status, status_if_present,
    status_of,
};

/// Opens a directory by its path, for use as a handle.
pub fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    owned(nix::fcntl::open(path, flags, Mode::empty()))
}

/// Opens the directory `name` in `dir`, which must not be a symbolic link.
pub fn open_child(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    owned(nix::fcntl::openat(
        Some(dir.as_raw_fd()),
        name,
        flags,
        Mode::empty(),
    ))
}

/// Creates the file `name` in `dir`, private until its mode is set; a name that exists is an error.
pub fn create_file(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<File> {
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    owned(nix::fcntl::openat(Some(dir.as_raw_fd()), name, flags, mode)).map(File::from)
}

/// Opens the regular file `name` in `dir`, which is there and is no link, to write to it in its place.
pub fn open_to_write(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<File> {
    // Not blocking: a fifo in its place must not hold us up.
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = nix::fcntl::openat(Some(dir.as_raw_fd()), name, flags, Mode::empty());
    let file = File::from(owned(opened)?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

/// Opens the regular file `name` in `dir` for reading, without leaving a trace in its times.
pub fn open_to_read(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<File> {
    // Not blocking: a fifo in its place must not hold us up.
    let flags = OFlag::O_RDONLY
        | OFlag::O_NONBLOCK
        | OFlag::O_NOFOLLOW
        | OFlag::O_CLOEXEC
        | OFlag::O_NOATIME;
    let opened = nix::fcntl::openat(Some(dir.as_raw_fd()), name, flags, Mode::empty());
    let file = File::from(owned(opened)?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

/// Has the kernel forget what of a file it keeps in memory, so that reading it means its disk. What is mapped or not yet
/// written stays; it is a wish, and nothing is said where it is not met.
pub fn forget_cached(file: &File) {
    use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
    let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
    let _ = posix_fadvise(file.as_raw_fd(), 0, 0, advice);
}

/// Creates the directory `name` in `dir`, private until its mode is set.
pub fn make_dir(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    Ok(nix::sys::stat::mkdirat(
        Some(dir.as_raw_fd()),
        name,
        Mode::S_IRWXU,
    )?)
}

/// Creates the symbolic link `name` in `dir` with exactly this text.
pub fn make_symlink(dir: BorrowedFd<'_>, name: &[u8], text: &[u8]) -> io::Result<()> {
    Ok(nix::unistd::symlinkat(text, Some(dir.as_raw_fd()), name)?)
}

/// The text of the symbolic link `name` in `dir`.
pub fn link_text(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Vec<u8>> {
    let text = nix::fcntl::readlinkat(Some(dir.as_raw_fd()), name)?;
    Ok(text.into_encoded_bytes())
}

/// Gives the inode `old` in `old_dir` the further name `name` in `dir`; a symbolic link is linked itself.
pub fn make_link(
    old_dir: BorrowedFd<'_>,
    old: &[u8],
    dir: BorrowedFd<'_>,
    name: &[u8],
) -> io::Result<()> {
    Ok(nix::unistd::linkat(
        Some(old_dir.as_raw_fd()),
        old,
        Some(dir.as_raw_fd()),
        name,
        AtFlags::empty(),
    )?)
}

/// Creates a device, pipe or socket node `name` in `dir`, without any permission until its mode is set.
pub fn make_node(
    dir: BorrowedFd<'_>,
    name: &[u8],
    file_type: FileType,
    device: (u32, u32),
) -> io::Result<()> {
    let kind = match file_type {
        FileType::CharDevice => SFlag::S_IFCHR,
        FileType::BlockDevice => SFlag::S_IFBLK,
        FileType::Fifo => SFlag::S_IFIFO,
        FileType::Socket => SFlag::S_IFSOCK,
        FileType::File | FileType::Directory | FileType::Symlink => {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
    };
    let number = libc::makedev(device.0, device.1);
    Ok(nix::sys::stat::mknodat(
        Some(dir.as_raw_fd()),
        name,
        kind,
        Mode::empty(),
        number,
    )?)
}

/// Gives `old` in `dir` the name `new` there; what had that name, which is no directory, is replaced at once.
pub fn rename(dir: BorrowedFd<'_>, old: &[u8], new: &[u8]) -> io::Result<()> {
    let dir = Some(dir.as_raw_fd());
    Ok(nix::fcntl::renameat(dir, old, dir, new)?)
}

/// Removes the name `name`, which is no directory, from `dir`.
pub fn unlink(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let flags = nix::unistd::UnlinkatFlags::NoRemoveDir;
    Ok(nix::unistd::unlinkat(Some(dir.as_raw_fd()), name, flags)?)
}

/// Removes the directory `name` and everything in it from `dir`, without following any link.
pub fn remove_tree(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let child = open_child(dir, name)?;
    let mut folders = Vec::new();
    visit(child.as_fd(), |entry, file_type| match file_type {
        FileType::Directory => {
            folders.push(entry.to_owned());
            Ok(())
        }
        _ => unlink(child.as_fd(), entry.to_bytes()),
    })?;
    for folder in folders {
        remove_tree(child.as_fd(), folder.to_bytes())?;
    }
    let flags = nix::unistd::UnlinkatFlags::RemoveDir;
    Ok(nix::unistd::unlinkat(Some(dir.as_raw_fd()), name, flags)?)
}

/// Calls `each` for every name in a directory but `.` and `..`, in the filesystem's own order, until it fails.
pub fn visit<E: From<io::Error>>(
    dir: BorrowedFd<'_>,
    mut each: impl FnMut(&CStr, FileType) -> Result<(), E>,
) -> Result<(), E> {
    // A descriptor of its own: reading moves the position that a duplicate would share.
    let own = open_beneath(dir, b".")?;
    let mut entries = nix::dir::Dir::from_fd(own.into_raw_fd()).map_err(io::Error::from)?;
    for entry in entries.iter() {
        let entry = entry.map_err(io::Error::from)?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let file_type = match entry.file_type() {
            Some(known) => from_dirent(known),
            // Some filesystems leave the type out of the listing.
            None => status_of(dir, name.to_bytes())?.file_type,
        };
        each(name, file_type)?;
    }
    Ok(())
}

fn from_dirent(file_type: nix::dir::Type) -> FileType {
    match file_type {
        nix::dir::Type::Fifo => FileType::Fifo,
        nix::dir::Type::CharacterDevice => FileType::CharDevice,
        nix::dir::Type::Directory => FileType::Directory,
        nix::dir::Type::BlockDevice => FileType::BlockDevice,
        nix::dir::Type::File => FileType::File,
        nix::dir::Type::Symlink => FileType::Symlink,
        nix::dir::Type::Socket => FileType::Socket,
    }
}

/// Where an open directory really lies.
pub fn path_of(dir: BorrowedFd<'_>) -> io::Result<PathBuf> {
    std::fs::read_link(through_proc(dir))
}

/// A path that leads to what `file` is a handle of, for calls that take no handle.
pub fn through_proc(file: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn owned(opened: nix::Result<std::os::fd::RawFd>) -> io::Result<OwnedFd> {
    let raw = opened?;
    // SAFETY: the kernel has just returned this descriptor, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

fn result(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(returned)
    }
}
