//! Trees copied between two handles, and to and from tar streams, with all that an inode has: owner, mode, times,
//! attributes, several names, holes.
//!
//! No symbolic link is followed on the way, and what is there is only ever replaced by something whole, and never by itself.

mod apart;
mod data;
mod dress;
mod extract;
mod links;
mod pack;
mod place;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::EngineError;
use crate::sys::beneath::{self, FileType, Status};
use dress::Attributes;
use links::Links;

pub use apart::keep_apart;
pub use dress::Lost;
pub use extract::Extract;
pub use pack::Pack;

/// Deepest tree that is copied, as for layers; each level keeps two folders open.
const MAX_DEPTH: u32 = 256;

/// How a tree is copied.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Owners are copied too; else everything is the caller's.
    pub owners: bool,
    /// Nobody looks at the target before it is finished, and what does not fit it is an error. Else names that are there
    /// get something whole, sockets are left out, as they are of no use without who made them, and attributes that the
    /// target cannot store are counted.
    pub fresh: bool,
}

/// One copy of a tree into the folder `top`.
#[derive(Debug)]
pub struct Copy<'a> {
    top: BorrowedFd<'a>,
    rules: Rules,
    /// The folder that is copied into, below the top, with a slash after each name.
    path: Vec<u8>,
    depth: u32,
    links: Links,
    /// Bytes of files so far.
    pub bytes: u64,
    /// Attributes that the target cannot store.
    pub lost: Lost,
}

/// A name in an open folder.
type Name<'a> = (BorrowedFd<'a>, &'a [u8]);

/// Through a volume, both sides may be one.
fn same() -> io::Error {
    io::Error::other("source and target are the same: the container has it from the host")
}

