//! `--filter` of `dray ps`: which containers are listed.

use anyhow::bail;
use dray::engine::{Container, Status};
use dray::oci::Reference;

use super::filter::{Filters, label_fits, name_fits};

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

/// The filters.
#[derive(Debug, Default)]
pub struct Choice<'a>(Filters<'a>);

impl<'a> Choice<'a> {
    /// From `KEY=VALUE`.
    pub fn parse(words: &'a [String]) -> anyhow::Result<Choice<'a>> {
        let filters = Filters::parse(words, &KEYS)?;
        for (key, known) in [("status", &STATES[..]), ("health", &HEALTH)] {
            if let Some(value) = filters.values(key).find(|value| !known.contains(value)) {
                let known = known.join(", ");
                bail!("invalid filter \"{key}={value}\": expected one of {known}");
            }
        }
        let is_code = |code: &&str| code.parse::<i32>().is_ok();
        if let Some(code) = filters.values("exited").find(|code| !is_code(code)) {
            bail!("invalid filter \"exited={code}\": expected an exit code");
        }
        Ok(Choice(filters))
    }

    /// Whether it is said what state the containers are to be in: then those that do not run are meant too.
    pub fn names_a_state(&self) -> bool {
        self.0.values("status").next().is_some()
    }

    /// Whether a container fits.
    pub fn fits(&self, container: &Container) -> bool {
        self.0.fit(|key, value| fits(key, value, container))
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
        "label" => label_fits(value, &config.labels),
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
