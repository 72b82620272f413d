//! Device nodes, and which devices the control group lets the container open.

use serde_json::{Value, json};

use super::{Device, SpecError, path_text};
use crate::api::HostConfig;

/// Docker's default rules for character devices: allowed?, major, minor.
const DEFAULT_RULES: [(bool, u32, u32); 7] = [
    (true, 1, 5),     // zero
    (true, 1, 3),     // null
    (true, 1, 9),     // urandom
    (true, 1, 8),     // random
    (true, 5, 0),     // tty
    (true, 5, 1),     // console
    (false, 10, 229), // fuse
];

/// `linux.devices`, each path once: of a privileged container's, one that is named again is there already.
///
/// The runtime adds null, zero, full, random, urandom and tty itself where they are missing.
pub(super) fn nodes(devices: &[Device]) -> Result<Vec<Value>, SpecError> {
    let mut seen = std::collections::BTreeSet::new();
    devices
        .iter()
        .filter(|device| seen.insert(&device.path))
        // There the container has nodes of its own, and nobody can make others.
        .filter(|device| !device.path.starts_with("/dev/pts"))
        .map(|device| {
            let path = path_text(&device.path)?;
            if !path.starts_with("/dev/") || path.split('/').any(|part| part == "..") {
                return Err(SpecError::DevicePath(path.to_owned()));
            }
            Ok(json!({
                "type": device.kind.to_string(),
                "path": path,
                "major": device.major,
                "minor": device.minor,
                "fileMode": device.mode & 0o7777,
                "uid": device.uid,
                "gid": device.gid,
            }))
        })
        .collect()
}

/// `linux.resources.devices`.
pub(super) fn rules(host: &HostConfig, devices: &[Device]) -> Result<Vec<Value>, SpecError> {
    if host.privileged {
        return Ok(vec![json!({ "allow": true, "access": "rwm" })]);
    }
    let mut rules = vec![json!({ "allow": false, "access": "rwm" })];
    rules.extend(DEFAULT_RULES.iter().map(|(allow, major, minor)| {
        json!({ "allow": allow, "type": "c", "major": major, "minor": minor, "access": "rwm" })
    }));
    rules.extend(devices.iter().map(|device| {
        json!({
            "allow": true,
            "type": device.kind.to_string(),
            "major": device.major,
            "minor": device.minor,
            "access": device.permissions,
        })
    }));
    for text in &host.device_cgroup_rules {
        rules.push(rule(text).ok_or_else(|| SpecError::DeviceRule(text.clone()))?);
    }
    Ok(rules)
}

/// `c 1:3 rwm`; a `*` is a left-out number.
fn rule(text: &str) -> Option<Value> {
    let mut words = text.split(' ');
    let (kind, numbers, access) = (words.next()?, words.next()?, words.next()?);
    let (major, minor) = numbers.split_once(':')?;
    if words.next().is_some()
        || !matches!(kind, "a" | "b" | "c")
        || access.is_empty()
        || access.len() > 3
        || !access.chars().all(|c| "rwm".contains(c))
    {
        return None;
    }
    let mut rule = json!({ "allow": true, "type": kind, "access": access });
    for (key, number) in [("major", major), ("minor", minor)] {
        if number != "*" {
            rule[key] = json!(number.parse::<u32>().ok()?);
        }
    }
    Some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_device_cgroup_rules() {
        assert_eq!(
            rule("c 188:* rmw").unwrap(),
            json!({ "allow": true, "type": "c", "access": "rmw", "major": 188 })
        );
        assert_eq!(
            rule("a *:* rwm").unwrap(),
            json!({ "allow": true, "type": "a", "access": "rwm" })
        );
        for text in [
            "",
            "c 1:3",
            "d 1:3 r",
            "c 1 r",
            "c 1:3 x",
            "c 1:3 rwmr",
            "c  1:3 r",
            "c -1:3 r",
            "c 1:3 r x",
        ] {
            assert_eq!(rule(text), None, "{text:?}");
        }
    }
}
