//! Leaving networks, and what goes with the last container on one.

use super::lease::{Built, Lease};
use super::leases::{KEEP, Leases};
use super::{Network, NetworkError, bridge, flows, peers, rules};
use crate::sys::links::Links;
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
        peers::refresh(&self.containers, &leases.all)
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
        let empty: Vec<Built> = leases.built.iter().filter(is_empty).cloned().collect();
        if empty.is_empty() {
            return Ok(());
        }
        let path = self.dir.join(KEEP);
        let unkept = Exclusive::attempt(&path);
        let Some(_unkept) = unkept.map_err(|source| NetworkError::State { path, source })? else {
            return Ok(());
        };
        empty
            .into_iter()
            .try_for_each(|built| self.tear_down(&mut links, leases, built))
    }

    /// Takes a network down; the last one with everything that they had in common.
    pub(super) fn tear_down(
        &self,
        links: &mut Links,
        leases: &mut Leases,
        built: Built,
    ) -> Result<(), NetworkError> {
        let other = leases.built.iter().find(|o| o.network != built.network);
        let Some(other) = other.cloned() else {
            self.with_firewall(|f| bridge::tear_down(links, f, &built, &self.owner))?;
            return leases.remove_built(&built);
        };
        if built.forwarding_enabled {
            // Whoever is the last disables it.
            leases.save_built(Built {
                forwarding_enabled: true,
                ..other
            })?;
        }
        leases.save_built(Built {
            ruled: false,
            ..built.clone()
        })?;
        // The bridge before the rules: without the guard no packet may come from it.
        bridge::remove(links, &built.bridge, &self.owner)?;
        let rest: Vec<Built> = leases
            .built
            .iter()
            .filter(|o| o.network != built.network)
            .cloned()
            .collect();
        self.with_firewall(|f| rules::replace(f, &rest, &leases.all))?;
        leases.remove_built(&built)
    }
}
