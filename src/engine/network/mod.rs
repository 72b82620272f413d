//! The default network: a bridge of our own, one veth pair a container, NAT and published ports.
//!
//! [`Network::attach`] gives a container its address and its eth0, [`Network::publish`] says to which containers the
//! published ports lead, [`Network::detach`] takes everything back. What exists is written down before it is made
//! ([`lease`]), so that after a kill at any point [`Network::settle`] finishes or undoes it. The firewall table follows
//! from the leases ([`rules`]); each change of it is one transaction. After the last container everything goes: bridge,
//! table, forwarding if it was off before. A monitor whose container has ended keeps it for a second ([`Network::keep`]):
//! making it and removing it takes the kernel longer than everything else together.
//!
//! Published ports answer on every IPv4 address of the host, 127.0.0.1 included, and to containers that go through the
//! host's address. Nothing listens on them: the kernel translates. Ports that are not published cannot be reached from
//! outside, even by a neighbour who knows the container's address. Containers have no IPv6 address, so `::1` and other
//! IPv6 addresses of the host do not answer.
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
mod bind;
mod bridge;
mod choice;
mod error;
mod flows;
mod lease;
pub mod names;
pub mod ports;
mod rules;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::api::PortBinding;
use crate::config::{self, Settings};
use crate::host::Host;
use crate::sys::links::Links;
use crate::sys::lock::{Exclusive, Shared};
use crate::sys::nft::Firewall;

use lease::{Built, KEEP, Lease, Leases};

pub use address::Mac;
pub use error::NetworkError;
pub use names::NamesError;
pub use ports::{BoundPort, PortError, Protocol, PublishedPort};

/// Whether a container with this network mode joins the bridge.
pub fn is_bridge(mode: &str) -> bool {
    matches!(mode, "" | "default" | "bridge")
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
    /// Containers that it replaces, whose ports are therefore no obstacle.
    pub replacing: &'a [&'a str],
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

