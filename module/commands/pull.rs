//! `dray pull`: brings an image from where it is, with progress where somebody looks.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use dray::engine::Engine;
use dray::images::{Chosen, Image, Images, some};
use dray::oci::{Platform, Reference};
use dray::runargs::value::boolean;
use serde_json::json;

use super::progress::{How, Progress};
use super::transport::{self, Transport};
use super::{Context, Format};

#[derive(Debug, Args)]
pub struct Words {
    /// Name, with a tag or a digest; or oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], docker://NAME
    image: String,
    /// Instead of this device's platform: os/architecture[/variant]
    #[arg(long)]
    platform: Option<String>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// How to tell of it
    #[arg(long, value_enum, default_value_t)]
    progress: How,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Without signatures of Docker's Notary, of which there is none; true if absent
    #[arg(long, hide_default_value = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true",
          default_missing_value = "true", value_parser = boolean, action = clap::ArgAction::Set)]
    disable_content_trust: bool,
}

/// `dray pull`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    if !words.disable_content_trust {
        bail!(
            "--disable-content-trust=false is not supported: there is no Notary; pin the image by digest"
        );
    }
    if words.progress == How::Json && words.format == Format::Json {
        bail!(
            "--progress json tells of the result too, as its last event; it is not supported together with --format json"
        );
    }
    let from: Transport = words.image.parse()?;
    let platform = platform(words.platform.as_deref())?;
    let quiet = words.quiet || words.format == Format::Json;
    let progress = Progress::new(words.progress, quiet);
    let engine = context.engine()?;
    let (image, name) = match from {
        Transport::Registry(reference) => {
            let image = pull_telling(&engine, &reference, &platform, &progress)?;
            let name = reference.pinned(image.digest).to_string();
            progress.result(&image, &[reference]);
            (image, name)
        }
        Transport::Folder(path, wanted) | Transport::File(path, wanted) => {
            let images = engine.images();
            let (image, names) = take(images, &path, wanted.as_deref(), &platform, &progress)?;
            progress.result(&image, &names);
            let name = names.first().map(Reference::to_string);
            let name = name.unwrap_or_else(|| image.id.to_string());
            (image, name)
        }
    };
    match words.format {
        Format::Json => println!(
            "{}",
            json!({ "Id": image.id, "Digest": image.stated_digest(), "Size": image.size })
        ),
        Format::Table if progress.is_json() => {}
        Format::Table => println!("{name}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The platform that was asked for, or this one.
pub fn platform(word: Option<&str>) -> anyhow::Result<Platform> {
    Ok(match word {
        Some(word) => word.parse()?,
        None => Platform::host(),
    })
}

/// Brings an image and names it, so that it stays.
pub fn pull(
    engine: &Engine,
    reference: &Reference,
    platform: &Platform,
    quiet: bool,
) -> anyhow::Result<Image> {
    let progress = Progress::new(How::Auto, quiet);
    pull_telling(engine, reference, platform, &progress)
}

fn pull_telling(
    engine: &Engine,
    reference: &Reference,
    platform: &Platform,
    progress: &Progress,
) -> anyhow::Result<Image> {
    let images = engine.images();
    let hold = images.hold()?;
    let image = progress.during(|report| images.pull(reference, platform, &report))?;
    images.tag(reference, &image)?;
    drop(hold);
    Ok(image)
}

/// The one image that is meant of those in a file or folder, and its names.
fn take(
    images: &Images,
    path: &Path,
    wanted: Option<&str>,
    platform: &Platform,
    progress: &Progress,
) -> anyhow::Result<(Image, Vec<Reference>)> {
    let archive = images.open_archive(transport::open(path)?)?;
    let chosen = archive.choose(wanted, platform)?;
    let Some(first) = chosen.first() else {
        bail!("{path:?} has no image for {platform}");
    };
    if chosen.iter().any(|other| !other.is_same(first)) {
        bail!(
            "{path:?} has several images, say which one after another colon: {}",
            some(chosen.iter().map(Chosen::called))
        );
    }
    let load = |chosen| progress.during(|r| images.load_image(&archive, chosen, platform, &r));
    let image = load(first)?;
    let mut names = first.names.clone();
    for further in &chosen[1..] {
        load(further)?;
        names.extend_from_slice(&further.names);
    }
    Ok((image, names))
}
