//! A container's place on one network: names, links, addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::network::{Attachment, is_user_defined};
use crate::api::{EndpointIpam, EndpointSettings};

/// What `network connect` says about a container's place on `network`.
pub fn wanted(
    network: &str,
    (address, address_v6): (&str, &str),
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
        address_v6: address_v6.to_owned(),
        mac: String::new(),
    })?;
    check(network, &settings)?;
    Ok(settings)
}

/// As Docker's API has it.
pub(super) fn settings(network: &Attachment) -> Result<EndpointSettings, String> {
    if network.target.trim().is_empty() {
        return Err("no name set for network".to_owned());
    }
    if !is_user_defined(&network.target) && !network.aliases.is_empty() {
        return Err(
            "network-scoped aliases are only supported for user-defined networks".to_owned(),
        );
    }
    if !network.mac.is_empty() && !is_mac(&network.mac) {
        return Err(format!("{} is not a valid mac address", network.mac));
    }
    let ipam = EndpointIpam {
        ipv4_address: network.address.clone(),
        ipv6_address: network.address_v6.clone(),
    };
    Ok(EndpointSettings {
        aliases: network.aliases.clone(),
        links: network.links.clone(),
        ipam_config: (ipam != EndpointIpam::default()).then_some(ipam),
        mac_address: network.mac.clone(),
    })
}

/// What Docker's daemon says about it.
pub(super) fn check(network: &str, settings: &EndpointSettings) -> Result<(), String> {
    if let Some(ipam) = &settings.ipam_config {
        if !is_user_defined(network) {
            return Err(
                "user specified IP address is supported on user defined networks only".to_owned(),
            );
        }
        let (v4, v6) = (&ipam.ipv4_address, &ipam.ipv6_address);
        if !v4.is_empty() && v4.parse::<Ipv4Addr>().is_err() {
            return Err(format!("invalid IPv4 address: {v4}"));
        }
        if !v6.is_empty() && v6.parse::<Ipv6Addr>().is_err() {
            return Err(format!("invalid IPv6 address: {v6}"));
        }
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

/// `name` or `name:alias`, as the latter.
pub(super) fn link(text: &str) -> Result<String, String> {
    match text.split(':').collect::<Vec<_>>()[..] {
        [""] => Err("empty string specified for links".to_owned()),
        [_] | [_, _] => Ok(text.to_owned()),
        _ => Err(format!("bad format for links: {text}")),
    }
}
