//! Ports of containers, as lists show them.

use dray::engine::Container;
use dray::engine::network::{Attachment, docker_ports};

/// A port that a container listens on, and where on the host it is to be found, if anywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Inside the container.
    pub private: u16,
    /// Address and port of the host; the address is empty for a port that is only exposed.
    pub public: (String, u16),
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// The ports of a container, of those that all have.
pub fn of(attachments: &[(String, Attachment)], container: &Container) -> Vec<Port> {
    let own = attachments.iter().filter(|(id, _)| id == container.id());
    let own = own.map(|(_, attachment)| attachment);
    let mut ports = Vec::new();
    for (text, bindings) in docker_ports(own, &container.record.body) {
        let Some((Ok(private), protocol)) = text.split_once('/').map(|(p, t)| (p.parse(), t))
        else {
            continue;
        };
        let port = |public| Port {
            private,
            public,
            protocol: protocol.to_owned(),
        };
        match bindings {
            None => ports.push(port((String::new(), 0))),
            Some(bindings) => ports.extend(
                bindings
                    .into_iter()
                    .filter_map(|b| Some(port((b.host_ip, b.host_port.parse().ok()?)))),
            ),
        }
    }
    ports.sort();
    ports
}

/// Ports that follow each other, shown as one.
struct Group<'a> {
    address: &'a str,
    protocol: &'a str,
    first: u16,
    last: u16,
}

/// `0.0.0.0:7000-7002->7000-7002/tcp, 7003/tcp`, as docker has it: those that are the same on the host together, then the
/// others one by one.
pub fn shown(ports: &[Port]) -> String {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let (mut closed, mut moved) = (Vec::new(), Vec::new());
    for port in ports {
        let (address, public) = (port.public.0.as_str(), port.public.1);
        if !address.is_empty() && public != port.private {
            let place = place(address, &public.to_string());
            moved.push(format!("{place}->{}/{}", port.private, port.protocol));
            continue;
        }
        let same = |group: &&mut Group<'_>| {
            (group.address, group.protocol) == (address, port.protocol.as_str())
        };
        match groups.iter_mut().find(same) {
            Some(group) if u32::from(port.private) == u32::from(group.last) + 1 => {
                group.last = port.private;
            }
            Some(group) => {
                closed.push(group.text());
                (group.first, group.last) = (port.private, port.private);
            }
            None => groups.push(Group {
                address,
                protocol: &port.protocol,
                first: port.private,
                last: port.private,
            }),
        }
    }
    closed.extend(groups.iter().map(Group::text));
    closed.append(&mut moved);
    closed.join(", ")
}

impl Group<'_> {
    fn text(&self) -> String {
        let ports = match self.first == self.last {
            true => self.first.to_string(),
            false => format!("{}-{}", self.first, self.last),
        };
        match self.address {
            "" => format!("{ports}/{}", self.protocol),
            address => format!("{}->{ports}/{}", place(address, &ports), self.protocol),
        }
    }
}

/// An address with ports, as people write it.
pub fn place(address: &str, ports: &str) -> String {
    match address.contains(':') {
        true => format!("[{address}]:{ports}"),
        false => format!("{address}:{ports}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What docker's client 28.2.2 prints for the same ports.
    #[test]
    fn ports_that_follow_each_other_are_shown_as_one() {
        let port = |text: &str| {
            let (front, protocol) = text.split_once('/').unwrap();
            let (public, private) = front.split_once('>').unwrap_or(("", front));
            let (address, public) = public.rsplit_once(':').unwrap_or(("", "0"));
            Port {
                private: private.parse().unwrap(),
                public: (address.to_owned(), public.parse().unwrap()),
                protocol: protocol.to_owned(),
            }
        };
        for (ports, wanted) in [
            ("", ""),
            ("80/tcp", "80/tcp"),
            ("80/tcp 90/udp 91/udp 92/udp", "80/tcp, 90-92/udp"),
            ("80/tcp 82/tcp", "80/tcp, 82/tcp"),
            ("80/tcp 80/udp 81/tcp 81/udp", "80-81/tcp, 80-81/udp"),
            ("0.0.0.0:8080>80/tcp 81/tcp", "81/tcp, 0.0.0.0:8080->80/tcp"),
            (":::8080>80/tcp", "[::]:8080->80/tcp"),
            (
                "0.0.0.0:7000>7000/tcp :::7000>7000/tcp 0.0.0.0:7001>7001/tcp :::7001>7001/tcp 7002/tcp",
                "0.0.0.0:7000-7001->7000-7001/tcp, [::]:7000-7001->7000-7001/tcp, 7002/tcp",
            ),
            (
                "0.0.0.0:1>1/tcp 0.0.0.0:3>3/tcp 65535/tcp",
                "0.0.0.0:1->1/tcp, 0.0.0.0:3->3/tcp, 65535/tcp",
            ),
        ] {
            let mut ports: Vec<Port> = ports.split_whitespace().map(port).collect();
            ports.sort();
            assert_eq!(shown(&ports), wanted, "{ports:?}");
        }
    }
}
