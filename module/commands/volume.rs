//! `dray volume`: create, ls, inspect, rm and prune, as docker has them.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use dray::engine::{Engine, EngineError, Volume, volumes};
use dray::runargs::value::boolean;
use serde_json::{Value, json};

use super::filter::{Filters, label_fits, labels, name_fits};
use super::template::Shape;
use super::{Context, ask, each, prune, table};

#[derive(Debug, Args)]
pub struct Words {
    #[command(subcommand)]
    word: Word,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Make a volume, or find the one of this name; prints its name
    Create(Create),
    /// List volumes
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Print everything about volumes as JSON
    Inspect(Inspect),
    /// Remove volumes with their data; one that a container has is refused
    #[command(visible_alias = "remove")]
    Rm(Rm),
    /// Remove volumes that no container has: the anonymous ones, or all
    Prune(Prune),
}

/// `dray volume …`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = match &words.word {
        Word::Ls(_) | Word::Inspect(_) => context.engine_to_look()?,
        _ => context.engine()?,
    };
    match &words.word {
        Word::Create(words) => create(&engine, words),
        Word::Ls(words) => ls(&engine, words),
        Word::Inspect(words) => inspect(&engine, words),
        Word::Rm(words) => rm(&engine, words),
        Word::Prune(words) => prune(&engine, words),
    }
}

#[derive(Debug, Args)]
struct Create {
    /// Only "local" exists: a folder of this device
    #[arg(short, long, default_value = "local")]
    driver: String,
    /// KEY or KEY=VALUE, several times
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// type=, device= and o= of what is mounted in its place while containers have it, several times
    #[arg(short, long, value_name = "OPTION")]
    opt: Vec<String>,
    /// Its name; invented if absent
    name: Option<String>,
}

fn create(engine: &Engine, words: &Create) -> anyhow::Result<ExitCode> {
    if words.driver != "local" {
        bail!(
            "volume driver {:?} is not supported: there is local only; leave --driver out",
            words.driver
        );
    }
    let options = words.opt.iter().map(|option| {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        (key.to_owned(), value.to_owned())
    });
    let options = options.collect();
    let labels = labels(&words.label)?;
    let name = words.name.as_deref().filter(|name| !name.is_empty());
    println!("{}", engine.create_volume(name, labels, options)?.name);
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Args)]
struct Ls {
    /// dangling=BOOL, driver=NAME, label=KEY[=VALUE] or name=PART, several times
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Names only, unless a format is given
    #[arg(short, long)]
    quiet: bool,
    /// table, json (one object a line), or a template such as '{{.Name}} {{.Mountpoint}}'
    #[arg(long, default_value = "table")]
    format: Shape,
}

