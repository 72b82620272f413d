//! The work tree that a client makes for an update module: what the artifact and the device are, and the pipes through which
//! payload files are handed over.
//!
//! ```text
//! tree/
//!   version                   3
//!   current_artifact_name, current_artifact_group, current_device_type
//!   header/artifact_name, artifact_group, payload_type
//!   header/header-info, type-info, meta-data
//!   tmp/                      the module's own
//!   stream-next, streams/     named pipes (stream.rs)
//! ```

use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::error::StandaloneError;
use super::provides::Provides;
use crate::artifact::reader::{Head, PayloadHead, Values};
use crate::oci::Digest;
use crate::sys;

/// What the tree tells of the device.
pub struct About<'a> {
    /// What is installed.
    pub provides: &'a Provides,
    /// What kind of device it is.
    pub device_type: &'a str,
}

/// Makes the tree anew, durably, and returns the digest of the request in it.
pub fn make(
    dir: &Path,
    head: &Head,
    payload: &PayloadHead,
    about: &About<'_>,
) -> Result<Digest, StandaloneError> {
    let meta_data = match &payload.meta_data {
        Some(object) => pretty(&Value::Object(object.clone())),
        // What the clients hand over.
        None => "null".to_owned(),
    };
    let made = fill(dir, head, payload, about, &meta_data);
    made.map_err(|error| StandaloneError::io("make", dir, error))?;
    Ok(Digest::of(meta_data.as_bytes()))
}

fn fill(
    dir: &Path,
    head: &Head,
    payload: &PayloadHead,
    about: &About<'_>,
    meta_data: &str,
) -> io::Result<()> {
    sys::fs::remove_tree(dir)?;
    for folder in ["header", "tmp", "streams"] {
        sys::fs::create_dirs(&dir.join(folder))?;
    }
    sys::fifo::make(&dir.join("stream-next"), 0o600)?;
    let line = |text: &str| match text {
        "" => String::new(),
        text => format!("{text}\n"),
    };
    let kind = payload.kind.as_deref().unwrap_or_default();
    for (file, text) in [
        ("version", "3\n"),
        ("current_artifact_name", &line(about.provides.name())),
        (
            "current_artifact_group",
            &line(about.provides.group().unwrap_or_default()),
        ),
        ("current_device_type", &line(about.device_type)),
        ("header/artifact_name", &head.artifact_name),
        (
            "header/artifact_group",
            head.group.as_deref().unwrap_or_default(),
        ),
        ("header/payload_type", kind),
        ("header/header-info", &pretty(&header_info(head))),
        ("header/type-info", &pretty(&type_info(payload))),
        ("header/meta-data", meta_data),
    ] {
        sys::fs::replace_volatile(&dir.join(file), 0o600, text.as_bytes())?;
    }
    // The states that end a deployment read it after a power cut, too.
    sys::fs::sync_filesystem(dir)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

fn header_info(head: &Head) -> Value {
    let mut provides = json!({ "artifact_name": head.artifact_name });
    if let Some(group) = &head.group {
        provides["artifact_group"] = json!(group);
    }
    let mut depends = json!({ "device_type": head.device_types });
    for (key, values) in [
        ("artifact_name", &head.depends_names),
        ("artifact_group", &head.depends_groups),
    ] {
        if !values.is_empty() {
            depends[key] = json!(values);
        }
    }
    let kinds = head.payloads.iter();
    let kinds: Vec<Value> = kinds
        .map(|payload| json!({ "type": payload.kind }))
        .collect();
    json!({ "artifact_depends": depends, "artifact_provides": provides, "payloads": kinds })
}

fn type_info(payload: &PayloadHead) -> Value {
    let depends = payload.depends.iter().map(|(key, values)| {
        let values = match values {
            Values::One(value) => json!(value),
            Values::AnyOf(values) => json!(values),
        };
        (key.clone(), values)
    });
    let depends: Map<String, Value> = depends.collect();
    let mut document = json!({
        "artifact_depends": depends,
        "artifact_provides": payload.provides,
        "type": payload.kind,
    });
    if let Some(clears) = &payload.clears_provides {
        document["clears_artifact_provides"] = json!(clears);
    }
    document
}
