//! `dray load`: images out of a file, a folder or a pipe.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use dray::images::Place;

use super::foreground::standard_input;
use super::progress::{How, Progress};
use super::{Context, pull, transport};

#[derive(Debug, Args)]
pub struct Words {
    /// What docker save or another tool wrote, plain or with gzip or zstd, or a folder with an OCI image layout; otherwise from
    /// standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Instead of this device's platform: os/architecture[/variant]
    #[arg(long)]
    platform: Option<String>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// How to tell of it
    #[arg(long, value_enum, default_value_t)]
    progress: How,
}

/// `dray load`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let place = place(words)?;
    let platform = pull::platform(words.platform.as_deref())?;
    let progress = Progress::new(words.progress, words.quiet);
    let engine = context.engine()?;
    let images = engine.images();
    let archive = images.open_archive(place)?;
    for chosen in archive.choose(None, &platform)? {
        let image =
            progress.during(|report| images.load_image(&archive, &chosen, &platform, &report))?;
        progress.result(&image, &chosen.names);
        if progress.is_json() {
            continue;
        }
        if chosen.names.is_empty() {
            println!("Loaded image ID: {}", image.id);
        }
        for name in &chosen.names {
            println!("Loaded image: {}", name.familiar());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn place(words: &Words) -> anyhow::Result<Place> {
    let Some(path) = &words.input else {
        if std::io::stdin().is_terminal() {
            bail!("requested load from stdin, but stdin is a terminal: give a file with -i");
        }
        return Ok(Place::Stream(standard_input()?, PathBuf::from("-")));
    };
    transport::open(path)
}
