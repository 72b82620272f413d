//! Leaving networks, and what goes with the last container on one.

use super::lease::{Built, Lease};
use super::leases::{KEEP, Leases};
use super::{Network, NetworkError, bridge, flows, forwarding, peers, rules};
use crate::sys::family::Family;
use crate::sys::links::{Link, Links};
use crate::sys::lock::{Exclusive, Shared};

impl Network {
    /// Takes back everything that the container got, and everything of the network with the last one; nothing to take back
    /// is success.
    pub fn detach(&self, id: &str) -> Result<(), NetworkError> {
        let Some(mut leases) = Leases::open(&self.dir)? else {
            return Ok(());
        };
        self.withdraw(&mut leases, |lease| lease.id == id)?;
        self.clear(&mut leases)
    }

    /// The quick half of [`Network::detach`], for a container whose processes have ended: its ports lead nowhere, its
    /// address is free. The kernel removes its interface by itself; [`Network::tidy`] does the rest, which takes the
    /// kernel tens of milliseconds that nobody needs to wait for.
    pub fn release(&self, id: &str) -> Result<(), NetworkError> {
        match Leases::open(&self.dir)? {
            Some(mut leases) => self.withdraw(&mut leases, |lease| lease.id == id),
            None => Ok(()),
        }
    }

    /// Takes a running container off one of its networks, and says whether it was there. If that was its way outside, another
    /// network is from then on, with the ports; for IPv6 it can be yet another one.
    pub fn leave(&self, id: &str, network: &str) -> Result<bool, NetworkError> {
        let Some(mut leases) = Leases::open(&self.dir)? else {
            return Ok(false);
        };
        let Some(left) = leases.find(id, network).cloned() else {
            return Ok(false);
        };
        // Killed after this, the ports lead nowhere until the container is started again.
        self.withdraw(&mut leases, |lease| *lease == left)?;
        self.clear(&mut leases)?;
        for heir in heirs(&leases, &left) {
            let before = leases.all.clone();
            leases.save(heir.clone())?;
            self.with_firewall(|f| rules::update(f, &leases.built, &before, &leases.all))?;
            flows::forget_moved_udp(&leases.all, &before)?;
            let poor = before.iter().find(|lease| lease.link == heir.link);
            bridge::lead_outside(&heir, poor)?;
        }
        peers::forget(&self.containers, &left)?;
        self.refresh_names(&mut leases, Some(id))?;
        Ok(true)
    }

    /// While any process holds this, bridge and table stay although nobody is attached.
    pub fn keep(&self) -> Result<Shared, NetworkError> {
        let path = self.dir.join(KEEP);
        Shared::wait(&path).map_err(|source| NetworkError::State { path, source })
    }

    /// Whether anybody does.
    pub(super) fn is_kept(&self) -> Result<bool, NetworkError> {
        Ok(self.unless_kept()?.is_none())
    }

    /// Nobody can begin to keep it while this is held; `None` if somebody does already.
    fn unless_kept(&self) -> Result<Option<Exclusive>, NetworkError> {
        let path = self.dir.join(KEEP);
        Exclusive::attempt(&path).map_err(|source| NetworkError::State { path, source })
    }

    /// Removes what released containers left: interfaces, and bridge, table and forwarding if nobody is attached.
    pub fn tidy(&self) -> Result<(), NetworkError> {
        match Leases::open(&self.dir)? {
            Some(mut leases) => self.clear(&mut leases),
            None => Ok(()),
        }
    }

    /// Takes back these leases with their ports.
    pub(super) fn withdraw(
        &self,
        leases: &mut Leases,
        is_gone: impl Fn(&Lease) -> bool,
    ) -> Result<(), NetworkError> {
        let before = leases.all.clone();
        let (gone, rest): (Vec<Lease>, Vec<Lease>) = before.iter().cloned().partition(is_gone);
        if gone.is_empty() {
            return Ok(());
        }
        if !leases.built.is_empty() {
            self.with_firewall(|f| rules::withdraw(f, &leases.built, &before, &rest))?;
        }
        flows::forget_moved_udp(&rest, &before)?;
        gone.iter().try_for_each(|lease| leases.remove(lease))?;
        self.refresh_names(leases, None)
    }

