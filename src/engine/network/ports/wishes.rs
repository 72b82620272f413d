//! Which ports a container's configuration asks for.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::super::NONE;
use super::{EVERY_V4, EVERY_V6, PortError, Protocol, PublishedPort};
use crate::api::{CreateBody, PortBinding};
use crate::runargs::port;

/// The ports that a container's configuration asks for, `-P` included (then with the image's exposed ports, each as
/// `80/tcp`). As with Docker, none in the network modes `host` and `none`, where publishing has no meaning.
pub fn from_body<'a>(
    body: &'a CreateBody,
    image_exposed: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<PublishedPort>, PortError> {
    let mode = body.host_config.network_mode.as_str();
    if mode == "host" || mode == NONE {
        return Ok(Vec::new());
    }
    let published = wished(body, image_exposed)?;
    match mode.starts_with("container:") && !published.is_empty() {
        true => Err(PortError::Shared(mode.to_owned())),
        false => Ok(published),
    }
}

/// The same whatever its mode: one that was made without a network can be put on one later.
pub fn wished<'a>(
    body: &'a CreateBody,
    image_exposed: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<PublishedPort>, PortError> {
    let host = &body.host_config;
    let mut published = Vec::new();
    for (text, bindings) in &host.port_bindings {
        let (protocol, ports) = container_ports(text)?;
        for binding in bindings {
            add_binding(&mut published, protocol, &ports, binding)?;
        }
    }
    if host.publish_all_ports {
        let exposed = body.config.exposed_ports.keys().map(String::as_str);
        for text in exposed.chain(image_exposed) {
            let (protocol, ports) = container_ports(text)?;
            add_exposed(&mut published, protocol, ports);
        }
    }
    Ok(in_order(published))
}

/// The ports that a container is said to listen on, as `80/tcp`; what cannot be read as one is as it is written.
pub fn exposed(body: &CreateBody) -> impl Iterator<Item = String> {
    let written = body.config.exposed_ports.keys();
    written.flat_map(|text| match container_ports(text) {
        Ok((protocol, ports)) => ports.map(|port| format!("{port}/{protocol}")).collect(),
        Err(_) => vec![text.clone()],
    })
}

/// Those of them that are published where a container's way outside leads in IPv4, in IPv6, in both or in neither: a port
/// that is wanted on every host address is on those of each kind.
pub fn on(wishes: &[PublishedPort], (v4, v6): (bool, bool)) -> Vec<PublishedPort> {
    let place = |wish: &PublishedPort| {
        let host_ip = match (wish.host_ip, v4, v6) {
            (None, true, true) => None,
            (None, true, false) => Some(EVERY_V4),
            (None, false, true) => Some(EVERY_V6),
            (Some(address), ..) if v4 && address.is_ipv4() || v6 && address.is_ipv6() => {
                Some(address)
            }
            _ => return None,
        };
        Some(PublishedPort { host_ip, ..*wish })
    };
    wishes.iter().filter_map(place).collect()
}

/// Refuses wishes for IPv6 addresses of a container that is on these networks, none of which has any.
pub fn check_v4_only(wishes: &[PublishedPort], networks: &[&str]) -> Result<(), PortError> {
    let mut addresses = wishes.iter().filter_map(|wish| wish.host_ip);
    match addresses.find(IpAddr::is_ipv6) {
        None => Ok(()),
        Some(address) => Err(PortError::NoV6 {
            address,
            networks: networks.iter().map(|name| (*name).to_owned()).collect(),
        }),
    }
}

/// By container port.
fn in_order(published: Vec<PublishedPort>) -> Vec<PublishedPort> {
    let key = |port: &PublishedPort| (port.container_port, port.protocol);
    let mut sorted: Vec<PublishedPort> = Vec::with_capacity(published.len());
    for port in published {
        let place = sorted.partition_point(|other| key(other) <= key(&port));
        sorted.insert(place, port);
    }
    sorted
}

