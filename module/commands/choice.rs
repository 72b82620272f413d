//! `--filter` of `dray ps`: which containers are listed.

use std::collections::BTreeSet;

use anyhow::{anyhow, bail};
use dray::engine::network::Attachment;
use dray::engine::{Container, Engine, Status};
use dray::oci::Digest;
use dray::runargs::port;

use super::filter::{Filters, label_fits, name_fits};
use super::network::shown;
use super::ports;

const KEYS: [&str; 13] = [
    "ancestor", "before", "exited", "expose", "health", "id", "label", "name", "network",
    "publish", "since", "status", "volume",
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
pub struct Choice<'a> {
    filters: Filters<'a>,
    /// Ports of the host, each with its protocol.
    published: BTreeSet<(u16, String)>,
    /// Ports of containers.
    exposed: BTreeSet<(u16, String)>,
}

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
        Ok(Choice {
            published: ports_of(&filters, "publish")?,
            exposed: ports_of(&filters, "expose")?,
            filters,
        })
    }

    /// Whether it is said what state the containers are to be in: then those that do not run are meant too.
    pub fn names_a_state(&self) -> bool {
        self.filters.values("status").next().is_some()
    }

    /// Those of all containers, the newest first, that fit.
    pub fn of(
        &self,
        engine: &Engine,
        attachments: &[(String, Attachment)],
        mut all: Vec<Container>,
    ) -> anyhow::Result<Vec<Container>> {
        let (mut newest, mut oldest) = (0, all.len());
        for (key, other) in ["before", "since"]
            .into_iter()
            .flat_map(|key| self.filters.values(key).map(move |other| (key, other)))
        {
            let other = engine.find(other)?.record.id;
            let place = all.iter().position(|container| container.id() == other);
            let place = place.ok_or_else(|| anyhow!("container {other} was just removed"))?;
            match key {
                "before" => newest = newest.max(place + 1),
                _ => oldest = oldest.min(place),
            }
        }
        all.truncate(oldest);
        all.drain(..newest.min(oldest));
        let images = self.images(engine);
        let networks = self.networks(engine)?;
        all.retain(|container| {
            self.filters.fit(|key, value| match key {
                "ancestor" => images.contains(&container.record.image) || has_id(container, value),
                "network" => container
                    .networks()
                    .iter()
                    .any(|name| networks.contains(name)),
                // Of both kinds together one port has to fit.
                "publish" | "expose" => self.fits_ports(&ports::of(attachments, container)),
                key => fits(key, value, container),
            })
        });
        Ok(all)
    }

    /// The images that are named; what is none is nobody's.
    fn images(&self, engine: &Engine) -> Vec<Digest> {
        let names = self.filters.values("ancestor");
        let found = names.filter_map(|name| engine.images().find(name).ok());
        found.map(|image| image.id).collect()
    }

    /// The names of the networks that are named, or whose id begins as is said.
    fn networks(&self, engine: &Engine) -> anyhow::Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        let mut wanted = self.filters.values("network").peekable();
        if wanted.peek().is_none() {
            return Ok(names);
        }
        let all = shown::all(engine)?;
        for value in wanted {
            names.insert(value.to_owned());
            let of_id = all.iter().filter(|network| network.id.starts_with(value));
            names.extend(of_id.map(|network| network.name.clone()));
        }
        Ok(names)
    }

    fn fits_ports(&self, ports: &[ports::Port]) -> bool {
        ports.iter().any(|port| {
            let public = (port.public.1, port.protocol.clone());
            let private = (port.private, port.protocol.clone());
            self.published.contains(&public) || self.exposed.contains(&private)
        })
    }
}

/// The ports that filters of this key ask for.
fn ports_of(filters: &Filters<'_>, key: &'static str) -> anyhow::Result<BTreeSet<(u16, String)>> {
    let mut ports = BTreeSet::new();
    for value in filters.values(key) {
        let (range, protocol) = port::several(value)
            .map_err(|reason| anyhow!("invalid filter \"{key}={value}\": {reason}"))?;
        // A port that is only exposed has none on the host.
        ports.extend(
            range
                .filter(|port| *port > 0)
                .map(|port| (port, protocol.clone())),
        );
    }
    Ok(ports)
}

/// Whether a container's image has this id, or one that begins so: it may have lost its name since.
fn has_id(container: &Container, value: &str) -> bool {
    let id = value.strip_prefix("sha256:").unwrap_or(value);
    id.len() >= 4 && container.record.image.hex().starts_with(id)
}

fn fits(key: &str, value: &str, container: &Container) -> bool {
    let record = &container.record;
    match key {
        "exited" => {
            container.status == Status::Exited && value.parse() == Ok(container.outcome.exit_code)
        }
        "health" => {
            container
                .last_health()
                .map_or("none", |health| &health.status)
                == value
        }
        "id" => name_fits(value, container.id()),
        "label" => label_fits(value, &record.body.config.labels),
        // Docker's containers have a slash before their names.
        "name" => {
            name_fits(value, container.name())
                || name_fits(value, &format!("/{}", container.name()))
        }
        "status" => container.status.word() == value,
        "volume" => {
            let mut mounts = record.mounts.iter();
            mounts.any(|mount| mount.what() == value || mount.destination == value)
        }
        // Looked at before, all together.
        _ => true,
    }
}
