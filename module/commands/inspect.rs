//! `dray inspect`: everything about containers, images or volumes, as JSON with the names of Docker's API.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use dray::engine::{Engine, EngineError};
use dray::images::{Image, ImagesError};
use serde_json::{Value, json};

use super::Context;
use super::template::Shape;
use crate::exit;

#[derive(Debug, Args)]
pub struct Words {
    /// json, or a template such as '{{.State.Status}}'; each thing on a line of its own
    #[arg(short, long, default_value = "", hide_default_value = true)]
    format: Shape,
    /// Names or ids of containers, images or volumes
    #[arg(required = true)]
    things: Vec<String>,
}

/// `dray inspect`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = context.engine()?;
    let (mut found, mut code) = (Vec::new(), ExitCode::SUCCESS);
    for thing in &words.things {
        match inspect(&engine, thing) {
            Ok(value) => found.push(value),
            Err(error) => {
                eprintln!("dray: {}", exit::message(&error));
                code = ExitCode::FAILURE;
            }
        }
    }
    match &words.format {
        Shape::Table => println!("{}", serde_json::to_string_pretty(&found)?),
        Shape::Json => found.iter().for_each(|document| println!("{document}")),
        Shape::Template(template) => {
            for document in &found {
                println!("{}", template.render(document)?);
            }
        }
    }
    Ok(code)
}

fn inspect(engine: &Engine, thing: &str) -> anyhow::Result<Value> {
    match engine.find(thing) {
        Ok(container) => Ok(engine.inspect(&container)?),
        Err(EngineError::NotFound(_)) => match engine.images().find(thing) {
            Ok(image) => Ok(image_document(&image)),
            Err(error) if error.is_absent() => match engine.volume(thing) {
                Ok(volume) => Ok(super::volume::document(&volume)),
                Err(EngineError::NoVolume(_)) if matches!(error, ImagesError::Absent(_)) => {
                    anyhow::bail!("no such container, image or volume: {thing}")
                }
                // It is there, but not as a whole.
                Err(EngineError::NoVolume(_)) => Err(error.into()),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

fn image_document(image: &Image) -> Value {
    let names = || image.names.iter().filter(|name| name.tag.is_some());
    let config = &image.config;
    json!({
        "Id": image.id,
        "RepoTags": names().map(|name| name.familiar()).collect::<Vec<_>>(),
        "RepoDigests": image.names.iter().map(|name| format!("{}@{}", name.familiar_name(), image.digest)).collect::<Vec<_>>(),
        "Digest": image.digest,
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
