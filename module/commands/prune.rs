//! `dray container prune` and `dray image prune`.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use dray::engine::{Engine, EngineError, Remove, Status};

use super::filter::{Filters, is_older};
use super::images::warn_of_damage;
use super::{Context, ask, table};

#[derive(Debug, Args)]
pub struct Words {
    /// Of images: those with a name too, unless a container or a deployment has them
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// label=KEY[=VALUE], label!=KEY[=VALUE] or until=TIME, several times; of images only with --all
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

const KEYS: [&str; 3] = ["label", "label!", "until"];

/// `dray container prune`
pub fn containers(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    if words.all {
        anyhow::bail!("--all is for images: all stopped containers are meant anyway");
    }
    let filters = Filters::parse(&words.filter, &KEYS)?;
    let until = filters.until(context)?;
    if !words.force {
        ask(
            "container",
            "all stopped containers that no deployment keeps",
        )?;
    }
    let (removed, bytes) = stopped_containers(&context.engine()?, &filters, until)?;
    say("Containers", &removed, bytes);
    Ok(ExitCode::SUCCESS)
}

/// Removes containers that are not running; their ids and what they had written.
pub fn stopped_containers(
    engine: &Engine,
    filters: &Filters<'_>,
    until: Option<SystemTime>,
) -> anyhow::Result<(Vec<String>, u64)> {
    let (mut bytes, mut removed) = (0, Vec::new());
    for container in engine.list()? {
        let record = &container.record;
        // A deployment's way back is not for us to take away.
        let is_meant = matches!(container.status, Status::Created | Status::Exited)
            && record.owner.is_none()
            && is_older(&record.created, until)
            && filters.fit_labels(&record.body.config.labels);
        if !is_meant {
            continue;
        }
        let size = engine.written(container.id());
        match engine.remove(container.id(), Remove::default()) {
            // Started, or removed, since we looked.
            Err(EngineError::Running { .. } | EngineError::Gone(_)) => continue,
            done => done?,
        }
        bytes += size;
        removed.push(container.record.id);
    }
    Ok((removed, bytes))
}

/// `dray image prune`
pub fn images(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    if !words.all && !words.filter.is_empty() {
        anyhow::bail!(
            "--filter is only for --all: what goes without it has no name, and so no label and no time to choose by"
        );
    }
    let filters = Filters::parse(&words.filter, &KEYS)?;
    let until = filters.until(context)?;
    if !words.force {
        let what = match words.all {
            true => "all images without at least one container or deployment that has them",
            false => "all images without a name that no container and no deployment has",
        };
        ask("image", what)?;
    }
    let engine = context.engine()?;
    refuse_damage(&engine)?;
    let (removed, bytes) = unused_images(&engine, words.all, &filters, until)?;
    say("Images", &removed, bytes);
    Ok(ExitCode::SUCCESS)
}

/// Removes images that nobody has, of those with a name only if `all` are meant; what became of which, and their bytes.
pub fn unused_images(
    engine: &Engine,
    all: bool,
    filters: &Filters<'_>,
    until: Option<SystemTime>,
) -> anyhow::Result<(Vec<String>, u64)> {
    let mut removed = Vec::new();
    for image in engine.images().list()? {
        let created = image.created.as_deref().unwrap_or_default();
        // One that came without a name stays until somebody prunes, like those that lost theirs.
        let is_meant = (all || image.names.is_empty())
            && is_older(created, until)
            && filters.fit_labels(&image.config.config.labels);
        if is_meant {
            let names = engine.images().forget(&image)?;
            let names = names.iter().map(|name| name.familiar());
            removed.extend(names.map(|name| format!("untagged: {name}")));
        }
    }
    let collected = engine.images().collect(&engine.layers_in_use()?)?;
    let layers = collected.layers.iter();
    removed.extend(layers.map(|layer| format!("deleted: {layer}")));
    Ok((removed, collected.bytes))
}

fn say(what: &str, removed: &[String], bytes: u64) {
    list(what, removed);
    println!("Total reclaimed space: {}", table::size(bytes));
}

/// What was removed, if anything was.
pub fn list(what: &str, removed: &[String]) {
    if !removed.is_empty() {
        println!("Deleted {what}:\n{}\n", removed.join("\n"));
    }
}

/// Removes nothing where records cannot be read: what they are about may be all that keeps an image.
pub fn refuse_damage(engine: &Engine) -> anyhow::Result<()> {
    match warn_of_damage(engine)? {
        true => anyhow::bail!("nothing is removed until that is put right"),
        false => Ok(()),
    }
}
