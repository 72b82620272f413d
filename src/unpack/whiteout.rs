//! Names by which a layer takes things away, and what overlay wants instead.
//!
//! In a layer the file `.wh.NAME` deletes NAME of the layers below, and `.wh..wh..opq` all that they have in its folder;
//! what the same layer has there stays, in whatever order it comes. For overlay the first is a character device 0:0 in
//! NAME's place, the second an attribute of the folder.

use std::os::fd::AsFd;

use super::UnpackError;
use super::tree::{Folder, Tree, failed};
use crate::sys::beneath::{self, FileType, Time};
use crate::tarball::quoted;

const PREFIX: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const AUFS: &[u8] = b".wh..wh.";

/// What a file name says to the layers below.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whiteout<'a> {
    /// This name is deleted.
    Name(&'a [u8]),
    /// Everything in the folder is deleted.
    All,
    /// AUFS's own notes, which docker skips too.
    Note,
}

/// Tells whiteouts from other names; `None` for an ordinary one.
pub(super) fn parse<'a>(
    folder: &[u8],
    name: &'a [u8],
) -> Result<Option<Whiteout<'a>>, UnpackError> {
    let top = if folder.is_empty() { name } else { folder };
    if name == OPAQUE {
        return Ok(Some(Whiteout::All));
    }
    if top.starts_with(AUFS) {
        return Ok(Some(Whiteout::Note));
    }
    match name.strip_prefix(PREFIX) {
        None => Ok(None),
        Some(b"" | b"." | b"..") => Err(UnpackError::Refused {
            path: quoted(name),
            reason: "it is a whiteout of nothing".to_owned(),
        }),
        Some(hidden) => Ok(Some(Whiteout::Name(hidden))),
    }
}

/// Deletes `name` of the layers below.
pub(super) fn hide(
    tree: &mut Tree<'_>,
    folder: &Folder,
    name: &[u8],
    modified: Time,
) -> Result<(), UnpackError> {
    let there =
        beneath::status_if_present(folder.handle(), name).map_err(|e| failed("read", name, e))?;
    match there {
        None => {
            tree.place(folder, name, |dir, name| {
                beneath::make_node(dir, name, FileType::CharDevice, (0, 0))?;
                beneath::set_modified_of(dir, name, modified)
            })?;
            Ok(())
        }
        Some(status) if status.file_type == FileType::Directory => {
            let dir = beneath::open_child(folder.handle(), name)
                .map_err(|e| failed("open folder", name, e))?;
            tree.make_opaque(dir.as_fd(), name)
        }
        // What this layer has there hides the lower ones anyway.
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiteouts_are_told_from_names() {
        for (folder, name, expected) in [
            ("a", "b", None),
            ("a", ".wh", None),
            ("a", "x.wh.b", None),
            ("a", ".wh.b", Some(Whiteout::Name(b"b"))),
            ("", ".wh....", Some(Whiteout::Name(b"..."))),
            ("a", ".wh..wh.x", Some(Whiteout::Name(b".wh.x"))),
            ("", ".wh..wh..opq", Some(Whiteout::All)),
            ("a/b", ".wh..wh..opq", Some(Whiteout::All)),
            ("", ".wh..wh.aufs", Some(Whiteout::Note)),
            (".wh..wh.plnk", "88.1", Some(Whiteout::Note)),
        ] {
            let parsed = parse(folder.as_bytes(), name.as_bytes()).unwrap();
            assert_eq!(parsed, expected, "{folder}/{name}");
        }
        for name in [".wh.", ".wh..", ".wh..."] {
            assert!(parse(b"", name.as_bytes()).is_err(), "{name}");
        }
    }
}
