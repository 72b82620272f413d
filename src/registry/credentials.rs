//! Credentials from Docker's client configuration and from drop-in files of its form: `auths`, credential helpers.
//!
//! Read when a registry first asks for credentials, so that a broken file does not keep public images away. What is
//! secret prints as dots and appears in no error.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::error::Problem;
use crate::host::Host;
use crate::oci::DOCKER_HUB;
use crate::oci::stream::read_limited;
use crate::sys::terminate;

/// Docker Hub's key in the configuration, a URL for historical reasons.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// What else people write for Docker Hub.
const HUB_NAMES: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];
/// Largest configuration; one entry has some hundred bytes, a JWT some thousand.
const MAX_CONFIG: u64 = 1 << 20;
/// What a credential helper may print.
const MAX_HELPER_OUTPUT: u64 = 64 << 10;
/// How long a credential helper may take; it has nobody to ask on a device.
const HELPER_TIME: Duration = Duration::from_secs(30);

/// How often whoever waits for one looks whether he still has to.
const HELPER_SLICE: Duration = Duration::from_millis(100);

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

/// What a credential helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: Secret,
}

/// The credential for a registry as references name it, and where it is from; `None` when there is none.
///
/// Docker's own file comes first, then those of the drop-in folder by name; the first that knows the registry counts.
pub(super) fn find(host: &Host, registry: &str) -> Result<Option<(Credential, PathBuf)>, Problem> {
    let own = read(&host.docker_config)?.into_iter();
    for (path, config) in own.chain(drop_ins(&host.credentials)?) {
        if let Some(helper) = config.helper(registry) {
            let found = ask_helper(host, helper, registry)?;
            if let Some(credential) = found {
                return Ok(Some((credential, helper_program(helper).into())));
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
    match std::fs::File::open(path).and_then(|file| read_limited(file, MAX_CONFIG)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path, error.to_string())),
    }
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

/// The files of the drop-in folder. They are ours, so unlike docker's they have to be private.
fn drop_ins(folder: &Path) -> Result<Vec<(PathBuf, DockerConfig)>, Problem> {
    let failed = |path: &Path, error: io::Error| unusable(path, error.to_string());
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(folder, error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(folder, error))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            paths.push(path);
        }
    }
    paths.sort();
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

/// Tells a helper something that it answers with nothing but success.
pub(super) fn tell_helper(host: &Host, name: &str, verb: &str, text: &str) -> Result<(), Problem> {
    match talk_to_helper(host, name, verb, text)? {
        (true, _) => Ok(()),
        (false, output) => {
            // Nothing to erase is as good as erased.
            let is_absent = String::from_utf8_lossy(&output).contains("credentials not found");
            match verb {
                "erase" if is_absent => Ok(()),
                _ => {
                    let cause = format!("its {verb} failed; run it by hand to see why");
                    Err(unusable(Path::new(&helper_program(name)), cause))
                }
            }
        }
    }
}

fn talk_to_helper(
    host: &Host,
    name: &str,
    verb: &str,
    text: &str,
) -> Result<(bool, Vec<u8>), Problem> {
    let program = helper_program(name);
    let failed = |cause: String| unusable(Path::new(&program), cause);
    if name.contains('/') {
        let cause = "the name of a credential helper has no slash".to_owned();
        return Err(failed(cause));
    }
    run_helper(host, &program, verb, text).map_err(|error| failed(error.to_string()))
}

fn helper_program(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// Asks `docker-credential-NAME get`: the registry on its standard input, JSON on its standard output.
fn ask_helper(host: &Host, name: &str, registry: &str) -> Result<Option<Credential>, Problem> {
    let failed = |cause: String| unusable(Path::new(&helper_program(name)), cause);
    let (status, output) = talk_to_helper(host, name, "get", key(registry))?;
    if !status {
        // The protocol has only this sentence for "I know no such registry".
        let text = String::from_utf8_lossy(&output);
        if text.contains("credentials not found") {
            return Ok(None);
        }
        // What else it says may be as secret as what it keeps.
        return Err(failed("it failed; run it by hand to see why".to_owned()));
    }
    let helped: Helped = serde_json::from_slice(&output)
        .map_err(|_| failed("it printed something else than Username and Secret".to_owned()))?;
    Ok(Some(match helped.username.as_str() {
        "<token>" => Credential::Identity(helped.secret),
        user => Credential::Password(user.to_owned(), helped.secret),
    }))
}

/// Whether the helper succeeded, and what it printed.
fn run_helper(host: &Host, program: &str, verb: &str, text: &str) -> io::Result<(bool, Vec<u8>)> {
    let mut child = Command::new(program)
        .arg(verb)
        .env_clear()
        .envs(&host.env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that ends without reading says in its answer why.
        let _ = input.write_all(text.as_bytes());
    }
    let output = child.stdout.take();
    let (done, finished) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let output = output.map_or(Ok(Vec::new()), |output| {
            read_limited(output, MAX_HELPER_OUTPUT)
        });
        // Nobody listens any more when the time was up.
        let _ = done.send(());
        output
    });
    let in_time = (0..HELPER_TIME.as_millis() / HELPER_SLICE.as_millis()).any(|_| {
        // It is not waited for when this process is asked to end.
        !terminate::requested() && finished.recv_timeout(HELPER_SLICE).is_ok()
    });
    if !in_time {
        child.kill()?;
    }
    let status = child.wait()?;
    if !in_time {
        // Whoever inherited the pipe from the helper may keep it open; the reader is not waited for.
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "it did not answer in time",
        ));
    }
    let output = reader
        .join()
        .map_err(|_| io::Error::other("its output could not be read"))??;
    Ok((status.success(), output))
}

#[cfg(test)]
mod tests;
