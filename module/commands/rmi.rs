//! `dray rmi` and `dray tag`: names of images, taken away and given.

use std::process::ExitCode;

use clap::Args;
use dray::engine::{Container, Engine};
use dray::images::Removed;
use dray::oci::Reference;

use super::Context;
use super::images::warn_of_damage;
use crate::exit;

#[derive(Debug, Args)]
pub struct Rmi {
    /// All names of an image given by id, and the last one of an image that a stopped container has
    #[arg(short, long)]
    force: bool,
    /// Names, digests or ids
    #[arg(required = true)]
    images: Vec<String>,
}

/// `dray rmi`
pub fn rmi(context: &Context<'_>, words: &Rmi) -> anyhow::Result<ExitCode> {
    let engine = context.engine()?;
    warn_of_damage(&engine)?;
    let mut code = ExitCode::SUCCESS;
    for image in &words.images {
        match remove(&engine, image, words.force) {
            Ok(removed) => removed.iter().for_each(|line| println!("{line}")),
            Err(error) => {
                eprintln!("dray: {}", exit::message(&error));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

#[derive(Debug, Args)]
pub struct Tag {
    /// Name, digest or id
    image: String,
    /// A further name for it, REPOSITORY[:TAG]
    name: String,
}

/// `dray tag`
pub fn tag(context: &Context<'_>, words: &Tag) -> anyhow::Result<ExitCode> {
    let name: Reference = words.name.parse()?;
    if name.digest.is_some() {
        anyhow::bail!("a name for an image has no digest: leave out what follows the @");
    }
    let engine = context.engine()?;
    let image = engine.images().find(&words.image)?;
    engine.images().tag(&name, &image)?;
    Ok(ExitCode::SUCCESS)
}

fn remove(engine: &Engine, image: &str, force: bool) -> anyhow::Result<Vec<String>> {
    if force {
        check_unused(engine, image)?;
    }
    let removed = engine
        .images()
        .remove(image, force, &engine.layers_in_use()?)?;
    let line = |removed: Removed| match removed {
        Removed::Untagged(name) => format!("Untagged: {name}"),
        Removed::Deleted(digest) => format!("Deleted: {digest}"),
    };
    Ok(removed.into_iter().map(line).collect())
}

/// Refuses to take the last name of an image away while a container runs from it: its next update would find it under none.
/// Docker's words.
fn check_unused(engine: &Engine, words: &str) -> anyhow::Result<()> {
    let id = engine.images().id(words)?;
    let all = engine.images().list()?.into_iter();
    let names: Vec<String> = all
        .filter(|image| image.id == id)
        .flat_map(|image| image.names)
        .map(|name| name.familiar())
        .collect();
    let one = words.parse::<Reference>().ok().map(|name| name.familiar());
    if names.len() > 1 && one.is_some_and(|one| names.contains(&one)) {
        return Ok(());
    }
    let runs =
        |container: &Container| container.record.image == id && container.status.is_attended();
    match engine.list()?.into_iter().find(runs) {
        None => Ok(()),
        Some(container) => anyhow::bail!(
            "conflict: unable to delete {words} (cannot be forced) - image is being used by running container {:.12}; stop \
             {} first",
            container.id(),
            container.name()
        ),
    }
}
