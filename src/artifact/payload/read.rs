//! The door: bytes in, a checked [`Payload`] out. Walks the document by hand so that each defect names its key.

use std::collections::BTreeSet;
use std::io::Read;

use serde_json::{Map, Value};

use super::{
    Carried, DEFAULT_SCOPE, Health, MAX_ASSUMED, MAX_BYTES, MAX_COMMAND_WORDS, MAX_NAME,
    MAX_RUN_ARGS, MAX_SERVICES, MAX_STABLE_S, MAX_TIMEOUT_S, Payload, PayloadError, Service,
    VERSION,
};
use crate::artifact::json::kind;
use crate::oci::{Digest, Reference};

type Result<T> = std::result::Result<T, PayloadError>;

/// Unknown keys beside upstream's that are worth repeating in a log.
const UNKNOWN_KEYS_SHOWN: usize = 10;

/// Longest part of a foreign text that a message repeats.
const SHOWN: usize = 100;

impl Payload {
    /// Reads and checks a document, never more than [`MAX_BYTES`] of it.
    pub fn read(from: impl Read) -> Result<Payload> {
        let mut bytes = Vec::new();
        from.take(MAX_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(PayloadError::Read)?;
        Payload::parse(&bytes)
    }

    /// Checks a document.
    pub fn parse(bytes: &[u8]) -> Result<Payload> {
        if bytes.len() > MAX_BYTES {
            return Err(PayloadError::TooLong);
        }
        if bytes.trim_ascii().is_empty() {
            return Err(PayloadError::Empty);
        }
        let document = match serde_json::from_slice(bytes).map_err(PayloadError::Json)? {
            Value::Object(document) => document,
            Value::Null => return Err(PayloadError::Empty),
            other => {
                return Err(PayloadError::NotAnObject {
                    found: kind(&other),
                });
            }
        };
        payload(&document)
    }
}

fn payload(document: &Map<String, Value>) -> Result<Payload> {
    let images = images(document)?;
    let shared_run_args = match present(document, "run_args") {
        Some(value) => run_args(value, "run_args")?,
        None => String::new(),
    };
    let empty = Map::new();
    let dray = match present(document, "dray") {
        Some(value) => object(value, "dray")?,
        None => &empty,
    };
    check_version(dray)?;
    only_keys(
        dray,
        "dray",
        &[
            "version", "scope", "services", "health", "payload", "assumes",
        ],
    )?;
    let services = match present(dray, "services") {
        Some(value) => services(value, &images, &shared_run_args)?,
        None => images
            .into_iter()
            .map(|image| Service {
                name: None,
                image,
                run_args: shared_run_args.clone(),
                command: Vec::new(),
                depends_on: Vec::new(),
            })
            .collect(),
    };
    let carried = carried(dray)?;
    Ok(Payload {
        scope: match present(dray, "scope") {
            Some(value) => name(value, "dray.scope")?,
            None => DEFAULT_SCOPE.to_owned(),
        },
        services: super::order::by_dependency(services)?,
        health: health(dray)?,
        payload: carried,
        assumes: assumes(dray, carried)?,
        unknown_keys: document
            .keys()
            .filter(|key| !["containers", "run_args", "dray"].contains(&key.as_str()))
            .take(UNKNOWN_KEYS_SHOWN)
            .map(|key| shown(key))
            .collect(),
    })
}

fn images(document: &Map<String, Value>) -> Result<Vec<Reference>> {
    const EXPECTED: &str = "a list of image references";
    let value = present(document, "containers").ok_or_else(|| missing("containers", EXPECTED))?;
    let entries = list(value, "containers", EXPECTED, 1, MAX_SERVICES, "images")?;
    let image = |(index, value)| {
        let key = format!("containers[{index}]");
        text(value, &key)?
            .parse()
            .map_err(|source| PayloadError::Image { key, source })
    };
    entries.iter().enumerate().map(image).collect()
}

fn services(value: &Value, images: &[Reference], shared_run_args: &str) -> Result<Vec<Service>> {
    const KEY: &str = "dray.services";
    let entries = list(value, KEY, "a list of objects", 1, MAX_SERVICES, "services")?;
    let mut services = Vec::with_capacity(entries.len());
    let mut unused: BTreeSet<usize> = (0..images.len()).collect();
    for (index, value) in entries.iter().enumerate() {
        let key = format!("{KEY}[{index}]");
        let entry = object(value, &key)?;
        only_keys(
            entry,
            &key,
            &["name", "image", "run_args", "command", "depends_on"],
        )?;
        let image = image_index(entry, &key, images.len())?;
        unused.remove(&image);
        services.push(service(
            entry,
            &key,
            images[image].clone(),
            shared_run_args,
        )?);
    }
    // Whoever listed the image expects it to run; leaving it out in silence would be a surprise in the field.
    match unused.first() {
        Some(index) => Err(PayloadError::Value {
            key: format!("containers[{index}]"),
            problem: "no service uses this image".to_owned(),
        }),
        None => Ok(services),
    }
}

fn service(
    entry: &Map<String, Value>,
    key: &str,
    image: Reference,
    shared_run_args: &str,
) -> Result<Service> {
    let words = |field: &str, limit, what| {
        let key = format!("{key}.{field}");
        let Some(value) = present(entry, field) else {
            return Ok(Vec::new());
        };
        list(value, &key, "a list of strings", 0, limit, what)?
            .iter()
            .enumerate()
            .map(|(index, word)| text(word, &format!("{key}[{index}]")).map(str::to_owned))
            .collect()
    };
    Ok(Service {
        name: match present(entry, "name") {
            Some(value) => Some(name(value, &format!("{key}.name"))?),
            None => None,
        },
        image,
        run_args: match present(entry, "run_args") {
            Some(value) => run_args(value, &format!("{key}.run_args"))?,
            None => shared_run_args.to_owned(),
        },
        command: words("command", MAX_COMMAND_WORDS, "words")?,
        depends_on: words("depends_on", MAX_SERVICES, "names")?,
    })
}

fn image_index(entry: &Map<String, Value>, key: &str, images: usize) -> Result<usize> {
    const EXPECTED: &str = "an index into containers";
    let key = format!("{key}.image");
    let value = present(entry, "image").ok_or_else(|| missing(&key, EXPECTED))?;
    let index = value
        .as_u64()
        .ok_or_else(|| mistyped(&key, EXPECTED, value))?;
    match usize::try_from(index) {
        Ok(index) if index < images => Ok(index),
        _ => Err(PayloadError::Limit {
            key,
            problem: format!("is {index}, but containers has {images} entries, counted from 0"),
        }),
    }
}

fn health(dray: &Map<String, Value>) -> Result<Health> {
    let Some(value) = present(dray, "health") else {
        return Ok(Health::default());
    };
    let health = object(value, "dray.health")?;
    only_keys(health, "dray.health", &["timeout_s", "stable_s"])?;
    let seconds = |field: &str, least: u64, most: u64| {
        let key = format!("dray.health.{field}");
        let Some(value) = present(health, field) else {
            return Ok(None);
        };
        let seconds = value
            .as_u64()
            .ok_or_else(|| mistyped(&key, "a whole number of seconds", value))?;
        if (least..=most).contains(&seconds) {
            return Ok(Some(seconds));
        }
        let problem = format!("is {seconds} seconds; {least} to {most} are allowed");
        Err(PayloadError::Limit { key, problem })
    };
    Ok(Health {
        timeout_s: seconds("timeout_s", 1, MAX_TIMEOUT_S)?,
        stable_s: seconds("stable_s", 0, MAX_STABLE_S)?,
    })
}

fn carried(dray: &Map<String, Value>) -> Result<Option<Carried>> {
    let Some(value) = present(dray, "payload") else {
        return Ok(None);
    };
    match text(value, "dray.payload")? {
        "oci-layout" => Ok(Some(Carried::OciLayout)),
        other => Err(PayloadError::Value {
            key: "dray.payload".to_owned(),
            problem: format!("{:?} is not known; only \"oci-layout\" is", shown(other)),
        }),
    }
}

fn assumes(dray: &Map<String, Value>, carried: Option<Carried>) -> Result<Vec<Digest>> {
    const KEY: &str = "dray.assumes";
    let Some(value) = present(dray, "assumes") else {
        return Ok(Vec::new());
    };
    let wrong = |key: &str, problem: String| PayloadError::Value {
        key: key.to_owned(),
        problem,
    };
    if carried.is_none() {
        let problem = "it is what a payload leaves out, but dray.payload is not set";
        return Err(wrong(KEY, problem.to_owned()));
    }
    let entries = list(value, KEY, "a list of digests", 0, MAX_ASSUMED, "layers")?;
    let mut assumed: Vec<Digest> = Vec::with_capacity(entries.len());
    for (index, value) in entries.iter().enumerate() {
        let key = format!("{KEY}[{index}]");
        let digest = text(value, &key)?
            .parse()
            .map_err(|refused| wrong(&key, format!("{refused}")))?;
        // One order, so that the same request is always the same document.
        if assumed.last().is_some_and(|last| *last >= digest) {
            return Err(wrong(&key, "the list is not in ascending order".to_owned()));
        }
        assumed.push(digest);
    }
    Ok(assumed)
}

/// Before any other key is looked at: a later version may give keys another meaning.
fn check_version(dray: &Map<String, Value>) -> Result<()> {
    let Some(value) = present(dray, "version") else {
        return Ok(());
    };
    match value.as_u64() {
        Some(VERSION) => Ok(()),
        Some(0) => Err(PayloadError::Value {
            key: "dray.version".to_owned(),
            problem: "versions start at 1".to_owned(),
        }),
        Some(found) => Err(PayloadError::Version { found }),
        None => Err(mistyped("dray.version", "a whole number", value)),
    }
}

/// A name that is safe as a folder and unambiguous in a log line.
fn name(value: &Value, key: &str) -> Result<String> {
    let name = text(value, key)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.len() <= MAX_NAME
        && name.chars().all(plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        return Ok(name.to_owned());
    }
    let problem = format!(
        "{:?} is not a name: 1 to {MAX_NAME} letters, digits, \"_\", \".\" or \"-\", the first a letter or digit",
        shown(name)
    );
    Err(PayloadError::Value {
        key: key.to_owned(),
        problem,
    })
}

fn run_args(value: &Value, key: &str) -> Result<String> {
    let line = text(value, key)?;
    if line.len() <= MAX_RUN_ARGS {
        return Ok(line.to_owned());
    }
    let problem = format!(
        "has {} bytes; at most {MAX_RUN_ARGS} are allowed",
        line.len()
    );
    Err(PayloadError::Limit {
        key: key.to_owned(),
        problem,
    })
}

/// Upstream's generator and jq write `null` for what is not set, so `null` is absent everywhere.
fn present<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    map.get(key).filter(|value| !value.is_null())
}

