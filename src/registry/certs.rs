//! Certificates on disk: the system's bundle, and Docker's `certs.d/HOST[:PORT]/`.

use std::path::{Path, PathBuf};

use super::error::Problem;
use super::folder;
use crate::config::Settings;
use crate::host::Host;

/// Largest file read here; the bundle of all public authorities has 220 KB.
const MAX_PEM: u64 = 4 << 20;

/// A certificate to show to the registry, with its key.
pub(super) struct ClientPair {
    pub(super) path: PathBuf,
    pub(super) certificate: Vec<u8>,
    pub(super) key_path: PathBuf,
    pub(super) key: Vec<u8>,
}

/// The first of the system's bundles that exists.
pub(super) fn system_bundle(host: &Host) -> Result<Vec<u8>, Problem> {
    first_bundle(&host.ca_bundles)
}

/// The first of these bundles that exists.
pub(super) fn first_bundle(bundles: &[PathBuf]) -> Result<Vec<u8>, Problem> {
    for path in bundles {
        if let Some(pem) = read(path)? {
            return Ok(pem);
        }
    }
    let path = bundles.first().cloned().unwrap_or_default();
    Err(unusable(
        &path,
        "neither it nor any other bundle of certificate authorities exists; install ca-certificates or set SSL_CERT_FILE",
    ))
}

/// The authorities that count for one registry: what the settings name, and every `*.crt` in its folder, as with docker.
pub(super) fn authorities(
    host: &Host,
    settings: &Settings,
    registry: &str,
) -> Result<Vec<(PathBuf, Vec<u8>)>, Problem> {
    let mut found = Vec::new();
    let named = settings
        .registries
        .get(registry)
        .and_then(|settings| settings.ca.as_ref());
    if let Some(path) = named {
        let pem = read(path)?.ok_or_else(|| unusable(path, "it is not there"))?;
        found.push((path.clone(), pem));
    }
    for path in files(host, registry, "crt")? {
        if let Some(pem) = read(&path)? {
            found.push((path, pem));
        }
    }
    Ok(found)
}

/// The certificates to show to one registry: what the settings name, or else every `*.cert` in its folder with the `*.key`
/// of the same name.
pub(super) fn clients(
    host: &Host,
    settings: &Settings,
    registry: &str,
) -> Result<Vec<ClientPair>, Problem> {
    if let Some(settings) = settings.registries.get(registry) {
        match (&settings.client_cert, &settings.client_key) {
            (Some(certificate), Some(key)) => return Ok(vec![pair(certificate, key)?]),
            (None, None) => {}
            (Some(path), None) => {
                return Err(unusable(path, "client_key is missing in the settings"));
            }
            (None, Some(path)) => {
                return Err(unusable(path, "client_cert is missing in the settings"));
            }
        }
    }
    let mut pairs = Vec::new();
    for path in files(host, registry, "cert")? {
        pairs.push(pair(&path, &path.with_extension("key"))?);
    }
    Ok(pairs)
}

fn pair(path: &Path, key_path: &Path) -> Result<ClientPair, Problem> {
    let missing = || unusable(path, &format!("its key {} is missing", key_path.display()));
    let key = read(key_path)?.ok_or_else(missing)?;
    let certificate = read(path)?.ok_or_else(|| unusable(path, "it is not there"))?;
    Ok(ClientPair {
        path: path.to_owned(),
        certificate,
        key_path: key_path.to_owned(),
        key,
    })
}

/// The registry's files with this extension, in order of their names.
fn files(host: &Host, registry: &str, extension: &str) -> Result<Vec<PathBuf>, Problem> {
    let folder = host.certs.join(registry);
    folder::files(&folder, extension).map_err(|error| unusable(&folder, &error.to_string()))
}

pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Problem> {
    folder::read(path, MAX_PEM).map_err(|error| unusable(path, &error.to_string()))
}

/// A file that is there but of no use.
pub(super) fn unusable(path: &Path, cause: &str) -> Problem {
    Problem::Certificates {
        path: path.to_owned(),
        cause: cause.to_owned(),
    }
}
