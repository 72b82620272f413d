//! What one container has on one network, and what a network was built as.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::address::{Addresses, Pool};
use super::forwarding::Hosts;
use super::ports::PublishedPort;
use super::state::VERSION;
use super::{Attachment, DEFAULT};

/// What one container has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    version: u32,
    pub(super) id: String,
    /// The process whose namespace has the other end.
    pub(super) pid: i32,
    pub(super) hostname: String,
    /// The host's end of its veth pair.
    pub(super) link: String,
    /// All ports that the container asked for, so that a restart with the same wishes gets the same ports.
    pub(super) wanted: Vec<PublishedPort>,
    /// Whether the ports lead to it.
    pub(super) published: bool,
    pub(super) attachment: Attachment,
    /// What other containers on the network call it.
    #[serde(default)]
    pub(super) names: Vec<String>,
    /// What it calls others: their names, and its own words for them.
    #[serde(default)]
    pub(super) links: Vec<(String, String)>,
    /// Number of the container's end: `eth0` and so on.
    #[serde(default)]
    pub(super) interface: u8,
    /// Whether the container's default route leads here.
    #[serde(default = "yes")]
    pub(super) route: bool,
    /// The same for IPv6.
    #[serde(default)]
    pub(super) route_v6: bool,
}

impl Lease {
    pub(super) fn new(
        join: &super::Join,
        attachment: Attachment,
        interface: u8,
        (route, route_v6): (bool, bool),
    ) -> Lease {
        // Of its own for each address and process, so that it cannot be in the way of a successor while the kernel
        // still removes it; pids have 22 bits, so it is short enough for an interface.
        let mut link = format!("veth{:04x}{:06x}", attachment.ip.to_bits() as u16, join.pid);
        if interface > 0 {
            // On another network it may well have the same last two bytes.
            link += &format!("{interface:x}");
        }
        Lease {
            version: VERSION,
            id: join.id.to_owned(),
            pid: join.pid,
            hostname: join.hostname.to_owned(),
            link,
            wanted: join.ports.to_vec(),
            published: join.publish,
            attachment,
            names: join.names.to_vec(),
            links: join.links.to_vec(),
            interface,
            route,
            route_v6,
        }
    }

    pub(super) fn is(&self, id: &str, network: &str) -> bool {
        self.id == id && self.attachment.network == network
    }

    /// Of its file.
    pub(super) fn file_name(&self) -> String {
        match self.attachment.network.as_str() {
            DEFAULT => self.id.clone(),
            // Names of networks can be as long as a file name.
            _ => format!("{}@{}", self.id, self.attachment.bridge),
        }
    }
}

/// Files of earlier versions know the default network only.
fn default_network() -> String {
    DEFAULT.to_owned()
}

fn yes() -> bool {
    true
}

/// What a network was built as. It stays so until it is taken down, whatever the settings say meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Built {
    pub(super) version: u32,
    #[serde(default = "default_network")]
    pub(super) network: String,
    pub(super) bridge: String,
    pub(super) pool: Pool,
    /// The bridge's own address; by default the first of the pool.
    #[serde(default)]
    pub(super) gateway: Option<Ipv4Addr>,
    /// Where containers get their addresses from; by default anywhere in the pool.
    #[serde(default)]
    pub(super) range: Option<Pool>,
    /// Its IPv6 addresses, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) v6: Option<Addresses<Ipv6Addr>>,
    /// Nothing passes between this network and the world outside.
    #[serde(default)]
    pub(super) internal: bool,
    /// Longest packet; by default the kernel's choice.
    #[serde(default)]
    pub(super) mtu: Option<u32>,
    /// Containers do not reach each other; nor by published ports, where bridged packets go through the firewall.
    #[serde(default)]
    pub(super) apart: bool,
    /// What containers send to the world outside keeps their addresses.
    #[serde(default)]
    pub(super) bare: bool,
    /// Forwarding was off before and goes off again.
    pub(super) forwarding_enabled: bool,
    /// IPv6 forwarding was off before and goes off again; then the host's interfaces are to be as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hosts: Option<Hosts>,
    /// Whether the firewall table has its rules for certain.
    #[serde(default = "yes")]
    pub(super) ruled: bool,
}

impl Built {
    pub(super) fn new(network: &str, bridge: &str, pool: Pool) -> Built {
        Built {
            version: VERSION,
            network: network.to_owned(),
            bridge: bridge.to_owned(),
            pool,
            gateway: None,
            range: None,
            v6: None,
            internal: false,
            mtu: None,
            apart: false,
            bare: false,
            forwarding_enabled: false,
            hosts: None,
            ruled: false,
        }
    }

    pub(super) fn gateway(&self) -> Ipv4Addr {
        self.gateway.unwrap_or_else(|| self.pool.gateway())
    }

    /// Its IPv4 addresses.
    pub(super) fn v4(&self) -> Addresses<Ipv4Addr> {
        Addresses {
            subnet: self.pool,
            gateway: self.gateway(),
            range: self.range,
        }
    }

    /// Its file.
    pub(super) fn path(&self, dir: &Path) -> PathBuf {
        match self.network.as_str() {
            DEFAULT => dir.join("network.json"),
            name => dir.join("built").join(name),
        }
    }
}
