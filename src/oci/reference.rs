//! Image references in Docker's grammar: `nginx`, `user/app:1.2`, `host:5000/app:tag@sha256:…`.
//!
//! The rules are those of distribution/reference's `ParseNormalizedNamed` followed by `TagNameOnly`, which is what
//! docker's client does with every image name: docker.io is the default host, `library/` the default owner there, and
//! a name with neither tag nor digest means the tag `latest`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Digest, DigestError};

/// Docker Hub's name in references; its API lives on another host, which only the registry room knows.
pub const DOCKER_HUB: &str = "docker.io";
/// What older clients called Docker Hub; still found in scripts.
const DOCKER_HUB_LEGACY: &str = "index.docker.io";
/// Owner of Docker Hub's official images, left out in short names.
const OFFICIAL: &str = "library/";
/// The tag of a name that has neither tag nor digest.
const DEFAULT_TAG: &str = "latest";
/// Docker's limit for the repository, host excluded.
const MAX_REPOSITORY: usize = 255;
/// Docker's limit for a tag.
const MAX_TAG: usize = 128;
/// No valid reference is longer: host names end at 255, port, repository, tag and digest included. Checked first so
/// that no message repeats megabytes.
const MAX_REFERENCE: usize = 1024;

/// The name of an image: where it lies, and which one there. Always has a tag, a digest, or both.
///
/// With both, the digest decides and the tag is only a label, as in docker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Host with optional port, as in the name: `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub host: String,
    /// Path below the host, `library/` included: `library/nginx`.
    pub repository: String,
    /// The tag; only absent when there is a digest.
    pub tag: Option<String>,
    /// The digest of an index or a manifest.
    pub digest: Option<Digest>,
}

/// Why a text is not an image reference.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReferenceError {
    /// Nothing there.
    #[error("image reference is empty")]
    Empty,
    /// Longer than any valid reference.
    #[error("image reference has {0} bytes, more than any valid one")]
    TooLong(usize),
    /// Something is before an `@` that belongs to a host. The text is in nobody's log, so nothing of it is repeated.
    #[error(
        "an image reference has a user name or password before an \"@\": leave them out, the ones for the registry come from a login"
    )]
    Credentials,
    /// The address of a web page, perhaps.
    #[error("image reference {0:?} is an address: leave away what is before and with \"://\"")]
    Address(String),
    /// 64 hexadecimal digits, which docker keeps for image ids.
    #[error("image reference {0:?} looks like an image id; a name or NAME@sha256:… is needed")]
    LooksLikeId(String),
    /// The part before the first slash is a host, but not a valid one.
    #[error("image reference {reference:?} has the malformed host {host:?}")]
    Host {
        /// The whole text.
        reference: String,
        /// The part that was taken for a host.
        host: String,
    },
    /// Upper-case letters in the repository.
    #[error(
        "image reference {0:?} has upper-case letters in the repository name; it must be lower case"
    )]
    UpperCase(String),
    /// The repository does not follow the grammar.
    #[error(
        "image reference {reference:?} has the malformed repository name {repository:?}: words of a-z and 0-9, \
         joined by single \".\", one or two \"_\" or any number of \"-\", separated by \"/\""
    )]
    Repository {
        /// The whole text.
        reference: String,
        /// The part that was taken for a repository.
        repository: String,
    },
    /// The repository is longer than docker allows.
    #[error("image reference {0:?} has a repository name of more than {MAX_REPOSITORY} characters")]
    RepositoryTooLong(String),
    /// The tag does not follow the grammar.
    #[error(
        "image reference {reference:?} has the malformed tag {tag:?}: up to {MAX_TAG} of A-Z a-z 0-9 _ . - and no \
         \".\" or \"-\" first"
    )]
    Tag {
        /// The whole text.
        reference: String,
        /// The part that was taken for a tag.
        tag: String,
    },
    /// The digest is malformed.
    #[error("image reference {reference:?} has a malformed digest: {source}")]
    Digest {
        /// The whole text.
        reference: String,
        /// What is wrong with the digest.
        source: DigestError,
    },
}