fn ls(engine: &Engine, words: &Ls) -> anyhow::Result<ExitCode> {
    let known = ["dangling", "driver", "label", "label!", "name"];
    let filters = Filters::parse(&words.filter, &known)?;
    let users = engine.volume_users()?;
    let mut volumes = engine.volumes()?;
    volumes.retain(|volume| {
        filters.fit(|key, value| match key {
            "dangling" => boolean(value) != Ok(users.may_have(&volume.name)),
            key => fits(key, value, volume),
        })
    });
    volumes.iter().for_each(warn_of_damage);
    if words.quiet && words.format == Shape::Table {
        volumes
            .iter()
            .for_each(|volume| println!("{}", volume.name));
    } else if words.format != Shape::Table {
        let object = |volume: &Volume| {
            let mut object = line(volume);
            if words.format.names("Label") {
                object["Label"] = json!(volume.labels);
            }
            object
        };
        words
            .format
            .print_list(&[("Name", "VOLUME NAME")], volumes.iter().map(object))?;
    } else {
        let rows: Vec<_> = volumes
            .into_iter()
            .map(|volume| ["local".to_owned(), volume.name])
            .collect();
        table::print(["DRIVER", "VOLUME NAME"], &rows);
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what is not known of a volume.
fn warn_of_damage(volume: &Volume) {
    if let Some(damage) = &volume.damage {
        let name = &volume.name;
        eprintln!(
            "dray: warning: volume {name} has lost its labels, its data is there: {damage}; remove that file"
        );
    }
}

/// As docker's `--format json` has it.
fn line(volume: &Volume) -> Value {
    let labels = volume.labels.iter();
    let labels: Vec<_> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    json!({
        "Availability": "N/A",
        "Driver": "local",
        "Group": "N/A",
        "Labels": labels.join(","),
        "Links": "N/A",
        "Mountpoint": volume.data,
        "Name": volume.name,
        "Scope": "local",
        "Size": "N/A",
        "Status": "N/A",
    })
}

/// Whether a volume is as a filter wants it, as far as it says so itself.
fn fits(key: &str, value: &str, volume: &Volume) -> bool {
    match key {
        "driver" => value == "local",
        "label" => label_fits(value, &volume.labels),
        "label!" => !label_fits(value, &volume.labels),
        "name" => name_fits(value, &volume.name),
        _ => true,
    }
}

#[derive(Debug, Args)]
struct Inspect {
    /// json (in one line), or a template such as '{{.Mountpoint}}', filled in on a line of its own for each
    #[arg(short, long, default_value = "", hide_default_value = true)]
    format: Shape,
    /// Names
    #[arg(required = true)]
    volumes: Vec<String>,
}

fn inspect(engine: &Engine, words: &Inspect) -> anyhow::Result<ExitCode> {
    let (mut found, mut code) = (Vec::new(), ExitCode::SUCCESS);
    for name in &words.volumes {
        match engine.volume(name) {
            Ok(volume) => {
                warn_of_damage(&volume);
                found.push(document(&volume));
            }
            Err(error) => {
                eprintln!("dray: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    words.format.print_documents(found)?;
    Ok(code)
}

/// As Docker's API has it.
pub fn document(volume: &Volume) -> Value {
    json!({
        "CreatedAt": volume.created,
        "Driver": "local",
        "Labels": volume.labels,
        "Mountpoint": volume.data,
        "Name": volume.name,
        "Options": match volume.options.is_empty() {
            true => Value::Null,
            false => json!(volume.options),
        },
        "Scope": "local",
    })
}

#[derive(Debug, Args)]
struct Rm {
    /// One that does not exist is no failure
    #[arg(short, long)]
    force: bool,
    /// Names
    #[arg(required = true)]
    volumes: Vec<String>,
}

fn rm(engine: &Engine, words: &Rm) -> anyhow::Result<ExitCode> {
    Ok(each(&words.volumes, |name| {
        match engine.remove_volume(name) {
            Err(EngineError::NoVolume(_)) if words.force => Ok(()),
            removed => Ok(removed?),
        }
    }))
}

#[derive(Debug, Args)]
struct Prune {
    /// Named ones too
    #[arg(short, long)]
    all: bool,
    /// label=KEY[=VALUE] or label!=KEY[=VALUE], several times
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

fn prune(engine: &Engine, words: &Prune) -> anyhow::Result<ExitCode> {
    let filters = Filters::parse(&words.filter, &["all", "label", "label!"])?;
    let all = words.all || filters.switch("all");
    let which = if all { "all" } else { "anonymous" };
    let what = format!("{which} local volumes not used by at least one container");
    if !words.force {
        ask("volume", &what)?;
    }
    let (removed, bytes) = remove_unused(engine, all, &filters)?;
    prune::list("Volumes", &removed);
    println!("Total reclaimed space: {}", table::size(bytes));
    Ok(ExitCode::SUCCESS)
}

/// Removes volumes that no container has, the anonymous ones or all; their names and what was in them.
pub fn remove_unused(
    engine: &Engine,
    all: bool,
    filters: &Filters<'_>,
) -> anyhow::Result<(Vec<String>, u64)> {
    let users = engine.volume_users()?;
    let mut unused = engine.volumes()?;
    unused.retain(|volume| {
        // What a damaged container may have is refused by name, below.
        !users.has(&volume.name)
            && (all || volume.is_anonymous())
            && filters.fit(|key, value| fits(key, value, volume))
    });
    let (mut bytes, mut removed) = (0, Vec::new());
    for volume in unused {
        let size = volumes::size(&volume.data);
        match engine.remove_volume(&volume.name) {
            // Taken, or removed by somebody else, since we looked.
            Err(EngineError::VolumeInUse { .. } | EngineError::NoVolume(_)) => continue,
            done => done?,
        }
        bytes += size;
        removed.push(volume.name);
    }
    Ok((removed, bytes))
}
