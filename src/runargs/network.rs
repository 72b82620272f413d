//! `--network` with what belongs to it.

use std::collections::BTreeMap;

use super::RunArgsError;
use super::csv;
use super::draft::Draft;
use crate::api::{EndpointIpam, EndpointSettings};

/// Networks that exist without having been made.
const BUILT_IN: [&str; 4] = ["default", "bridge", "host", "none"];

/// One `--network`.
#[derive(Default)]
pub(super) struct Attachment {
    /// `bridge`, `host`, `none`, `container:NAME` or a network's name.
    target: String,
    /// Further names there.
    pub(super) aliases: Vec<String>,
    /// Others by its own names: `name:alias`.
    pub(super) links: Vec<String>,
    /// IPv4 address.
    pub(super) address: String,
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
            "mac-address" => network.mac = value,
            key @ ("ip6" | "link-local-ip" | "driver-opt" | "gw-priority") => {
                return Err(format!(
                    "{key} is not supported by dray: a container has one IPv4 address on each network, and its way outside \
                     is the first one that has one; leave it out"
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

/// `name` or `name:alias`, as the latter.
pub(super) fn link(text: &str) -> Result<String, String> {
    match text.split(':').collect::<Vec<_>>()[..] {
        [""] => Err("empty string specified for links".to_owned()),
        [_] | [_, _] => Ok(text.to_owned()),
        _ => Err(format!("bad format for links: {text}")),
    }
}

/// A word character on both sides of an equals sign makes it the long form.
fn is_long(text: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    text.as_bytes()
        .windows(3)
        .any(|three| word(&three[0]) && three[1] == b'=' && word(&three[2]))
}

fn is_user_defined(target: &str) -> bool {
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
        let settings = settings(network)?;
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
    if !first.mac.is_empty() && !own.mac.is_empty() {
        return conflict("mac-address", "MAC address");
    }
    first.aliases.extend(own.aliases);
    if is_user_defined(&first.target) {
        first.links = own.links;
    }
    first.address += &own.address;
    first.mac += &own.mac;
    Ok(())
}

/// What `network connect` says about a container's place on `network`.
pub fn endpoint(
    network: &str,
    address: &str,
    aliases: &[String],
    links: &[String],
) -> Result<EndpointSettings, String> {
    if !is_user_defined(network) && !links.is_empty() {
        return Err("links are only supported for user-defined networks".to_owned());
    }
    let links: Result<Vec<String>, String> = links.iter().map(|text| link(text)).collect();
    let settings = settings(&Attachment {
        target: network.to_owned(),
        aliases: aliases.to_vec(),
        links: links?,
        address: address.to_owned(),
        mac: String::new(),
    })?;
    check_settings(network, &settings)?;
    Ok(settings)
}

fn settings(network: &Attachment) -> Result<EndpointSettings, String> {
    if network.target.trim().is_empty() {
        return Err("no name set for network".to_owned());
    }
    if !is_user_defined(&network.target) && !network.aliases.is_empty() {
        return Err(
            "network-scoped aliases are only supported for user-defined networks".to_owned(),
        );
    }
    let address = network.address.clone();
    if !network.mac.is_empty() && !is_mac(&network.mac) {
        return Err(format!("{} is not a valid mac address", network.mac));
    }
    Ok(EndpointSettings {
        aliases: network.aliases.clone(),
        links: network.links.clone(),
        ipam_config: (!address.is_empty()).then_some(EndpointIpam {
            ipv4_address: address,
        }),
        mac_address: network.mac.clone(),
    })
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
        check_settings(name, settings)?;
    }
    Ok(())
}

fn check_settings(network: &str, settings: &EndpointSettings) -> Result<(), String> {
    if let Some(ipam) = &settings.ipam_config {
        if !is_user_defined(network) {
            return Err(
                "user specified IP address is supported on user defined networks only".to_owned(),
            );
        }
        let text = &ipam.ipv4_address;
        text.parse::<std::net::Ipv4Addr>()
            .map_err(|_| format!("invalid IPv4 address: {text}"))?;
    }
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '#';
    let aliases = settings
        .links
        .iter()
        .filter_map(|link| link.split(':').next_back());
    for alias in settings.aliases.iter().map(String::as_str).chain(aliases) {
        if alias.is_empty() || alias.len() > 255 || alias.contains(bad) {
            return Err(format!(
                "invalid network alias {alias:?}: a host name is expected"
            ));
        }
    }
    Ok(())
}

/// Six bytes in hexadecimal.
fn is_mac(text: &str) -> bool {
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    [':', '-'].iter().any(|separator| {
        let parts: Vec<&str> = text.split(*separator).collect();
        parts.len() == 6 && parts.iter().all(|part| digits(part))
    })
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