fn add_binding(
    published: &mut Vec<PublishedPort>,
    protocol: Protocol,
    ports: &RangeInclusive<u16>,
    binding: &PortBinding,
) -> Result<(), PortError> {
    let host_ip = host_ip(&binding.host_ip)?;
    let host_ports = match binding.host_port.as_str() {
        "" | "0" => None,
        text => Some(range(text, text)?),
    };
    let count = |range: &RangeInclusive<u16>| range.end() - range.start();
    let paired = count(ports) > 0;
    if let Some(host_ports) = host_ports.as_ref().filter(|_| paired)
        && count(host_ports) != count(ports)
    {
        return Err(PortError::Invalid {
            text: format!("{}:{}", binding.host_port, show(ports)),
            reason: "the two ranges have different lengths",
        });
    }
    for container_port in ports.clone() {
        // One container port may choose from a range; several take theirs in order.
        let host_ports = host_ports.as_ref().map(|range| {
            let own = range.start() + (container_port - ports.start());
            if paired {
                (own, own)
            } else {
                (*range.start(), *range.end())
            }
        });
        published.push(PublishedPort {
            protocol,
            container_port,
            host_ip,
            host_ports,
        });
    }
    Ok(())
}

/// Publishes exposed ports on free host ports, unless they are published already.
fn add_exposed(published: &mut Vec<PublishedPort>, protocol: Protocol, ports: RangeInclusive<u16>) {
    for container_port in ports {
        let known = published
            .iter()
            .any(|p| p.protocol == protocol && p.container_port == container_port);
        if !known {
            published.push(PublishedPort {
                protocol,
                container_port,
                host_ip: None,
                host_ports: None,
            });
        }
    }
}

/// `80/tcp`, `80`, `8000-8010/udp`.
fn container_ports(text: &str) -> Result<(Protocol, RangeInclusive<u16>), PortError> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => {
            return Err(PortError::Invalid {
                text: text.to_owned(),
                reason: "the protocol is none of tcp, udp, sctp",
            });
        }
    };
    Ok((protocol, range(ports, text)?))
}

fn range(ports: &str, whole: &str) -> Result<RangeInclusive<u16>, PortError> {
    let invalid = |reason| PortError::Invalid {
        text: whole.to_owned(),
        reason,
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let number = |text: &str| {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|port| digits && *port != 0)
            .ok_or_else(|| invalid("a port is a number from 1 to 65535"))
    };
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(invalid("the range ends before it starts"));
    }
    Ok(first..=last)
}

fn host_ip(text: &str) -> Result<Option<IpAddr>, PortError> {
    let invalid = |reason| PortError::Invalid {
        text: text.to_owned(),
        reason,
    };
    match text.trim_matches(['[', ']']).parse() {
        _ if text.is_empty() => Ok(None),
        Ok(address) => match port::unpublishable(address) {
            Some(reason) => Err(invalid(reason)),
            None => Ok(Some(address)),
        },
        Err(_) => Err(invalid("not an IP address")),
    }
}

