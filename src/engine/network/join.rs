//! What a container brings to a network, and what it gets there.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::mac::Mac;
use super::ports::{BoundPort, PublishedPort, exposed};
use crate::api::{CreateBody, PortBinding};

/// A container that joins the network.
#[derive(Debug, Clone, Copy)]
pub struct Join<'a> {
    /// Its id.
    pub id: &'a str,
    /// A process in its network namespace.
    pub pid: i32,
    /// The network that it joins.
    pub network: &'a str,
    /// The address that it insists on.
    pub address: Option<Ipv4Addr>,
    /// The IPv6 address that it insists on.
    pub address_v6: Option<Ipv6Addr>,
    /// Its host name.
    pub hostname: &'a str,
    /// What others on the network call it, its own name first.
    pub names: &'a [String],
    /// Names of others, and what it calls them itself.
    pub links: &'a [(String, String)],
    /// Ports to publish, now or later, on the networks that are its way outside.
    pub ports: &'a [PublishedPort],
    /// Whether its ports and names lead to this container at once; `false` for one that waits for its switch.
    pub publish: bool,
    /// Containers that it replaces, whose ports are therefore no obstacle.
    pub replacing: &'a [&'a str],
    /// Hardware address asked for; by default it follows from the address.
    pub mac: Option<Mac>,
}

/// What a container got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The network's name: `bridge` or that of a user-defined one.
    pub network: String,
    /// The container's address.
    pub ip: Ipv4Addr,
    /// Length of the network part of the address.
    pub prefix: u8,
    /// Default route, and the host as the container sees it.
    pub gateway: Ipv4Addr,
    /// The same of IPv6, if the network has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v6: Option<AddressV6>,
    /// Hardware address of the container's interface.
    pub mac: Mac,
    /// Bridge interface on the host.
    pub bridge: String,
    /// Published ports, each with its host port.
    pub ports: Vec<BoundPort>,
}

/// What a container got of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressV6 {
    /// Its address.
    pub ip: Ipv6Addr,
    /// Length of the network part of the address.
    pub prefix: u8,
    /// Default route.
    pub gateway: Ipv6Addr,
}

impl Attachment {
    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let v6 = self.v6.as_ref().map(|v6| v6.ip.into());
        [self.ip.into()].into_iter().chain(v6)
    }

    /// The container's address that a port on the host leads to.
    pub(super) fn target(&self, port: &BoundPort) -> Option<IpAddr> {
        match port.host_ip {
            IpAddr::V4(_) => Some(self.ip.into()),
            IpAddr::V6(_) => self.v6.as_ref().map(|v6| v6.ip.into()),
        }
    }
}

/// `NetworkSettings.Ports` of Docker's inspect, by container port: where a container has published it on all its networks;
/// nothing for one that it only exposes. One that is on no network has no ports.
pub fn docker_ports<'a>(
    attachments: impl IntoIterator<Item = &'a Attachment>,
    body: &CreateBody,
) -> BTreeMap<String, Option<Vec<PortBinding>>> {
    let mut attachments = attachments.into_iter().peekable();
    let mut ports: BTreeMap<String, Option<Vec<PortBinding>>> = BTreeMap::new();
    if attachments.peek().is_some() {
        ports.extend(exposed(body).map(|port| (port, None)));
    }
    for port in attachments.flat_map(|there| &there.ports) {
        ports
            .entry(format!("{}/{}", port.container_port, port.protocol))
            .or_default()
            .get_or_insert_default()
            .push(PortBinding {
                host_ip: port.host_ip.to_string(),
                host_port: port.host_port.to_string(),
            });
    }
    ports
}
