//! Who an artifact is for and what it says about itself: `header-info` and `type-info`.

use std::collections::BTreeMap;

use serde::Serialize;

/// The update module that installs our artifacts, ours and upstream's alike.
pub const PAYLOAD_TYPE: &str = "docker";

/// Longest artifact name, group or device type that Mender takes.
const MAX_NAME: usize = 256;

/// What stands in both header documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Name of the release.
    pub artifact_name: String,
    /// Group that the artifact provides.
    pub group: Option<String>,
    /// Device types it may be installed on; at least one.
    pub device_types: Vec<String>,
    /// Artifact names of which one must be installed; empty means any.
    pub depends_names: Vec<String>,
    /// Groups of which the device must be in one; empty means any.
    pub depends_groups: Vec<String>,
    /// Keys that the device must have, with these values.
    pub depends: BTreeMap<String, String>,
    /// Keys that the device has afterwards.
    pub provides: BTreeMap<String, String>,
    /// Patterns of keys that the device loses before it gets the new ones.
    pub clears_provides: Vec<String>,
}

/// Which software version key an artifact sets; the defaults are mender-artifact's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Software {
    /// `rootfs-image` unless given.
    pub filesystem: Option<String>,
    /// The payload type unless given.
    pub name: Option<String>,
    /// The artifact's name unless given.
    pub version: Option<String>,
    /// Whether a value given explicitly for the same key gives way.
    pub overrides: bool,
    /// `--no-default-software-version`: no name and no version unless given, and nothing is cleared.
    pub has_no_default: bool,
}

impl Software {
    /// The key that it sets; without a name where there is none by default.
    pub fn key(&self) -> String {
        let filesystem = self.filesystem.as_deref().unwrap_or("rootfs-image");
        match self.name_or_default() {
            Some(name) => format!("{filesystem}.{name}.version"),
            None => format!("{filesystem}.version"),
        }
    }

    fn name_or_default(&self) -> Option<&str> {
        let default = (!self.has_no_default).then_some(PAYLOAD_TYPE);
        self.name.as_deref().or(default)
    }
}

/// Why Mender would not take a header.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HeaderError {
    /// Every artifact must say what it is for.
    #[error("no device type is given")]
    NoDeviceType,
    /// Clients print and compare these; white space splits them in upstream's scripts.
    #[error("{what} {value:?} {problem}")]
    Name {
        /// Which name.
        what: &'static str,
        /// As given.
        value: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Header {
    /// Adds the software version that `software` describes, by mender-artifact's rules. A value given explicitly for the
    /// same key stays, unless it is empty or `software` overrides it.
    pub fn provide_software(&mut self, software: &Software, clears: bool) {
        let default = || (!software.has_no_default).then(|| self.artifact_name.clone());
        if let Some(version) = software.version.clone().or_else(default) {
            let value = self.provides.entry(software.key()).or_default();
            if value.is_empty() || software.overrides {
                *value = version;
            }
        }
        let key = software.key();
        let pattern = format!("{}*", key.trim_end_matches("version"));
        if clears && !software.has_no_default && !self.clears_provides.contains(&pattern) {
            self.clears_provides.push(pattern);
        }
    }

    /// Refuses what Mender's tools would refuse, or take and then trip over.
    pub fn check(&self) -> Result<(), HeaderError> {
        if self.device_types.is_empty() {
            return Err(HeaderError::NoDeviceType);
        }
        check_name("artifact name", &self.artifact_name)?;
        for (what, values) in [
            ("device type", &self.device_types),
            ("artifact name", &self.depends_names),
            ("group", &self.depends_groups),
        ] {
            values
                .iter()
                .try_for_each(|value| check_name(what, value))?;
        }
        self.group
            .iter()
            .try_for_each(|value| check_name("group", value))
    }

    /// The document `header-info`, key order as mender-artifact writes it.
    pub fn header_info(&self) -> String {
        json(&HeaderInfo {
            payloads: [PayloadInfo { kind: PAYLOAD_TYPE }],
            artifact_provides: Provides {
                artifact_name: &self.artifact_name,
                artifact_group: self.group.as_deref(),
            },
            artifact_depends: Depends {
                artifact_name: &self.depends_names,
                device_type: &self.device_types,
                artifact_group: &self.depends_groups,
            },
        })
    }

    /// The document `type-info`, key order as mender-artifact writes it.
    pub fn type_info(&self) -> String {
        json(&TypeInfo {
            kind: PAYLOAD_TYPE,
            artifact_depends: &self.depends,
            artifact_provides: &self.provides,
            clears_artifact_provides: &self.clears_provides,
        })
    }
}

fn check_name(what: &'static str, value: &str) -> Result<(), HeaderError> {
    let problem = if value.is_empty() {
        "is empty"
    } else if value.len() > MAX_NAME {
        "is longer than 256 bytes"
    } else if value.chars().any(char::is_whitespace) {
        "contains white space, which Mender does not take there"
    } else if !value.chars().all(|c| c.is_ascii_graphic()) {
        "contains characters that are not printable ASCII"
    } else {
        return Ok(());
    };
    Err(HeaderError::Name {
        what,
        value: value.chars().take(MAX_NAME).collect(),
        problem,
    })
}

fn json(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("strings, lists and maps of strings always serialize")
}

#[derive(Serialize)]
struct HeaderInfo<'a> {
    payloads: [PayloadInfo; 1],
    artifact_provides: Provides<'a>,
    artifact_depends: Depends<'a>,
}

