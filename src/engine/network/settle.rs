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
        self.clear(&mut leases)?;
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
            bridge::ensure(&mut links, built, &self.owner)?;
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
