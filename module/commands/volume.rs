//! `dray volume`: create, ls, inspect, rm and prune, as docker has them.

use std::collections::BTreeMap;
use std::io::{Write as _, stdin, stdout};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use dray::engine::{Engine, EngineError, Volume, volumes};
use dray::runargs::value::boolean;
use serde_json::{Value, json};

use super::choice::name_fits;
use super::template::Shape;
use super::{Context, each, table};

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
    let engine = context.engine()?;
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
    /// Options of a driver; refused, since a volume is a plain folder
    #[arg(short, long, value_name = "OPTION")]
    opt: Vec<String>,
    /// Its name; invented if absent
    name: Option<String>,
}

fn create(engine: &Engine, words: &Create) -> anyhow::Result<ExitCode> {
    if words.driver != "local" {
        bail!(
            "volume driver {:?} is not supported: volumes are plain folders of this device; leave --driver out",
            words.driver
        );
    }
    if let Some(option) = words.opt.first() {
        bail!(
            "--opt {option} is not supported: a volume is a plain folder of this device; give the container a mount of \
             the host with --volume, or a --tmpfs"
        );
    }
    let labels = words.label.iter().map(|label| {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        (key.to_owned(), value.to_owned())
    });
    let labels: BTreeMap<String, String> = labels.collect();
    if labels.contains_key("") {
        bail!("a label needs a name: --label NAME=VALUE");
    }
    let name = words.name.as_deref().filter(|name| !name.is_empty());
    println!("{}", engine.create_volume(name, labels)?.name);
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Args)]
struct Ls {
    /// dangling=BOOL, driver=NAME, label=KEY[=VALUE] or name=PART, several times
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Names only
    #[arg(short, long)]
    quiet: bool,
    /// table, json (one object a line), or a template such as '{{.Name}} {{.Mountpoint}}'
    #[arg(long, default_value = "table")]
    format: Shape,
}

fn ls(engine: &Engine, words: &Ls) -> anyhow::Result<ExitCode> {
    let filters = filters(
        &words.filter,
        &["dangling", "driver", "label", "label!", "name"],
    )?;
    let users = engine.volume_users()?;
    let mut volumes = engine.volumes()?;
    volumes.retain(|volume| {
        filters.iter().all(|filter| match filter {
            Filter::Dangling(wanted) => users.may_have(&volume.name) != *wanted,
            filter => filter.fits(volume),
        })
    });
    volumes.iter().for_each(warn_of_damage);
    if words.quiet {
        volumes
            .iter()
            .for_each(|volume| println!("{}", volume.name));
    } else if words.format != Shape::Table {
        words.format.print(volumes.iter().map(line))?;
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

/// What a volume has to be like.
enum Filter<'a> {
    Dangling(bool),
    Driver(&'a str),
    /// Key, value, and whether it is to be there.
    Label(&'a str, Option<&'a str>, bool),
    Name(&'a str),
    /// Of `prune`: named ones too.
    All(bool),
}

impl Filter<'_> {
    /// As far as the volume itself says it.
    fn fits(&self, volume: &Volume) -> bool {
        match self {
            Filter::Dangling(_) | Filter::All(_) => true,
            Filter::Driver(driver) => *driver == "local",
            Filter::Label(key, value, wanted) => {
                let found = volume.labels.get(*key);
                let fits = found.is_some_and(|found| value.is_none_or(|value| value == found));
                fits == *wanted
            }
            Filter::Name(part) => name_fits(part, &volume.name),
        }
    }
}

fn filters<'a>(words: &'a [String], known: &[&str]) -> anyhow::Result<Vec<Filter<'a>>> {
    let filter = |word: &'a String| -> anyhow::Result<Filter<'a>> {
        let (key, value) = word
            .split_once('=')
            .with_context(|| format!("invalid filter {word:?}: expected NAME=VALUE"))?;
        let label = |wanted| match value.split_once('=') {
            Some((key, value)) => Filter::Label(key, Some(value), wanted),
            None => Filter::Label(value, None, wanted),
        };
        let switch = || match boolean(value) {
            Ok(switch) => Ok(switch),
            Err(_) => bail!("invalid filter {word:?}: expected true or false"),
        };
        match key {
            key if !known.contains(&key) => {
                bail!("invalid filter {key:?}: {} are there", known.join(", "))
            }
            "dangling" => Ok(Filter::Dangling(switch()?)),
            "all" => Ok(Filter::All(switch()?)),
            "driver" => Ok(Filter::Driver(value)),
            "label!" => Ok(label(false)),
            "label" => Ok(label(true)),
            _ => {
                let text = value.trim_start_matches('^').trim_end_matches('$');
                match text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
                {
                    true => Ok(Filter::Name(value)),
                    false => bail!(
                        "invalid filter {word:?}: give a part of the name, with ^ and $ for its ends; other patterns are \
                         not supported"
                    ),
                }
            }
        }
    };
    words.iter().map(filter).collect()
}

#[derive(Debug, Args)]
struct Inspect {
    /// json, or a template such as '{{.Mountpoint}}'; each volume on a line of its own
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
        "Options": null,
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
    let filters = filters(&words.filter, &["all", "label", "label!"])?;
    let all = words.all || filters.iter().any(|f| matches!(f, Filter::All(true)));
    let which = if all { "all" } else { "anonymous" };
    let warning = format!(
        "WARNING! This will remove {which} local volumes not used by at least one container."
    );
    if !words.force && !is_sure(&warning)? {
        bail!("volume prune has been cancelled");
    }
    let users = engine.volume_users()?;
    let mut unused = engine.volumes()?;
    unused.retain(|volume| {
        // What a damaged container may have is refused by name, below.
        !users.has(&volume.name)
            && (all || volume.is_anonymous())
            && filters.iter().all(|filter| filter.fits(volume))
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
    if !removed.is_empty() {
        println!("Deleted Volumes:\n{}\n", removed.join("\n"));
    }
    println!("Total reclaimed space: {}", table::size(bytes));
    Ok(ExitCode::SUCCESS)
}

fn is_sure(warning: &str) -> anyhow::Result<bool> {
    print!("{warning}\nAre you sure you want to continue? [y/N] ");
    stdout().flush()?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}
