//! `dray system df` and `dray system prune`.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::disk::{Kind, Usage};
use super::filter::Filters;
use super::images::warn_of_damage;
use super::template::Shape;
use super::{Context, confirm, network, prune, table, volume};

#[derive(Debug, Args)]
pub struct Df {
    /// table, json (one object a line), or a template such as '{{.Type}} {{.Size}}'
    #[arg(long, default_value = "table")]
    format: Shape,
    /// Every image, container, volume and partial download
    #[arg(short, long)]
    verbose: bool,
}

/// `dray system df`
pub fn df(context: &Context<'_>, words: &Df) -> anyhow::Result<ExitCode> {
    if words.verbose && words.format != Shape::Table {
        bail!("--verbose is a table for people: leave it or --format out");
    }
    let engine = context.engine_to_look()?;
    warn_of_damage(&engine)?;
    let usage = Usage::of(&engine)?;
    if words.verbose {
        usage.print(&engine, context.host.now());
    } else if words.format != Shape::Table {
        words.format.print(usage.kinds().into_iter().map(object))?;
    } else {
        let rows: Vec<_> = usage.kinds().into_iter().map(row).collect();
        table::print(["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"], &rows);
    }
    Ok(ExitCode::SUCCESS)
}

fn row(kind: Kind) -> [String; 5] {
    [
        kind.name.to_owned(),
        kind.total.to_string(),
        kind.active.to_string(),
        table::short_size(kind.size),
        kind.reclaimable(),
    ]
}

/// All values are texts in docker's.
fn object(kind: Kind) -> Value {
    let [name, total, active, size, reclaimable] = row(kind);
    json!({
        "Type": name, "TotalCount": total, "Active": active, "Size": size, "Reclaimable": reclaimable,
    })
}

#[derive(Debug, Args)]
pub struct Prune {
    /// Images with a name too, unless a container or a deployment has them
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Anonymous volumes that no container has, too
    #[arg(long)]
    volumes: bool,
    /// label=KEY[=VALUE], label!=KEY[=VALUE] or until=TIME, several times
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

/// `dray system prune`
pub fn prune(context: &Context<'_>, words: &Prune) -> anyhow::Result<ExitCode> {
    let filters = Filters::parse(&words.filter, &["label", "label!", "until"])?;
    let until = filters.until(context)?;
    if words.volumes && until.is_some() {
        bail!("the \"until\" filter is not supported with \"--volumes\"");
    }
    if !words.force {
        confirm("system", &warning(words))?;
    }
    let engine = context.engine()?;
    prune::refuse_damage(&engine)?;
    let (containers, mut bytes) = prune::stopped_containers(&engine, &filters, until)?;
    prune::list("Containers", &containers);
    prune::list(
        "Networks",
        &network::remove_unused(&engine, &filters, until)?,
    );
    if words.volumes {
        let (volumes, freed) = volume::remove_unused(&engine, false, &filters)?;
        prune::list("Volumes", &volumes);
        bytes += freed;
    }
    let (images, freed) = prune::unused_images(&engine, words.all, &filters, until)?;
    prune::list("Images", &images);
    println!("Total reclaimed space: {}", table::size(bytes + freed));
    Ok(ExitCode::SUCCESS)
}

/// What is about to happen, in docker's words.
fn warning(words: &Prune) -> String {
    let mut lines = vec![
        "all stopped containers that no deployment keeps",
        "all networks not used by at least one container",
    ];
    if words.volumes {
        lines.push("all anonymous volumes not used by at least one container");
    }
    lines.push(match words.all {
        true => "all images without at least one container or deployment that has them",
        false => "all images without a name that no container and no deployment has",
    });
    lines.push("partial downloads");
    let mut text = String::from("WARNING! This will remove:\n");
    for line in lines {
        text += &format!("  - {line}\n");
    }
    if !words.filter.is_empty() {
        text += "\n  Items to be filtered with:\n";
        for filter in &words.filter {
            text += &format!("  - {filter}\n");
        }
    }
    text
}