/// The bridge network of one run folder.
#[derive(Debug)]
pub struct Network {
    dir: PathBuf,
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
            settings: settings.network.clone(),
            owner: format!("dray {}", host.run.display()),
            firewall: Mutex::new(None),
        })
    }

    /// The bridge's address, which is also what `host-gateway` stands for.
    pub fn gateway(&self) -> Result<Ipv4Addr, NetworkError> {
        let built: Option<Built> = lease::load(&self.dir.join("network.json"))?;
        let pool = built.map_or_else(|| self.settings.subnet.into(), |built| built.pool);
        Ok(pool.gateway())
    }

    /// What a container has, if it is attached.
    pub fn find(&self, id: &str) -> Result<Option<Attachment>, NetworkError> {
        let leases = Leases::open(&self.dir)?;
        Ok(leases.and_then(|leases| Some(leases.find(id)?.attachment.clone())))
    }

    /// Whether these ports could be published now if the containers `ignoring` gave theirs up.
    pub fn check(&self, ports: &[PublishedPort], ignoring: &[&str]) -> Result<(), NetworkError> {
        let leases = Leases::open(&self.dir)?;
        let claims = leases.as_ref().map(|leases| leases.claims(ignoring));
        bind::bind(ports, &claims.unwrap_or_default())?;
        Ok(())
    }

    /// Whether this kernel, this host and these settings allow containers on the bridge; changes nothing.
    pub fn check_support(&self) -> Result<(), NetworkError> {
        self.check_settings()?;
        let built: Option<Built> = lease::load(&self.dir.join("network.json"))?;
        let built = built.unwrap_or_else(|| self.planned(false));
        self.with_firewall(|firewall| rules::try_out(firewall, &built))?;
        bridge::check(&mut Links::open()?, &built, &self.owner)
    }

    fn check_settings(&self) -> Result<(), NetworkError> {
        match self.settings.ip6 {
            Some(_) => Err(NetworkError::Ip6(self.settings.bridge.clone())),
            None => Ok(()),
        }
    }

    fn planned(&self, forwarding_enabled: bool) -> Built {
        let pool = self.settings.subnet.into();
        Built::new(&self.settings.bridge, pool, forwarding_enabled)
    }

    /// Chains of other firewall tables that drop the packets of containers unless somebody adds a rule there, for a
    /// warning.
    pub fn obstacles(&self) -> Result<Vec<String>, NetworkError> {
        self.with_firewall(|firewall| Ok(firewall.dropping_forward_chains()?))
    }

    /// Gives the container an address, an eth0 and its host ports. Again for the same id (a restart): the same address
    /// and, for the same wishes, the same ports in the new namespace. After an error it has nothing.
    pub fn attach(&self, join: &Join) -> Result<Attachment, NetworkError> {
        check_id(join.id)?;
        self.check_settings()?;
        self.with_firewall(rules::check)?;
        let mut leases = Leases::create(&self.dir)?;
        let built = match &leases.built {
            Some(built) => built.clone(),
            None => self.planned(bridge::forwarding_is_off()?),
        };
        let lease = choice::choose(&leases, &built, join)?;
        let attachment = lease.attachment.clone();
        let attached = self.establish(&mut leases, built, lease);
        if let Err(error) = attached {
            // The first error is the one to report; what is left now goes with the next settling.
            let _ = self
                .withdraw(&mut leases, join.id)
                .and_then(|()| self.clear(&mut leases));
            return Err(error);
        }
        Ok(attachment)
    }

    /// Gives a container without a network its loopback interface; `pid` is a process in its namespace.
    pub fn isolate(&self, pid: i32) -> Result<(), NetworkError> {
        Ok(bridge::inside(pid)?.raise_loopback()?)
    }

    /// Leads the ports of the containers `on` to them and those of `off` nowhere, in one transaction. Containers of `off`
    /// that are gone already are no obstacle. After an error nothing has changed.
    pub fn publish(&self, on: &[&str], off: &[&str]) -> Result<(), NetworkError> {
        let missing = |id: &&str| NetworkError::NotAttached((*id).to_owned());
        let Some(mut leases) = Leases::open(&self.dir)? else {
            return on.first().map_or(Ok(()), |id| Err(missing(id)));
        };
        let Some(built) = leases.built.clone() else {
            return on.first().map_or(Ok(()), |id| Err(missing(id)));
        };
        if let Some(id) = on.iter().find(|id| leases.find(id).is_none()) {
            return Err(missing(id));
        }
        choice::check_takeover(&leases, on, off)?;
        let mut wanted = leases.all.clone();
        for lease in &mut wanted {
            let id = lease.id.as_str();
            lease.published = on.contains(&id) || lease.published && !off.contains(&id);
        }
        let before = leases.all.clone();
        self.with_firewall(|firewall| rules::update(firewall, &built, &before, &wanted))?;
        if let Err(error) = record(&mut leases, &mut wanted, &before) {
            // The first error is the one to report; settling brings rules and files together if this fails too.
            let _ = self.with_firewall(|firewall| rules::replace(firewall, &built, &leases.all));
            return Err(error);
        }
        flows::forget_moved_udp(&wanted, &before)
    }

    /// Takes back everything that the container got, and everything of the network with the last one; nothing to take back
    /// is success.
    pub fn detach(&self, id: &str) -> Result<(), NetworkError> {
        let Some(mut leases) = Leases::open(&self.dir)? else {
            return Ok(());
        };
        self.withdraw(&mut leases, id)?;
        self.clear(&mut leases)
    }

    /// The quick half of [`Network::detach`], for a container whose processes have ended: its ports lead nowhere, its
    /// address is free. The kernel removes its interface by itself; [`Network::tidy`] does the rest, which takes the
    /// kernel tens of milliseconds that nobody needs to wait for.
    pub fn release(&self, id: &str) -> Result<(), NetworkError> {
        match Leases::open(&self.dir)? {
            Some(mut leases) => self.withdraw(&mut leases, id),
            None => Ok(()),
        }
    }

    /// While any process holds this, bridge and table stay although nobody is attached.
    pub fn keep(&self) -> Result<Shared, NetworkError> {
        let path = self.dir.join(KEEP);
        Shared::wait(&path).map_err(|source| NetworkError::State { path, source })
    }

    /// Removes what released containers left: interfaces, and bridge, table and forwarding if nobody is attached.
    pub fn tidy(&self) -> Result<(), NetworkError> {
        match Leases::open(&self.dir)? {
            Some(mut leases) => self.clear(&mut leases),
            None => Ok(()),
        }
    }

    /// Makes the kernel's state follow the leases of the containers that live, and removes everything of the others.
    /// `is_live` is asked while nobody can attach or detach: whoever has a lease has whatever came before it.
    pub fn settle(&self, is_live: &dyn Fn(&str) -> bool) -> Result<(), NetworkError> {
        let Some(mut leases) = Leases::open(&self.dir)? else {
            return Ok(());
        };
        leases.sweep()?;
        let ids: Vec<String> = leases.all.iter().map(|lease| lease.id.clone()).collect();
        for id in ids.iter().filter(|id| !is_live(id)) {
            self.withdraw(&mut leases, id)?;
        }
        self.clear(&mut leases)?;
        let Some(built) = &leases.built else {
            return Ok(());
        };
        self.with_firewall(|firewall| rules::settle(firewall, built, &leases.all))?;
        bridge::ensure(&mut Links::open()?, built, &self.owner).map(drop)
    }

    /// Written down first, then the rules (they guard the bridge before there is one), then bridge and interface.
    fn establish(
        &self,
        leases: &mut Leases,
        built: Built,
        lease: Lease,
    ) -> Result<(), NetworkError> {
        if leases.built.is_none() {
            leases.save_built(built.clone())?;
        }
        let before = leases.all.clone();
        let again = leases.find(&lease.id).is_some();
        leases.save(lease.clone())?;
        self.with_firewall(|firewall| {
            if again {
                // An earlier attempt may have been killed between its file and the rules.
                rules::replace(firewall, &built, &leases.all)
            } else {
                rules::update(firewall, &built, &before, &leases.all)
            }
        })?;
        let mut links = Links::open()?;
        let bridge = bridge::ensure(&mut links, &built, &self.owner)?;
        bridge::connect(&mut links, &bridge, &leases.all, &lease)?;
        flows::forget_moved_udp(&leases.all, &before)
    }

    /// Takes back a container's ports and its lease.
    fn withdraw(&self, leases: &mut Leases, id: &str) -> Result<(), NetworkError> {
        if leases.find(id).is_none() {
            return Ok(());
        }
        let before = leases.all.clone();
        let rest: Vec<Lease> = before.iter().filter(|l| l.id != id).cloned().collect();
        if let Some(built) = &leases.built {
            self.with_firewall(|firewall| rules::withdraw(firewall, built, &before, &rest))?;
        }
        flows::forget_moved_udp(&rest, &before)?;
        leases.remove(id)
    }

    /// Removes interfaces without a lease, and everything if there is no lease at all and nobody keeps it.
    fn clear(&self, leases: &mut Leases) -> Result<(), NetworkError> {
        let Some(built) = leases.built.clone() else {
            return Ok(());
        };
        let mut links = Links::open()?;
        if let Some(bridge) = bridge::own(&mut links, &built.bridge, &self.owner)? {
            bridge::remove_strays(&mut links, &bridge, &leases.all)?;
        }
        if !leases.all.is_empty() {
            return Ok(());
        }
        let path = self.dir.join(KEEP);
        let unkept = Exclusive::attempt(&path);
        let Some(_unkept) = unkept.map_err(|source| NetworkError::State { path, source })? else {
            return Ok(());
        };
        self.with_firewall(|firewall| {
            bridge::tear_down(&mut links, firewall, &built, &self.owner)
        })?;
        leases.remove_built()
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

/// Writes down which containers have their ports now; the files of those that gave theirs up first: killed in between,
/// no port is recorded as leading to two containers.
fn record(leases: &mut Leases, now: &mut [Lease], before: &[Lease]) -> Result<(), NetworkError> {
    now.sort_by_key(|lease| lease.published);
    for lease in now.iter().filter(|lease| !before.contains(lease)) {
        leases.save(lease.clone())?;
    }
    Ok(())
}

/// Ids become file names.
fn check_id(id: &str) -> Result<(), NetworkError> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if id.is_empty() || id.starts_with('.') || !id.bytes().all(is_good) {
        return Err(NetworkError::Id(id.to_owned()));
    }
    Ok(())
}
