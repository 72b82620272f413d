//! Trees copied between two handles. What is there is only ever replaced by something whole, and never by itself.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::engine::EngineError;
use crate::sys::beneath::{self, FileType, Status};
use crate::sys::process::random;

/// Deepest tree that is copied; each level keeps two folders open.
const MAX_DEPTH: u32 = 200;

/// A volume of the container that is read-only is no damage of the disk.
fn said(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => io::Error::other("it is read-only there"),
        _ => error,
    }
}

/// Through a volume, both sides may be one.
fn same() -> io::Error {
    io::Error::other("source and target are the same: the container has it from the host")
}

/// Refuses a copy into the folder `target`, below the name `new` if there is one, of a folder that contains that: it
/// would grow while it is copied. Looked for from above, as a volume may show the target anywhere.
pub fn keep_apart(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    new: Option<&[u8]>,
) -> Result<(), EngineError> {
    let failed = || EngineError::system("look for the target in the source");
    let mut taken = vec![beneath::status(target).map_err(failed())?];
    if let Some(new) = new {
        taken.extend(beneath::status_if_present(target, new).map_err(failed())?);
    }
    let contains = contains(source, &taken, 0).map_err(failed())?;
    match contains {
        true => Err(EngineError::system("copy a folder")(io::Error::other(
            "the target is the source or lies within it: copy to a place outside of it",
        ))),
        false => Ok(()),
    }
}

/// Whether `folder` or a folder in it is one of `taken`.
fn contains(folder: BorrowedFd<'_>, taken: &[Status], depth: u32) -> io::Result<bool> {
    let own = beneath::status(folder)?;
    if taken.iter().any(|taken| taken.is_same(&own)) {
        return Ok(true);
    }
    let mut names: Vec<CString> = Vec::new();
    beneath::visit(folder, |name, file_type| {
        // Deeper ones are refused by the copy itself.
        if file_type == FileType::Directory && depth <= MAX_DEPTH {
            names.push(name.to_owned());
        }
        Ok::<(), io::Error>(())
    })?;
    for name in names {
        let child = beneath::open_child(folder, name.to_bytes())?;
        if contains(child.as_fd(), taken, depth + 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Copies trees from one handle to another.
#[derive(Debug, Default)]
pub struct Copy {
    /// Owners are copied too; else everything is the caller's.
    pub archive: bool,
    /// Bytes of files so far.
    pub bytes: u64,
}

impl Copy {
    /// Copies `name` in `from` as `new` in `to`. Folders are merged; anything else is replaced.
    pub fn entry(
        &mut self,
        (from, name): (BorrowedFd<'_>, &[u8]),
        (to, new): (BorrowedFd<'_>, &[u8]),
        depth: u32,
    ) -> Result<(), EngineError> {
        let name_of = String::from_utf8_lossy(name);
        let failed = || {
            let fail = EngineError::system(format!("copy {name_of}"));
            |error| fail(said(error))
        };
        let status = beneath::status_of(from, name).map_err(failed())?;
        let there = beneath::status_if_present(to, new).map_err(failed())?;
        let is_dir = |status: &Status| status.file_type == FileType::Directory;
        match &there {
            Some(there) if is_dir(there) != is_dir(&status) => {
                let kind = if is_dir(there) {
                    "a folder"
                } else {
                    "no folder"
                };
                return Err(failed()(io::Error::other(format!(
                    "there is {kind} of that name"
                ))));
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
        self.content(source.as_fd(), target.as_fd(), depth)?;
        match there {
            None => self.dress(target.as_fd(), &status).map_err(failed()),
            Some(_) => Ok(()),
        }
    }

    /// Copies what is in the folder `from` into the folder `to`.
    pub fn content(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        depth: u32,
    ) -> Result<(), EngineError> {
        if depth > MAX_DEPTH {
            let deep = io::Error::other(format!("it is more than {MAX_DEPTH} folders deep"));
            return Err(EngineError::system("copy a folder")(deep));
        }
        let mut names: Vec<CString> = Vec::new();
        let listed = beneath::visit(from, |name, _| {
            names.push(name.to_owned());
            Ok(())
        });
        listed.map_err(|e: io::Error| EngineError::system("list a folder")(e))?;
        names.iter().try_for_each(|name| {
            let name = name.to_bytes();
            self.entry((from, name), (to, name), depth + 1)
        })
    }

    /// Copies what is no folder.
    fn single(
        &mut self,
        (from, name): (BorrowedFd<'_>, &[u8]),
        (to, new): (BorrowedFd<'_>, &[u8]),
        status: &Status,
    ) -> io::Result<()> {
        match status.file_type {
            FileType::File => return self.file((from, name), (to, new), status),
            // It is of no use without who made it; as docker's.
            FileType::Socket => return Ok(()),
            _ => {}
        }
        replace(to, new, |spare| {
            if status.file_type == FileType::Symlink {
                beneath::make_symlink(to, spare, &beneath::link_text(from, name)?)?;
            } else {
                beneath::make_node(to, spare, status.file_type, status.device)?;
                beneath::set_mode_of_node(to, spare, status.mode)?;
            }
            if self.archive {
                beneath::set_owner_of(to, spare, status.uid, status.gid)?;
            }
            beneath::set_modified_of(to, spare, status.modified)
        })
    }

    /// Copies a file; `name` may lead to it through links, as inside a chroot to `from`.
    pub fn file(
        &mut self,
        (from, name): (BorrowedFd<'_>, &[u8]),
        (to, new): (BorrowedFd<'_>, &[u8]),
        status: &Status,
    ) -> io::Result<()> {
        let mut source = beneath::open_file_in_root(from, name)?;
        let there = beneath::status_if_present(to, new)?;
        let opened = beneath::status(source.as_fd())?;
        if there.is_some_and(|there| there.is_same(&opened)) {
            return Err(same());
        }
        let mut bytes = 0;
        replace(to, new, |spare| {
            let mut target = beneath::create_file(to, spare)?;
            bytes = io::copy(&mut source, &mut target)?;
            self.dress(target.as_fd(), status)
        })?;
        self.bytes += bytes;
        Ok(())
    }

    /// Owner first: the change of it takes set-user-ID away.
    fn dress(&self, file: BorrowedFd<'_>, status: &Status) -> io::Result<()> {
        if self.archive {
            beneath::set_owner(file, status.uid, status.gid)?;
        }
        beneath::set_mode(file, status.mode)?;
        beneath::set_modified(file, status.modified)
    }
}

/// Has `make` make something under a spare name in `to`, which then becomes `new`: whoever fails or is killed on the way
/// leaves alone what has that name now.
fn replace(
    to: BorrowedFd<'_>,
    new: &[u8],
    make: impl FnOnce(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let drawn = u64::from_ne_bytes(random()?);
    let spare = format!(".dray-cp-{drawn:016x}");
    let made = make(spare.as_bytes()).and_then(|()| beneath::rename(to, spare.as_bytes(), new));
    made.map_err(|error| {
        // On a filesystem that is read-only, even the removal of what is not there fails otherwise.
        let gone = match beneath::status_if_present(to, spare.as_bytes()) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => beneath::unlink(to, spare.as_bytes()),
            Err(unknown) => Err(unknown),
        };
        match gone {
            Ok(()) => error,
            Err(left) => io::Error::other(format!("{error}; and {spare} stays there: {left}")),
        }
    })
}
