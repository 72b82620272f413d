//! `dray network connect` and `dray network disconnect`

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use dray::engine::Engine;
use dray::runargs::network;

#[derive(Debug, Args)]
pub struct Words {
    /// Its address there
    #[arg(long, default_value = "")]
    ip: String,
    /// Further names of it for the others
    #[arg(long)]
    alias: Vec<String>,
    /// CONTAINER[:NAME]: another one there, under a name of its own for it
    #[arg(long)]
    link: Vec<String>,
    #[command(flatten)]
    refused: Refused,
    /// Name or id
    network: String,
    /// Name or id
    container: String,
}

/// Docker's other options, so that each can be refused with its reason.
#[derive(Debug, Args)]
struct Refused {
    #[arg(long, hide = true)]
    ip6: Option<String>,
    #[arg(long, hide = true)]
    link_local_ip: Vec<String>,
    #[arg(long, hide = true)]
    driver_opt: Vec<String>,
    #[arg(long, hide = true)]
    gw_priority: Option<String>,
}

impl Refused {
    fn check(&self) -> anyhow::Result<()> {
        for (given, option, reason) in [
            (
                self.ip6.is_some(),
                "ip6",
                "containers have IPv4 addresses only",
            ),
            (
                !self.link_local_ip.is_empty(),
                "link-local-ip",
                "a container has one address on each network",
            ),
            (
                !self.driver_opt.is_empty(),
                "driver-opt",
                "bridges have none",
            ),
            (
                self.gw_priority.is_some(),
                "gw-priority",
                "the way outside is the first network that has one",
            ),
        ] {
            if given {
                bail!("option --{option} is not supported by dray: {reason}; leave it out");
            }
        }
        Ok(())
    }
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
    words.refused.check()?;
    let settings = network::endpoint(&words.network, &words.ip, &words.alias, &words.link)
        .map_err(anyhow::Error::msg)?;
    let container = engine.find(&words.container)?;
    engine.connect(container.id(), &words.network, settings)?;
    Ok(ExitCode::SUCCESS)
}

/// `dray network disconnect`
pub fn off(engine: &Engine, words: &Off) -> anyhow::Result<ExitCode> {
    let container = engine.find(&words.container)?;
    engine.disconnect(container.id(), &words.network)?;
    Ok(ExitCode::SUCCESS)
}