    /// Removes interfaces without a lease, and each network that nobody is on and nobody keeps.
    pub(super) fn clear(&self, leases: &mut Leases) -> Result<(), NetworkError> {
        if leases.built.is_empty() {
            return Ok(());
        }
        let mut links = Links::open()?;
        for built in &leases.built {
            if let Some(bridge) = bridge::own(&mut links, &built.bridge, &self.owner)? {
                bridge::remove_strays(&mut links, &bridge, &leases.all)?;
            }
        }
        let is_empty = |built: &&Built| {
            let mut all = leases.all.iter();
            all.all(|lease| lease.attachment.network != built.network)
        };
        let empty = leases.built.iter().filter(is_empty);
        let empty: Vec<String> = empty.map(|built| built.network.clone()).collect();
        if empty.is_empty() {
            return Ok(());
        }
        let Some(_unkept) = self.unless_kept()? else {
            return Ok(());
        };
        empty
            .iter()
            .try_for_each(|network| self.tear_down(&mut links, leases, network))
    }

    /// Takes a network down; the last one with everything that they had in common.
    pub(super) fn tear_down(
        &self,
        links: &mut Links,
        leases: &mut Leases,
        network: &str,
    ) -> Result<(), NetworkError> {
        // As it is now: the one before may have left it something to do.
        let Some(built) = leases.built(network).cloned() else {
            return Ok(());
        };
        let other = leases.built.iter().find(|o| o.network != network);
        let Some(other) = other.cloned() else {
            self.with_firewall(|f| bridge::tear_down(links, f, &built, &self.owner))?;
            return leases.remove_built(&built);
        };
        self.hand_over(links, leases, &built, other)?;
        leases.save_built(Built {
            ruled: false,
            ..built.clone()
        })?;
        // The bridge before the rules: without the guard no packet may come from it.
        bridge::remove(links, &built.bridge, &self.owner)?;
        let rest: Vec<Built> = leases
            .built
            .iter()
            .filter(|o| o.network != network)
            .cloned()
            .collect();
        self.with_firewall(|f| rules::replace(f, &rest, &leases.all))?;
        leases.remove_built(&built)
    }

    /// Leaves what one network enabled to others that need it; whoever is the last disables it.
    fn hand_over(
        &self,
        links: &mut Links,
        leases: &mut Leases,
        built: &Built,
        other: Built,
    ) -> Result<(), NetworkError> {
        if built.forwarding_enabled {
            leases.save_built(Built {
                forwarding_enabled: true,
                ..other
            })?;
        }
        let Some(hosts) = &built.hosts else {
            return Ok(());
        };
        let mut others = leases.built.iter();
        let second = others.find(|o| o.v6.is_some() && o.network != built.network);
        match second.cloned() {
            Some(second) => leases.save_built(Built {
                hosts: Some(hosts.clone()),
                ..second
            }),
            None => {
                let is_ours = |link: &Link| bridge::is_own(link, &self.owner);
                forwarding::restore(links, (false, Some(hosts)), is_ours)
            }
        }
    }
}

/// The leases that take over what was special about the one that its container gave up.
fn heirs(leases: &Leases, left: &Lease) -> Vec<Lease> {
    let leads_outside = |lease: &&Lease| {
        let built = leases.built(&lease.attachment.network);
        built.is_some_and(|built| !built.internal)
    };
    let rest: Vec<Lease> = leases.of(&left.id).filter(leads_outside).cloned().collect();
    let mut heirs = rest.clone();
    heirs.sort_by_key(|lease| lease.interface);
    let ports = |family| {
        let ports = left.attachment.ports.iter().copied();
        ports.filter(move |port| Family::of(port.host_ip) == family)
    };
    if left.route
        && let Some(heir) = heirs.first_mut()
    {
        heir.route = true;
        // Before those of IPv6, which it may have already.
        heir.attachment.ports.splice(..0, ports(Family::V4));
    }
    let mut second = heirs.iter_mut().filter(|l| l.attachment.v6.is_some());
    if left.route_v6
        && let Some(heir) = second.next()
    {
        heir.route_v6 = true;
        heir.attachment.ports.extend(ports(Family::V6));
    }
    heirs.retain(|lease| !rest.contains(lease));
    heirs
}
