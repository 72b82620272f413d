//! `dray network`: bridges that people make.

mod create;
mod inspect;
mod ls;
mod shown;

use std::process::ExitCode;

use anyhow::bail;
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
    #[command(hide = true)]
    Connect(Later),
    #[command(hide = true)]
    Disconnect(Later),
}

/// Docker's words that are not built yet, whatever follows them.
#[derive(Debug, Args)]
struct Later {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _words: Vec<String>,
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
        Word::Connect(_) | Word::Disconnect(_) => bail!(
            "changing the networks of a container that exists is not built yet; make it anew with one --network for each"
        ),
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
