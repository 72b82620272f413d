//! Whether the target of a copy lies in its source.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::MAX_DEPTH;
use crate::engine::EngineError;
use crate::sys::beneath::{self, FileType, Status};

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
    if depth > 0 && beneath::is_of_kernel(folder)? {
        return Ok(false);
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
