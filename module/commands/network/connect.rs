//! `dray network connect` and `dray network disconnect`

use std::process::ExitCode;

use clap::Args;
use dray::engine::Engine;
use dray::runargs::endpoint;

use super::super::with;

#[derive(Debug, Args)]
pub struct Words {
    /// Its address there
    #[arg(long, default_value = "")]
    ip: String,
    /// Its IPv6 address there
    #[arg(long, default_value = "")]
    ip6: String,
    /// Further names of it for the others
    #[arg(long)]
    alias: Vec<String>,
    /// CONTAINER[:NAME]: another one there, under a name of its own for it
    #[arg(long)]
    link: Vec<String>,
    /// Name or id
    network: String,
    /// Name or id
    container: String,
}

#[derive(Debug, Args)]
pub struct Off {
    /// Taken because docker has it; nothing stands in the way of a disconnection
    #[arg(short, long)]
    force: bool,
    /// Name or id
    network: String,
    /// Name or id
    container: String,
}

/// `dray network connect`
pub fn run(engine: &Engine, words: &Words) -> anyhow::Result<ExitCode> {
    let settings = endpoint::wanted(
        &words.network,
        (&words.ip, &words.ip6),
        &words.alias,
        &words.link,
    )
    .map_err(anyhow::Error::msg)?;
    with(engine, &words.container, |found| {
        engine.connect(found.id(), &words.network, settings)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// `dray network disconnect`
pub fn off(engine: &Engine, words: &Off) -> anyhow::Result<ExitCode> {
    with(engine, &words.container, |found| {
        engine.disconnect(found.id(), &words.network)?;
        Ok(ExitCode::SUCCESS)
    })
}
