//! `dray load`: images out of a file, a folder or a pipe.

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use dray::images::{Event, Place};
use dray::oci::Platform;

use super::Context;
use super::pull::Progress;

#[derive(Debug, Args)]
pub struct Words {
    /// What docker save or another tool wrote, compressed or not, or a folder with an OCI image layout; otherwise from
    /// standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Instead of this device's platform: os/architecture[/variant]
    #[arg(long)]
    platform: Option<String>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
}

/// `dray load`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let place = place(words)?;
    let platform = match &words.platform {
        Some(platform) => platform.parse::<Platform>()?,
        None => Platform::host(),
    };
    let engine = context.engine()?;
    let images = engine.images();
    let archive = images.open_archive(place)?;
    let progress = Progress::new(context, !words.quiet && std::io::stderr().is_terminal());
    let report = |event: &Event<'_>| progress.event(event);
    let loaded = images.load_archive(&archive, None, &platform, &report)?;
    progress.finish();
    for loaded in loaded {
        if loaded.names.is_empty() {
            println!("Loaded image ID: {}", loaded.image.id);
        }
        for name in &loaded.names {
            println!("Loaded image: {}", name.familiar());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn place(words: &Words) -> anyhow::Result<Place> {
    let Some(path) = &words.input else {
        let input = std::io::stdin();
        if input.is_terminal() {
            bail!("requested load from stdin, but stdin is a terminal: give a file with -i");
        }
        let file = File::from(input.as_fd().try_clone_to_owned()?);
        return Ok(Place::Stream(file, PathBuf::from("-")));
    };
    if path.is_dir() {
        return Ok(Place::Folder(path.clone()));
    }
    let file = File::open(path).with_context(|| format!("failed to open {path:?}"))?;
    Ok(Place::Stream(file, path.clone()))
}
