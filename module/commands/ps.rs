//! `dray ps`: containers and what they do.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use dray::engine::{Container, Engine, MountPoint, Status};
use dray::oci::Digest;
use dray::runargs::value::decimal;
use serde_json::json;

use super::choice::Choice;
use super::template::Shape;
use super::{Context, ports, table};

#[derive(Debug, Args)]
pub struct Words {
    /// Those that do not run too
    #[arg(short, long)]
    all: bool,
    /// name=, id=, label=, status=, exited=, health=, ancestor=, before=, since=, volume=, network=, publish= or expose=VALUE,
    /// several times
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// The last so many that were made, running or not; -1 is all
    #[arg(short = 'n', long, value_name = "COUNT", allow_negative_numbers = true, value_parser = decimal)]
    last: Option<i64>,
    /// The last one that was made, running or not
    #[arg(short, long)]
    latest: bool,
    /// Ids only, whatever the format
    #[arg(short, long)]
    quiet: bool,
    /// What they wrote outside of volumes, and that with their images
    #[arg(short, long)]
    size: bool,
    /// Whole ids and commands
    #[arg(long)]
    no_trunc: bool,
    /// table, json (one object a line), or a template such as '{{.Names}} {{.Status}}', in columns after the word table
    #[arg(long, default_value = "table")]
    format: Shape,
}

/// What docker calls columns that are not called as their fields are.
const HEADINGS: [(&str, &str); 2] = [("ID", "CONTAINER ID"), ("RunningFor", "CREATED")];

impl Words {
    /// How many of the newest are meant, if anything is said about it: then also those that do not run.
    fn count(&self) -> Option<usize> {
        match self.latest {
            true => Some(1),
            false => self.last.and_then(|count| usize::try_from(count).ok()),
        }
    }
}

/// `dray ps`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let choice = Choice::parse(&words.filter)?;
    let engine = context.engine_to_look()?;
    let (mut containers, damaged) = engine.survey()?;
    for damaged in damaged {
        eprintln!("dray: warning: {damaged}");
    }
    let all = words.all || choice.names_a_state() || words.count().is_some();
    let networks = engine.network().attachments()?;
    containers = choice.of(&engine, &networks, containers)?;
    containers.retain(|container| {
        all || container.status.is_attended() && container.status != Status::Prepared
    });
    containers.truncate(words.count().unwrap_or(usize::MAX));
    let now = context.host.now();
    let ports = |container: &Container| ports::shown(&ports::of(&networks, container));
    let id = |container: &Container| match words.no_trunc {
        true => container.id().to_owned(),
        false => container.id()[..12].to_owned(),
    };
    if words.quiet {
        if words.format != Shape::Table {
            // Docker's words; its other lists print as asked for instead.
            eprintln!(
                "WARNING: Ignoring custom format, because both --format and --quiet are set."
            );
        }
        containers
            .iter()
            .for_each(|container| println!("{}", id(container)));
        return Ok(ExitCode::SUCCESS);
    }
    let names = ImageNames::of(&engine, &containers);
    if words.format != Shape::Table {
        let object = |container: &Container| {
            let mut object = as_json(container, &ports(container), now);
            if words.size || words.format.shows("Size") {
                object["Size"] = size(&engine, container).into();
            }
            object["ID"] = id(container).into();
            object["Image"] = names.whole(container, words.no_trunc).into();
            object["Command"] = command(container, words.no_trunc).into();
            if words.format.names("Label") {
                object["Label"] = json!(container.record.body.config.labels);
            }
            object
        };
        words
            .format
            .print_list(&HEADINGS, containers.iter().map(object))?;
    } else {
        let rows: Vec<Vec<String>> = containers
            .iter()
            .map(|container| {
                let mut row = vec![
                    id(container),
                    match words.no_trunc {
                        true => names.whole(container, true),
                        false => names.cut(container),
                    },
                    command(container, words.no_trunc),
                    format!("{} ago", since(&container.record.created, now)),
                    status(container, now),
                    ports(container),
                    container.name().to_owned(),
                ];
                row.extend(words.size.then(|| size(&engine, container)));
                row
            })
            .collect();
        let mut heading = vec![
            "CONTAINER ID",
            "IMAGE",
            "COMMAND",
            "CREATED",
            "STATUS",
            "PORTS",
            "NAMES",
        ];
        heading.extend(words.size.then_some("SIZE"));
        table::print_all(&heading, &rows);
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(container: &Container, ports: &str, now: SystemTime) -> serde_json::Value {
    json!({
        "Names": container.name(),
        "ImageDigest": Some(container.record.image_digest).filter(|digest| *digest != container.record.image),
        "CreatedAt": table::moment(&container.record.created),
        "State": container.status.word(),
        "Status": status(container, now),
        "Health": container.health().map_or("none", |health| health.status.as_str()),
        "ExitCode": container.outcome.exit_code,
        "Pid": container.pid().unwrap_or(0),
        "Ports": ports,
        "RunningFor": format!("{} ago", since(&container.record.created, now)),
        "Labels": labels(container),
        "LocalVolumes": local_volumes(container),
        "Mounts": container.record.mounts.iter().map(MountPoint::what).collect::<Vec<_>>().join(","),
        "Networks": container.networks().join(","),
        "Scope": container.record.owner.as_ref().map(|owner| &owner.scope),
        "Generation": container.record.owner.as_ref().map(|owner| owner.generation),
    })
}

/// `4.096kB (virtual 82MB)`
fn size(engine: &Engine, container: &Container) -> String {
    let (own, whole) = sizes(engine, container);
    format!("{} (virtual {})", table::size(own), table::size(whole))
}

/// What a container wrote outside of volumes, and that with its image.
pub fn sizes(engine: &Engine, container: &Container) -> (u64, u64) {
    let record = &container.record;
    let own = engine.written(&record.id);
    // An image that is damaged has no size.
    let image = engine.images().find(&record.image.to_string());
    (own, own + image.map_or(0, |image| image.size))
}

/// Which images the names stand for that containers were made with.
pub struct ImageNames(BTreeMap<String, Option<Digest>>);

impl ImageNames {
    /// As they are now.
    pub fn of<'a>(
        engine: &Engine,
        containers: impl IntoIterator<Item = &'a Container>,
    ) -> ImageNames {
        let mut names = BTreeMap::new();
        for container in containers {
            let name = &container.record.body.config.image;
            if !names.contains_key(name) {
                names.insert(name.clone(), engine.images().id(name).ok());
            }
        }
        ImageNames(names)
    }

    /// The name as asked for. As with Docker its id, where that name is another image's by now or nobody's.
    fn whole(&self, container: &Container, whole_id: bool) -> String {
        let name = &container.record.body.config.image;
        let id = &container.record.image;
        match self.0.get(name) {
            Some(Some(now)) if now == id => name.clone(),
            _ if whole_id => id.to_string(),
            _ => id.hex()[..12].to_owned(),
        }
    }

    /// The same with a long digest cut.
    pub fn cut(&self, container: &Container) -> String {
        let image = self.whole(container, false);
        match image.split_once("@sha256:") {
            Some((name, digest)) => format!("{name}@{}", &digest[..12.min(digest.len())]),
            None => image,
        }
    }
}

