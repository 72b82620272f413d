//! `dray images`.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use dray::engine::Engine;
use dray::images::{Image, Pin};
use dray::oci::Reference;
use dray::runargs::value::boolean;
use serde_json::{Value, json};

use super::filter::{Filters, is_older};
use super::pattern::Pattern;
use super::template::Shape;
use super::{Context, table};

const KEYS: [&str; 7] = [
    "before",
    "dangling",
    "label",
    "label!",
    "reference",
    "since",
    "until",
];

#[derive(Debug, Args)]
pub struct Words {
    /// Docker's word for intermediate images, of which there are none
    #[arg(short, long)]
    all: bool,
    /// dangling=BOOL, label=, reference=PATTERN, before=IMAGE, since=IMAGE or until=TIME, several times
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Digests too
    #[arg(long)]
    digests: bool,
    /// Ids only, unless a format is given
    #[arg(short, long)]
    quiet: bool,
    /// Whole ids
    #[arg(long)]
    no_trunc: bool,
    /// table, json (one object a line), or a template such as '{{.Repository}}:{{.Tag}}'
    #[arg(long, default_value = "table")]
    format: Shape,
    /// Only those of this repository, and with this tag if one is given; *, ? and [a-z] stand for anything but /
    name: Option<String>,
}

/// What docker calls columns that are not called as their fields are.
const HEADINGS: [(&str, &str); 3] = [
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("VirtualSize", "SIZE"),
];

/// Where there is nothing to show.
const NONE: &str = "<none>";

/// One line of the list: an image has as many as it has names.
struct Row<'a> {
    repository: String,
    tag: String,
    image: &'a Image,
    /// As docker's filters see it; nothing without a name.
    names: Vec<String>,
}

/// `dray images`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let filters = Filters::parse(&words.filter, &KEYS)?;
    let wanted = [
        words.name.as_deref().into_iter().collect(),
        filters.values("reference").collect(),
    ];
    let wanted = wanted.map(patterns);
    let until = filters.until(context)?;
    let engine = context.engine_to_look()?;
    warn_of_damage(&engine)?;
    let mut images = engine.images().list()?;
    retain_between(&engine, &filters, &mut images)?;
    images.retain(|image| {
        filters.fit(|key, value| match key {
            "dangling" => boolean(value) == Ok(image.names.is_empty()),
            _ => true,
        }) && filters.fit_labels(&image.config.config.labels)
            && is_older(image.created.as_deref().unwrap_or_default(), until)
    });
    let [named, referred] = wanted;
    let (named, referred) = (named?, referred?);
    let rows: Vec<Row<'_>> = images
        .iter()
        .flat_map(rows)
        .filter(|row| row.is_one_of(&named) && row.is_one_of(&referred))
        .collect();
    if words.quiet && words.format == Shape::Table {
        let mut ids: Vec<_> = rows.iter().map(|row| words.id(row.image)).collect();
        // An image with several names is one image.
        ids.dedup();
        ids.iter().for_each(|id| println!("{id}"));
    } else if words.format != Shape::Table {
        let pins = engine.images().pins()?;
        let object = |row: Row<'_>| words.object(&row, &pins, context.host.now());
        words
            .format
            .print_list(&HEADINGS, rows.into_iter().map(object))?;
    } else {
        words.print_table(&rows, context.host.now());
    }
    Ok(ExitCode::SUCCESS)
}

/// The patterns of one place; nothing if there is none.
fn patterns(texts: Vec<&str>) -> anyhow::Result<Vec<Pattern>> {
    let parse = |text: &str| {
        Pattern::parse(text).map_err(|error| anyhow::anyhow!("invalid reference {text:?}: {error}"))
    };
    texts.into_iter().map(parse).collect()
}

/// Leaves those that were made before and since the images that are named for it, all of them.
fn retain_between(
    engine: &Engine,
    filters: &Filters<'_>,
    images: &mut Vec<Image>,
) -> anyhow::Result<()> {
    let made = |image: &Image| image.created.as_deref().and_then(dray::engine::parse_time);
    for key in ["before", "since"] {
        for other in filters.values(key) {
            // Next to one that does not say when it was made no other is earlier or later.
            let Some(other) = made(&engine.images().find(other)?) else {
                continue;
            };
            images.retain(|image| {
                made(image).is_some_and(|made| match key {
                    "before" => made < other,
                    _ => made > other,
                })
            });
        }
    }
    Ok(())
}

impl Words {
    fn id(&self, image: &Image) -> String {
        match self.no_trunc {
            true => image.id.to_string(),
            false => image.id.hex()[..12].to_owned(),
        }
    }

    fn object(&self, row: &Row<'_>, pins: &[Pin], now: SystemTime) -> Value {
        let mut object = as_json(row, pins);
        object["VirtualSize"] = table::size(row.image.size).into();
        // Docker's client counts these only for `system df`.
        for key in ["Containers", "SharedSize", "UniqueSize"] {
            object[key] = "N/A".into();
        }
        object["ID"] = self.id(row.image).into();
        object["CreatedSince"] = created(row.image, now).into();
        object["Size"] = table::short_size(row.image.size).into();
        object
    }

    fn print_table(&self, rows: &[Row<'_>], now: SystemTime) {
        let mut heading = vec!["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"];
        if self.digests {
            heading.insert(2, "DIGEST");
        }
        let cells = |row: &Row<'_>| {
            let mut cells = vec![
                row.repository.clone(),
                row.tag.clone(),
                self.id(row.image),
                created(row.image, now),
                table::short_size(row.image.size),
            ];
            if self.digests {
                cells.insert(2, digest(row.image));
            }
            cells
        };
        table::print_all(&heading, &rows.iter().map(cells).collect::<Vec<_>>());
    }
}

fn created(image: &Image, now: SystemTime) -> String {
    table::age(image.created.as_deref().unwrap_or_default(), now)
}

fn digest(image: &Image) -> String {
    let digest = image.stated_digest();
    digest.map_or_else(|| NONE.to_owned(), |digest| digest.to_string())
}

fn as_json(row: &Row<'_>, pins: &[Pin]) -> Value {
    let image = row.image;
    let holders = pins.iter().filter(|pin| pin.images.contains(&image.digest));
    json!({
        "Repository": row.repository, "Tag": row.tag,
        "Digest": digest(image),
        "CreatedAt": table::moment(image.created.as_deref().unwrap_or_default()),
        "PinnedBy": holders.map(|pin| &pin.holder).collect::<Vec<_>>(),
    })
}

impl Row<'_> {
    /// Whether one of these patterns fits, or there is none.
    fn is_one_of(&self, patterns: &[Pattern]) -> bool {
        let fits = |pattern: &Pattern| self.names.iter().any(|name| pattern.fits(name));
        patterns.is_empty() || patterns.iter().any(fits)
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

/// Repository and tag of each of its names.
pub fn names(image: &Image) -> Vec<[String; 2]> {
    let names = rows(image).into_iter();
    names.map(|row| [row.repository, row.tag]).collect()
}

fn rows(image: &Image) -> Vec<Row<'_>> {
    if image.names.is_empty() {
        return vec![Row {
            repository: NONE.into(),
            tag: NONE.into(),
            image,
            names: Vec::new(),
        }];
    }
    let row = |name: &Reference| {
        let repository = name.familiar_name();
        let mut names = vec![name.familiar(), repository.clone()];
        names.extend(
            image
                .stated_digest()
                .map(|digest| format!("{repository}@{digest}")),
        );
        Row {
            tag: name.tag.clone().unwrap_or_else(|| NONE.into()),
            repository,
            image,
            names,
        }
    };
    image.names.iter().map(row).collect()
}
