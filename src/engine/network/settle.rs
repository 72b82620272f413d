//! Putting kernel and leases in agreement again, after a kill or somebody else's hand in the rules.

use super::lease::Built;
use super::leases::Leases;
use super::{Network, NetworkError, bridge, rules};
use crate::sys::links::Links;

impl Network {
    /// Makes the kernel's state follow the leases of the containers that live, and removes everything of the others.
    /// `is_live` is asked while nobody can attach or detach: whoever has a lease has whatever came before it.
    pub fn settle(&self, is_live: &dyn Fn(&str) -> bool) -> Result<(), NetworkError> {
        self.defined.sweep()?;
        let Some(mut leases) = Leases::open(&self.dir)? else {
            return Ok(());
        };
        leases.sweep()?;
        let ids: Vec<String> = leases.all.iter().map(|lease| lease.id.clone()).collect();
        for id in ids.iter().filter(|id| !is_live(id)) {
            self.withdraw(&mut leases, |lease| lease.id == *id)?;
        }
        match self.is_kept()? {
            true => self.remove_strays_meanwhile(&leases)?,
            false => self.clear(&mut leases)?,
        }
        if leases.stale_names {
            self.refresh_names(&mut leases, None)?;
        }
        if leases.built.is_empty() {
            return Ok(());
        }
        if leases.built.iter().all(|built| built.ruled) {
            self.with_firewall(|f| rules::settle(f, &leases.built, &leases.all))?;
        } else {
            self.rule(&mut leases)?;
        }
        let mut links = Links::open()?;
        for built in &leases.built {
            bridge::ensure(&mut links, built, leases.hosts(), &self.owner)?;
        }
        Ok(())
    }

    /// Removes the interfaces of containers that ended a moment ago, which the kernel would do too. They are gone at once, but
    /// whoever removes them then waits 15 to 30 ms for every processor to notice.
    fn remove_strays_meanwhile(&self, leases: &Leases) -> Result<(), NetworkError> {
        let mut links = Links::open()?;
        let mut strays = Vec::new();
        for built in &leases.built {
            if let Some(bridge) = bridge::own(&mut links, &built.bridge, &self.owner)? {
                strays.extend(bridge::strays(&mut links, &bridge, &leases.all)?);
            }
        }
        if !strays.is_empty() {
            // What fails here, whoever keeps the network tries again when it has kept it long enough.
            let remove = move || {
                strays
                    .iter()
                    .try_for_each(|name| links.remove(name).map(drop))
            };
            let _ = std::thread::Builder::new().spawn(remove);
        }
        Ok(())
    }

    /// Replaces the whole table, and writes down that each network is in it.
    pub(super) fn rule(&self, leases: &mut Leases) -> Result<(), NetworkError> {
        self.with_firewall(|f| rules::replace(f, &leases.built, &leases.all))?;
        for built in leases.built.clone().into_iter().filter(|b| !b.ruled) {
            leases.save_built(Built {
                ruled: true,
                ..built
            })?;
        }
        Ok(())
    }
}
