//! `--volume`: binds, named volumes, anonymous volumes.

use std::collections::{BTreeMap, HashSet};

use super::bounds;
use super::draft::Draft;
use crate::api::Empty;

/// Propagation modes.
pub(super) const PROPAGATIONS: [&str; 6] = [
    "private", "rprivate", "shared", "rshared", "slave", "rslave",
];

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path of the host.
    Path(String),
    /// A named volume.
    Name(String),
}

/// One entry of `HostConfig.Binds`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// What is mounted.
    pub source: Source,
    /// Where, absolute and cleaned.
    pub target: String,
    /// Mounted read-only.
    pub readonly: bool,
    /// A new named volume does not take over what the image has at the target.
    pub nocopy: bool,
    /// One of [`PROPAGATIONS`] where it was said, otherwise empty.
    pub propagation: String,
}

impl Bind {
    /// `source:target[:options]`, checked as Docker's daemon does.
    pub fn parse(text: &str) -> Result<Bind, String> {
        let invalid = || format!("invalid volume specification: '{text}'");
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, options) = match parts[..] {
            // A target and options without a source is a mistake, not a volume of that name.
            [_, target] if !target.starts_with('/') => return Err(invalid()),
            [source, target] => (source, target, ""),
            [source, target, options] => (source, target, options),
            _ => return Err(invalid()),
        };
        let source = match source.starts_with('/') {
            true => Source::Path(clean(source)),
            false => Source::Name(name(source)?.to_owned()),
        };
        let mut bind = Bind {
            source,
            target: target_path(target).map_err(|reason| format!("{}: {reason}", invalid()))?,
            readonly: false,
            nocopy: false,
            propagation: String::new(),
        };
        bind.apply(options)?;
        Ok(bind)
    }

    fn apply(&mut self, options: &str) -> Result<(), String> {
        let invalid = || format!("invalid mode: {options}");
        let mut kinds = HashSet::new();
        for option in options.split(',').filter(|_| !options.is_empty()) {
            let kind = match option {
                "ro" | "rw" => "access",
                // Labels for SELinux, which dray never sets; Docker ignores them too where SELinux is off.
                "z" | "Z" => "label",
                "nocopy" => "copy",
                "consistent" | "cached" | "delegated" => "consistency",
                mode if PROPAGATIONS.contains(&mode) => "propagation",
                _ => return Err(invalid()),
            };
            // Each kind of option may be given once.
            if !kinds.insert(kind) {
                return Err(invalid());
            }
            self.readonly |= option == "ro";
            self.nocopy |= option == "nocopy";
            if kind == "propagation" {
                self.propagation = propagation(option)?;
            }
        }
        match (&self.source, self.nocopy, self.propagation.is_empty()) {
            (Source::Path(_), true, _) => Err(
                "invalid mount config for type \"bind\": field VolumeOptions must not be specified"
                    .to_owned(),
            ),
            (Source::Name(_), _, false) => Err(
                "invalid mount config for type \"volume\": field BindOptions must not be specified"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }
}

/// One entry of `HostConfig.VolumesFrom`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenOver {
    /// Name or id of the container whose binds and volumes are mounted here too.
    pub container: String,
    /// All of them read-only.
    pub readonly: bool,
}

impl TakenOver {
    /// `CONTAINER[:ro|rw]`, checked as Docker's daemon does.
    pub fn parse(text: &str) -> Result<TakenOver, String> {
        if text.is_empty() {
            return Err("volumes-from specification cannot be an empty string".to_owned());
        }
        let (container, mode) = text.split_once(':').unwrap_or((text, "rw"));
        // Propagation and copying are as in the other container, so its own options for them are refused here.
        let mut probe = Bind {
            source: Source::Name(container.to_owned()),
            target: String::new(),
            readonly: false,
            nocopy: false,
            propagation: String::new(),
        };
        match probe.apply(mode) {
            Ok(()) if !probe.nocopy => Ok(TakenOver {
                container: container.to_owned(),
                readonly: probe.readonly,
            }),
            _ => Err(format!("invalid mode: {mode}")),
        }
    }
}

/// One of the modes there are.
pub(super) fn propagation(mode: &str) -> Result<String, String> {
    match mode {
        mode if PROPAGATIONS.contains(&mode) => Ok(mode.to_owned()),
        _ => Err(format!("invalid propagation mode: {mode}")),
    }
}

/// The options of docker's local driver: what is mounted in the volume's place.
pub fn check_options(options: &BTreeMap<String, String>) -> Result<(), String> {
    if options.contains_key("size") {
        return Err(
            "quota size requested but no quota support: a size is honoured for a tmpfs alone; use --opt type=tmpfs \
             --opt device=tmpfs --opt o=size=…"
                .to_owned(),
        );
    }
    let known = ["type", "device", "o"];
    if let Some(other) = options.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!(
            "invalid option: {other:?}; a volume has type, device and o"
        ));
    }
    for needed in ["device", "type"] {
        if !options.is_empty() && !options.contains_key(needed) {
            return Err(format!("missing required option: {needed:?}"));
        }
    }
    Ok(())
}

