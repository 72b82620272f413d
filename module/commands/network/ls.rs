//! `dray network ls`

use std::process::ExitCode;

use clap::Args;
use dray::engine::Engine;
use dray::runargs::value::boolean;
use serde_json::{Value, json};

use super::shown::{self, Shown};
use crate::commands::filter::{Filters, label_fits, name_fits};
use crate::commands::table;
use crate::commands::template::Shape;

#[derive(Debug, Args)]
pub struct Words {
    /// dangling=BOOL, driver=, id=, label=, name=, scope= or type=custom|builtin, several times
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Ids only, unless a format is given
    #[arg(short, long)]
    quiet: bool,
    /// Whole ids
    #[arg(long)]
    no_trunc: bool,
    /// table, json (one object a line), or a template such as '{{.Name}} {{.Driver}}'
    #[arg(long, default_value = "table")]
    format: Shape,
}

/// `dray network ls`
pub fn run(engine: &Engine, words: &Words) -> anyhow::Result<ExitCode> {
    let known = ["dangling", "driver", "id", "label", "name", "scope", "type"];
    let filters = Filters::parse(&words.filter, &known)?;
    if let Some(kind) = filters
        .values("type")
        .find(|kind| !["builtin", "custom"].contains(kind))
    {
        anyhow::bail!("invalid filter \"type={kind}\": expected one of builtin, custom");
    }
    let mut code = ExitCode::SUCCESS;
    for damaged in engine.network().defined().damaged()? {
        eprintln!("dray: warning: {damaged}");
        // It is not in the list.
        code = ExitCode::FAILURE;
    }
    let mut all = shown::all(engine)?;
    let used = match filters.values("dangling").next() {
        Some(_) => engine.network().attachments()?,
        None => Vec::new(),
    };
    all.retain(|network| {
        let is_used = || {
            used.iter()
                .any(|(_, attachment)| attachment.network == network.name)
        };
        filters.fit(|key, value| match (key, &network.definition) {
            ("dangling", made) => boolean(value) == Ok(made.is_some() && !is_used()),
            ("driver", _) => network.driver == value,
            ("id", _) => network.id.starts_with(value),
            ("label", made) => made
                .as_ref()
                .is_some_and(|made| label_fits(value, &made.labels)),
            ("name", _) => name_fits(value, &network.name),
            ("scope", _) => value == "local",
            (_, made) => (value == "custom") == made.is_some(),
        })
    });
    let id = |network: &Shown| match words.no_trunc {
        true => network.id.clone(),
        false => network.short_id().to_owned(),
    };
    if words.quiet && words.format == Shape::Table {
        all.iter().for_each(|network| println!("{}", id(network)));
    } else if words.format != Shape::Table {
        let object = |network: &Shown| {
            let mut object = line(network, &id(network));
            if words.format.names("Label") {
                object["Label"] = json!(network.definition.as_ref().map(|made| &made.labels));
            }
            object
        };
        words
            .format
            .print_list(&[("ID", "NETWORK ID")], all.iter().map(object))?;
    } else {
        let rows: Vec<_> = all
            .iter()
            .map(|network| {
                let driver = network.driver.to_owned();
                [id(network), network.name.clone(), driver, "local".into()]
            })
            .collect();
        table::print(["NETWORK ID", "NAME", "DRIVER", "SCOPE"], &rows);
    }
    Ok(code)
}

/// All values are texts there.
fn line(network: &Shown, id: &str) -> Value {
    let made = network.definition.as_ref();
    let labels = made.map(|made| &made.labels).into_iter().flatten();
    let labels: Vec<String> = labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let v6 = made.is_some_and(|made| made.v6.is_some());
    let internal = made.is_some_and(|made| made.internal);
    let pairs = [
        ("CreatedAt", made.map_or("", |made| &made.created)),
        ("Driver", network.driver),
        ("ID", id),
        ("IPv4", "true"),
        ("IPv6", if v6 { "true" } else { "false" }),
        ("Internal", if internal { "true" } else { "false" }),
        ("Labels", &labels.join(",")),
        ("Name", &network.name),
        ("Scope", "local"),
    ];
    pairs.into_iter().collect()
}
