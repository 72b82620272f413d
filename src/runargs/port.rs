//! `--publish` and `--expose`: ports, ranges, protocols, host addresses.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::draft::Draft;
use crate::api::{Empty, PortBinding};

/// Protocols that can be published.
const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// Places published ports, which are exposed too, then the exposed ones.
pub(super) fn place(draft: &mut Draft<'_>) -> Result<(), String> {
    for text in std::mem::take(&mut draft.publish) {
        for (port, binding) in parse(&standard(&text)?)? {
            draft.config().exposed_ports.insert(port.clone(), Empty {});
            draft
                .host()
                .port_bindings
                .entry(port)
                .or_default()
                .push(binding);
        }
    }
    for text in std::mem::take(&mut draft.expose) {
        if text.contains(':') {
            return Err(format!("invalid port format for --expose: {text}"));
        }
        let (protocol, ports) = split_protocol(&text);
        let ports = range(ports).map_err(|error| {
            format!("invalid range format for --expose: {text}, error: {error}")
        })?;
        for port in ports {
            draft
                .config()
                .exposed_ports
                .insert(format!("{port}/{protocol}"), Empty {});
        }
    }
    Ok(())
}

/// `published=8080,target=80,protocol=udp` as `8080:80/udp`.
fn standard(text: &str) -> Result<String, String> {
    if !text.contains('=') {
        return Ok(text.to_owned());
    }
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("published", value)) => published = value,
            Some(("target", value)) => target = value,
            Some(("protocol", value)) => protocol = value,
            // Docker's client reads other names too and forgets them.
            Some((name, _)) if name != "mode" && !name.is_empty() => {
                return Err(format!(
                    "invalid publish opts: {name:?} is not published, target or protocol"
                ));
            }
            Some(("mode", _)) => {}
            _ => {
                return Err(format!(
                    "invalid publish opts format (should be name=value but got '{part}')"
                ));
            }
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

/// `[[address:][host ports]:]ports[/protocol]`.
fn parse(text: &str) -> Result<Vec<(String, PortBinding)>, String> {
    let (front, container) = text.rsplit_once(':').unwrap_or(("", text));
    let (address, host) = match front.rsplit_once(':') {
        Some((address, host)) => (address, host),
        None => ("", front),
    };
    let address = address_of(address)?;
    let (protocol, container) = split_protocol(container);
    if container.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let ports = range(container).map_err(|_| format!("invalid containerPort: {container}"))?;
    let hosts = match host {
        "" => None,
        host => Some(range(host).map_err(|_| format!("invalid hostPort: {host}"))?),
    };
    let protocol = protocol.to_lowercase();
    let single = ports.start() == ports.end();
    if let Some(hosts) = &hosts
        && !single
        && hosts.end() - hosts.start() != ports.end() - ports.start()
    {
        return Err(format!(
            "invalid ranges specified for container and host Ports: {container} and {host}"
        ));
    }
    if !PROTOCOLS.contains(&protocol.as_str()) {
        return Err(format!("invalid proto: {protocol}"));
    }
    let first = *ports.start();
    let bound = |port: u16| {
        let host_port = match &hosts {
            None => String::new(),
            // One port for a range of host ports: any free one of them.
            Some(hosts) if single && hosts.start() != hosts.end() => {
                format!("{}-{}", hosts.start(), hosts.end())
            }
            Some(hosts) => (hosts.start() + (port - first)).to_string(),
        };
        let binding = PortBinding {
            host_ip: address.clone(),
            host_port,
        };
        (format!("{port}/{protocol}"), binding)
    };
    Ok(ports.map(bound).collect())
}

fn address_of(text: &str) -> Result<String, String> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(|| {
            format!("invalid IP address {text}: address {text}:: missing ']' in address")
        })?,
        None => text,
    };
    if !bare.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {bare}"));
    }
    Ok(bare.to_owned())
}

/// Why no port of this host address can lead to a container.
pub fn unpublishable(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V6(address) if address.is_loopback() => Some(
            "the kernel passes nothing on from ::1, and no process of dray's stays to do it; use 127.0.0.1",
        ),
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            Some("the kernel passes nothing on from link-local addresses; use [::] or a global one")
        }
        _ => None,
    }
}

