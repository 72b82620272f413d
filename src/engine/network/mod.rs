//! Networks: bridges of our own, one veth pair for each container on them, NAT and published ports. One of them is there
//! by default, others are made by people ([`defined`]).
//!
//! [`Network::attach`] gives a container its address and an interface, [`Network::publish`] says to which containers the
//! published ports lead, [`Network::leave`] takes back what it has on one network, [`Network::detach`] everything. What
//! exists is written down before it is made ([`leases`]), so that after a kill at any point [`Network::settle`] finishes or
//! undoes it. The firewall table follows from the leases ([`table`]); each change of it is one transaction. With its last
//! container a network's bridge goes, and with the last one of all everything: table, forwarding if it was off before. A
//! monitor whose container has ended keeps them for a second ([`Network::keep`]): making and removing them takes the kernel
//! longer than everything else together.
//!
//! Published ports answer on every IPv4 address of the host, 127.0.0.1 included, and to containers that go through the
//! host's address. Nothing listens on them: the kernel translates. Ports that are not published cannot be reached from
//! outside, even by a neighbour who knows the container's address.
//!
//! Networks that were made with IPv6 have it beside IPv4: a second table for its rules, ports that answer on the host's IPv6
//! addresses too. Two kinds of these do not: `::1`, whose answers the kernel takes from the loopback interface only, and
//! link-local ones, whose packets it does not pass on. The two are apart: a container's ports of each are where its way
//! outside leads in that, which can be two networks. The default bridge has IPv4 only; without IPv6 on any network a
//! container has it on its loopback interface only.
//!
//! Containers on a user-defined network find each other by name, through their hosts files ([`peers`]).
//!
//! Beside other firewalls:
//!
//! - Docker's rules and ours meet nowhere, iptables-nft or legacy: each side's NAT takes only its own ports, and a port
//!   that Docker publishes is in use by its proxy, which is noticed. Kernels before 4.18 have one NAT user only, so
//!   bridge mode is refused there while iptables has NAT rules.
//! - A packet has to be accepted by every table. Where another one drops what it does not know (Docker's `FORWARD`
//!   policy, a host firewall with `policy drop` on forward), no accept of ours helps; [`Network::obstacles`] names such
//!   chains of nf_tables, those of legacy iptables cannot be seen cheaply. The remedy is a rule there, such as
//!   `iptables -I DOCKER-USER -i dray0 -j ACCEPT` and the same with `-o`.
//! - With `net.bridge.bridge-nf-call-iptables=1` the same holds for packets between containers.
//! - Who flushes all rules takes ours along; the next change or settling brings them back.
//! - Enabling forwarding makes a host with several interfaces route between them unless its own firewall objects.

pub mod address;
mod asked;
mod attach;
mod bind;
mod bridge;
mod choice;
pub mod defined;
mod error;
mod fit;
mod flows;
mod forwarding;
mod join;
mod lease;
mod leases;
mod leave;
mod mac;
pub mod make;
pub mod names;
mod options;
mod peers;
pub mod ports;
mod publish;
mod rules;
mod settle;
mod state;
mod subnets;
mod table;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::config::{self, Settings};
use crate::host::Host;
use crate::sys::links::Links;
use crate::sys::nft::Firewall;

use defined::Defined;
use lease::{Built, Lease};
use leases::Leases;

pub use address::{Address, Addresses, Pool, PoolError, Within};
pub use error::NetworkError;
pub use join::{AddressV6, Attachment, Join, docker_ports};
pub use mac::Mac;
pub use names::NamesError;
pub use ports::{BoundPort, PortError, Protocol, PublishedPort};

/// The network that is there without having been made.
pub const DEFAULT: &str = "bridge";
/// What docker calls it to be on no network.
pub const NONE: &str = "none";

/// Whether a container with this network mode joins the default bridge.
pub fn is_bridge(mode: &str) -> bool {
    matches!(mode, "" | "default" | "bridge")
}

/// Whether this network mode is the name of a network that somebody made.
pub fn is_user_defined(mode: &str) -> bool {
    !is_bridge(mode) && !matches!(mode, "host" | NONE) && !mode.starts_with("container:")
}

/// The id of a network that is there without having been made: its name, written as hexadecimal digits.
pub fn id_of_built_in(name: &str) -> String {
    let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits:0<64}")
}

/// The bridge networks of one run folder.
#[derive(Debug)]
pub struct Network {
    dir: PathBuf,
    /// Where the containers' own folders are.
    containers: PathBuf,
    defined: Defined,
    settings: config::NetworkSettings,
    /// The note on our bridge; names the run folder, so that two of them on one host do not share a bridge by mistake.
    owner: String,
    firewall: Mutex<Option<Firewall>>,
}

