//! How mounts travel from one mount namespace to others: what a mount passes on, and how that is changed.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;
use nix::sys::statvfs::FsFlags;

use super::mount::{attach, path, unmount};

/// Makes a copy read-only, where asked for with the mounts below it.
pub fn make_read_only(tree: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
    let attributes = MountAttributes {
        set: libc::MOUNT_ATTR_RDONLY,
        ..MountAttributes::default()
    };
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: an empty path, and attributes of the size that is given; both outlive the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &attributes,
            std::mem::size_of::<MountAttributes>(),
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The kernel's `struct mount_attr`.
#[repr(C)]
#[derive(Default)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// What of a container's mounts is put right by its own first process.
#[derive(Debug, Clone)]
pub struct Travel {
    /// Where it is.
    pub target: PathBuf,
    /// `private`, `slave` or `shared`, with an `r` before it for the mounts below it too.
    pub mode: String,
    /// What takes its place.
    pub tree: Option<RawFd>,
    /// Nothing is there to be replaced: the place itself is made where it is missing.
    pub late: bool,
    /// The kernel could not make the copy read-only: the mount itself is.
    pub protect: bool,
}

impl Travel {
    /// Puts it right, in the mount namespace of the calling process.
    pub fn apply(&self) -> io::Result<()> {
        if let Some(tree) = self.tree {
            // SAFETY: its owner in the process that we are a copy of holds it until we are done.
            let tree = unsafe { BorrowedFd::borrow_raw(tree) };
            match self.late {
                true => make_place(&self.target, tree)?,
                false => unmount(&self.target)?,
            }
            attach(tree, &self.target)?;
            if self.protect {
                remount_read_only(&self.target)?;
            }
        }
        let (mode, recursive) = match self.mode.strip_prefix('r') {
            Some(mode) => (mode, libc::MS_REC),
            None => (self.mode.as_str(), 0),
        };
        let kind = match mode {
            "shared" => libc::MS_SHARED,
            "slave" => libc::MS_SLAVE,
            _ => libc::MS_PRIVATE,
        };
        let target = path(&self.target)?;
        // SAFETY: the path outlives the call; a change of propagation takes neither source, type nor data.
        let done = unsafe {
            libc::mount(
                std::ptr::null(),
                target.as_ptr(),
                std::ptr::null(),
                kind | recursive,
                std::ptr::null(),
            )
        };
        match done {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Before Linux 5.12 only a mount that is attached can be changed, and none below it along with it.
fn remount_read_only(target: &Path) -> io::Result<()> {
    const KEPT: FsFlags = FsFlags::ST_NOSUID
        .union(FsFlags::ST_NODEV)
        .union(FsFlags::ST_NOEXEC);
    let flags = nix::sys::statvfs::statvfs(target)?.flags() & KEPT;
    let remount = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    // The numbers of both sets are the same.
    let kept = MsFlags::from_bits_truncate(flags.bits());
    Ok(nix::mount::mount(
        None::<&str>,
        target,
        None::<&str>,
        remount | kept,
        None::<&str>,
    )?)
}

/// Makes the file or folder that `tree` can be attached to, where it is missing.
fn make_place(target: &Path, tree: BorrowedFd<'_>) -> io::Result<()> {
    if target.exists() {
        return Ok(());
    }
    let is_folder = File::from(tree.try_clone_to_owned()?).metadata()?.is_dir();
    let folder = match is_folder {
        true => Some(target),
        false => target.parent(),
    };
    if let Some(folder) = folder {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)?;
    }
    if !is_folder {
        File::create_new(target)?;
    }
    Ok(())
}

/// How the mount that a path is on passes mounts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharing {
    /// Where it is mounted.
    pub place: PathBuf,
    /// To others and from others.
    pub shared: bool,
    /// From another one.
    pub slave: bool,
}

/// How the mount that `path` is on passes mounts on, in the mount namespace of the calling process.
pub fn sharing(path: &Path) -> io::Result<Sharing> {
    let path = std::fs::canonicalize(path)?;
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    sharing_in(&table, &path).ok_or_else(|| io::Error::other("it is on no mount"))
}

/// Of several mounts at one place the last one counts.
fn sharing_in(table: &str, path: &Path) -> Option<Sharing> {
    let mut found: Option<Sharing> = None;
    for line in table.lines() {
        let mut fields = line.split(' ');
        let place = PathBuf::from(unescaped(fields.nth(4)?));
        let deeper = |found: &Sharing| place.starts_with(&found.place);
        if path.starts_with(&place) && found.as_ref().is_none_or(deeper) {
            let marks: Vec<&str> = fields.skip(1).take_while(|field| *field != "-").collect();
            let marked = |mark: &str| marks.iter().any(|field| field.starts_with(mark));
            found = Some(Sharing {
                shared: marked("shared:"),
                slave: marked("master:"),
                place,
            });
        }
    }
    found
}

/// The kernel writes blanks and backslashes of a path as three octal digits.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(3).unwrap_or(("", part));
        if let Ok(byte) = u8::from_str_radix(digits, 8) {
            whole.push(byte.into());
        }
        whole.push_str(rest);
    }
    whole
}

/// A handle on the mount namespace of the calling process.
pub fn own_namespace() -> io::Result<OwnedFd> {
    Ok(std::fs::File::open("/proc/self/ns/mnt")?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_on_its_deepest_and_last_mount() {
        let table = "1 0 8:1 / / rw shared:1 - ext4 /dev/a rw\n\
                     2 1 8:2 / /media rw,noatime shared:7 master:3 - ext4 /dev/b rw\n\
                     3 1 8:3 / /srv\\040x rw - ext4 /dev/c rw\n\
                     4 2 8:4 / /media rw master:9 - ext4 /dev/d rw\n";
        for (path, place, shared, slave) in [
            ("/media/stick", "/media", false, true),
            ("/mediate", "/", true, false),
            ("/srv x/y", "/srv x", false, false),
        ] {
            let expected = Sharing {
                place: place.into(),
                shared,
                slave,
            };
            assert_eq!(sharing_in(table, Path::new(path)), Some(expected), "{path}");
        }
    }
}
