//! `dray rmi` and `dray tag`: names of images, taken away and given.

use std::process::ExitCode;

use clap::Args;
use dray::engine::Engine;
use dray::images::Removed;
use dray::oci::Reference;

use super::Context;
use super::images::warn_of_damage;
use crate::exit;

#[derive(Debug, Args)]
pub struct Rmi {
    /// All names of an image given by id
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
    let removed = engine
        .images()
        .remove(image, force, &engine.layers_in_use()?)?;
    let line = |removed: Removed| match removed {
        Removed::Untagged(name) => format!("Untagged: {name}"),
        Removed::Deleted(digest) => format!("Deleted: {digest}"),
    };
    Ok(removed.into_iter().map(line).collect())
}
