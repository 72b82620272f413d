//! `dray images` and `dray rmi`.

use std::process::ExitCode;

use clap::Args;
use dray::engine::Engine;
use dray::images::{Image, Pin, Removed};
use dray::oci::Reference;
use dray::runargs::value::boolean;
use serde_json::{Value, json};

use super::filter::{Filters, label_fits};
use super::template::Shape;
use super::{Context, table};
use crate::exit;

#[derive(Debug, Args)]
pub struct Words {
    /// Docker's word for intermediate images, of which there are none
    #[arg(short, long)]
    all: bool,
    /// dangling=BOOL, label=, reference=NAME[:TAG], before=IMAGE or since=IMAGE, several times
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Digests too
    #[arg(long)]
    digests: bool,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    /// Whole ids
    #[arg(long)]
    no_trunc: bool,
    /// table, json (one object a line), or a template such as '{{.Repository}}:{{.Tag}}'
    #[arg(long, default_value = "table")]
    format: Shape,
    /// Only those of this repository, and with this tag if one is given
    name: Option<String>,
}

/// Where there is nothing to show.
const NONE: &str = "<none>";

/// One line of the list: an image has as many as it has names.
struct Row<'a> {
    repository: String,
    tag: String,
    image: &'a Image,
}

/// `dray images`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let known = ["before", "dangling", "label", "reference", "since"];
    let filters = Filters::parse(&words.filter, &known)?;
    let engine = context.engine_to_look()?;
    warn_of_damage(&engine)?;
    let mut images = engine.images().list()?;
    for key in ["before", "since"] {
        for other in filters.values(key) {
            let other = engine.images().find(other)?.created;
            images.retain(|image| match key {
                "before" => image.created < other,
                _ => image.created > other,
            });
        }
    }
    let fits = |row: &Row<'_>| {
        filters.fit(|key, value| match key {
            "dangling" => boolean(value) == Ok(row.image.names.is_empty()),
            "label" => label_fits(value, &row.image.config.config.labels),
            "reference" => row.is(value),
            _ => true,
        })
    };
    let pins = engine.images().pins()?;
    let meant = |row: &Row<'_>| words.name.as_deref().is_none_or(|name| row.is(name));
    let rows: Vec<Row<'_>> = images
        .iter()
        .flat_map(rows)
        .filter(|row| meant(row) && fits(row))
        .collect();
    let id = |image: &Image| match words.no_trunc {
        true => image.id.to_string(),
        false => image.id.hex()[..12].to_owned(),
    };
    let created = |image: &Image| {
        let time = image.created.as_deref().unwrap_or_default();
        table::age(time, context.host.now())
    };
    if words.quiet {
        let mut ids: Vec<_> = rows.iter().map(|row| id(row.image)).collect();
        // An image with several names is one image.
        ids.dedup();
        ids.iter().for_each(|id| println!("{id}"));
    } else if words.format != Shape::Table {
        let object = |row: Row<'_>| {
            let image = row.image;
            let mut object = as_json(&row, &pins);
            if words.format.is_template() {
                object["ID"] = id(image).into();
                object["CreatedSince"] = created(image).into();
                object["Size"] = table::short_size(image.size).into();
            }
            object
        };
        words.format.print(rows.into_iter().map(object))?;
    } else if words.digests {
        let row = |row: Row<'_>| {
            let digest = row.image.stated_digest();
            let digest = digest.map_or_else(|| NONE.into(), |digest| digest.to_string());
            [
                row.repository,
                row.tag,
                digest,
                id(row.image),
                created(row.image),
                table::short_size(row.image.size),
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
                table::short_size(row.image.size),
            ]
        };
        let rows: Vec<_> = rows.into_iter().map(row).collect();
        table::print(["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], &rows);
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(row: &Row<'_>, pins: &[Pin]) -> Value {
    let image = row.image;
    let holders = pins.iter().filter(|pin| pin.images.contains(&image.digest));
    json!({
        "ID": image.id, "Repository": row.repository, "Tag": row.tag,
        "Digest": image.stated_digest().map_or_else(|| NONE.to_owned(), |digest| digest.to_string()),
        "CreatedAt": image.created, "Size": image.size,
        "PinnedBy": holders.map(|pin| &pin.holder).collect::<Vec<_>>(),
    })
}

impl Row<'_> {
    /// Whether it is meant by `REPOSITORY[:TAG]`, short as docker allows.
    fn is(&self, name: &str) -> bool {
        let wanted = name.parse::<Reference>();
        let same = |wanted: Reference| {
            // A tag that is not said is any, unlike elsewhere.
            let tagged = name.ends_with(&format!(":{}", wanted.tag.as_deref().unwrap_or_default()));
            wanted.familiar_name() == self.repository
                && (!tagged || wanted.tag.as_deref() == Some(&self.tag))
        };
        wanted.is_ok_and(same)
    }
}

/// Names records that cannot be read: their images are not in any list, and data stays because of them.
/// Whether there are any.
pub fn warn_of_damage(engine: &Engine) -> anyhow::Result<bool> {
    let damaged = engine.images().damaged()?;
    for damaged in &damaged {
        eprintln!("dray: warning: {damaged}");
    }
    Ok(!damaged.is_empty())
}

fn rows(image: &Image) -> Vec<Row<'_>> {
    if image.names.is_empty() {
        return vec![Row {
            repository: NONE.into(),
            tag: NONE.into(),
            image,
        }];
    }
    let row = |name: &Reference| Row {
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
