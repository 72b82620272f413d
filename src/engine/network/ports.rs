//! Published ports: as they are asked for ([`from_body`] reads a container's configuration), as they were got, and why not.

mod wishes;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::sys::port::Transport;

pub use wishes::{check_v4_only, exposed, from_body, on, wished};

/// Transport protocols whose ports can be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The same as sockets know it.
    pub(super) fn transport(self) -> Transport {
        match self {
            Protocol::Tcp => Transport::Tcp,
            Protocol::Udp => Transport::Udp,
            Protocol::Sctp => Transport::Sctp,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

/// Every address of the host, of each kind.
const EVERY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const EVERY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// A port as it was asked for: one container port, and the host ports it may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port inside the container.
    pub container_port: u16,
    /// Host address; `0.0.0.0` and `::` mean every one of their kind, `None` every one that leads to the container.
    pub host_ip: Option<IpAddr>,
    /// Lowest and highest host port to take; `None` means a free one of the ephemeral range.
    pub host_ports: Option<(u16, u16)>,
}

impl PublishedPort {
    /// This port with the host port it got: the same one in both versions of IP.
    pub(super) fn at(&self, host_port: u16) -> impl Iterator<Item = BoundPort> {
        let (first, second) = match self.host_ip {
            Some(address) => (address, None),
            None => (EVERY_V4, Some(EVERY_V6)),
        };
        let (protocol, container_port) = (self.protocol, self.container_port);
        [first]
            .into_iter()
            .chain(second)
            .map(move |host_ip| BoundPort {
                protocol,
                container_port,
                host_ip,
                host_port,
            })
    }
}

/// A port as it is published: exactly one host port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPort {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port inside the container.
    pub container_port: u16,
    /// Host address; `0.0.0.0` and `::` mean every one of their kind.
    pub host_ip: IpAddr,
    /// Port on the host.
    pub host_port: u16,
}

impl BoundPort {
    /// Whether the two cannot be published at the same time.
    pub(super) fn collides(&self, other: &BoundPort) -> bool {
        self.protocol == other.protocol
            && self.host_port == other.host_port
            && self.host_ip.is_ipv4() == other.host_ip.is_ipv4()
            && (self.host_ip == other.host_ip
                || self.host_ip.is_unspecified()
                || other.host_ip.is_unspecified())
    }
}

impl fmt::Display for BoundPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            IpAddr::V4(address) if address.is_unspecified() => {}
            IpAddr::V4(address) => write!(f, "{address}:")?,
            IpAddr::V6(address) => write!(f, "[{address}]:")?,
        }
        write!(f, "{}/{}", self.host_port, self.protocol)
    }
}

/// The networks as what a sentence is about.
fn have(networks: &[String]) -> String {
    match networks {
        [one] => format!("network {one} has"),
        all => format!("networks {} have", all.join(", ")),
    }
}

/// Why ports cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// A text of the container's configuration does not say a port.
    #[error("invalid published port {text:?}: {reason}")]
    Invalid {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An IPv6 address for a container that has none.
    #[error(
        "ports cannot be published on {address}: {} IPv4 addresses only; publish on one of those, or make a network with \
         --ipv6",
        have(networks)
    )]
    NoV6 {
        /// The address.
        address: IpAddr,
        /// The container's networks.
        networks: Vec<String>,
    },
    /// Published ports without a network of the container's own.
    #[error("published ports do not go together with network mode {0}: publish them there")]
    Shared(String),
    /// Somebody else has the port.
    #[error("port {port} is already in use by {holder}")]
    Taken {
        /// The port.
        port: BoundPort,
        /// Who has it.
        holder: String,
    },
    /// The same port is asked for more than once.
    #[error("port {port} is published twice")]
    Twice {
        /// The port.
        port: BoundPort,
    },
    /// Somebody else has each port of the range.
    #[error("no port from {first} to {last}/{protocol} is free on this host")]
    NoneFree {
        /// Lowest port that was tried.
        first: u16,
        /// Highest port that was tried.
        last: u16,
        /// Its protocol.
        protocol: Protocol,
    },
    /// The host address is not one of this host's.
    #[error("failed to publish port {port}: {} is no address of this host", port.host_ip)]
    ForeignAddress {
        /// The port.
        port: BoundPort,
    },
    /// The host's own programs could not be asked.
    #[error("failed to try whether port {port} is free: {source}")]
    Probe {
        /// The port.
        port: BoundPort,
        /// The kernel's reason.
        source: io::Error,
    },
}