fn show(range: &RangeInclusive<u16>) -> String {
    format!("{}-{}", range.start(), range.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Empty;

    fn binding(host_ip: &str, host_port: &str) -> PortBinding {
        PortBinding {
            host_ip: host_ip.to_owned(),
            host_port: host_port.to_owned(),
        }
    }

    fn ask(key: &str, host_ip: &str, host_port: &str) -> Result<Vec<String>, String> {
        let mut body = CreateBody::default();
        let bindings = vec![binding(host_ip, host_port)];
        body.host_config
            .port_bindings
            .insert(key.to_owned(), bindings);
        from_body(&body, [])
            .map(|ports| ports.iter().map(describe).collect())
            .map_err(|error| error.to_string())
    }

    fn describe(port: &PublishedPort) -> String {
        let host = port.host_ports.map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        });
        format!(
            "{}:{}:{}/{}",
            port.host_ip.map_or("*".to_owned(), |ip| ip.to_string()),
            host.unwrap_or("?".to_owned()),
            port.container_port,
            port.protocol
        )
    }

    #[test]
    fn bindings() {
        for (key, ip, host, wanted) in [
            ("80/tcp", "", "8080", &["*:8080:80/tcp"][..]),
            ("80/tcp", "[::]", "8080", &[":::8080:80/tcp"]),
            ("80/tcp", "fd00::5", "8080", &["fd00::5:8080:80/tcp"]),
            ("80", "0.0.0.0", "80", &["0.0.0.0:80:80/tcp"]),
            ("53/udp", "127.0.0.1", "53", &["127.0.0.1:53:53/udp"]),
            ("9/SCTP", "10.0.0.5", "", &["10.0.0.5:?:9/sctp"]),
            ("80/tcp", "", "0", &["*:?:80/tcp"]),
            ("80/tcp", "", "8000-8010", &["*:8000-8010:80/tcp"]),
            (
                "80-82/tcp",
                "",
                "8080-8082",
                &["*:8080:80/tcp", "*:8081:81/tcp", "*:8082:82/tcp"],
            ),
            ("80-81/tcp", "", "", &["*:?:80/tcp", "*:?:81/tcp"]),
            ("65535/tcp", "", "65535", &["*:65535:65535/tcp"]),
        ] {
            assert_eq!(ask(key, ip, host).unwrap(), wanted, "{key} {ip} {host}");
        }
    }

    #[test]
    fn bad_bindings_name_the_text() {
        for (key, ip, host, wanted) in [
            (
                "x/tcp",
                "",
                "1",
                "invalid published port \"x/tcp\": a port is a number from 1 to 65535",
            ),
            (
                "0/tcp",
                "",
                "1",
                "invalid published port \"0/tcp\": a port is a number from 1 to 65535",
            ),
            (
                "80/icmp",
                "",
                "1",
                "invalid published port \"80/icmp\": the protocol is none of tcp, udp, sctp",
            ),
            (
                "80/tcp",
                "",
                "65536",
                "invalid published port \"65536\": a port is a number from 1 to 65535",
            ),
            (
                "80/tcp",
                "",
                "+80",
                "invalid published port \"+80\": a port is a number from 1 to 65535",
            ),
            (
                "80/tcp",
                "",
                "90-80",
                "invalid published port \"90-80\": the range ends before it starts",
            ),
            (
                "80-82/tcp",
                "",
                "80-81",
                "invalid published port \"80-81:80-82\": the two ranges have different lengths",
            ),
            (
                "80-82/tcp",
                "",
                "80",
                "invalid published port \"80:80-82\": the two ranges have different lengths",
            ),
            (
                "80/tcp",
                "localhost",
                "80",
                "invalid published port \"localhost\": not an IP address",
            ),
            (
                "80/tcp",
                "[::1]",
                "80",
                "invalid published port \"[::1]\": the kernel passes nothing on from ::1, and no process of dray's stays to do it; use 127.0.0.1",
            ),
            (
                "80/tcp",
                "fe80::1",
                "80",
                "invalid published port \"fe80::1\": the kernel passes nothing on from link-local addresses; use [::] or a global one",
            ),
        ] {
            assert_eq!(ask(key, ip, host), Err(wanted.to_owned()));
        }
    }

    #[test]
    fn publish_all_takes_exposed_ports_that_have_no_binding() {
        let mut body = CreateBody::default();
        body.host_config.publish_all_ports = true;
        body.host_config
            .port_bindings
            .insert("80/tcp".to_owned(), vec![binding("", "8080")]);
        for port in ["80/tcp", "443/tcp"] {
            body.config.exposed_ports.insert(port.to_owned(), Empty {});
        }
        let ports = from_body(&body, ["53/udp", "443/tcp", "9000-9001"]).unwrap();
        let ports: Vec<String> = ports.iter().map(describe).collect();
        assert_eq!(
            ports,
            [
                "*:?:53/udp",
                "*:8080:80/tcp",
                "*:?:443/tcp",
                "*:?:9000/tcp",
                "*:?:9001/tcp"
            ]
        );
    }

    #[test]
    fn modes_without_a_bridge_publish_nothing() {
        for (mode, wanted) in [
            ("", Ok(1)),
            ("bridge", Ok(1)),
            ("host", Ok(0)),
            ("none", Ok(0)),
            (
                "container:db",
                Err(
                    "published ports do not go together with network mode container:db: publish them there",
                ),
            ),
        ] {
            let mut body = CreateBody::default();
            body.host_config.network_mode = mode.to_owned();
            body.host_config
                .port_bindings
                .insert("80/tcp".to_owned(), vec![binding("", "8080")]);
            let ports = from_body(&body, [])
                .map(|p| p.len())
                .map_err(|e| e.to_string());
            assert_eq!(ports, wanted.map_err(str::to_owned), "{mode}");
        }
    }
}
