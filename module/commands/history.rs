//! `dray history`: how an image was made.

use std::process::ExitCode;

use clap::Args;
use dray::images::Image;
use dray::oci::History;
use serde_json::{Value, json};

use super::template::Shape;
use super::{Context, table};
use crate::exit::visible;

/// Characters of a command that are shown.
const SHOWN: usize = 45;

/// Where docker shows no id: steps have none of their own.
const MISSING: &str = "<missing>";

#[derive(Debug, Args)]
pub struct Words {
    /// Sizes and times for people; --human=false for programs
    #[arg(short = 'H', long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "true", default_missing_value = "true", hide_default_value = true,
          value_parser = dray::runargs::value::boolean, action = clap::ArgAction::Set)]
    human: bool,
    /// Whole ids and commands
    #[arg(long)]
    no_trunc: bool,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    /// table, json (one object a line), or a template such as '{{.Size}} {{.CreatedBy}}'
    #[arg(long, default_value = "table")]
    format: Shape,
    /// Name, digest or id
    image: String,
}

/// One step, newest first.
struct Step<'a> {
    id: String,
    history: &'a History,
    size: u64,
}

/// `dray history`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = context.engine_to_look()?;
    let image = engine.images().find(&words.image)?;
    let sizes = engine.images().layer_sizes(&image)?;
    let steps = steps(&image, &sizes, words.no_trunc);
    let rows: Vec<Value> = steps
        .iter()
        .map(|step| shown(context, words, step))
        .collect();
    if words.quiet {
        steps.iter().for_each(|step| println!("{}", step.id));
    } else if words.format != Shape::Table {
        let headings = [("ID", "IMAGE"), ("CreatedSince", "CREATED")];
        words.format.print_list(&headings, rows.into_iter())?;
    } else {
        let column = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let created = match words.human {
            true => "CreatedSince",
            false => "CreatedAt",
        };
        let row = |row: &Value| {
            ["ID", created, "CreatedBy", "Size", "Comment"].map(|key| column(row, key))
        };
        let rows: Vec<_> = rows.iter().map(row).collect();
        table::print(["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"], &rows);
    }
    Ok(ExitCode::SUCCESS)
}

fn steps<'a>(image: &'a Image, sizes: &[u64], whole: bool) -> Vec<Step<'a>> {
    let mut sizes = sizes.iter().copied();
    let mut steps: Vec<Step<'_>> = Vec::new();
    for history in &image.config.history {
        let size = match history.empty_layer {
            true => 0,
            // A maker who lists more steps than layers has said nothing about their sizes.
            false => sizes.next().unwrap_or_default(),
        };
        steps.push(Step {
            id: MISSING.to_owned(),
            history,
            size,
        });
    }
    steps.reverse();
    if let Some(newest) = steps.first_mut() {
        newest.id = match whole {
            true => image.id.to_string(),
            false => image.id.hex()[..12].to_owned(),
        };
    }
    steps
}

fn shown(context: &Context<'_>, words: &Words, step: &Step<'_>) -> Value {
    let history = step.history;
    let created = history.created.as_deref().unwrap_or_default();
    let since = table::age(created, context.host.now());
    // JSON escapes by itself. To a terminal they are words, and one step is one line.
    let plain = |text: &str| match words.format {
        Shape::Json => text.to_owned(),
        _ => visible(text).replace('\n', "\\n").replace('\t', " "),
    };
    let by = plain(&history.created_by).replace('\t', " ");
    let by = match words.no_trunc || by.chars().count() <= SHOWN {
        true => by,
        false => by.chars().take(SHOWN - 1).chain(['…']).collect(),
    };
    let size = match words.human {
        true => table::short_size(step.size),
        false => step.size.to_string(),
    };
    json!({
        "Comment": plain(&history.comment), "CreatedAt": plain(created), "CreatedBy": by,
        "CreatedSince": since, "ID": step.id, "Size": size,
    })
}
