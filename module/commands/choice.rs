//! `--filter` of `dray ps`: which containers are listed. Of several values for one key one has to fit, of labels all.

use anyhow::{Context as _, bail};
use dray::engine::{Container, Status};
use dray::oci::Reference;

const KEYS: [&str; 9] = [
    "ancestor", "exited", "health", "id", "label", "name", "network", "status", "volume",
];
const STATES: [&str; 7] = [
    "created",
    "dead",
    "exited",
    "paused",
    "removing",
    "restarting",
    "running",
];
const HEALTH: [&str; 4] = ["healthy", "none", "starting", "unhealthy"];

/// The filters, by key.
#[derive(Debug, Default)]
pub struct Choice<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Choice<'a> {
    /// From `KEY=VALUE`.
    pub fn parse(words: &'a [String]) -> anyhow::Result<Choice<'a>> {
        let mut filters = Vec::new();
        for word in words {
            let (key, value) = word
                .split_once('=')
                .with_context(|| format!("invalid filter {word:?}: expected NAME=VALUE"))?;
            let one_of = |known: &[&str]| match known.contains(&value) {
                true => Ok(()),
                false => bail!(
                    "invalid filter {word:?}: expected one of {}",
                    known.join(", ")
                ),
            };
            match key {
                "status" => one_of(&STATES)?,
                "health" => one_of(&HEALTH)?,
                "exited" if value.parse::<i32>().is_err() => {
                    bail!("invalid filter {word:?}: expected an exit code")
                }
                key if !KEYS.contains(&key) => {
                    bail!("invalid filter {key:?}: {} are there", KEYS.join(", "))
                }
                _ => {}
            }
            filters.push((key, value));
        }
        Ok(Choice(filters))
    }

    /// Whether it is said what state the containers are to be in: then those that do not run are meant too.
    pub fn names_a_state(&self) -> bool {
        self.0.iter().any(|(key, _)| *key == "status")
    }

    /// Whether a container fits.
    pub fn fits(&self, container: &Container) -> bool {
        KEYS.iter().all(|key| {
            let values = self.0.iter().filter(|(known, _)| known == key);
            let mut fit = values
                .map(|(_, value)| fits(key, value, container))
                .peekable();
            match *key {
                "label" => fit.all(|fits| fits),
                _ => fit.peek().is_none() || fit.any(|fits| fits),
            }
        })
    }
}

fn fits(key: &str, value: &str, container: &Container) -> bool {
    let record = &container.record;
    let config = &record.body.config;
    match key {
        "ancestor" => {
            let parse = |text: &str| text.parse::<Reference>().ok();
            let image = &config.image;
            let same = parse(value).is_some_and(|wanted| parse(image) == Some(wanted));
            let id = value.strip_prefix("sha256:").unwrap_or(value);
            same || image == value || (id.len() >= 4 && record.image.hex().starts_with(id))
        }
        "exited" => {
            container.status == Status::Exited && value.parse() == Ok(container.outcome.exit_code)
        }
        "health" => container.health().map_or("none", |health| &health.status) == value,
        "id" => container.id().contains(value),
        "label" => {
            let (name, value) = match value.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (value, None),
            };
            let found = config.labels.get(name);
            found.is_some_and(|found| value.is_none_or(|value| value == found))
        }
        "name" => name_fits(value, container.name()),
        "network" => {
            let mode = match record.body.host_config.network_mode.as_str() {
                "" | "default" => "bridge",
                mode => mode,
            };
            let further = &record.body.networking_config.endpoints_config;
            mode == value || further.contains_key(value)
        }
        "status" => container.status.word() == value,
        _ => record.mounts.iter().any(|mount| {
            [&mount.name, &mount.destination, &mount.source].contains(&&value.to_owned())
        }),
    }
}

/// Whether `part` is in a name; `^` and `$` stand for its ends.
pub fn name_fits(part: &str, name: &str) -> bool {
    let start = part.strip_prefix('^');
    let rest = start.unwrap_or(part);
    let end = rest.strip_suffix('$');
    let text = end.unwrap_or(rest);
    match (start.is_some(), end.is_some()) {
        (true, true) => name == text,
        (true, false) => name.starts_with(text),
        (false, true) => name.ends_with(text),
        (false, false) => name.contains(text),
    }
}
