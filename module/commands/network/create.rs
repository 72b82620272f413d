//! `dray network create`

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use clap::{ArgAction, Args};
use dray::engine::Engine;
use dray::engine::network::make::{Asked, Wish};
use dray::engine::network::{Address, Within};
use dray::runargs::value::boolean;

use crate::commands::filter::labels;

#[derive(Debug, Args)]
pub struct Words {
    name: String,
    /// Addresses, such as 10.5.0.0/24, and once more for IPv6; those that collide with nothing unless given
    #[arg(long)]
    subnet: Vec<String>,
    /// The host's address on it; the subnet's first one unless given
    #[arg(long)]
    gateway: Vec<String>,
    /// Part of the subnet that containers get their addresses from
    #[arg(long)]
    ip_range: Vec<String>,
    /// IPv6 too
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    ipv6: bool,
    /// IPv4, which each network has; false is refused
    #[arg(long, hide_default_value = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    ipv4: bool,
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
}

/// `dray network create`
pub fn run(engine: &Engine, words: &Words) -> anyhow::Result<ExitCode> {
    if !words.ipv4 {
        bail!("option --ipv4=false is not supported by dray: each network has IPv4; leave it out");
    }
    if words.driver != "bridge" {
        bail!(
            "network driver {} is not supported by dray: bridge is the only one",
            words.driver
        );
    }
    let network = engine.create_network(Wish {
        name: words.name.clone(),
        v4: asked(words, false)?,
        v6: asked_of_v6(words)?,
        internal: words.internal,
        labels: labels(&words.label)?,
        options: pairs(&words.opt),
        ..Wish::default()
    })?;
    println!("{}", network.id);
    Ok(ExitCode::SUCCESS)
}

/// What is asked for in one version of IP.
fn asked<A>(words: &Words, v6: bool) -> anyhow::Result<Asked<A>>
where
    A: FromStr<Err: std::error::Error + Send + Sync + 'static> + Address,
{
    Ok(Asked {
        // Any address of it stands for it, as with Docker.
        subnet: one::<Within<A>>("--subnet", &words.subnet, v6)?.map(|within| within.0),
        gateway: one("--gateway", &words.gateway, v6)?,
        range: one("--ip-range", &words.ip_range, v6)?,
    })
}

fn asked_of_v6(words: &Words) -> anyhow::Result<Option<Asked<Ipv6Addr>>> {
    if words.ipv6 {
        return asked(words, true).map(Some);
    }
    let all = [&words.subnet, &words.gateway, &words.ip_range];
    match all.into_iter().flatten().find(|text| text.contains(':')) {
        Some(text) => bail!("{text} is of IPv6, which the network has only with --ipv6"),
        None => Ok(None),
    }
}

/// The only value of an option that is of this version of IP, if there is one.
fn one<T>(option: &str, texts: &[String], v6: bool) -> anyhow::Result<Option<T>>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let mut here = texts.iter().filter(|text| text.contains(':') == v6);
    let first = here.next();
    if let Some(second) = here.next() {
        bail!("{option} {second} is a second one: a network has one subnet of each kind");
    }
    let parse = |text: &String| {
        let invalid = || format!("invalid {option} {text:?}");
        text.parse().with_context(invalid)
    };
    first.map(parse).transpose()
}

fn pairs(words: &[String]) -> BTreeMap<String, String> {
    let split = |word: &String| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        (name.to_owned(), value.to_owned())
    };
    words.iter().map(split).collect()
}
