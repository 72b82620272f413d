//! The JSON documents inside: walked by hand, so that each defect names its key.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::ReadError;
use crate::artifact::json::{self, kind};
use crate::artifact::limits::MAX_PAYLOADS;

type Object = Map<String, Value>;

/// What `header-info` says.
pub(super) struct HeaderInfo {
    pub(super) payloads: Vec<Option<String>>,
    pub(super) artifact_name: String,
    pub(super) group: Option<String>,
    pub(super) device_types: Vec<String>,
    pub(super) depends_names: Vec<String>,
    pub(super) depends_groups: Vec<String>,
}

/// What an artifact says of one payload.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PayloadHead {
    /// The module it is for; `None` in the artifact that only says what a device was made with.
    pub kind: Option<String>,
    /// Keys that the device must have, each with one of these values.
    pub depends: BTreeMap<String, Values>,
    /// Keys that the device has afterwards.
    pub provides: BTreeMap<String, String>,
    /// Patterns of keys that the device loses before it gets the new ones.
    pub clears_provides: Option<Vec<String>>,
    /// The module's own document.
    pub meta_data: Option<Map<String, Value>>,
}

/// A value, or a list of values of which one must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// Exactly this.
    One(String),
    /// Any of these.
    AnyOf(Vec<String>),
}

/// A document being read.
struct Document<'a>(&'a str);

impl Document<'_> {
    fn refuse(&self, problem: impl Into<String>) -> ReadError {
        ReadError::document(self.0, problem)
    }

    fn parse(&self, bytes: &[u8]) -> Result<Value, ReadError> {
        json::parse(bytes).map_err(|error| self.refuse(format!("not valid JSON: {error}")))
    }

    fn object(&self, bytes: &[u8]) -> Result<Object, ReadError> {
        match self.parse(bytes)? {
            Value::Object(object) => Ok(object),
            other => Err(self.refuse(format!("must be an object, not {}", kind(&other)))),
        }
    }

    fn wrong(&self, key: &str, expected: &str, found: &Value) -> ReadError {
        self.refuse(format!("{key:?} must be {expected}, not {}", kind(found)))
    }

    /// The readers of servers and older clients refuse what they do not know here; so nobody may rely on it.
    fn only(&self, object: &Object, known: &[&str]) -> Result<(), ReadError> {
        match object.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(self.refuse(format!("the key {key:?} is not known"))),
        }
    }

    /// `null` is as good as absent, as Go has it.
    fn present<'o>(&self, object: &'o Object, key: &str) -> Option<&'o Value> {
        object.get(key).filter(|value| !value.is_null())
    }

    fn inner<'o>(&self, object: &'o Object, key: &str) -> Result<Option<&'o Object>, ReadError> {
        match self.present(object, key) {
            None => Ok(None),
            Some(Value::Object(inner)) => Ok(Some(inner)),
            Some(other) => Err(self.wrong(key, "an object", other)),
        }
    }

    fn text(&self, object: &Object, key: &str) -> Result<Option<String>, ReadError> {
        match self.present(object, key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.wrong(key, "a string", other)),
        }
    }

    fn texts(&self, object: &Object, key: &str) -> Result<Option<Vec<String>>, ReadError> {
        match self.present(object, key) {
            None => Ok(None),
            Some(Value::Array(items)) => self.strings(key, items).map(Some),
            Some(other) => Err(self.wrong(key, "a list of strings", other)),
        }
    }

    fn strings(&self, key: &str, items: &[Value]) -> Result<Vec<String>, ReadError> {
        let text = |item: &Value| match item {
            Value::String(text) => Ok(text.clone()),
            other => Err(self.wrong(key, "a list of strings", other)),
        };
        items.iter().map(text).collect()
    }
}

/// Refuses every format but the one that is read.
pub(super) fn check_version(bytes: &[u8]) -> Result<(), ReadError> {
    let document = Document("version");
    let object = document.object(bytes)?;
    document.only(&object, &["format", "version"])?;
    if document.text(&object, "format")?.as_deref() != Some("mender") {
        return Err(document.refuse("the format is not \"mender\""));
    }
    match object.get("version").and_then(Value::as_u64) {
        Some(3) => Ok(()),
        Some(other) => {
            Err(document.refuse(format!("format version {other} is not read; only 3 is")))
        }
        None => Err(document.refuse("it does not name a format version")),
    }
}

