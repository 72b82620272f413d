//! Mender's file tree: which artifact this is and what it asks for. Headers are re-written by every client (indented,
//! keys sorted, newline or none), so nothing but their meaning counts.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::artifact::payload::{DEFAULT_SCOPE, MAX_BYTES, Payload, PayloadError};
use crate::oci::Digest;

/// Longest artifact name that is repeated; Mender's own limit is 256 bytes.
const MAX_ARTIFACT_NAME: u64 = 256;

/// Why the tree does not tell what to run.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// The file with the request.
    #[error("failed to read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The request.
    #[error(transparent)]
    Payload(PayloadError),
}

/// What one call finds in its tree.
#[derive(Debug)]
pub struct Inbox {
    /// Mender's name for the artifact; empty if the tree has none.
    pub artifact: String,
    /// Digest of the meta-data as this client wrote it; the same in every call of one deployment.
    pub request: Option<Digest>,
    /// The request. Only `Download` needs it whole; the verbs that clean up also come when there never was a good one.
    pub payload: Result<Payload, InboxError>,
}

impl Inbox {
    /// Reads `header/artifact_name` and `header/meta-data` below `tree`.
    pub fn read(tree: &Path) -> Inbox {
        let header = tree.join("header");
        // A name that is missing or not text only makes the journal less telling.
        let artifact = read_limited(&header.join("artifact_name"), MAX_ARTIFACT_NAME)
            .map(|name| String::from_utf8_lossy(&name).trim().to_owned())
            .unwrap_or_default();
        let path = header.join("meta-data");
        // One byte more than allowed, so that the parser sees that it is too long.
        match read_limited(&path, MAX_BYTES as u64 + 1) {
            Err(source) => Inbox {
                artifact,
                request: None,
                payload: Err(InboxError::Read { path, source }),
            },
            Ok(text) => Inbox {
                artifact,
                request: Some(Digest::of(&text)),
                payload: Payload::parse(&text).map_err(InboxError::Payload),
            },
        }
    }

    /// The scope that the call is about. Without a readable request it is the one that artifacts mean when they name none:
    /// a client may have lost its tree, and its rollback has to work all the same.
    pub fn scope(&self) -> &str {
        self.payload
            .as_ref()
            .map_or(DEFAULT_SCOPE, |payload| payload.scope.as_str())
    }
}

fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "fixtures need not survive a power cut"
)]
mod tests {
    use super::*;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Tree {
            let dir =
                std::env::temp_dir().join(format!("dray-inbox-{}-{name}", std::process::id()));
            std::fs::create_dir_all(dir.join("header")).unwrap();
            for (file, content) in files {
                std::fs::write(dir.join("header").join(file), content).unwrap();
            }
            Tree(dir)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn both_clients_trees_mean_the_same() {
        let old = Tree::new(
            "old",
            &[
                ("artifact_name", "rel-1"),
                ("meta-data", r#"{ "containers": ["a:1"] }"#),
            ],
        );
        let new = Tree::new(
            "new",
            &[
                ("artifact_name", "rel-1\n"),
                ("meta-data", "{\n  \"containers\": [\n    \"a:1\"\n  ]\n}\n"),
            ],
        );
        let (old, new) = (Inbox::read(&old.0), Inbox::read(&new.0));
        assert_eq!((old.artifact.as_str(), old.scope()), ("rel-1", "docker"));
        assert_eq!((new.artifact.as_str(), new.scope()), ("rel-1", "docker"));
        assert_eq!(old.payload.unwrap(), new.payload.unwrap());
    }

    #[test]
    fn a_scope_is_the_requests_own_and_otherwise_the_common_one() {
        let own = Tree::new(
            "own",
            &[(
                "meta-data",
                r#"{"containers": ["a:1"], "dray": {"scope": "shop"}}"#,
            )],
        );
        assert_eq!(Inbox::read(&own.0).scope(), "shop");
        let null = Inbox::read(&Tree::new("null", &[("meta-data", "null")]).0);
        assert_eq!(null.scope(), "docker");
        assert!(matches!(
            null.payload,
            Err(InboxError::Payload(PayloadError::Empty))
        ));
        let none = Inbox::read(Path::new("/nonexistent/tree"));
        assert_eq!(
            (none.artifact.as_str(), none.scope(), none.request),
            ("", "docker", None)
        );
        assert_eq!(
            none.payload.unwrap_err().to_string(),
            "failed to read /nonexistent/tree/header/meta-data: No such file or directory (os error 2)"
        );
    }
}
