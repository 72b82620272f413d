//! `dray ps`: containers and what they do.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use dray::api::PortBinding;
use dray::engine::network::Attachment;
use dray::engine::{Container, Status};
use serde_json::json;

use super::{Context, Format, table};

#[derive(Debug, Args)]
pub struct Words {
    /// Those that do not run too
    #[arg(short, long)]
    all: bool,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    /// Whole ids
    #[arg(long)]
    no_trunc: bool,
    /// How to print them; json is one object a line
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// `dray ps`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = context.engine()?;
    let (mut containers, damaged) = engine.survey()?;
    for damaged in damaged {
        eprintln!("dray: warning: {damaged}");
    }
    containers.retain(|container| {
        words.all || matches!(container.status, Status::Running | Status::Restarting)
    });
    let now = context.host.now();
    let networks = engine.network().attachments()?;
    let ports = |container: &Container| ports(&networks, container.id());
    let id = |container: &Container| match words.no_trunc {
        true => container.id().to_owned(),
        false => container.id()[..12].to_owned(),
    };
    if words.quiet {
        containers
            .iter()
            .for_each(|container| println!("{}", id(container)));
    } else if words.format == Format::Json {
        containers
            .iter()
            .for_each(|container| println!("{}", as_json(container, &ports(container), now)));
    } else {
        let rows: Vec<_> = containers
            .iter()
            .map(|container| {
                [
                    id(container),
                    image(container),
                    format!("{:?}", command(container)),
                    format!("{} ago", since(&container.record.created, now)),
                    status(container, now),
                    ports(container),
                    container.name().to_owned(),
                ]
            })
            .collect();
        table::print(
            [
                "CONTAINER ID",
                "IMAGE",
                "COMMAND",
                "CREATED",
                "STATUS",
                "PORTS",
                "NAMES",
            ],
            &rows,
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(container: &Container, ports: &str, now: SystemTime) -> serde_json::Value {
    json!({
        "ID": container.id(),
        "Names": container.name(),
        "Image": container.record.body.config.image,
        "ImageDigest": container.record.image_digest,
        "Command": command(container),
        "CreatedAt": container.record.created,
        "State": container.status.word(),
        "Status": status(container, now),
        "Health": container.health().map_or("none", |health| health.status.as_str()),
        "ExitCode": container.outcome.exit_code,
        "Pid": container.pid().unwrap_or(0),
        "Ports": ports,
        "Scope": container.record.owner.as_ref().map(|owner| &owner.scope),
        "Generation": container.record.owner.as_ref().map(|owner| owner.generation),
    })
}

/// The reference as asked for, with a long digest cut.
fn image(container: &Container) -> String {
    let image = &container.record.body.config.image;
    match image.split_once("@sha256:") {
        Some((name, digest)) => format!("{name}@{}", &digest[..12.min(digest.len())]),
        None => image.clone(),
    }
}

fn command(container: &Container) -> String {
    const SHOWN: usize = 20;
    let config = &container.record.body.config;
    let words: Vec<&str> = config
        .entrypoint
        .iter()
        .chain(&config.cmd)
        .flatten()
        .map(String::as_str)
        .collect();
    let line = words.join(" ");
    if line.chars().count() <= SHOWN {
        line
    } else {
        line.chars().take(SHOWN - 1).chain(['…']).collect()
    }
}

fn status(container: &Container, now: SystemTime) -> String {
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

fn since(time: &str, now: SystemTime) -> String {
    // A clock that was set back makes a time lie ahead.
    let span = dray::engine::parse_time(time)
        .and_then(|time| now.duration_since(time).ok())
        .unwrap_or_default();
    table::span(span.as_secs())
}

fn ports(attachments: &[(String, Attachment)], id: &str) -> String {
    let mut lines = Vec::new();
    for (_, attachment) in attachments.iter().filter(|(holder, _)| holder == id) {
        for (port, bindings) in attachment.docker_ports() {
            let line = |b: &PortBinding| format!("{}:{}->{port}", b.host_ip, b.host_port);
            lines.extend(bindings.iter().map(line));
        }
    }
    lines.join(", ")
}
