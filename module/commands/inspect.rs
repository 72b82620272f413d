//! `dray inspect`: everything about containers, images, networks or volumes, as JSON with the names of Docker's API.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use dray::engine::network::NetworkError;
use dray::engine::{Engine, EngineError, format_time};
use dray::images::{Image, ImagesError};
use dray::oci::Digest;
use serde_json::{Value, json};

use super::network::{self, shown};
use super::template::Shape;
use super::{Context, ps};
use crate::exit;

#[derive(Debug, Args)]
pub struct Words {
    /// json (in one line), or a template such as '{{.State.Status}}', filled in on a line of its own for each
    #[arg(short, long, default_value = "", hide_default_value = true)]
    format: Shape,
    /// What containers wrote outside of volumes too, and that with their images, as SizeRw and SizeRootFs
    #[arg(short, long)]
    size: bool,
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
        match inspect(&engine, words, thing) {
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
fn inspect(engine: &Engine, words: &Words, thing: &str) -> anyhow::Result<Value> {
    let kind = words.kind;
    let is_meant = |one: Kind| kind.is_none_or(|kind| kind == one);
    if is_meant(Kind::Container) {
        match engine.find(thing) {
            Err(EngineError::NotFound(_)) if kind.is_none() => {}
            found => {
                let container = found?;
                let mut document = engine.inspect(&container)?;
                if words.size {
                    let (own, whole) = ps::sizes(engine, &container);
                    document["SizeRw"] = own.into();
                    document["SizeRootFs"] = whole.into();
                }
                return Ok(document);
            }
        }
    }
    let mut incomplete = None;
    if is_meant(Kind::Image) {
        match engine.images().find(thing) {
            Err(error) if error.is_absent() && kind.is_none() => incomplete = Some(error),
            found => return image_document(engine, &found?),
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

/// What docker shows of an image, of its older releases too, with our digests beside it.
fn image_document(engine: &Engine, image: &Image) -> anyhow::Result<Value> {
    let names = || image.names.iter().filter(|name| name.tag.is_some());
    let platform = &image.config.platform;
    let written: Value = serde_json::from_slice(&engine.images().config_text(image)?)?;
    let text = |key: &str| written[key].as_str().unwrap_or_default().to_owned();
    let pinned = |digest: Digest| {
        let names = image.names.iter();
        names.map(move |name| format!("{}@{digest}", name.familiar_name()))
    };
    let lower = engine.images().lower_dirs(&image.layers)?;
    let lower: Vec<String> = lower.iter().map(|dir| dir.display().to_string()).collect();
    Ok(json!({
        "Id": image.id,
        "RepoTags": names().map(|name| name.familiar()).collect::<Vec<_>>(),
        "RepoDigests": image.stated_digest().into_iter().flat_map(pinned).collect::<Vec<_>>(),
        "Parent": "",
        "Comment": text("comment"),
        "Created": image.created,
        "DockerVersion": text("docker_version"),
        "Author": text("author"),
        "Config": config_document(image, &written["config"]),
        "Architecture": platform.architecture,
        "Variant": platform.variant,
        "Os": platform.os,
        "Size": image.size,
        "VirtualSize": image.size,
        "GraphDriver": { "Data": { "LowerDir": lower.join(":") }, "Name": "overlay2" },
        "RootFS": { "Type": "layers", "Layers": image.layers },
        "Metadata": { "LastTagTime": last_tagged(engine, image)? },
        "Digest": image.stated_digest(),
        "Manifest": image.stated_digest().map(|_| image.manifest),
    }))
}

/// When the last of its names was given; docker's word for never is the year 1.
fn last_tagged(engine: &Engine, image: &Image) -> anyhow::Result<String> {
    let tagged = engine.images().last_tagged(image)?;
    Ok(tagged.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), format_time))
}

/// The configuration with all members that docker has; what its maker left out is null, as there.
fn config_document(image: &Image, written: &Value) -> Value {
    let mut document = json!({
        "Hostname": "",
        "Domainname": "",
        "User": image.config.config.user,
        "AttachStdin": false,
        "AttachStdout": false,
        "AttachStderr": false,
        "ExposedPorts": written["ExposedPorts"],
        "Tty": false,
        "OpenStdin": false,
        "StdinOnce": false,
        "Env": written["Env"],
        "Cmd": written["Cmd"],
        "Healthcheck": written["Healthcheck"],
        "Image": "",
        "Volumes": written["Volumes"],
        "WorkingDir": image.config.config.working_dir,
        "Entrypoint": written["Entrypoint"],
        "OnBuild": written["OnBuild"],
        "Labels": written["Labels"],
        "StopSignal": image.config.config.stop_signal,
    });
    // Docker shows these only where there are any.
    for key in ["Shell", "StopTimeout", "ArgsEscaped"] {
        if let Some(value) = written.get(key).filter(|value| !value.is_null()) {
            document[key] = value.clone();
        }
    }
    document
}
