//! `dray inspect`: everything about containers, images, networks or volumes, as JSON with the names of Docker's API.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use dray::engine::network::NetworkError;
use dray::engine::{Engine, EngineError};
use dray::images::{Image, ImagesError};
use serde_json::{Value, json};

use super::Context;
use super::network::{self, shown};
use super::template::Shape;
use crate::exit;

#[derive(Debug, Args)]
pub struct Words {
    /// json, or a template such as '{{.State.Status}}'; each thing on a line of its own
    #[arg(short, long, default_value = "", hide_default_value = true)]
    format: Shape,
    /// Only things of this kind
    #[arg(long = "type", value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    /// Names or ids of containers, images, networks or volumes
    #[arg(required = true)]
    things: Vec<String>,
}

/// Kinds of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Container,
    Image,
    Network,
    Volume,
}

/// `dray inspect`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = context.engine_to_look()?;
    let (mut found, mut code) = (Vec::new(), ExitCode::SUCCESS);
    for thing in &words.things {
        match inspect(&engine, words.kind, thing) {
            Ok(value) => found.push(value),
            Err(error) => {
                eprintln!("dray: {}", exit::message(&error));
                code = ExitCode::FAILURE;
            }
        }
    }
    words.format.print_documents(found)?;
    Ok(code)
}

/// A container of this name, else an image, a network, a volume; or what is of one kind.
fn inspect(engine: &Engine, kind: Option<Kind>, thing: &str) -> anyhow::Result<Value> {
    let is_meant = |one: Kind| kind.is_none_or(|kind| kind == one);
    if is_meant(Kind::Container) {
        match engine.find(thing) {
            Err(EngineError::NotFound(_)) if kind.is_none() => {}
            found => return Ok(engine.inspect(&found?)?),
        }
    }
    let mut incomplete = None;
    if is_meant(Kind::Image) {
        match engine.images().find(thing) {
            Err(error) if error.is_absent() && kind.is_none() => incomplete = Some(error),
            found => return Ok(image_document(&found?)),
        }
    }
    if is_meant(Kind::Network) {
        match shown::find(engine, thing) {
            Err(error) if kind.is_none() && is_no_network(&error) => {}
            found => return network::inspect::document(engine, &found?),
        }
    }
    match (engine.volume(thing), incomplete) {
        (Err(EngineError::NoVolume(_)), Some(ImagesError::Absent(_))) => {
            anyhow::bail!("no such container, image, network or volume: {thing}")
        }
        // It is there, but not as a whole.
        (Err(EngineError::NoVolume(_)), Some(error)) => Err(error.into()),
        (found, _) => Ok(super::volume::document(&found?)),
    }
}

fn is_no_network(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(NetworkError::NotFound(_)))
}

fn image_document(image: &Image) -> Value {
    let names = || image.names.iter().filter(|name| name.tag.is_some());
    let config = &image.config;
    json!({
        "Id": image.id,
        "RepoTags": names().map(|name| name.familiar()).collect::<Vec<_>>(),
        "RepoDigests": image.stated_digest().iter().flat_map(|digest| image.names.iter().map(move |name| format!("{}@{digest}", name.familiar_name()))).collect::<Vec<_>>(),
        "Digest": image.stated_digest(),
        "Manifest": image.manifest,
        "Created": image.created,
        "Architecture": config.platform.architecture,
        "Variant": config.platform.variant,
        "Os": config.platform.os,
        "Size": image.size,
        "Config": {
            "User": config.config.user,
            "ExposedPorts": config.config.exposed_ports.iter().map(|port| (port, json!({}))).collect::<BTreeMap<_, _>>(),
            "Env": config.config.env,
            "Entrypoint": config.config.entrypoint,
            "Cmd": config.config.cmd,
            "Volumes": config.config.volumes.iter().map(|path| (path, json!({}))).collect::<BTreeMap<_, _>>(),
            "WorkingDir": config.config.working_dir,
            "Labels": config.config.labels,
            "StopSignal": config.config.stop_signal,
            "Healthcheck": config.config.healthcheck,
        },
        "RootFS": { "Type": "layers", "Layers": image.layers },
    })
}
