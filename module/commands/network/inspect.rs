//! `dray network inspect`

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use dray::engine::Engine;
use dray::engine::network::{Address, Addresses, DEFAULT};
use serde_json::{Map, Value, json};

use super::shown::{self, Shown};
use crate::commands::template::Shape;

#[derive(Debug, Args)]
pub struct Words {
    /// Names or ids
    #[arg(required = true)]
    networks: Vec<String>,
    /// json (in one line), or a template such as '{{.Driver}}', filled in on a line of its own for each
    #[arg(short, long, default_value = "", hide_default_value = true)]
    format: Shape,
}

/// `dray network inspect`
pub fn run(engine: &Engine, words: &Words) -> anyhow::Result<ExitCode> {
    let (mut found, mut code) = (Vec::new(), ExitCode::SUCCESS);
    for word in &words.networks {
        match shown::find(engine, word).and_then(|network| document(engine, &network)) {
            Ok(document) => found.push(document),
            Err(error) => {
                eprintln!("dray: {error:#}");
                code = ExitCode::FAILURE;
            }
        }
    }
    words.format.print_documents(found)?;
    Ok(code)
}

/// Docker's inspect document.
pub fn document(engine: &Engine, network: &Shown) -> anyhow::Result<Value> {
    let made = network.definition.as_ref();
    let mut containers = json!({});
    for (id, name, attachment) in engine.network().members(&network.name)? {
        let v6 = attachment.v6.map(|v6| format!("{}/{}", v6.ip, v6.prefix));
        containers[id] = json!({
            "Name": name,
            "MacAddress": attachment.mac,
            "IPv4Address": format!("{}/{}", attachment.ip, attachment.prefix),
            "IPv6Address": v6.unwrap_or_default(),
        });
    }
    let subnets = match made {
        Some(made) => {
            let v4 = addresses(&made.v4());
            json!(
                [v4].into_iter()
                    .chain(made.v6.as_ref().map(addresses))
                    .collect::<Vec<_>>()
            )
        }
        None if network.name == DEFAULT => {
            let (pool, gateway) = engine.network().default_addresses()?;
            json!([{ "Subnet": pool.to_string(), "Gateway": gateway }])
        }
        None => json!([]),
    };
    let mut document: Map<String, Value> = Map::new();
    for (key, text) in [
        ("Name", &network.name[..]),
        ("Id", &network.id),
        (
            "Created",
            made.map_or("0001-01-01T00:00:00Z", |made| &made.created),
        ),
        ("Scope", "local"),
        ("Driver", network.driver),
    ] {
        document.insert(key.to_owned(), text.into());
    }
    for (key, flag) in [
        ("EnableIPv4", true),
        ("EnableIPv6", made.is_some_and(|made| made.v6.is_some())),
        ("Internal", made.is_some_and(|made| made.internal)),
        ("Attachable", false),
        ("Ingress", false),
        ("ConfigOnly", false),
    ] {
        document.insert(key.to_owned(), flag.into());
    }
    let none = BTreeMap::new();
    let texts = |texts: &BTreeMap<String, String>| json!(texts);
    for (key, part) in [
        (
            "IPAM",
            json!({ "Driver": "default", "Options": {}, "Config": subnets }),
        ),
        ("ConfigFrom", json!({ "Network": "" })),
        ("Containers", containers),
        ("Options", texts(made.map_or(&none, |made| &made.options))),
        ("Labels", texts(made.map_or(&none, |made| &made.labels))),
    ] {
        document.insert(key.to_owned(), part);
    }
    Ok(document.into())
}

fn addresses<A: Address>(addresses: &Addresses<A>) -> Value {
    let mut config = json!({
        "Subnet": addresses.subnet.to_string(),
        "Gateway": addresses.gateway.to_string(),
    });
    if let Some(range) = addresses.range {
        config["IPRange"] = json!(range.to_string());
    }
    config
}
