//! What kind of device this is, what it was made with, and whose artifacts it takes: from our settings, or else from the
//! files that Mender's own clients read.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::error::StandaloneError;
use super::provides::Provides;
use crate::config::Settings;
use crate::host::Host;
use crate::trust::{MAX_KEY, PublicKey};

/// Largest file of Mender's.
const MAX_FILE: u64 = 1 << 20;

/// What a device provides that nothing was ever installed on: what `artifact_info` says, or the name "unknown".
pub fn factory(host: &Host) -> Result<Provides, StandaloneError> {
    let path = host.mender.join("artifact_info");
    let text = text(&path)?.unwrap_or_default();
    let name = value_of(&text, "artifact_name").unwrap_or("unknown");
    Ok(Provides::of_factory(
        name,
        value_of(&text, "artifact_group"),
    ))
}

/// Mender's own settings, as far as they matter here. The first file wins, key by key.
pub struct Mender(Vec<(PathBuf, Map<String, Value>)>);

impl Mender {
    /// Reads them; those that are not there say nothing.
    pub fn load(host: &Host) -> Result<Mender, StandaloneError> {
        let mut files = Vec::new();
        for folder in [&host.mender, &host.mender_data] {
            let path = folder.join("mender.conf");
            let Some(text) = text(&path)? else { continue };
            let value = serde_json::from_str(&text);
            match value.map_err(|error| setting(&path, format!("not valid JSON: {error}")))? {
                Value::Object(object) => files.push((path, object)),
                _ => return Err(setting(&path, "it must be a JSON object".to_owned())),
            }
        }
        Ok(Mender(files))
    }

    /// A key counts in whatever case it is written, as it does for the older client: one that is overlooked takes a device's
    /// signatures away.
    fn find(&self, key: &str) -> Option<(&Path, &Value)> {
        let folded = |text: &str| text.to_uppercase().to_lowercase();
        // Several ways of writing it may stand in one file: the one that says something counts.
        let says = |value: &Value| match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => items.iter().any(|item| item != ""),
            _ => true,
        };
        let mut found = self.0.iter().flat_map(|(path, object)| {
            let is_it =
                |(name, value): &(&String, &Value)| folded(name) == folded(key) && says(value);
            let values = object.iter().filter(is_it);
            values.map(|(_, value)| (path.as_path(), value))
        });
        found.next()
    }

    /// Strings under this key: one, or a list; empty ones do not count.
    fn strings(&self, key: &str) -> Result<Vec<PathBuf>, StandaloneError> {
        let Some((path, value)) = self.find(key) else {
            return Ok(Vec::new());
        };
        let wrong = || setting(path, format!("{key} must be a path or a list of paths"));
        let one = |value: &Value| value.as_str().map(PathBuf::from).ok_or_else(wrong);
        let mut all = match value {
            Value::Array(items) => items.iter().map(one).collect::<Result<Vec<_>, _>>()?,
            other => vec![one(other)?],
        };
        all.retain(|path| !path.as_os_str().is_empty());
        Ok(all)
    }

    /// Seconds under this key; none count as not said, as they do for Mender.
    pub fn seconds(&self, key: &str) -> Result<Option<Duration>, StandaloneError> {
        let Some((path, value)) = self.find(key) else {
            return Ok(None);
        };
        match value.as_u64() {
            Some(seconds) => Ok(Some(Duration::from_secs(seconds)).filter(|time| !time.is_zero())),
            None => Err(setting(path, format!("{key} must be a number of seconds"))),
        }
    }
}

/// What kind of device this is.
pub fn device_type(
    host: &Host,
    settings: &Settings,
    mender: &Mender,
) -> Result<String, StandaloneError> {
    if let Some(named) = &settings.artifact.device_type {
        return Ok(named.clone());
    }
    let named = mender.strings("DeviceTypeFile")?.into_iter().next();
    let path = named.unwrap_or_else(|| host.mender_data.join("device_type"));
    let text = text(&path)?.unwrap_or_default();
    match value_of(&text, "device_type") {
        Some(found) => Ok(found.to_owned()),
        None => Err(StandaloneError::NoDeviceType { path }),
    }
}

/// The keys of which one must have signed an artifact; none means that any artifact is taken. One that cannot be read is an
/// error: who names keys does not want to go without.
pub fn keys(settings: &Settings, mender: &Mender) -> Result<Vec<PublicKey>, StandaloneError> {
    let mut paths = settings.trust.artifact_keys.clone();
    if paths.is_empty() {
        paths = mender.strings("ArtifactVerifyKey")?;
        paths.extend(mender.strings("ArtifactVerifyKeys")?);
    }
    paths.iter().map(|path| key(path)).collect()
}

fn key(path: &Path) -> Result<PublicKey, StandaloneError> {
    let wrong = |problem: String| setting(path, format!("not a key for artifacts: {problem}"));
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_KEY + 1).read_to_end(&mut bytes));
    read.map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > MAX_KEY {
        return Err(wrong(format!("it has more than {MAX_KEY} bytes")));
    }
    PublicKey::parse(&bytes).map_err(|error| wrong(error.to_string()))
}

fn setting(path: &Path, problem: String) -> StandaloneError {
    StandaloneError::Setting {
        path: path.to_owned(),
        problem,
    }
}

/// The value in the first line `KEY=VALUE`; an empty one is none.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once('='));
    let (_, value) = lines.find(|(found, _)| found.trim() == key)?;
    Some(value.trim()).filter(|value| !value.is_empty())
}

/// The text of a file; none where there is no file.
fn text(path: &Path) -> Result<Option<String>, StandaloneError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| {
        let read = file.take(MAX_FILE + 1).read_to_string(&mut text)?;
        match read as u64 > MAX_FILE {
            true => Err(io::Error::other(format!(
                "it has more than {MAX_FILE} bytes"
            ))),
            false => Ok(()),
        }
    });
    match read {
        Ok(()) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StandaloneError::io("read", path, error)),
    }
}
