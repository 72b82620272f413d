//! Paths that must not lead out of a folder.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::Mode;

use super::{FileType, owned, status, through_proc};

/// Most links in one path, as for the kernel.
const MAX_LINKS: u32 = 40;

/// Opens the directory `path` below `root`; any symbolic link on the way is an error (`ELOOP`).
pub fn open_beneath(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    resolve(
        root,
        path,
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS,
    )
}

/// Finds whatever `path` below `root` is, without opening it; any symbolic link on the way is an error (`ELOOP`).
pub fn find_beneath(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    open_resolved(
        root,
        path,
        OFlag::O_PATH | OFlag::O_CLOEXEC,
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

/// Finds whatever `path` below `root` is, without opening it, as a process chrooted to `root` would.
pub fn find_in_root(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    open_resolved(root, path, OFlag::O_PATH | OFlag::O_CLOEXEC, resolve)
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

/// By the kernel, or by [`walk`] where the kernel is older than 5.6.
fn open_resolved(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlag,
    resolve: ResolveFlag,
) -> io::Result<OwnedFd> {
    let how = OpenHow::new().flags(flags).resolve(resolve);
    let whole = if path.is_empty() { b"." } else { path };
    loop {
        match nix::fcntl::openat2(root.as_raw_fd(), whole, how) {
            // Somebody renamed something anywhere on the system while `..` was resolved.
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(Errno::ENOSYS) => return walk(root, path, flags, resolve),
            opened => return owned(opened),
        }
    }
}

/// Resolves `path` one name at a time, without ever following a link: `..` leads back on our own trail, which ends at
/// the root, and a link's text is resolved in its place.
fn walk(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlag,
    resolve: ResolveFlag,
) -> io::Result<OwnedFd> {
    let follows = resolve.contains(ResolveFlag::RESOLVE_IN_ROOT);
    let parts = |path: &[u8]| {
        path.split(|&b| b == b'/')
            .rev()
            .map(<[u8]>::to_vec)
            .collect()
    };
    let mut ahead: Vec<Vec<u8>> = parts(path);
    let mut trail: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        let here = trail.last().map_or(root, AsFd::as_fd);
        match name.as_slice() {
            b"" | b"." => continue,
            b".." if !follows && trail.is_empty() => return Err(Errno::EXDEV.into()),
            b".." => {
                trail.pop();
                continue;
            }
            _ => {}
        }
        let pinned = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let next = owned(nix::fcntl::openat(
            Some(here.as_raw_fd()),
            name.as_slice(),
            pinned,
            Mode::empty(),
        ))?;
        let file_type = status(next.as_fd())?.file_type;
        if file_type != FileType::Symlink {
            if file_type != FileType::Directory && !ahead.is_empty() {
                return Err(Errno::ENOTDIR.into());
            }
            trail.push(next);
            continue;
        }
        links += 1;
        if !follows || links > MAX_LINKS {
            return Err(Errno::ELOOP.into());
        }
        let text = nix::fcntl::readlinkat(Some(next.as_raw_fd()), "")?;
        if text.as_bytes().starts_with(b"/") {
            trail.clear();
        }
        let text: Vec<Vec<u8>> = parts(text.as_bytes());
        ahead.extend(text);
    }
    let found = trail.last().map_or(root, AsFd::as_fd);
    let found = through_proc(found);
    owned(nix::fcntl::open(&found, flags, Mode::empty()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::super::{open_dir, path_of};
    use super::*;

    /// Both ways give the same folder or the same error.
    #[test]
    fn the_walk_agrees_with_the_kernel() {
        let dir = std::env::temp_dir().join(format!("dray-beneath-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("a/b/c")).unwrap();
        std::fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(dir.join("file"))
            .unwrap();
        for (link, text) in [
            ("in", "a/b"),
            ("absolute", "/a/b"),
            ("up", "../../../a"),
            ("a/b/back", "../.."),
            ("a/b/out", "../../../../../etc"),
            ("etc", "/etc"),
            ("slashes", "a//b/./c/"),
            ("hop", "in/c"),
            ("dangling", "nowhere"),
            ("to-file", "file"),
            ("circle", "circle"),
            ("a/proc", "/proc/self/root"),
        ] {
            let _ = symlink(text, dir.join(link));
        }
        let root = open_dir(&dir).unwrap();
        let beneath = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let in_root = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        for path in [
            "",
            ".",
            "..",
            "a",
            "a/",
            "a//b",
            "a/..",
            "a/../..",
            "a/../../a",
            "in",
            "in/c",
            "in/..",
            "absolute/c",
            "up/b",
            "up/..",
            "a/b/back/a",
            "a/b/out",
            "etc",
            "slashes",
            "hop",
            "hop/..",
            "dangling",
            "dangling/x",
            "file",
            "file/x",
            "file/..",
            "to-file",
            "circle",
            "circle/x",
            "nowhere",
            "nowhere/..",
            "a/proc",
            "a/proc/etc",
        ] {
            for resolve in [beneath, in_root] {
                let seen = |opened: io::Result<OwnedFd>| -> Result<PathBuf, Option<i32>> {
                    let opened = opened.map_err(|error| error.raw_os_error())?;
                    Ok(path_of(opened.as_fd()).unwrap())
                };
                let kernel = seen(open_resolved(root.as_fd(), path.as_bytes(), flags, resolve));
                let walked = seen(walk(root.as_fd(), path.as_bytes(), flags, resolve));
                assert_eq!(walked, kernel, "{path:?} {resolve:?}");
            }
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
