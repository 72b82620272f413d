//! Names inside an image: relative, normalised, never leading up.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// Longest path the kernel takes in one call, its terminator included.
const MAX_PATH: usize = 4095;

/// Longest name of one file on every filesystem in use.
const MAX_NAME: usize = 255;

/// Deepest nesting of folders: one descriptor each is needed to remove such a tree, and processes have 1024.
pub const MAX_DEPTH: usize = 256;

/// A path below an image's root: no leading slash, no `.` or `..`, no empty name. The root itself is the empty path.
#[derive(Clone, PartialEq, Eq)]
pub struct SafePath(Vec<u8>);

/// Why a name in an archive is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PathError {
    /// It has a `..` in it.
    #[error("it leads up with \"..\"")]
    Up,
    /// Longer than the kernel takes.
    #[error("it is longer than {MAX_PATH} bytes, or a name in it longer than {MAX_NAME}")]
    Long,
    /// More folders than can be removed again.
    #[error("it is more than {MAX_DEPTH} folders deep")]
    Deep,
}

impl SafePath {
    /// Normalises a name as written in an archive; a leading slash means the image's root.
    pub fn parse(name: &[u8]) -> Result<SafePath, PathError> {
        let mut path = Vec::with_capacity(name.len());
        let mut depth = 0;
        for part in name.split(|&byte| byte == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return Err(PathError::Up),
                _ if part.len() > MAX_NAME => return Err(PathError::Long),
                _ => {}
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(part);
            depth += 1;
        }
        if path.len() > MAX_PATH {
            return Err(PathError::Long);
        }
        if depth > MAX_DEPTH {
            return Err(PathError::Deep);
        }
        Ok(SafePath(path))
    }

    /// The path without a slash at either end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The folder and the name in it; the root is the nameless entry of itself.
    pub fn split(&self) -> (&[u8], &[u8]) {
        match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (b"", &self.0),
        }
    }
}

/// Quoted, with control characters escaped: names come from strangers and go to logs.
impl fmt::Display for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        quoted(&self.0).fmt(f)
    }
}

impl fmt::Debug for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        quoted(&self.0).fmt(f)
    }
}

/// A name as it may go into a message: quoted, escaped, and no longer than a line.
pub fn quoted(name: &[u8]) -> String {
    const SHOWN: usize = 200;
    if name.len() <= SHOWN {
        return format!("{:?}", OsStr::from_bytes(name));
    }
    format!("{:?}…", OsStr::from_bytes(&name[..SHOWN]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_relative_or_are_refused() {
        let long = "n".repeat(255);
        let deep = "d/".repeat(256);
        for (name, expected) in [
            ("a", Ok("a")),
            ("/etc//passwd", Ok("etc/passwd")),
            ("./a/./b/", Ok("a/b")),
            ("", Ok("")),
            ("./", Ok("")),
            ("/", Ok("")),
            ("...", Ok("...")),
            ("a..", Ok("a..")),
            (&long, Ok(long.as_str())),
            (&deep, Ok(deep.trim_end_matches('/'))),
            ("..", Err(PathError::Up)),
            ("../a", Err(PathError::Up)),
            ("/../a", Err(PathError::Up)),
            ("a/../b", Err(PathError::Up)),
            ("a/..", Err(PathError::Up)),
            (&format!("{long}n"), Err(PathError::Long)),
            (&format!("{long}/").repeat(17), Err(PathError::Long)),
            (&format!("{deep}d"), Err(PathError::Deep)),
        ] {
            let parsed = SafePath::parse(name.as_bytes());
            let expected = expected.map(|path| SafePath(path.as_bytes().to_vec()));
            assert_eq!(parsed, expected, "{name}");
        }
    }

    #[test]
    fn splits_into_folder_and_name() {
        for (path, folder, name) in [("a/b/c", "a/b", "c"), ("c", "", "c"), ("", "", "")] {
            let path = SafePath::parse(path.as_bytes()).unwrap();
            assert_eq!(path.split(), (folder.as_bytes(), name.as_bytes()));
        }
    }

    #[test]
    fn control_characters_never_reach_a_log() {
        assert_eq!(quoted(b"a\x1b]0;x\x07\n"), r#""a\u{1b}]0;x\u{7}\n""#);
        assert_eq!(quoted(b"\xff"), r#""\xFF""#);
        assert_eq!(quoted(&[b'x'; 5000]).len(), 205);
    }
}
