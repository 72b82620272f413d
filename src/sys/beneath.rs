//! Files below a directory handle: every call takes an open directory and, at most, one name in it.
//!
//! Paths from an image are only ever resolved by [`open_beneath`] (no symbolic link at all) and [`open_in_root`]
//! (symbolic links resolve as they would inside a chroot); both let the kernel do it, so nothing in the image can lead
//! outside. Every other function takes a single name and never follows a link there.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::NixPath;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::{Mode, SFlag};

/// A time as the kernel takes it: seconds (negative before 1970) and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Whole seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds, below one thousand million.
    pub nanoseconds: u32,
}

/// What a name is, as far as this program tells names apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// What the kernel says of one inode.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    /// Its type.
    pub file_type: FileType,
    /// Permission bits with set-user-ID, set-group-ID and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes; of a symbolic link its text's length.
    pub size: u64,
    /// Space it takes, in units of 512 bytes.
    pub blocks: u64,
    /// Device number, of devices only.
    pub device: (u32, u32),
    /// Inode number.
    pub inode: u64,
    /// Number of names.
    pub links: u64,
    /// Last change of content.
    pub modified: Time,
}

impl Status {
    /// Whether it is overlay's mark for a deleted name: a character device 0:0.
    pub fn is_whiteout(&self) -> bool {
        self.file_type == FileType::CharDevice && self.device == (0, 0)
    }
}

/// Opens a directory by its path, for use as a handle.
pub fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    owned(nix::fcntl::open(path, flags, Mode::empty()))
}

/// Opens the directory `path` below `root`; any symbolic link on the way is an error (`ELOOP`).
pub fn open_beneath(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    resolve(
        root,
        path,
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS,
    )
}

/// Opens the directory `path` below `root` as a process chrooted to `root` would: `..` stops at it, absolute links
/// start at it.
pub fn open_in_root(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    resolve(
        root,
        path,
        ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS,
    )
}

/// Opens the regular file `path` below `root` for reading, as a process chrooted to `root` would.
pub fn open_file_in_root(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<File> {
    // Not blocking: a fifo in its place must not hold us up.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let file = File::from(open_resolved(root, path, flags, resolve)?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        )),
    }
}

/// Whether [`open_beneath`] failed because there is a symbolic link on the way.
pub fn met_symlink(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ELOOP)
}

fn resolve(root: BorrowedFd<'_>, path: &[u8], resolve: ResolveFlag) -> io::Result<OwnedFd> {
    open_resolved(
        root,
        path,
        OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        resolve,
    )
}

fn open_resolved(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlag,
    resolve: ResolveFlag,
) -> io::Result<OwnedFd> {
    let how = OpenHow::new().flags(flags).resolve(resolve);
    let path = if path.is_empty() { b"." } else { path };
    loop {
        match nix::fcntl::openat2(root.as_raw_fd(), path, how) {
            // Somebody renamed something anywhere on the system while `..` was resolved.
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => {}
            opened => return owned(opened),
        }
    }
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

/// The status of an open file or directory.
pub fn status(file: BorrowedFd<'_>) -> io::Result<Status> {
    Ok(from_stat(&nix::sys::stat::fstat(file.as_raw_fd())?))
}

/// The status of `name` in `dir`; of a symbolic link itself.
pub fn status_of(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Status> {
    let stat = nix::sys::stat::fstatat(Some(dir.as_raw_fd()), name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    Ok(from_stat(&stat))
}

/// As [`status_of`]; `None` if the name does not exist.
pub fn status_if_present(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<Status>> {
    match status_of(dir, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

#[allow(
    clippy::unnecessary_cast,
    reason = "the fields' types differ between architectures; the kernel's values fit"
)]
fn from_stat(stat: &libc::stat) -> Status {
    let file_type = match stat.st_mode & libc::S_IFMT {
        libc::S_IFDIR => FileType::Directory,
        libc::S_IFLNK => FileType::Symlink,
        libc::S_IFCHR => FileType::CharDevice,
        libc::S_IFBLK => FileType::BlockDevice,
        libc::S_IFIFO => FileType::Fifo,
        libc::S_IFSOCK => FileType::Socket,
        _ => FileType::File,
    };
    Status {
        file_type,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: stat.st_size as u64,
        blocks: stat.st_blocks as u64,
        device: (libc::major(stat.st_rdev), libc::minor(stat.st_rdev)),
        inode: stat.st_ino as u64,
        links: stat.st_nlink as u64,
        modified: Time {
            seconds: stat.st_mtime as i64,
            nanoseconds: stat.st_mtime_nsec as u32,
        },
    }
}

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
    let names = grown(|buffer| {
        // SAFETY: the descriptor is open and the kernel writes at most the buffer's length.
        unsafe { libc::flistxattr(file.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) }
    });
    let names = match names {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(Vec::new()),
        other => other?,
    };
    names
        .split_inclusive(|&byte| byte == 0)
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
        .map(|name| Ok((name.to_bytes().to_vec(), xattr(file, name)?)))
        .collect()
}

fn xattr(file: BorrowedFd<'_>, name: &CStr) -> io::Result<Vec<u8>> {
    grown(|buffer| {
        // SAFETY: the descriptor is open, `name` is terminated and the kernel writes at most the buffer's length.
        unsafe {
            libc::fgetxattr(
                file.as_raw_fd(),
                name.as_ptr(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
            )
        }
    })
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

/// Where an open directory really lies.
pub fn path_of(dir: BorrowedFd<'_>) -> io::Result<PathBuf> {
    std::fs::read_link(through_proc(dir))
}

fn through_proc(file: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Room on the filesystem that holds a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that may still be written without touching what the filesystem reserves for root.
    pub bytes: u64,
    /// Names that may still be made; `None` where the filesystem has no such limit.
    pub inodes: Option<u64>,
}

/// How much room the filesystem that holds `dir` has left.
pub fn room(dir: &Path) -> io::Result<Room> {
    let stat = nix::sys::statvfs::statvfs(dir)?;
    #[allow(
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        reason = "the fields' types differ between architectures"
    )]
    Ok(Room {
        bytes: u64::from(stat.blocks_available()).saturating_mul(stat.fragment_size() as u64),
        inodes: (stat.files() > 0).then_some(u64::from(stat.files_available())),
    })
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
