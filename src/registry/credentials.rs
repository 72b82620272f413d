//! Credentials from Docker's client configuration and from drop-in files of its form: `auths`, credential helpers.
//!
//! Read when a registry first asks for credentials, so that a broken file does not keep public images away. What is
//! secret prints as dots and appears in no error.

mod helper;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::error::Problem;
use super::folder;
use crate::host::Host;
use crate::oci::DOCKER_HUB;

pub(super) use helper::tell as tell_helper;

/// Docker Hub's key in the configuration, a URL for historical reasons.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// What else people write for Docker Hub.
const HUB_NAMES: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];
/// Largest configuration; one entry has some hundred bytes, a JWT some thousand.
const MAX_CONFIG: u64 = 1 << 20;
/// A secret text; prints as dots.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What proves who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// User and password, for Basic or for the token server.
    Password(String, Secret),
    /// A refresh token for the token server.
    Identity(Secret),
    /// A bearer token as it is.
    Token(Secret),
}

/// Docker's `config.json`, the part about credentials.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: BTreeMap<String, Entry>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Secret,
    username: String,
    password: Secret,
    identitytoken: Secret,
    registrytoken: Secret,
}

/// The credential for a registry as references name it, and where it is from; `None` when there is none.
///
/// Docker's own file comes first, then those of the drop-in folder by name; the first that knows the registry counts.
pub(super) fn find(host: &Host, registry: &str) -> Result<Option<(Credential, PathBuf)>, Problem> {
    let own = read(&host.docker_config)?.into_iter();
    for (path, config) in own.chain(drop_ins(&host.credentials)?) {
        if let Some(helper) = config.helper(registry) {
            let found = helper::ask(host, helper, registry)?;
            if let Some(credential) = found {
                return Ok(Some((credential, helper::program(helper).into())));
            }
        } else if let Some(entry) = config.entry(registry) {
            let credential = entry
                .credential()
                .map_err(|cause| unusable(&path, format!("the entry for {registry} {cause}")))?;
            if let Some(credential) = credential {
                return Ok(Some((credential, path)));
            }
        }
    }
    Ok(None)
}

/// The helper in charge of a registry by docker's own file.
pub(super) fn helper(host: &Host, registry: &str) -> Result<Option<String>, Problem> {
    let own = read(&host.docker_config)?;
    Ok(own.and_then(|(_, config)| config.helper(registry).map(str::to_owned)))
}

/// What the configuration calls a registry.
pub(super) fn key(registry: &str) -> &str {
    match registry {
        DOCKER_HUB => HUB_KEY,
        registry => registry,
    }
}

/// User and password as HTTP and docker write them.
pub(super) fn encoded(user: &str, password: &Secret) -> String {
    STANDARD.encode(format!("{user}:{}", password.0))
}

pub(super) fn unusable(path: &Path, cause: String) -> Problem {
    Problem::Credentials {
        path: path.to_owned(),
        cause,
    }
}

/// What is in a file, if it is there.
pub(super) fn text(path: &Path) -> Result<Option<Vec<u8>>, Problem> {
    folder::read(path, MAX_CONFIG).map_err(|error| unusable(path, error.to_string()))
}

/// A file in docker's form, if it is there.
fn read(path: &Path) -> Result<Option<(PathBuf, DockerConfig)>, Problem> {
    let Some(text) = text(path)? else {
        return Ok(None);
    };
    // serde's messages can repeat values, which here are secrets; the position is enough.
    let config = serde_json::from_slice(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        unusable(path, format!("not valid at line {line}, column {column}"))
    })?;
    Ok(Some((path.to_owned(), config)))
}

/// A file's text, for `tests/fuzz`.
#[cfg(fuzzing)]
pub(super) fn try_text(text: &[u8]) {
    let Ok(config) = serde_json::from_slice::<DockerConfig>(text) else {
        return;
    };
    for registry in [DOCKER_HUB, "registry.example:5000"] {
        let _ = config.helper(registry);
        let _ = config.entry(registry).map(Entry::credential);
    }
}

/// The files of the drop-in folder. They are ours, so unlike docker's they have to be private.
fn drop_ins(folder: &Path) -> Result<Vec<(PathBuf, DockerConfig)>, Problem> {
    let failed = |path: &Path, error: io::Error| unusable(path, error.to_string());
    let paths = folder::files(folder, "json").map_err(|error| failed(folder, error))?;
    let mut found = Vec::new();
    for path in paths {
        let mode = std::fs::metadata(&path)
            .map_err(|error| failed(&path, error))?
            .mode();
        if mode & 0o077 != 0 {
            let cause = "others than its owner can read it; chmod 600 it".to_owned();
            return Err(unusable(&path, cause));
        }
        found.extend(read(&path)?);
    }
    Ok(found)
}

impl DockerConfig {
    /// The helper in charge of a registry, if there is one.
    fn helper(&self, registry: &str) -> Option<&str> {
        let named = self
            .cred_helpers
            .iter()
            .find(|(key, _)| names(key, registry));
        named
            .map(|(_, helper)| helper.as_str())
            .or(Some(self.creds_store.as_str()))
            .filter(|helper| !helper.is_empty())
    }

    fn entry(&self, registry: &str) -> Option<&Entry> {
        self.auths.get(key(registry)).or_else(|| {
            let named = self.auths.iter().find(|(key, _)| names(key, registry));
            named.map(|(_, entry)| entry)
        })
    }
}

/// Whether a key, a host or a URL, means this registry.
pub(super) fn names(key: &str, registry: &str) -> bool {
    let host = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = host.split_once('/').map_or(host, |(host, _)| host);
    host.eq_ignore_ascii_case(registry) || (registry == DOCKER_HUB && HUB_NAMES.contains(&host))
}

impl Entry {
    /// `None` for the empty entries that docker leaves where a helper has the secret.
    fn credential(&self) -> Result<Option<Credential>, &'static str> {
        if !self.registrytoken.0.is_empty() {
            return Ok(Some(Credential::Token(self.registrytoken.clone())));
        }
        if !self.identitytoken.0.is_empty() {
            return Ok(Some(Credential::Identity(self.identitytoken.clone())));
        }
        if !self.auth.0.is_empty() {
            let pair = STANDARD
                .decode(self.auth.0.trim())
                .ok()
                .and_then(|pair| String::from_utf8(pair).ok());
            let pair = pair.ok_or("has an auth that is not base64 of USER:PASSWORD")?;
            let (user, password) = pair
                .split_once(':')
                .ok_or("has an auth without a colon between user and password")?;
            // Old docker clients pad with NULs.
            let password = Secret(password.trim_matches('\0').to_owned());
            return Ok(Some(Credential::Password(user.to_owned(), password)));
        }
        if !self.username.is_empty() {
            return Ok(Some(Credential::Password(
                self.username.clone(),
                self.password.clone(),
            )));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
