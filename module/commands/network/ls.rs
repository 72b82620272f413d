//! `dray network ls`

use std::process::ExitCode;

use clap::Args;
use dray::engine::Engine;
use serde_json::Value;

use super::shown::{self, Shown};
use crate::commands::{Format, table};

#[derive(Debug, Args)]
pub struct Words {
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

/// `dray network ls`
pub fn run(engine: &Engine, words: &Words) -> anyhow::Result<ExitCode> {
    for damaged in engine.network().defined().damaged()? {
        eprintln!("dray: warning: {damaged}");
    }
    let all = shown::all(engine)?;
    let id = |network: &Shown| match words.no_trunc {
        true => network.id.clone(),
        false => network.short_id().to_owned(),
    };
    if words.quiet {
        all.iter().for_each(|network| println!("{}", id(network)));
    } else if words.format == Format::Json {
        for network in &all {
            println!("{}", line(network, &id(network)));
        }
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
    Ok(ExitCode::SUCCESS)
}

/// All values are texts there.
fn line(network: &Shown, id: &str) -> Value {
    let made = network.definition.as_ref();
    let labels = made.map(|made| &made.labels).into_iter().flatten();
    let labels: Vec<String> = labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let internal = made.is_some_and(|made| made.internal);
    let pairs = [
        ("CreatedAt", made.map_or("", |made| &made.created)),
        ("Driver", network.driver),
        ("ID", id),
        ("IPv4", "true"),
        ("IPv6", "false"),
        ("Internal", if internal { "true" } else { "false" }),
        ("Labels", &labels.join(",")),
        ("Name", &network.name),
        ("Scope", "local"),
    ];
    pairs.into_iter().collect()
}
