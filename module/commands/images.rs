//! `dray images` and `dray rmi`.

use std::process::ExitCode;

use clap::Args;
use dray::engine::Engine;
use dray::images::{Image, Removed};
use serde_json::json;

use super::{Context, Format, table};
use crate::exit;

#[derive(Debug, Args)]
pub struct Words {
    /// Digests too
    #[arg(long)]
    digests: bool,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    /// Whole ids
    #[arg(long)]
    no_trunc: bool,
    /// How to print them; json is one object a line
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// One line of the list: an image has as many as it has names.
struct Row<'a> {
    repository: String,
    tag: String,
    image: &'a Image,
}

/// `dray images`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = context.engine()?;
    warn_of_damage(&engine)?;
    let images = engine.images().list()?;
    let pins = engine.images().pins()?;
    let rows: Vec<Row<'_>> = images.iter().flat_map(rows).collect();
    let id = |image: &Image| match words.no_trunc {
        true => image.id.to_string(),
        false => image.id.hex()[..12].to_owned(),
    };
    let created = |image: &Image| {
        let time = image.created.as_deref().and_then(dray::engine::parse_time);
        let age = time.and_then(|time| context.host.now().duration_since(time).ok());
        age.map_or_else(
            || "N/A".into(),
            |age| format!("{} ago", table::span(age.as_secs())),
        )
    };
    if words.quiet {
        images.iter().for_each(|image| println!("{}", id(image)));
    } else if words.format == Format::Json {
        for Row {
            repository,
            tag,
            image,
        } in rows
        {
            let holders: Vec<_> = pins
                .iter()
                .filter(|pin| pin.images.contains(&image.digest))
                .map(|pin| &pin.holder)
                .collect();
            let object = json!({
                "ID": image.id, "Repository": repository, "Tag": tag, "Digest": image.digest,
                "CreatedAt": image.created, "Size": image.size, "PinnedBy": holders,
            });
            println!("{object}");
        }
    } else if words.digests {
        let row = |row: Row<'_>| {
            let digest = row.image.digest.to_string();
            [
                row.repository,
                row.tag,
                digest,
                id(row.image),
                created(row.image),
                table::size(row.image.size),
            ]
        };
        let rows: Vec<_> = rows.into_iter().map(row).collect();
        table::print(
            ["REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"],
            &rows,
        );
    } else {
        let row = |row: Row<'_>| {
            [
                row.repository,
                row.tag,
                id(row.image),
                created(row.image),
                table::size(row.image.size),
            ]
        };
        let rows: Vec<_> = rows.into_iter().map(row).collect();
        table::print(["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], &rows);
    }
    Ok(ExitCode::SUCCESS)
}

/// Names records that cannot be read: their images are not in any list, and data stays because of them.
fn warn_of_damage(engine: &Engine) -> anyhow::Result<()> {
    for damaged in engine.images().damaged()? {
        eprintln!("dray: warning: {damaged}");
    }
    Ok(())
}

fn rows(image: &Image) -> Vec<Row<'_>> {
    const NONE: &str = "<none>";
    if image.names.is_empty() {
        return vec![Row {
            repository: NONE.into(),
            tag: NONE.into(),
            image,
        }];
    }
    let row = |name: &dray::oci::Reference| Row {
        repository: name.familiar_name(),
        tag: name.tag.clone().unwrap_or_else(|| NONE.into()),
        image,
    };
    image.names.iter().map(row).collect()
}

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

fn remove(engine: &Engine, image: &str, force: bool) -> anyhow::Result<Vec<String>> {
    let removed = engine.images().remove(image, force)?;
    let line = |removed: Removed| match removed {
        Removed::Untagged(name) => format!("Untagged: {name}"),
        Removed::Deleted(digest) => format!("Deleted: {digest}"),
    };
    Ok(removed.into_iter().map(line).collect())
}