impl<'a> Copy<'a> {
    /// A copy into the folder `top`.
    pub fn new(top: BorrowedFd<'a>, rules: Rules) -> Copy<'a> {
        Copy {
            top,
            rules,
            path: Vec::new(),
            depth: 0,
            links: Links::default(),
            bytes: 0,
            lost: Lost::default(),
        }
    }

    /// Copies `from` as `new` in the top. Folders are merged; anything else is replaced.
    pub fn entry(&mut self, from: Name<'_>, new: &[u8]) -> Result<(), EngineError> {
        self.any(from, (self.top, new))
    }

    /// Copies what is in the folder `from` into the top.
    pub fn content(&mut self, from: BorrowedFd<'_>) -> Result<(), EngineError> {
        self.all(from, self.top)
    }

    /// Copies what is in the folder `from` into the top, and gives that the attributes of `from`.
    pub fn folder(&mut self, from: BorrowedFd<'_>) -> Result<(), EngineError> {
        self.all(from, self.top)?;
        let dressed = beneath::status(from).and_then(|status| self.dress(from, self.top, &status));
        dressed.map_err(EngineError::system("set the attributes of a folder"))
    }

    /// Copies a file as `new` in the top; `name` may lead to it through links, as inside a chroot to `from`.
    pub fn file(&mut self, from: Name<'_>, new: &[u8]) -> Result<(), EngineError> {
        let shown = String::from_utf8_lossy(from.1);
        let copied = self.plain(from, (self.top, new));
        copied.map_err(EngineError::system(format!("copy {shown}")))
    }

    fn any(&mut self, (from, name): Name<'_>, (to, new): Name<'_>) -> Result<(), EngineError> {
        let shown = [&self.path, new].concat();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        let failed = || EngineError::system(format!("copy {shown}"));
        let status = beneath::status_of(from, name).map_err(failed())?;
        let there = match self.rules.fresh {
            true => None,
            false => beneath::status_if_present(to, new).map_err(failed())?,
        };
        let is_dir = |status: &Status| status.file_type == FileType::Directory;
        match &there {
            Some(there) if is_dir(there) != is_dir(&status) => {
                let said = match is_dir(there) {
                    true => "cannot overwrite directory with non-directory",
                    false => "cannot overwrite non-directory with directory",
                };
                return Err(failed()(io::Error::other(said)));
            }
            Some(there) if there.is_same(&status) => return Err(failed()(same())),
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
        let length = self.path.len();
        self.path.extend(new);
        self.path.push(b'/');
        self.all(source.as_fd(), target.as_fd())?;
        self.path.truncate(length);
        match there {
            // After the content, which changes the time.
            None => self
                .dress(source.as_fd(), target.as_fd(), &status)
                .map_err(failed()),
            Some(_) => Ok(()),
        }
    }

    fn all(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), EngineError> {
        if self.depth > MAX_DEPTH {
            let deep = io::Error::other(format!("it is more than {MAX_DEPTH} folders deep"));
            return Err(EngineError::system("copy a folder")(deep));
        }
        let listed = match self.depth > 0 && !self.rules.fresh {
            true => names_of_files(from),
            false => names(from),
        };
        let names = listed.map_err(EngineError::system("list a folder"))?;
        self.depth += 1;
        for name in &names {
            self.any((from, name.to_bytes()), (to, name.to_bytes()))?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Copies what is no folder.
    fn single(&mut self, from: Name<'_>, to: Name<'_>, status: &Status) -> io::Result<()> {
        if status.file_type == FileType::Socket && !self.rules.fresh {
            return Ok(());
        }
        if self.linked(to, status)? {
            return Ok(());
        }
        match status.file_type {
            FileType::File => self.plain(from, to)?,
            _ => self.special(from, to, status)?,
        }
        let path = [&self.path, to.1].concat();
        self.links.remember(status, path)
    }

    /// Makes one more name of what has been copied already; whether there is such a thing.
    fn linked(&mut self, (to, new): Name<'_>, status: &Status) -> io::Result<bool> {
        let Some(path) = self.links.find(status) else {
            return Ok(false);
        };
        let (folder, first) = split(&path);
        let folder = beneath::open_beneath(self.top, folder)?;
        let linked = self.make((to, new), |name| {
            beneath::make_link(folder.as_fd(), first, to, name)
        });
        match linked {
            // Another filesystem, shown below the target, or more names than this one gives a file.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::CrossesDevices | io::ErrorKind::TooManyLinks
                ) =>
            {
                Ok(false)
            }
            linked => linked.map(|()| true),
        }
    }

    /// Copies a symbolic link, device, pipe or socket.
    fn special(
        &mut self,
        (from, name): Name<'_>,
        (to, new): Name<'_>,
        status: &Status,
    ) -> io::Result<()> {
        let attributes = Attributes::of(status, None, self.rules.owners)?;
        let is_link = status.file_type == FileType::Symlink;
        self.make((to, new), |new| {
            match is_link {
                true => beneath::make_symlink(to, new, &beneath::link_text(from, name)?)?,
                false => beneath::make_node(to, new, status.file_type, status.device)?,
            }
            attributes.give_name((to, new), !is_link, None)
        })
    }

    /// Copies a regular file.
    fn plain(&mut self, (from, name): Name<'_>, (to, new): Name<'_>) -> io::Result<()> {
        let mut source = beneath::open_file_in_root(from, name)?;
        let status = beneath::status(source.as_fd())?;
        if !self.rules.fresh {
            let there = beneath::status_if_present(to, new)?;
            if there.is_some_and(|there| there.is_same(&status)) {
                return Err(same());
            }
        }
        let attributes = Attributes::of(&status, Some(source.as_fd()), self.rules.owners)?;
        let mut lost = std::mem::take(&mut self.lost);
        let (bytes, lost) = self.make((to, new), |new| {
            let mut target = beneath::create_file(to, new)?;
            let bytes = data::copy(&mut source, &mut target, &status)?;
            let counted = (!self.rules.fresh).then_some(&mut lost);
            attributes.give(target.as_fd(), counted)?;
            Ok((bytes, lost))
        })?;
        self.lost = lost;
        self.bytes += bytes;
        Ok(())
    }

    /// Makes something of the name `new`, in place of what has it.
    fn make<T>(
        &self,
        (to, new): Name<'_>,
        make: impl FnOnce(&[u8]) -> io::Result<T>,
    ) -> io::Result<T> {
        match self.rules.fresh {
            true => make(new),
            false => place::replace(to, new, make),
        }
    }

    fn dress(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        status: &Status,
    ) -> io::Result<()> {
        let attributes = Attributes::of(status, Some(from), self.rules.owners)?;
        attributes.give(to, (!self.rules.fresh).then_some(&mut self.lost))
    }
}

/// The names in a folder.
fn names(folder: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names: Vec<CString> = Vec::new();
    beneath::visit(folder, |name, _| {
        names.push(name.to_owned());
        Ok::<(), io::Error>(())
    })?;
    Ok(names)
}

/// The same; what the kernel shows of itself is left out, as it has no end: what is copied is a container's files.
fn names_of_files(folder: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    match beneath::is_of_kernel(folder)? {
        true => Ok(Vec::new()),
        false => names(folder),
    }
}

/// The folder of a path, and the name in it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}