pub(super) fn header_info(bytes: &[u8]) -> Result<HeaderInfo, ReadError> {
    let document = Document("header-info");
    let object = document.object(bytes)?;
    document.only(
        &object,
        &["payloads", "artifact_provides", "artifact_depends"],
    )?;
    let missing = |key: &str| document.refuse(format!("the key {key:?} is missing or empty"));
    let payloads = payloads(&document, &object)?;
    let provides = document.inner(&object, "artifact_provides")?;
    let provides = provides.ok_or_else(|| missing("artifact_provides"))?;
    document.only(provides, &["artifact_name", "artifact_group"])?;
    let depends = document.inner(&object, "artifact_depends")?;
    let depends = depends.ok_or_else(|| missing("artifact_depends"))?;
    document.only(depends, &["artifact_name", "device_type", "artifact_group"])?;
    let artifact_name = document
        .text(provides, "artifact_name")?
        .unwrap_or_default();
    if artifact_name.is_empty() {
        return Err(missing("artifact_name"));
    }
    let device_types = document.texts(depends, "device_type")?.unwrap_or_default();
    if device_types.is_empty() {
        return Err(missing("device_type"));
    }
    Ok(HeaderInfo {
        payloads,
        artifact_name,
        group: document
            .text(provides, "artifact_group")?
            .filter(|group| !group.is_empty()),
        device_types,
        depends_names: document
            .texts(depends, "artifact_name")?
            .unwrap_or_default(),
        depends_groups: document
            .texts(depends, "artifact_group")?
            .unwrap_or_default(),
    })
}

fn payloads(document: &Document<'_>, object: &Object) -> Result<Vec<Option<String>>, ReadError> {
    let list = match document.present(object, "payloads") {
        Some(Value::Array(list)) if !list.is_empty() => list,
        Some(Value::Array(_)) | None => return Err(document.refuse("it lists no payload")),
        Some(other) => return Err(document.wrong("payloads", "a list", other)),
    };
    if list.len() > MAX_PAYLOADS {
        return Err(ReadError::Payloads(list.len()));
    }
    let one = |item: &Value| {
        let Value::Object(payload) = item else {
            return Err(document.wrong("payloads", "a list of objects", item));
        };
        document.only(payload, &["type"])?;
        let kind = document.text(payload, "type")?;
        match kind.as_deref().map(is_type) {
            None | Some(true) => Ok(kind),
            Some(false) => Err(document.refuse(
                "a payload's type is not the name of a module: letters, digits and \"._-\"",
            )),
        }
    };
    list.iter().map(one).collect()
}

/// A type becomes the path of a program on the device.
fn is_type(kind: &str) -> bool {
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !kind.is_empty() && kind.len() <= 64 && !kind.starts_with('.') && kind.bytes().all(taken)
}

pub(super) fn type_info(
    name: &str,
    bytes: &[u8],
    payload: &mut PayloadHead,
) -> Result<(), ReadError> {
    let document = Document(name);
    // Unknown keys are nobody's mistake here: every reader passes over them.
    let object = document.object(bytes)?;
    let kind = document.text(&object, "type")?;
    let says_nothing = kind.as_deref().is_none_or(str::is_empty);
    // mender-artifact 3 leaves it empty for rootfs images.
    let may_say_nothing = payload
        .kind
        .as_deref()
        .is_none_or(|kind| kind == "rootfs-image");
    if kind != payload.kind && !(says_nothing && may_say_nothing) {
        return Err(document.refuse("its type is not the one that header-info names"));
    }
    if let Some(depends) = document.inner(&object, "artifact_depends")? {
        for (key, value) in depends {
            let values = match value {
                Value::String(text) => Values::One(text.clone()),
                Value::Array(items) => Values::AnyOf(document.strings(key, items)?),
                other => return Err(document.wrong(key, "a string or a list of strings", other)),
            };
            payload.depends.insert(key.clone(), values);
        }
    }
    if let Some(provides) = document.inner(&object, "artifact_provides")? {
        payload.provides = provided(&document, provides)?;
    }
    payload.clears_provides = document.texts(&object, "clears_artifact_provides")?;
    Ok(())
}

fn provided(
    document: &Document<'_>,
    provides: &Object,
) -> Result<BTreeMap<String, String>, ReadError> {
    let one = |(key, value): (&String, &Value)| match value {
        Value::String(text) => Ok((key.clone(), text.clone())),
        other => Err(document.wrong(key, "a string", other)),
    };
    provides.iter().map(one).collect()
}

pub(super) fn meta_data(
    name: &str,
    bytes: &[u8],
    payload: &mut PayloadHead,
) -> Result<(), ReadError> {
    // Rootfs images have an empty one.
    if bytes.trim_ascii().is_empty() {
        return Ok(());
    }
    payload.meta_data = Some(Document(name).object(bytes)?);
    Ok(())
}