/// A name that a local volume can have.
pub(super) fn name(text: &str) -> Result<&str, String> {
    if text.chars().count() < 2 {
        return Err(format!(
            "create {text}: volume name is too short, names should be at least two alphanumeric characters"
        ));
    }
    if !super::check::is_name(text) {
        return Err(format!(
            "create {text}: {text:?} includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        ));
    }
    Ok(text)
}

/// An absolute path that is not the root, cleaned.
pub(super) fn target_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!(
            "invalid mount path: '{text}' mount path must be absolute"
        ));
    }
    match clean(text) {
        root if root == "/" => Err("invalid specification: destination can't be '/'".to_owned()),
        path => bounds::mount_point(&path).map(|()| path),
    }
}

/// An absolute path without empty, `.` and `..` parts.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    match path.starts_with('/') {
        true => format!("/{}", parts.join("/")),
        false => parts.join("/"),
    }
}

/// Sorts the values into binds and anonymous volumes, each once, in the order given.
pub(super) fn place(draft: &mut Draft<'_>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for text in std::mem::take(&mut draft.volumes) {
        if !seen.insert(text.clone()) {
            continue;
        }
        match sections(&text)? {
            1 => {
                target_path(&text).map_err(|reason| {
                    format!("invalid volume specification: '{text}': {reason}")
                })?;
                draft.config().volumes.insert(text, Empty {});
            }
            _ => {
                let bind = match text.split_once(':') {
                    Some((source, rest)) => format!("{}:{rest}", draft.outside.absolute(source)),
                    None => text,
                };
                // A relative source of another machine is only known to become absolute there.
                if !bind.starts_with('.') {
                    Bind::parse(&bind)?;
                }
                draft.host().binds.push(bind);
            }
        }
    }
    Ok(())
}

/// How many parts between colons there are, as Docker's client counts them.
fn sections(text: &str) -> Result<usize, String> {
    let sections: Vec<&str> = text.split(':').collect();
    match sections[..] {
        [""] => Err("invalid empty volume spec".to_owned()),
        _ if sections.contains(&"") => Err(format!(
            "invalid spec: {text}: empty section between colons"
        )),
        _ if sections.len() > 3 => Err(format!("invalid spec: {text}: too many colons")),
        _ => Ok(sections.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_binds_and_volumes() {
        let path = |path: &str| Source::Path(path.to_owned());
        let name = |name: &str| Source::Name(name.to_owned());
        for (text, source, target, readonly, nocopy, propagation) in [
            ("/a:/b", path("/a"), "/b", false, false, ""),
            ("/a//x/../y:/b/:ro", path("/a/y"), "/b", true, false, ""),
            ("data:/b:rw,nocopy", name("data"), "/b", false, true, ""),
            (
                "/a:/b:ro,z,rprivate,cached",
                path("/a"),
                "/b",
                true,
                false,
                "rprivate",
            ),
            ("/:/host:ro", path("/"), "/host", true, false, ""),
        ] {
            let expected = Bind {
                source,
                target: target.to_owned(),
                readonly,
                nocopy,
                propagation: propagation.to_owned(),
            };
            assert_eq!(Bind::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn reads_whose_volumes_are_taken_over() {
        for (text, container, readonly) in [
            ("db", "db", false),
            ("db:rw", "db", false),
            ("db:ro,z", "db", true),
        ] {
            let container = container.to_owned();
            let expected = TakenOver {
                container,
                readonly,
            };
            assert_eq!(TakenOver::parse(text), Ok(expected), "{text}");
        }
        for (text, error) in [
            ("", "volumes-from specification cannot be an empty string"),
            ("db:rx", "invalid mode: rx"),
            ("db:nocopy", "invalid mode: nocopy"),
            ("db:rslave", "invalid mode: rslave"),
            ("db:ro:rw", "invalid mode: ro:rw"),
        ] {
            assert_eq!(TakenOver::parse(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn refuses_what_docker_refuses() {
        for (text, part) in [
            ("/a", "invalid volume specification: '/a'"),
            ("/a:ro", "invalid volume specification: '/a:ro'"),
            ("/a:/", "destination can't be '/'"),
            ("/a:/b/..", "destination can't be '/'"),
            ("/a:b:ro", "mount path must be absolute"),
            ("/a:/b:rx", "invalid mode: rx"),
            ("/a:/b:ro,rw", "invalid mode: ro,rw"),
            ("/a:/b:ro,", "invalid mode: ro,"),
            ("/a:/b:nocopy", "field VolumeOptions must not be specified"),
            ("data:/b:private", "field BindOptions must not be specified"),
            ("/a:/b:rshard", "invalid mode: rshard"),
            ("x:/b", "volume name is too short"),
            (
                "~/x:/b",
                "includes invalid characters for a local volume name",
            ),
            (
                "../x:/b",
                "includes invalid characters for a local volume name",
            ),
            ("/a:/b:ro:x", "invalid volume specification"),
        ] {
            let refused = Bind::parse(text).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
        for (text, error) in [
            ("", "invalid empty volume spec"),
            ("a::b", "invalid spec: a::b: empty section between colons"),
            (":/b", "invalid spec: :/b: empty section between colons"),
            ("/a:/b:ro:x", "invalid spec: /a:/b:ro:x: too many colons"),
        ] {
            assert_eq!(sections(text), Err(error.to_owned()));
        }
    }
}