fn only_keys(map: &Map<String, Value>, path: &str, known: &[&str]) -> Result<()> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(PayloadError::UnknownKey {
            key: format!("{path}.{}", shown(key)),
        }),
        None => Ok(()),
    }
}

fn object<'a>(value: &'a Value, key: &str) -> Result<&'a Map<String, Value>> {
    value
        .as_object()
        .ok_or_else(|| mistyped(key, "an object", value))
}

fn list<'a>(
    value: &'a Value,
    key: &str,
    expected: &'static str,
    least: usize,
    most: usize,
    what: &str,
) -> Result<&'a [Value]> {
    let entries = value
        .as_array()
        .ok_or_else(|| mistyped(key, expected, value))?;
    let problem = match entries.len() {
        count if count < least => format!("is empty: it must name {least} or more {what}"),
        count if count > most => format!("has {count} {what}; at most {most} are allowed"),
        _ => return Ok(entries),
    };
    Err(PayloadError::Limit {
        key: key.to_owned(),
        problem,
    })
}

/// A string that can become an argument of a process.
fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    let text = value
        .as_str()
        .ok_or_else(|| mistyped(key, "a string", value))?;
    if text.contains('\0') {
        return Err(PayloadError::Value {
            key: key.to_owned(),
            problem: "contains a NUL character, which no argument can".to_owned(),
        });
    }
    Ok(text)
}

fn missing(key: &str, expected: &'static str) -> PayloadError {
    PayloadError::Missing {
        key: key.to_owned(),
        expected,
    }
}

fn mistyped(key: &str, expected: &'static str, value: &Value) -> PayloadError {
    PayloadError::Type {
        key: key.to_owned(),
        expected,
        found: kind(value),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
