//! The switch: which containers the published ports lead to.

use super::lease::Lease;
use super::leases::Leases;
use super::{Network, NetworkError, choice, flows, rules};

impl Network {
    /// Leads the ports of the containers `on` to them and those of `off` nowhere, in one transaction. Containers of `off`
    /// that are gone already are no obstacle. After an error nothing has changed.
    pub fn publish(&self, on: &[&str], off: &[&str]) -> Result<(), NetworkError> {
        let missing = |id: &&str| NetworkError::NotAttached((*id).to_owned());
        let Some(mut leases) = Leases::open(&self.dir)? else {
            return on.first().map_or(Ok(()), |id| Err(missing(id)));
        };
        if let Some(id) = on.iter().find(|id| leases.of(id).next().is_none()) {
            return Err(missing(id));
        }
        choice::check_takeover(&leases, on, off)?;
        let mut wanted = leases.all.clone();
        for lease in &mut wanted {
            let id = lease.id.as_str();
            lease.published = on.contains(&id) || lease.published && !off.contains(&id);
        }
        if on.is_empty() && wanted == leases.all {
            return Ok(());
        }
        let before = leases.all.clone();
        self.with_firewall(|firewall| rules::update(firewall, &leases.built, &before, &wanted))?;
        if let Err(error) = record(&mut leases, &wanted, &before) {
            // The first error is the one to report; settling brings rules and files together if this fails too.
            let _ = self.with_firewall(|f| rules::replace(f, &leases.built, &leases.all));
            return Err(error);
        }
        flows::forget_moved_udp(&wanted, &before)?;
        self.refresh_names(&mut leases, None)
    }
}

/// Writes down which containers have their ports now; the files of those that gave theirs up first: killed in between,
/// no port is recorded as leading to two containers.
fn record(leases: &mut Leases, now: &[Lease], before: &[Lease]) -> Result<(), NetworkError> {
    let changed = || now.iter().filter(|lease| !before.contains(lease));
    let without = changed().filter(|lease| !lease.published);
    for lease in without.chain(changed().filter(|lease| lease.published)) {
        leases.save(lease.clone())?;
    }
    Ok(())
}
