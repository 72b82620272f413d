//! Where an image is taken from: a registry, or with skopeo's words in front a file or folder.
//!
//! ```text
//! NAME[:TAG|@DIGEST]      docker://NAME…     a registry
//! oci:DIR[:TAG]           a folder with an OCI image layout
//! oci-archive:FILE[:TAG]  the same as a tar
//! docker-archive:FILE[:NAME[:TAG]]           what docker save writes
//! ```
//!
//! An image of Docker Hub that is called `oci` is `docker://oci`.

use std::path::PathBuf;
use std::str::FromStr;

use crate::oci::{Reference, ReferenceError};

/// What other tools know and dray does not.
const OTHERS: [&str; 6] = [
    "dir:",
    "docker-daemon:",
    "containers-storage:",
    "ostree:",
    "sif:",
    "tarball:",
];

/// A place with an image.
#[derive(Debug, Clone, PartialEq)]
pub enum Transport {
    /// By its name.
    Registry(Reference),
    /// In a folder, and which one there.
    Folder(PathBuf, Option<String>),
    /// In a file, and which one there.
    File(PathBuf, Option<String>),
}

/// Why a text names no place.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TransportError {
    /// The word is known, what follows it is not a path, or the name after that is empty.
    #[error("{text:?} is not of the form {prefix}PATH[:NAME]")]
    Form {
        /// The whole text.
        text: String,
        /// The word in front.
        prefix: &'static str,
    },
    /// Another tool's word.
    #[error(
        "images do not come from {0}; docker://, oci:, oci-archive: and docker-archive: are known, and skopeo copies others there"
    )]
    Unknown(&'static str),
    /// No word, and no name either.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

impl FromStr for Transport {
    type Err = TransportError;

    fn from_str(text: &str) -> Result<Transport, TransportError> {
        type Make = fn(PathBuf, Option<String>) -> Transport;
        let known: [(&str, Make); 3] = [
            ("oci:", Transport::Folder),
            ("oci-archive:", Transport::File),
            ("docker-archive:", Transport::File),
        ];
        for (prefix, make) in known {
            let Some(rest) = text.strip_prefix(prefix) else {
                continue;
            };
            let (path, name) = match rest.split_once(':') {
                Some((path, name)) => (path, Some(name.to_owned())),
                None => (rest, None),
            };
            if path.is_empty() || name.as_deref() == Some("") {
                let text = text.to_owned();
                return Err(TransportError::Form { text, prefix });
            }
            return Ok(make(PathBuf::from(path), name));
        }
        if let Some(other) = OTHERS.iter().find(|other| text.starts_with(**other)) {
            return Err(TransportError::Unknown(other));
        }
        let name = text.strip_prefix("docker://").unwrap_or(text);
        Ok(Transport::Registry(name.parse()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_front_say_where() {
        let folder = |path: &str, name: Option<&str>| {
            Transport::Folder(path.into(), name.map(str::to_owned))
        };
        let file =
            |path: &str, name: Option<&str>| Transport::File(path.into(), name.map(str::to_owned));
        let registry = |name: &str| Transport::Registry(name.parse().unwrap());
        for (text, wanted) in [
            ("web", registry("web")),
            ("docker://host:5000/web:1", registry("host:5000/web:1")),
            ("docker://oci:1", registry("oci:1")),
            ("oci:/media/usb/l", folder("/media/usb/l", None)),
            ("oci:l:1", folder("l", Some("1"))),
            (
                "oci-archive:a.tar:shop/web:1",
                file("a.tar", Some("shop/web:1")),
            ),
            ("docker-archive:a.tar", file("a.tar", None)),
            (
                "docker-archive:/a b/c.tar:host:5000/web:1",
                file("/a b/c.tar", Some("host:5000/web:1")),
            ),
        ] {
            assert_eq!(text.parse::<Transport>().unwrap(), wanted, "{text}");
        }
        for text in [
            "oci:",
            "oci::1",
            "oci:l:",
            "dir:x",
            "docker-daemon:web:1",
            "docker://",
        ] {
            assert!(text.parse::<Transport>().is_err(), "{text}");
        }
    }
}
