//! `dray network`: bridges that people make.

mod connect;
mod create;
mod inspect;
mod ls;
mod shown;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use dray::engine::Engine;
use dray::engine::network::NetworkError;

use super::{Context, each};

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
    /// Nobody is ever asked; taken because docker's needs it
    #[arg(short, long)]
    force: bool,
}

/// `dray network`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = context.engine()?;
    match &words.word {
        Word::Create(words) => create::run(&engine, words),
        Word::Ls(words) => ls::run(&engine, words),
        Word::Inspect(words) => inspect::run(&engine, words),
        Word::Rm(words) => Ok(rm(&engine, words)),
        Word::Prune(_) => prune(&engine),
        Word::Connect(words) => connect::run(&engine, words),
        Word::Disconnect(words) => connect::off(&engine, words),
    }
}

fn rm(engine: &Engine, words: &Rm) -> ExitCode {
    each(&words.networks, |word| {
        match engine.network().remove(word) {
            Err(NetworkError::NotFound(_)) if words.force => Ok(()),
            other => Ok(other.map(drop)?),
        }
    })
}

fn prune(engine: &Engine) -> anyhow::Result<ExitCode> {
    let removed = engine.prune_networks()?;
    if !removed.is_empty() {
        println!("Deleted Networks:\n{}\n", removed.join("\n"));
    }
    Ok(ExitCode::SUCCESS)
}
