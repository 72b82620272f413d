//! Logging in and out: credentials tried at their registry, and kept or forgotten where docker would, in its
//! `config.json` or with the credential helper that this names.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::Client;
use super::credentials::{self, Credential, Secret};
use super::error::{Problem, RegistryError};
use super::http::Method;
use super::question::Question;
use crate::host::Host;
use crate::oci::{DOCKER_HUB, Reference};
use crate::sys;

/// A user and what proves it.
#[derive(Debug, Clone)]
pub struct Login {
    user: String,
    credential: Credential,
}

/// Where a login was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// A credential helper has it.
    Helper,
    /// It stands in this file for whoever can read that; whether it is new there.
    File(PathBuf, bool),
}

impl Login {
    /// From what a person said.
    pub fn new(user: &str, password: String) -> Login {
        Login {
            user: user.to_owned(),
            credential: Credential::Password(user.to_owned(), Secret(password)),
        }
    }

    /// What is kept for a registry.
    pub fn kept(host: &Host, registry: &str) -> Result<Option<Login>, Problem> {
        let found = credentials::find(host, registry)?;
        Ok(found.map(|(credential, _)| Login {
            user: match &credential {
                Credential::Password(user, _) => user.clone(),
                Credential::Identity(_) | Credential::Token(_) => "<token>".to_owned(),
            },
            credential,
        }))
    }

    /// Who it is.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Keeps it for a registry where docker would.
    pub fn keep(&self, host: &Host, registry: &str) -> Result<Kept, Problem> {
        let mut file = File::read(&host.docker_config)?;
        let key = credentials::key(registry);
        let Credential::Password(user, password) = &self.credential else {
            let cause = "a token is not kept twice".to_owned();
            return Err(credentials::unusable(&file.path, cause));
        };
        let helper = credentials::helper(host, registry)?;
        let is_new = file.forget(registry)?;
        if let Some(helper) = &helper {
            let told = json!({ "ServerURL": key, "Username": user, "Secret": password.0 });
            credentials::tell_helper(host, helper, "store", &told.to_string())?;
            // As docker does, for who only looks which registries there are.
            file.auths()?.insert(key.to_owned(), json!({}));
        } else {
            let pair = credentials::encoded(user, password);
            file.auths()?
                .insert(key.to_owned(), json!({ "auth": pair }));
        }
        file.write()?;
        Ok(match helper {
            Some(_) => Kept::Helper,
            None => Kept::File(file.path, is_new),
        })
    }

    /// Forgets what is kept for a registry.
    pub fn forget(host: &Host, registry: &str) -> Result<(), Problem> {
        if let Some(helper) = credentials::helper(host, registry)? {
            credentials::tell_helper(host, &helper, "erase", credentials::key(registry))?;
        }
        let mut file = File::read(&host.docker_config)?;
        match file.forget(registry)? {
            true => Ok(()),
            false => file.write(),
        }
    }
}

impl Client {
    /// Whether a registry takes a login.
    pub fn login(&self, registry: &str, login: &Login) -> Result<(), RegistryError> {
        let reference = Reference {
            host: registry.to_owned(),
            repository: String::new(),
            tag: None,
            digest: None,
        };
        let question = Question {
            method: Method::Get,
            reference: &reference,
            place: registry,
            path: String::new(),
            accept: None,
            subject: "leave to pull".to_owned(),
            range: None,
        };
        let fetcher = &self.fetcher;
        self.anywhere(&reference, &question.subject, None, |_| {
            let asked = fetcher.ask_as(&question, Some(&login.credential));
            asked.map(drop).map_err(|failure| match failure.problem {
                Problem::BadCredentials { .. } => {
                    // In docker's words; with these there is no file to point at.
                    let url = fetcher.origin(registry).map(|o| o.at("/v2/".to_owned()));
                    let url = url.map_or_else(|_| registry.to_owned(), |url| url.to_string());
                    Problem::Login(url).into()
                }
                _ => failure,
            })
        })
    }
}

/// Docker's configuration with all that is not ours.
struct File {
    path: PathBuf,
    content: Map<String, Value>,
}

impl File {
    fn read(path: &Path) -> Result<File, Problem> {
        // A link stays one.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let content = credentials::text(&path)?.map(|text| serde_json::from_slice(&text));
        let content = content.unwrap_or_else(|| Ok(Map::new()));
        let content = content.map_err(|error| {
            let (line, column) = (error.line(), error.column());
            credentials::unusable(&path, format!("not valid at line {line}, column {column}"))
        })?;
        Ok(File { path, content })
    }

    fn auths(&mut self) -> Result<&mut Map<String, Value>, Problem> {
        let auths = self.content.entry("auths").or_insert_with(|| json!({}));
        let cause = || "auths is not an object".to_owned();
        auths
            .as_object_mut()
            .ok_or_else(|| credentials::unusable(&self.path, cause()))
    }

    /// Removes whatever means this registry; whether there was nothing.
    fn forget(&mut self, registry: &str) -> Result<bool, Problem> {
        let auths = self.auths()?;
        let before = auths.len();
        auths.retain(|key, _| !credentials::names(key, registry));
        Ok(auths.len() == before)
    }

    /// As docker writes it, and private from its first byte on.
    fn write(&self) -> Result<(), Problem> {
        let failed = |error: &dyn std::fmt::Display| {
            let cause = format!("it cannot be written: {error}");
            credentials::unusable(&self.path, cause)
        };
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        serde::Serialize::serialize(&self.content, &mut serializer).map_err(|e| failed(&e))?;
        if let Some(folder) = self.path.parent() {
            sys::fs::create_dirs(folder).map_err(|error| failed(&error))?;
        }
        sys::fs::replace(&self.path, 0o600, &text).map_err(|error| failed(&error))
    }
}

/// The registry that a person means: docker's default, a host, or a URL of one.
pub fn registry_named(server: Option<&str>) -> Option<String> {
    let Some(server) = server else {
        return Some(DOCKER_HUB.to_owned());
    };
    let host = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = host.split_once('/').map_or(host, |(host, _)| host);
    if credentials::names(host, DOCKER_HUB) {
        return Some(DOCKER_HUB.to_owned());
    }
    let reference: Reference = format!("{host}/x").parse().ok()?;
    (reference.host == host).then_some(reference.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_servers_as_docker_does() {
        for (server, expected) in [
            (None, Some("docker.io")),
            (Some("docker.io"), Some("docker.io")),
            (Some("https://index.docker.io/v1/"), Some("docker.io")),
            (Some("hub.example:5000"), Some("hub.example:5000")),
            (Some("http://hub.example/path/x"), Some("hub.example")),
            (Some("localhost"), Some("localhost")),
            (Some("[::1]:5000"), Some("[::1]:5000")),
            (Some(""), None),
            (Some("a b"), None),
            (Some("-x"), None),
        ] {
            assert_eq!(registry_named(server).as_deref(), expected, "{server:?}");
        }
    }
}
