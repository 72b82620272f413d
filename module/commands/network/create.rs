//! `dray network create`

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use dray::engine::Engine;
use dray::engine::network::Pool;
use dray::engine::network::make::Wish;

#[derive(Debug, Args)]
pub struct Words {
    name: String,
    /// Addresses, such as 10.5.0.0/24; one that collides with nothing unless given
    #[arg(long)]
    subnet: Option<String>,
    /// The host's address on it; the subnet's first one unless given
    #[arg(long)]
    gateway: Option<Ipv4Addr>,
    /// Part of the subnet that containers get their addresses from
    #[arg(long)]
    ip_range: Option<String>,
    /// Nothing passes between the network and the world outside
    #[arg(long)]
    internal: bool,
    /// NAME=VALUE
    #[arg(long)]
    label: Vec<String>,
    /// com.docker.network.bridge.name=NAME, com.docker.network.driver.mtu=BYTES,
    /// com.docker.network.bridge.enable_icc=BOOL or …enable_ip_masquerade=BOOL
    #[arg(short, long)]
    opt: Vec<String>,
    /// bridge
    #[arg(short, long, default_value = "bridge")]
    driver: String,
    #[arg(long, hide = true)]
    ipv6: bool,
}

/// `dray network create`
pub fn run(engine: &Engine, words: &Words) -> anyhow::Result<ExitCode> {
    if words.ipv6 {
        bail!("option --ipv6 is not supported by dray: containers have IPv4 addresses only");
    }
    if words.driver != "bridge" {
        bail!(
            "network driver {} is not supported by dray: bridge is the only one",
            words.driver
        );
    }
    let network = engine.create_network(Wish {
        name: words.name.clone(),
        subnet: pool("--subnet", words.subnet.as_deref())?,
        gateway: words.gateway,
        range: pool("--ip-range", words.ip_range.as_deref())?,
        internal: words.internal,
        labels: pairs(&words.label),
        options: pairs(&words.opt),
        ..Wish::default()
    })?;
    println!("{}", network.id);
    Ok(ExitCode::SUCCESS)
}

fn pool(option: &str, text: Option<&str>) -> anyhow::Result<Option<Pool>> {
    let parse = |text: &str| {
        text.parse()
            .with_context(|| format!("invalid {option} {text:?}"))
    };
    text.map(parse).transpose()
}

fn pairs(words: &[String]) -> BTreeMap<String, String> {
    let split = |word: &String| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        (name.to_owned(), value.to_owned())
    };
    words.iter().map(split).collect()
}