impl Network {
    /// The network of this host; touches nothing.
    pub fn open(host: &Host, settings: &Settings) -> Result<Network, NetworkError> {
        Ok(Network {
            dir: host.run.join("network"),
            containers: host.run.join("containers"),
            defined: Defined::of(host),
            settings: settings.network.clone(),
            owner: format!("dray {}", host.run.display()),
            firewall: Mutex::new(None),
        })
    }

    /// The default bridge's address, which is also what `host-gateway` stands for.
    pub fn gateway(&self) -> Result<Ipv4Addr, NetworkError> {
        self.default_addresses().map(|(_, gateway)| gateway)
    }

    /// The default network, and the bridge's address on it.
    pub fn default_addresses(&self) -> Result<(Pool, Ipv4Addr), NetworkError> {
        let built: Option<Built> = state::load(&self.dir.join("network.json"))?;
        let built = built.unwrap_or_else(|| self.default());
        Ok((built.pool, built.gateway()))
    }

    /// The networks that people made.
    pub fn defined(&self) -> &Defined {
        &self.defined
    }

    /// What every container has, each with its id; of one container, where its ports are first.
    pub fn attachments(&self) -> Result<Vec<(String, Attachment)>, NetworkError> {
        let leases = Leases::open(&self.dir)?.map(|leases| leases.all.clone());
        let leases = leases.unwrap_or_default().into_iter();
        let (first, rest): (Vec<Lease>, Vec<Lease>) = leases.partition(|lease| lease.route);
        let all = first.into_iter().chain(rest);
        Ok(all.map(|lease| (lease.id, lease.attachment)).collect())
    }

    /// What a container has on each of its networks.
    pub fn find(&self, id: &str) -> Result<Vec<Attachment>, NetworkError> {
        let mut all = self.attachments()?;
        all.retain(|(holder, _)| holder == id);
        Ok(all.into_iter().map(|(_, attachment)| attachment).collect())
    }

    /// Everybody on a network: ids, names and what they have there.
    pub fn members(
        &self,
        network: &str,
    ) -> Result<Vec<(String, String, Attachment)>, NetworkError> {
        let leases = Leases::open(&self.dir)?.map(|leases| leases.all.clone());
        let all = leases.unwrap_or_default().into_iter();
        let here = all.filter(|lease| lease.attachment.network == network);
        Ok(here
            .map(|lease| {
                let name = lease.names.first().cloned().unwrap_or_default();
                (lease.id, name, lease.attachment)
            })
            .collect())
    }

    /// Whether these ports could be published now if the containers `ignoring` gave theirs up.
    pub fn check(&self, ports: &[PublishedPort], ignoring: &[&str]) -> Result<(), NetworkError> {
        let leases = Leases::open(&self.dir)?;
        let claims = leases.as_ref().map(|leases| leases.claims(ignoring));
        bind::bind(ports, &[], &claims.unwrap_or_default())?;
        Ok(())
    }

    /// Whether this kernel, this host and these settings allow containers on the bridge; changes nothing.
    pub fn check_support(&self) -> Result<(), NetworkError> {
        self.check_settings()?;
        let built: Option<Built> = state::load(&self.dir.join("network.json"))?;
        let built = built.unwrap_or_else(|| self.default());
        let one = std::slice::from_ref(&built);
        self.with_firewall(|firewall| rules::try_out(firewall, one))?;
        bridge::check(&mut Links::open()?, &built, &self.owner)
    }

    fn check_settings(&self) -> Result<(), NetworkError> {
        match self.settings.ip6 {
            Some(_) => Err(NetworkError::Ip6(self.settings.bridge.clone())),
            None => Ok(()),
        }
    }

    fn default(&self) -> Built {
        Built::new(DEFAULT, &self.settings.bridge, self.settings.subnet.into())
    }

    /// What a network is to be built as.
    fn planned(&self, network: &str) -> Result<Built, NetworkError> {
        match network {
            DEFAULT => Ok(self.default()),
            name => self.defined.find(name)?.built(),
        }
    }

    /// Chains of other firewall tables that drop the packets of containers unless somebody adds a rule there, for a
    /// warning.
    pub fn obstacles(&self) -> Result<Vec<String>, NetworkError> {
        self.with_firewall(|firewall| Ok(firewall.dropping_forward_chains()?))
    }

    /// One connection for the life of this value, see [`Firewall`].
    fn with_firewall<T>(
        &self,
        work: impl FnOnce(&mut Firewall) -> Result<T, NetworkError>,
    ) -> Result<T, NetworkError> {
        // A panic elsewhere leaves the connection as usable as it was.
        let mut slot = self.firewall.lock().unwrap_or_else(PoisonError::into_inner);
        let firewall = match slot.take() {
            Some(firewall) => firewall,
            None => Firewall::open().map_err(rules::explain)?,
        };
        work(slot.insert(firewall))
    }
}