impl Reference {
    /// The tag to ask for, or that the digest came with; `None` only for a name that consists of repository and digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// What a registry is asked for below `/manifests/`: the digest where there is one, otherwise the tag.
    pub fn selector(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            // Not reachable through the parser; says what the name would mean there.
            (None, None) => DEFAULT_TAG.to_owned(),
        }
    }

    /// The same name pinned to `digest`; keeps the tag as a label.
    pub fn pinned(&self, digest: Digest) -> Reference {
        Reference {
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Host and repository without tag and digest, in full: `docker.io/library/nginx`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// Docker's short form of [`Reference::name`]: `nginx`, `user/app`, `localhost:5000/app`. Parses back to the same
    /// name, so a docker.io repository whose first word looks like a host keeps its host.
    pub fn familiar_name(&self) -> String {
        if self.host != DOCKER_HUB {
            return self.name();
        }
        match self.repository.strip_prefix(OFFICIAL) {
            Some(official) if !official.contains('/') => official.to_owned(),
            _ if names_host(&self.repository) => self.name(),
            _ => self.repository.clone(),
        }
    }

    /// Docker's short form: `nginx:1.27`, `user/app@sha256:…`.
    pub fn familiar(&self) -> String {
        self.suffixed(self.familiar_name())
    }

    fn suffixed(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name = name + ":" + tag;
        }
        if let Some(digest) = &self.digest {
            name = name + "@" + &digest.to_string();
        }
        name
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffixed(self.name()))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        let whole = || text.to_owned();
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.len() > MAX_REFERENCE {
            return Err(ReferenceError::TooLong(text.len()));
        }
        // In a name of ours an `@` comes behind the last slash.
        let bare = text.split_once("://").map_or(text, |(_, bare)| bare);
        let first = bare.split('/').next().unwrap_or_default();
        if first.contains('@') && first.len() < bare.len() {
            return Err(ReferenceError::Credentials);
        }
        if text.contains("://") {
            return Err(ReferenceError::Address(whole()));
        }
        if Digest::from_hex(text).is_ok() {
            return Err(ReferenceError::LooksLikeId(whole()));
        }
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (text, None),
        };
        let (host, rest) = split_host(named);
        // A host ends at the first slash, so a colon in the rest can only begin a tag.
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        if !is_host(host) {
            return Err(ReferenceError::Host {
                reference: whole(),
                host: host.to_owned(),
            });
        }
        let repository = check_repository(text, host, path)?;
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag {
                reference: whole(),
                tag: tag.to_owned(),
            });
        }
        let digest =
            digest
                .map(str::parse)
                .transpose()
                .map_err(|source| ReferenceError::Digest {
                    reference: whole(),
                    source,
                })?;
        let tag = tag.or(digest.is_none().then_some(DEFAULT_TAG));
        Ok(Reference {
            host: host.to_owned(),
            repository,
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

fn check_repository(text: &str, host: &str, path: &str) -> Result<String, ReferenceError> {
    let repository = if host == DOCKER_HUB && !path.contains('/') {
        format!("{OFFICIAL}{path}")
    } else {
        path.to_owned()
    };
    if path.chars().any(char::is_uppercase) {
        return Err(ReferenceError::UpperCase(text.to_owned()));
    }
    if !repository.split('/').all(is_component) {
        return Err(ReferenceError::Repository {
            reference: text.to_owned(),
            repository: path.to_owned(),
        });
    }
    if repository.len() > MAX_REPOSITORY {
        return Err(ReferenceError::RepositoryTooLong(text.to_owned()));
    }
    Ok(repository)
}

/// Docker's rule for what stands before the first slash: a host if it looks like one.
fn split_host(named: &str) -> (&str, &str) {
    match named.split_once('/') {
        Some((DOCKER_HUB_LEGACY, rest)) => (DOCKER_HUB, rest),
        Some((host, rest)) if names_host(named) => (host, rest),
        _ => (DOCKER_HUB, named),
    }
}

/// Whether docker would take the first of several words for a host: dots, colons or capitals in it, or `localhost`.
fn names_host(path: &str) -> bool {
    path.split_once('/').is_some_and(|(first, _)| {
        first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase)
    })
}

fn is_host(host: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        return !address.is_empty()
            && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = match host.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    port.is_none_or(is_port)
        && name.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`.
fn is_component(word: &str) -> bool {
    let is_alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = word.as_bytes();
    let ends_well = |b: Option<&u8>| b.is_some_and(|b| is_alphanumeric(*b));
    ends_well(bytes.first())
        && ends_well(bytes.last())
        && word
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|separator| {
                matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
            })
}

fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Reference, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