/// Protocol and ports of `ports[/protocol]`; tcp if none is given.
fn split_protocol(text: &str) -> (&str, &str) {
    let mut parts = text.split('/');
    let ports = parts.next().unwrap_or_default();
    match parts.next() {
        Some(protocol) if !protocol.is_empty() => (protocol, ports),
        _ => ("tcp", ports),
    }
}

/// The container ports that `80`, `8000-8010`, `53/udp` and the like mean, and their protocol.
pub fn several(text: &str) -> Result<(RangeInclusive<u16>, String), String> {
    let (protocol, ports) = split_protocol(text);
    let protocol = protocol.to_lowercase();
    match PROTOCOLS.contains(&protocol.as_str()) {
        true => Ok((range(ports)?, protocol)),
        false => Err(format!("invalid proto: {protocol}")),
    }
}

/// `80` or `8000-8010`.
fn range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let number = |digits: &str| -> Result<u16, String> {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        match digits.parse() {
            Ok(port) if plain => Ok(port),
            Err(_) if plain => Err(format!(
                "strconv.ParseUint: parsing {digits:?}: value out of range"
            )),
            _ => Err(format!(
                "strconv.ParseUint: parsing {digits:?}: invalid syntax"
            )),
        }
    };
    if text.is_empty() {
        return Err("empty string specified for ports".to_owned());
    }
    let (first, last) = match text.split_once('-') {
        // Docker's client looks at the first two parts only; a third one is a mistake all the same.
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    if last < first {
        return Err(format!("invalid range specified for port: {text}"));
    }
    Ok(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_published_ports() {
        for (text, expected) in [
            ("80", "80/tcp=:"),
            ("8080:80", "80/tcp=:8080"),
            (":80", "80/tcp=:"),
            ("80/UDP", "80/udp=:"),
            ("127.0.0.1::53/udp", "53/udp=127.0.0.1:"),
            ("[::1]:8080:80", "80/tcp=::1:8080"),
            ("::1:8080:80", "80/tcp=::1:8080"),
            ("8000-8002:80-82", "80/tcp=:8000 81/tcp=:8001 82/tcp=:8002"),
            ("8000-8010:80", "80/tcp=:8000-8010"),
            ("published=8080,target=80", "80/tcp=:8080"),
            ("target=80,protocol=udp,mode=host", "80/udp=:"),
        ] {
            let parsed = standard(text).and_then(|text| parse(&text)).unwrap();
            let shown: Vec<_> = parsed
                .iter()
                .map(|(port, b)| format!("{port}={}:{}", b.host_ip, b.host_port))
                .collect();
            assert_eq!(shown.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_port() {
        for (text, error) in [
            ("", "no port specified: <empty>"),
            ("8080:", "no port specified: 8080:<empty>"),
            ("x", "invalid containerPort: x"),
            ("65536", "invalid containerPort: 65536"),
            ("x:80", "invalid hostPort: x"),
            ("+1:80", "invalid hostPort: +1"),
            ("80/icmp", "invalid proto: icmp"),
            ("1.2.3:1:2", "invalid IP address: 1.2.3"),
            (
                "[::1:80:80",
                "invalid IP address [::1: address [::1:: missing ']' in address",
            ),
            ("host:80:80", "invalid IP address: host"),
            (
                "1-3:80-81",
                "invalid ranges specified for container and host Ports: 80-81 and 1-3",
            ),
            ("90-80", "invalid containerPort: 90-80"),
            ("1-2-3", "invalid containerPort: 1-2-3"),
            ("target", "invalid containerPort: target"),
            (
                "target=80,",
                "invalid publish opts format (should be name=value but got '')",
            ),
            (
                "target=80,host=1",
                "invalid publish opts: \"host\" is not published, target or protocol",
            ),
        ] {
            let refused = standard(text).and_then(|text| parse(&text)).unwrap_err();
            assert_eq!(refused, error, "{text}");
        }
    }
}
