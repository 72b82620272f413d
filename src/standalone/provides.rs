//! What a device provides, what an artifact depends on, and what is left of the one after the other. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::artifact::reader::{Head, PayloadHead, Values};

/// Key of the name of what is installed.
pub const NAME: &str = "artifact_name";
const GROUP: &str = "artifact_group";

/// What the name of an artifact ends with whose way back failed; Mender's word.
const INCONSISTENT: &str = "_INCONSISTENT";

/// Keys and values, the name of the artifact among them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provides(BTreeMap<String, String>);

/// Why an artifact is not for this device as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// Another kind of device.
    #[error("it is for the device types {wanted}, and this device is {found:?}")]
    DeviceType {
        /// As the artifact lists them.
        wanted: String,
        /// What the device is.
        found: String,
    },
    /// A key without the right value.
    #[error("it depends on {key} being {wanted}, and this device has {found:?}")]
    Value {
        /// The key.
        key: String,
        /// One or several values.
        wanted: String,
        /// What the device has.
        found: String,
    },
    /// A key that the device does not have at all.
    #[error("it depends on {key} being {wanted}, and this device does not provide {key}")]
    Absent {
        /// The key.
        key: String,
        /// One or several values.
        wanted: String,
    },
}

impl Provides {
    /// What a device provides that nothing was ever installed on.
    pub fn of_factory(name: &str, group: Option<&str>) -> Provides {
        let mut provides = BTreeMap::from([(NAME.to_owned(), name.to_owned())]);
        provides.extend(group.map(|group| (GROUP.to_owned(), group.to_owned())));
        Provides(provides)
    }

    /// The name of what is installed.
    pub fn name(&self) -> &str {
        self.0.get(NAME).map_or("", String::as_str)
    }

    /// The group of what is installed.
    pub fn group(&self) -> Option<&str> {
        self.0.get(GROUP).map(String::as_str)
    }

    /// Keys and values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&key[..], &value[..]))
    }

    /// What is provided after an artifact with one payload was installed: what it clears goes, then comes what is new. An
    /// artifact that does not say what it clears is from before there were such lists, and clears everything.
    pub fn after(&self, head: &Head, payload: &PayloadHead) -> Provides {
        let mut after = self.0.clone();
        match &payload.clears_provides {
            None => after.clear(),
            Some(patterns) => after.retain(|key, _| !patterns.iter().any(|p| matches(p, key))),
        }
        after.insert(NAME.to_owned(), head.artifact_name.clone());
        after.extend(head.group.clone().map(|group| (GROUP.to_owned(), group)));
        after.extend(payload.provides.clone());
        Provides(after)
    }

    /// The same of an artifact that was neither installed nor taken back.
    pub fn inconsistent(mut self) -> Provides {
        let name = format!("{}{INCONSISTENT}", self.name());
        self.0.insert(NAME.to_owned(), name);
        self
    }

    /// Looks whether everything is here that an artifact depends on.
    pub fn meet(&self, head: &Head, device_type: &str) -> Result<(), Unmet> {
        if !head.device_types.iter().any(|wanted| wanted == device_type) {
            return Err(Unmet::DeviceType {
                wanted: Shown(&head.device_types).to_string(),
                found: device_type.to_owned(),
            });
        }
        for (key, wanted) in [(NAME, &head.depends_names), (GROUP, &head.depends_groups)] {
            if !wanted.is_empty() {
                self.meet_one(key, wanted, device_type)?;
            }
        }
        for (key, wanted) in head.payloads.iter().flat_map(|payload| &payload.depends) {
            match wanted {
                Values::One(value) => self.meet_one(key, std::slice::from_ref(value), device_type),
                Values::AnyOf(values) => self.meet_one(key, values, device_type),
            }?;
        }
        Ok(())
    }

    fn meet_one(&self, key: &str, wanted: &[String], device_type: &str) -> Result<(), Unmet> {
        let found = match key {
            "device_type" => Some(device_type),
            _ => self.0.get(key).map(String::as_str),
        };
        let (key, shown) = (key.to_owned(), Shown(wanted).to_string());
        match found {
            Some(found) if wanted.iter().any(|value| value == found) => Ok(()),
            Some(found) => Err(Unmet::Value {
                key,
                wanted: shown,
                found: found.to_owned(),
            }),
            None => Err(Unmet::Absent { key, wanted: shown }),
        }
    }
}

/// Values for a reader.
struct Shown<'a>(&'a [String]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<String> = self.0.iter().map(|value| format!("{value:?}")).collect();
        f.write_str(&quoted.join(" or "))
    }
}

/// Whether a key is one of those that a pattern means: `*` stands for any text, everything else for itself. Takes as many
/// steps as pattern and key have bytes in product, whatever they are.
fn matches(pattern: &str, key: &str) -> bool {
    let (pattern, key) = (pattern.as_bytes(), key.as_bytes());
    let (mut at, mut here) = (0, 0);
    let mut star = None;
    while here < key.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, here));
            at += 1;
        } else if pattern.get(at) == Some(&key[here]) {
            (at, here) = (at + 1, here + 1);
        } else if let Some((before, taken)) = star {
            // The last star takes one byte more.
            star = Some((before, taken + 1));
            (at, here) = (before + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, key, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a.b", true),
            ("a.*", "a.b.c", true),
            ("a.*", "a.", true),
            ("a.*", "a", false),
            ("*.version", "a.version", true),
            ("*.version", "a.version.b", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXcYb", false),
            ("a.b", "aXb", false),
            ("a[b]", "ab", false),
            ("a?", "ab", false),
            ("**a**", "bab", true),
        ] {
            assert_eq!(matches(pattern, key), expected, "{pattern:?} {key:?}");
        }
    }
}
