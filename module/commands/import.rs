//! `dray import`: a root filesystem as an image.

use std::fs::File;
use std::io::IsTerminal as _;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use dray::images::Import;
use dray::oci::Reference;

use super::progress::{How, Progress};
use super::{Context, pull};

#[derive(Debug, Args)]
pub struct Words {
    /// CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR as in a Dockerfile, several
    /// times
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// A remark, which history shows
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Whom it is for, instead of this device's platform: os/architecture[/variant]
    #[arg(long)]
    platform: Option<String>,
    /// A tar of a root filesystem, plain or with gzip or zstd; - for standard input
    file: String,
    /// A name for the image, REPOSITORY[:TAG]
    name: Option<String>,
}

/// `dray import`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let name: Option<Reference> = words.name.as_deref().map(str::parse).transpose()?;
    if name.as_ref().is_some_and(|name| name.digest.is_some()) {
        bail!("a name for an image has no digest: leave out what follows the @");
    }
    let platform = pull::platform(words.platform.as_deref())?;
    let file = open(&words.file)?;
    let engine = context.engine()?;
    let progress = Progress::new(How::Auto, false);
    let message = words.message.as_deref();
    let import = Import {
        file,
        path: PathBuf::from(&words.file),
        changes: &words.change,
        // Docker's words, whatever it is imported from: its client sends the file.
        message: message.unwrap_or("Imported from -"),
        platform: &platform,
        created: context.host.now(),
        name: name.as_ref(),
    };
    let image = progress.during(|report| engine.images().import(import, &report))?;
    println!("{}", image.id);
    Ok(ExitCode::SUCCESS)
}

fn open(words: &str) -> anyhow::Result<File> {
    if words.contains("://") {
        bail!(
            "files are not fetched from the network, which could not check them: download {words:?} and import the file, or pipe it into dray import -"
        );
    }
    if words == "-" {
        let input = std::io::stdin();
        if input.is_terminal() {
            bail!("standard input is a terminal: give a file, or pipe a tar into it");
        }
        return Ok(File::from(input.as_fd().try_clone_to_owned()?));
    }
    let file = File::open(words).with_context(|| format!("failed to open {words:?}"))?;
    if file.metadata()?.is_dir() {
        bail!("{words:?} is a folder: tar -C {words} -c . | dray import -");
    }
    Ok(file)
}
