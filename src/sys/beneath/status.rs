//! What the kernel says of files, in types that are the same on every architecture.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::Mode;

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
    /// Number of the device that its filesystem lies on.
    pub filesystem: u64,
    /// Inode number.
    pub inode: u64,
    /// Number of names.
    pub links: u64,
    /// Last change of content.
    pub modified: Time,
}

impl Status {
    /// Whether both are of one inode, by whatever name or mount.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.filesystem, self.inode) == (other.filesystem, other.inode)
    }

    /// Whether it is overlay's mark for a deleted name: a character device 0:0.
    pub fn is_whiteout(&self) -> bool {
        self.file_type == FileType::CharDevice && self.device == (0, 0)
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
        filesystem: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        links: stat.st_nlink as u64,
        modified: Time {
            seconds: stat.st_mtime as i64,
            nanoseconds: stat.st_mtime_nsec as u32,
        },
    }
}

/// Whether something is mounted on `name` in `dir`, in whatever mount namespace `dir` was opened. A rename over it is
/// refused by the kernel in the caller's own only; in another one it takes the mount away.
pub fn is_mount_point(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match super::owned(openat(Some(dir.as_raw_fd()), name, flags, Mode::empty())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        opened => Ok(mount_of(opened?.as_fd())? != mount_of(dir)?),
    }
}

/// Number of the mount that an open file was reached through, as the kernel prints it.
fn mount_of(file: BorrowedFd<'_>) -> io::Result<String> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
    let mut lines = info.lines();
    let number = lines.find_map(|line| line.strip_prefix("mnt_id:"));
    number
        .map(|number| number.trim().to_owned())
        .ok_or_else(|| io::Error::other("the kernel does not say on which mount a file is"))
}

/// Filesystems in which the kernel shows itself: processes, devices' state, control groups, terminals, queues.
const OF_KERNEL: [u32; 6] = [
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x1cd1,
    0x1980_0202,
];

/// Whether a directory lies on a filesystem that holds no files of anybody's, but what the kernel shows of itself.
pub fn is_of_kernel(dir: BorrowedFd<'_>) -> io::Result<bool> {
    let found = nix::sys::statfs::fstatfs(dir)?.filesystem_type().0;
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_sign_loss,
        reason = "its type differs between architectures; the kernel's values fit"
    )]
    Ok(OF_KERNEL.contains(&(found as u32)))
}

/// Room on the filesystem that holds a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that may still be written without touching what the filesystem reserves for root.
    pub bytes: u64,
    /// Names that may still be made; `None` where the filesystem has no such limit.
    pub inodes: Option<u64>,
    /// What the sizes of files are rounded up to.
    pub block: u64,
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
        block: (stat.fragment_size() as u64).max(1),
    })
}
