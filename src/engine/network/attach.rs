//! Joining a network: an address, an interface, and ports that lead nowhere yet.

use super::lease::{Built, Lease};
use super::leases::Leases;
use super::{Attachment, Join, Network, NetworkError, bridge, choice, flows, forwarding, rules};
use crate::sys::links::Links;

impl Network {
    /// Gives the container an address and an interface on the network, and its host ports of each version of IP in which it has
    /// no other way outside.
    /// Again for the same id (a restart): the same address and, for the same wishes, the same ports in the new namespace.
    /// After an error it has nothing there.
    pub fn attach(&self, join: &Join) -> Result<Attachment, NetworkError> {
        check_id(join.id)?;
        self.check_settings()?;
        self.with_firewall(rules::check)?;
        let mut leases = Leases::create(&self.dir)?;
        let built = match leases.built(join.network) {
            Some(built) => built.clone(),
            None => found_before(self.planned(join.network)?, &leases)?,
        };
        let lease = choice::choose(&leases, &built, join)?;
        let attachment = lease.attachment.clone();
        let attached = self.establish(&mut leases, built, lease);
        if let Err(error) = attached {
            // The first error is the one to report; what is left now goes with the next settling.
            let _ = self
                .withdraw(&mut leases, |lease| lease.is(join.id, join.network))
                .and_then(|()| self.clear(&mut leases));
            return Err(error);
        }
        if join.publish {
            self.refresh_names(&mut leases, Some(join.id))?;
        }
        Ok(attachment)
    }

    /// Written down first, then the rules (they guard the bridge before there is one), then bridge and interface.
    fn establish(
        &self,
        leases: &mut Leases,
        built: Built,
        lease: Lease,
    ) -> Result<(), NetworkError> {
        if leases.built(&built.network).is_none() {
            leases.save_built(built.clone())?;
        }
        let before = leases.all.clone();
        // An earlier attempt may have been killed between its file and the rules.
        let again = leases.find(&lease.id, &built.network).is_some();
        leases.save(lease.clone())?;
        if again || !built.ruled {
            self.rule(leases)?;
        } else {
            self.with_firewall(|f| rules::update(f, &leases.built, &before, &leases.all))?;
        }
        let mut links = Links::open()?;
        let bridge = bridge::ensure(&mut links, &built, leases.hosts(), &self.owner)?;
        bridge::connect(&mut links, (&bridge, &built), &leases.all, &lease)?;
        // The kernel takes a dead namespace apart when it finds time. Until then its interface would go on answering for the
        // address that has moved on, and refuse what comes to the ports.
        let old = before
            .iter()
            .filter(|old| old.is(&lease.id, &built.network));
        for old in old.filter(|old| old.link != lease.link) {
            links.remove(&old.link)?;
        }
        flows::forget_moved_udp(&leases.all, &before)
    }

    /// Makes the new network namespace of process `pid` as Docker has it before there are interfaces.
    pub fn prepare(&self, pid: i32) -> Result<(), NetworkError> {
        bridge::seclude(pid)
    }

    /// Sets parameters in the namespace of process `pid`: the user's word on its interfaces, which is the last.
    pub fn set(&self, pid: i32, parameters: &[(&str, &str)]) -> Result<(), NetworkError> {
        match parameters {
            [] => Ok(()),
            some => bridge::set(pid, some),
        }
    }

    /// Gives a container without a network its loopback interface; `pid` is a process in its namespace.
    pub fn isolate(&self, pid: i32) -> Result<(), NetworkError> {
        Ok(bridge::inside(pid)?.raise_loopback()?)
    }
}

/// A network that is to be built, with what will have to be put back in the end.
fn found_before(planned: Built, leases: &Leases) -> Result<Built, NetworkError> {
    if planned.v6.is_some() && !forwarding::has_v6() {
        return Err(NetworkError::NoIpv6(planned.network));
    }
    Ok(Built {
        forwarding_enabled: forwarding::is_off()?,
        hosts: match planned.v6 {
            Some(_) => forwarding::survey(&mut Links::open()?, &leases.turning())?,
            None => None,
        },
        ..planned
    })
}

/// Ids become file names.
fn check_id(id: &str) -> Result<(), NetworkError> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if id.is_empty() || id.starts_with('.') || !id.bytes().all(is_good) {
        return Err(NetworkError::Id(id.to_owned()));
    }
    Ok(())
}
