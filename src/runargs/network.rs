//! `--network` with what belongs to it.

use std::collections::BTreeMap;

use super::RunArgsError;
use super::csv;
use super::draft::Draft;
use super::endpoint;
use crate::api::EndpointSettings;

/// Networks that exist without having been made.
const BUILT_IN: [&str; 4] = ["default", "bridge", "host", "none"];

/// One `--network`.
#[derive(Default)]
pub(super) struct Attachment {
    /// `bridge`, `host`, `none`, `container:NAME` or a network's name.
    pub(super) target: String,
    /// Further names there.
    pub(super) aliases: Vec<String>,
    /// Others by its own names: `name:alias`.
    pub(super) links: Vec<String>,
    /// IPv4 address.
    pub(super) address: String,
    /// IPv6 address.
    pub(super) address_v6: String,
    /// Hardware address.
    pub(super) mac: String,
}

/// `name`, or `name=…,key=value,…`.
pub(super) fn parse(text: &str) -> Result<Attachment, String> {
    let mut network = Attachment::default();
    if !is_long(text) {
        network.target = text.to_owned();
        return Ok(network);
    }
    for field in csv::fields(text)? {
        let lower = field.to_lowercase();
        let (key, value) = lower
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("invalid field {field}"))?;
        let value = value.trim().to_owned();
        match key.trim() {
            "name" => network.target = value,
            "alias" => network.aliases.push(value),
            "ip" => network.address = value,
            "ip6" => network.address_v6 = value,
            "mac-address" => network.mac = value,
            key @ ("link-local-ip" | "driver-opt" | "gw-priority") => {
                return Err(format!(
                    "{key} is not supported by dray: a container has one address of each kind on each network, and its way \
                     outside is the first one that has one; leave it out"
                ));
            }
            key => return Err(format!("invalid field key {key}")),
        }
    }
    match network.target.is_empty() {
        true => Err("network name/id is not specified".to_owned()),
        false => Ok(network),
    }
}

/// A word character on both sides of an equals sign makes it the long form.
fn is_long(text: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    text.as_bytes()
        .windows(3)
        .any(|three| word(&three[0]) && three[1] == b'=' && word(&three[2]))
}

/// Whether somebody has to have made it.
pub(super) fn is_user_defined(target: &str) -> bool {
    !BUILT_IN.contains(&target) && !target.starts_with("container:")
}

/// Places the network; runs after ports and names are in place, because some networks exclude them.
pub(super) fn place(draft: &mut Draft<'_>) -> Result<(), RunArgsError> {
    let own = std::mem::take(&mut draft.own);
    let mut networks = std::mem::take(&mut draft.networks);
    let given = networks.len();
    if networks.is_empty() {
        networks.push(Attachment {
            target: "default".to_owned(),
            ..Attachment::default()
        });
    }
    let links = own.links.clone();
    merge(&mut networks[0], own)?;
    let mut endpoints = BTreeMap::new();
    for (number, network) in networks.iter().enumerate() {
        let settings = endpoint::settings(network)?;
        let same = |other: &Attachment| other.target == network.target;
        if networks[..number].iter().any(same) {
            let twice = format!("network {:?} is specified multiple times", network.target);
            return Err(twice.into());
        }
        // One network without wishes is in the network mode already.
        if given > 1 || settings != EndpointSettings::default() {
            endpoints.insert(network.target.clone(), settings);
        }
    }
    let user_defined = networks
        .iter()
        .filter(|n| is_user_defined(&n.target))
        .count();
    if user_defined > 0 && user_defined < networks.len() {
        return Err(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
                .to_owned()
                .into(),
        );
    }
    let alone =
        |target: &str| matches!(target, "host" | "none") || target.starts_with("container:");
    if let Some(one) = networks.iter().find(|n| given > 1 && alone(&n.target)) {
        return Err(format!(
            "conflicting options: network {} goes together with no other",
            one.target
        )
        .into());
    }
    let target = networks.swap_remove(0).target;
    if let Some(owner) = target.strip_prefix("container:") {
        if owner.is_empty() {
            return Err("--network container: names no container".to_owned().into());
        }
        check_container_mode(draft)?;
    }
    check_endpoints(&target, &endpoints, !links.is_empty())?;
    draft.host().links = links;
    draft.host().network_mode = target;
    draft.args.body.networking_config.endpoints_config = endpoints;
    Ok(())
}

/// The options that say something about the first network, where its long form does not.
fn merge(first: &mut Attachment, own: Attachment) -> Result<(), String> {
    let conflict = |option: &str, kind: &str| {
        Err(format!(
            "conflicting options: cannot specify both --{option} and per-network {kind}"
        ))
    };
    if !first.aliases.is_empty() && !own.aliases.is_empty() {
        return conflict("network-alias", "alias");
    }
    if !first.address.is_empty() && !own.address.is_empty() {
        return conflict("ip", "IPv4 address");
    }
    if !first.address_v6.is_empty() && !own.address_v6.is_empty() {
        return conflict("ip6", "IPv6 address");
    }
    if !first.mac.is_empty() && !own.mac.is_empty() {
        return conflict("mac-address", "MAC address");
    }
    first.aliases.extend(own.aliases);
    if is_user_defined(&first.target) {
        first.links = own.links;
    }
    first.address += &own.address;
    first.address_v6 += &own.address_v6;
    first.mac += &own.mac;
    Ok(())
}

/// What Docker's daemon says about the wishes.
fn check_endpoints(
    target: &str,
    endpoints: &BTreeMap<String, EndpointSettings>,
    links: bool,
) -> Result<(), String> {
    let shared = matches!(target, "host" | "none") || target.starts_with("container:");
    if shared && links {
        return Err(format!(
            "conflicting options: --link and the network mode {target}"
        ));
    }
    for (name, settings) in endpoints {
        if shared && !settings.mac_address.is_empty() {
            return Err("conflicting options: mac-address and the network mode".to_owned());
        }
        endpoint::check(name, settings)?;
    }
    Ok(())
}

/// What a container cannot have of its own when it shares another one's network.
fn check_container_mode(draft: &Draft<'_>) -> Result<(), String> {
    let config = &draft.args.body.config;
    let host = &draft.args.body.host_config;
    for (given, what) in [
        (!config.hostname.is_empty(), "hostname and the network mode"),
        (!host.dns.is_empty(), "dns and the network mode"),
        (
            !host.extra_hosts.is_empty(),
            "custom host-to-IP mapping and the network mode",
        ),
        (
            !host.port_bindings.is_empty() || host.publish_all_ports,
            "port publishing and the container type network mode",
        ),
        (
            !config.exposed_ports.is_empty(),
            "port exposing and the container type network mode",
        ),
    ] {
        if given {
            return Err(format!("conflicting options: {what}"));
        }
    }
    Ok(())
}