fn labels(container: &Container) -> String {
    let labels = container.record.body.config.labels.iter();
    let labels = labels.map(|(name, value)| format!("{name}={value}"));
    labels.collect::<Vec<_>>().join(",")
}

/// How many volumes it has; a text, as there.
fn local_volumes(container: &Container) -> String {
    let volumes = container.record.mounts.iter();
    volumes
        .filter(|mount| !mount.name.is_empty())
        .count()
        .to_string()
}

/// In quotation marks; cut unless `whole`.
pub fn command(container: &Container, whole: bool) -> String {
    const SHOWN: usize = 20;
    let line = line(container);
    match whole || line.chars().count() <= SHOWN {
        true => format!("{line:?}"),
        false => {
            let cut: String = line.chars().take(SHOWN - 1).chain(['…']).collect();
            format!("{cut:?}")
        }
    }
}

fn line(container: &Container) -> String {
    let config = &container.record.body.config;
    let words: Vec<&str> = config
        .entrypoint
        .iter()
        .chain(&config.cmd)
        .flatten()
        .map(String::as_str)
        .collect();
    words.join(" ")
}

/// `Up 5 minutes`
pub fn status(container: &Container, now: SystemTime) -> String {
    let outcome = &container.outcome;
    let health = container
        .health()
        .map(|health| match health.status.as_str() {
            "starting" => " (health: starting)".to_owned(),
            status => format!(" ({status})"),
        });
    match container.status {
        Status::Created | Status::Prepared => "Created".into(),
        Status::Running => format!(
            "Up {}{}",
            since(&outcome.started_at, now),
            health.unwrap_or_default()
        ),
        Status::Paused => format!("Up {} (Paused)", since(&outcome.started_at, now)),
        Status::Restarting => format!(
            "Restarting ({}) {} ago",
            outcome.exit_code,
            since(&outcome.finished_at, now)
        ),
        Status::Exited if outcome.finished_at.is_empty() => "Exited (power lost)".into(),
        Status::Exited => format!(
            "Exited ({}) {} ago",
            outcome.exit_code,
            since(&outcome.finished_at, now)
        ),
    }
}

/// How long ago that was.
pub fn since(time: &str, now: SystemTime) -> String {
    // A clock that was set back makes a time lie ahead.
    let span = dray::engine::parse_time(time)
        .and_then(|time| now.duration_since(time).ok())
        .unwrap_or_default();
    table::span(span.as_secs())
}