#[derive(Serialize)]
struct PayloadInfo {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Provides<'a> {
    artifact_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_group: Option<&'a str>,
}

#[derive(Serialize)]
struct Depends<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    artifact_name: &'a [String],
    device_type: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    artifact_group: &'a [String],
}

#[derive(Serialize)]
struct TypeInfo<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    artifact_depends: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    artifact_provides: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    clears_artifact_provides: &'a [String],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            artifact_name: "rel-1".to_owned(),
            device_types: vec!["qemu".to_owned()],
            ..Header::default()
        }
    }

    #[test]
    fn documents_are_mender_artifacts_byte_for_byte() {
        let mut plain = header();
        plain.provide_software(&Software::default(), true);
        assert_eq!(
            plain.header_info(),
            r#"{"payloads":[{"type":"docker"}],"artifact_provides":{"artifact_name":"rel-1"},"artifact_depends":{"device_type":["qemu"]}}"#
        );
        assert_eq!(
            plain.type_info(),
            r#"{"type":"docker","artifact_provides":{"rootfs-image.docker.version":"rel-1"},"clears_artifact_provides":["rootfs-image.docker.*"]}"#
        );
        let pair = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let mut full = Header {
            group: Some("grp".to_owned()),
            device_types: vec!["qemu".to_owned(), "rpi".to_owned()],
            depends_names: vec!["n0".to_owned()],
            depends_groups: vec!["g1".to_owned(), "g2".to_owned()],
            depends: pair("c", "d"),
            provides: pair("a", "b"),
            clears_provides: vec!["q.*".to_owned()],
            ..header()
        };
        let software = Software {
            name: Some("x".to_owned()),
            ..Software::default()
        };
        full.provide_software(&software, true);
        assert_eq!(
            full.header_info(),
            r#"{"payloads":[{"type":"docker"}],"artifact_provides":{"artifact_name":"rel-1","artifact_group":"grp"},"artifact_depends":{"artifact_name":["n0"],"device_type":["qemu","rpi"],"artifact_group":["g1","g2"]}}"#
        );
        assert_eq!(
            full.type_info(),
            r#"{"type":"docker","artifact_depends":{"c":"d"},"artifact_provides":{"a":"b","rootfs-image.x.version":"rel-1"},"clears_artifact_provides":["q.*","rootfs-image.x.*"]}"#
        );
        assert_eq!(header().type_info(), r#"{"type":"docker"}"#);
    }

    #[test]
    fn an_explicit_value_beats_the_default() {
        let mut given = header();
        given
            .provides
            .insert("data.shop.version".to_owned(), "7".to_owned());
        let software = Software {
            filesystem: Some("data".to_owned()),
            name: Some("shop".to_owned()),
            version: Some("8".to_owned()),
            ..Software::default()
        };
        given.provide_software(&software, false);
        assert_eq!(given.provides["data.shop.version"], "7");
        assert_eq!(given.clears_provides, Vec::<String>::new());
        let later = Software {
            overrides: true,
            ..software
        };
        given.clears_provides = vec!["data.shop.*".to_owned()];
        given.provide_software(&later, true);
        assert_eq!(given.provides["data.shop.version"], "8");
        assert_eq!(given.clears_provides, ["data.shop.*"]);
    }

    #[test]
    fn refuses_names_that_mender_would_trip_over() {
        let long = "x".repeat(257);
        for (name, problem) in [
            ("", "is empty"),
            (long.as_str(), "is longer than 256 bytes"),
            (
                "rel 1",
                "contains white space, which Mender does not take there",
            ),
            (
                "rel\n",
                "contains white space, which Mender does not take there",
            ),
            (
                "rel\u{1b}",
                "contains characters that are not printable ASCII",
            ),
            ("größe", "contains characters that are not printable ASCII"),
        ] {
            let refused = |header: Header| match header.check().unwrap_err() {
                HeaderError::Name { problem, what, .. } => (what, problem),
                other => panic!("{other}"),
            };
            let named = Header {
                artifact_name: name.to_owned(),
                ..header()
            };
            assert_eq!(refused(named), ("artifact name", problem), "{name:?}");
            let mut typed = header();
            typed.device_types.push(name.to_owned());
            assert_eq!(refused(typed), ("device type", problem), "{name:?}");
            let mut grouped = header();
            grouped.group = Some(name.to_owned());
            assert_eq!(refused(grouped), ("group", problem), "{name:?}");
        }
        let nowhere = Header {
            device_types: Vec::new(),
            ..header()
        };
        assert_eq!(nowhere.check(), Err(HeaderError::NoDeviceType));
        assert_eq!(header().check(), Ok(()));
    }
}
