//! `dray network`: bridges that people make.

mod connect;
mod create;
pub mod inspect;
mod ls;
pub mod shown;

use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use dray::engine::Engine;
use dray::engine::network::NetworkError;
use dray::engine::network::defined::Definition;

use super::filter::{Filters, is_older};
use super::{Context, ask, each, prune};

#[derive(Debug, Args)]
pub struct Words {
    #[command(subcommand)]
    word: Word,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Make a network, a bridge of its own
    Create(Box<create::Words>),
    /// List networks
    #[command(visible_alias = "list")]
    Ls(ls::Words),
    /// Print everything about networks as JSON
    Inspect(inspect::Words),
    /// Remove networks that no running container is on
    #[command(visible_alias = "remove")]
    Rm(Rm),
    /// Remove all networks that no container is to be on, running or not
    Prune(Prune),
    /// Put a container on another network, running or not
    Connect(connect::Words),
    /// Take a container off a network, running or not
    Disconnect(connect::Off),
    /// Give running containers this device's name servers of now, and their firewall rules back
    ///
    /// To be called when /etc/resolv.conf has changed or somebody has emptied the firewall; dray-names.path does the former
    /// where systemd runs, elsewhere a hook of the DHCP client. A container that changed its file itself keeps it.
    Reload,
}

#[derive(Debug, Args)]
struct Rm {
    /// One that does not exist is no failure
    #[arg(short, long)]
    force: bool,
    /// Names or ids
    #[arg(required = true)]
    networks: Vec<String>,
}

#[derive(Debug, Args)]
struct Prune {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// label=KEY[=VALUE], label!=KEY[=VALUE] or until=TIME, several times
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

/// `dray network`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = match &words.word {
        Word::Ls(_) | Word::Inspect(_) => context.engine_to_look()?,
        _ => context.engine()?,
    };
    match &words.word {
        Word::Create(words) => create::run(&engine, words),
        Word::Ls(words) => ls::run(&engine, words),
        Word::Inspect(words) => inspect::run(&engine, words),
        Word::Rm(words) => Ok(rm(&engine, words)),
        Word::Prune(words) => prune(context, &engine, words),
        Word::Connect(words) => connect::run(&engine, words),
        Word::Disconnect(words) => connect::off(&engine, words),
        Word::Reload => reload(&engine),
    }
}

/// The rules have been looked at when the engine was opened.
fn reload(engine: &Engine) -> anyhow::Result<ExitCode> {
    for name in engine.follow_name_servers()? {
        println!("{name}");
    }
    Ok(ExitCode::SUCCESS)
}

fn rm(engine: &Engine, words: &Rm) -> ExitCode {
    each(&words.networks, |word| {
        match engine.network().remove(word) {
            Err(NetworkError::NotFound(_)) if words.force => Ok(()),
            other => Ok(other.map(drop)?),
        }
    })
}

fn prune(context: &Context<'_>, engine: &Engine, words: &Prune) -> anyhow::Result<ExitCode> {
    let filters = Filters::parse(&words.filter, &["label", "label!", "until"])?;
    let until = filters.until(context)?;
    if !words.force {
        ask(
            "network",
            "all custom networks not used by at least one container",
        )?;
    }
    let removed = remove_unused(engine, &filters, until)?;
    prune::list("Networks", &removed);
    Ok(ExitCode::SUCCESS)
}

/// Removes networks that no container is to be on; their names.
pub fn remove_unused(
    engine: &Engine,
    filters: &Filters<'_>,
    until: Option<SystemTime>,
) -> anyhow::Result<Vec<String>> {
    Ok(engine.prune_networks(&|network: &Definition| {
        filters.fit_labels(&network.labels) && is_older(&network.created, until)
    })?)
}
