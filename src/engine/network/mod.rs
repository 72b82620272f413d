//! The default network: a bridge of our own with NAT and published ports.

pub mod address;
pub mod names;
pub mod ports;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::api::PortBinding;
use crate::host::Host;

pub use address::{Mac, Subnet};
pub use ports::{BoundPort, Protocol, PublishedPort};

/// Name and addresses of the bridge network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSettings {
    /// Name of the bridge interface.
    pub bridge: String,
    /// Its addresses; the first is the bridge's own.
    pub subnet: Subnet,
}

/// A container that joins the network.
#[derive(Debug, Clone, Copy)]
pub struct Join<'a> {
    /// Its id.
    pub id: &'a str,
    /// A process in its network namespace.
    pub pid: i32,
    /// Its host name.
    pub hostname: &'a str,
    /// Ports to publish, now or later.
    pub ports: &'a [PublishedPort],
    /// Whether the ports lead to this container at once; `false` for one that waits for its switch.
    pub publish: bool,
    /// Hardware address asked for; by default it follows from the address.
    pub mac: Option<Mac>,
}

/// What a container got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The network's name: `bridge`.
    pub network: String,
    /// The container's address.
    pub ip: Ipv4Addr,
    /// Length of the network part of the address.
    pub prefix: u8,
    /// Default route, and the host as the container sees it.
    pub gateway: Ipv4Addr,
    /// Hardware address of the container's eth0.
    pub mac: Mac,
    /// Bridge interface on the host.
    pub bridge: String,
    /// Published ports, each with its host port.
    pub ports: Vec<BoundPort>,
}

impl Attachment {
    /// `NetworkSettings.Ports` of Docker's inspect: published ports by container port.
    pub fn docker_ports(&self) -> BTreeMap<String, Vec<PortBinding>> {
        let mut ports: BTreeMap<String, Vec<PortBinding>> = BTreeMap::new();
        for port in &self.ports {
            ports
                .entry(format!("{}/{}", port.container_port, port.protocol))
                .or_default()
                .push(PortBinding {
                    host_ip: port.host_ip.to_string(),
                    host_port: port.host_port.to_string(),
                });
        }
        ports
    }
}

/// Why something about the network failed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// This build cannot do it yet.
    #[error("bridge network {0:?} is not built yet")]
    NotBuilt(String),
    /// Ports cannot be published.
    #[error(transparent)]
    Port(#[from] ports::PortError),
}

/// The bridge network of one run folder.
#[derive(Debug)]
pub struct Network {
    dir: PathBuf,
    settings: NetworkSettings,
}

impl Network {
    /// The network of this host; touches nothing.
    pub fn open(host: &Host, settings: &NetworkSettings) -> Result<Network, NetworkError> {
        Ok(Network {
            dir: host.run.join("network"),
            settings: settings.clone(),
        })
    }

    /// The bridge's address, which is also what `host-gateway` stands for.
    pub fn gateway(&self) -> Ipv4Addr {
        self.settings.subnet.gateway()
    }

    /// Whether these ports could be published now if the containers `ignoring` gave theirs up.
    pub fn check(&self, _ports: &[PublishedPort], _ignoring: &[&str]) -> Result<(), NetworkError> {
        self.not_built()
    }

    /// Gives the container an address, an eth0 and its host ports. Again for the same id (a restart): the same address
    /// and ports in the new namespace.
    pub fn attach(&self, _join: &Join) -> Result<Attachment, NetworkError> {
        self.not_built()
    }

    /// Leads the ports of the containers `on` to them and those of `off` nowhere, in one transaction.
    pub fn publish(&self, _on: &[&str], _off: &[&str]) -> Result<(), NetworkError> {
        self.not_built()
    }

    /// Takes back everything that the container got; nothing to take back is success.
    pub fn detach(&self, _id: &str) -> Result<(), NetworkError> {
        self.not_built()
    }

    /// Makes the kernel's state follow the leases of the containers `live`, and removes the others.
    pub fn settle(&self, _live: &[&str]) -> Result<(), NetworkError> {
        self.not_built()
    }

    fn not_built<T>(&self) -> Result<T, NetworkError> {
        Err(NetworkError::NotBuilt(self.dir.display().to_string()))
    }
}
