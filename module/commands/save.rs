//! `dray save`: images into a file or a pipe.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use dray::images::{Images, Refetch, Save};
use dray::oci::{Platform, Reference};
use dray::sys::fs;

use super::progress::{How, Progress};
use super::{Context, table};

#[derive(Debug, Args)]
pub struct Words {
    /// Instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Fail if an image is not for this platform: os/architecture[/variant]
    #[arg(long)]
    platform: Option<String>,
    /// Names, digests or ids; a name without a tag means all its tags
    #[arg(required = true)]
    images: Vec<String>,
}

/// `dray save`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    if words.output.is_none() && std::io::stdout().is_terminal() {
        bail!("cowardly refusing to save to a terminal: use -o, or redirect the output");
    }
    let platform: Option<Platform> = words.platform.as_deref().map(str::parse).transpose()?;
    let engine = context.engine()?;
    let images = engine.images();
    let mut wanted: Vec<Save> = Vec::new();
    for word in &words.images {
        for save in meant(images, word)? {
            let offered = &save.image.config.platform;
            if let Some(platform) = platform.as_ref().filter(|p| p.rank(offered).is_none()) {
                bail!("image {word} was found, but it is for {offered} and not for {platform}");
            }
            // The same image by several words is there once.
            match wanted.iter_mut().find(|one| same(one, &save)) {
                Some(one) => one.names.extend(save.names),
                None => wanted.push(save),
            }
        }
    }
    for save in &mut wanted {
        save.names.sort();
        save.names.dedup();
    }
    match &words.output {
        Some(path) => to_file(images, &wanted, &std::path::absolute(path)?)?,
        None => write(images, &wanted, &mut std::io::stdout().lock())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn same(one: &Save, other: &Save) -> bool {
    (one.image.digest, one.image.manifest) == (other.image.digest, other.image.manifest)
}

/// The images that a word means: one with the name that was said, one by its id without any, all tags of a repository.
fn meant(images: &Images, word: &str) -> anyhow::Result<Vec<Save>> {
    let reference = word.parse::<Reference>().ok();
    if let Some(reference) = &reference {
        let tag = reference.tag().unwrap_or_default();
        let is_tagged = word.ends_with(&format!(":{tag}")) || reference.digest.is_some();
        let mut found = Vec::new();
        for image in images.list()? {
            let names = image.names.iter().filter(|name| match is_tagged {
                true => *name == reference,
                false => name.name() == reference.name() && name.tag.is_some(),
            });
            let names: Vec<Reference> = names.cloned().collect();
            if !names.is_empty() {
                found.push(Save { image, names });
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let image = images.find(word)?;
    Ok(vec![Save {
        image,
        names: Vec::new(),
    }])
}

/// A file has the archive as a whole or not at all; what is no file is written to as it is.
fn to_file(images: &Images, wanted: &[Save], path: &Path) -> anyhow::Result<()> {
    let failed = || format!("failed to write {path:?}");
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        let mut file = OpenOptions::new()
            .write(true)
            .open(path)
            .with_context(failed)?;
        return write(images, wanted, &mut file);
    }
    let scratch = fs::scratch_beside(path);
    let make = || {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&scratch)
    };
    let mut file = make().with_context(failed)?;
    let done = write(images, wanted, &mut file)
        .and_then(|()| publish(&file, &scratch, path).with_context(failed));
    done.inspect_err(|_| {
        // The error that matters is the first one.
        let _ = std::fs::remove_file(&scratch);
    })
}

fn publish(file: &File, scratch: &Path, path: &Path) -> std::io::Result<()> {
    file.sync_all()?;
    fs::publish(scratch, path)
}

fn write(images: &Images, wanted: &[Save], out: &mut dyn Write) -> anyhow::Result<()> {
    let progress = Progress::new(How::Auto, false);
    let refetch = |refetch: &Refetch<'_>| {
        eprintln!(
            "dray: {} layers of {} are not kept here and are fetched from their registry: {}",
            refetch.layers,
            refetch.name.familiar(),
            table::size(refetch.bytes)
        );
    };
    let mut out = BufWriter::with_capacity(128 << 10, out);
    progress.during(|report| images.save(wanted, &mut out, &refetch, &report))?;
    Ok(out.flush()?)
}
