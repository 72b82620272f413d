//! Exchanges that the kernel remembers, and would go on leading to where a port led before.

use std::net::IpAddr;

use super::NetworkError;
use super::lease::Lease;
use super::ports::{BoundPort, Protocol};
use crate::sys::conntrack::{self, Flow};
use crate::sys::family::Family;
use crate::sys::links::Links;

/// Makes the kernel forget UDP exchanges through ports that lead elsewhere now: there is no connection that would end,
/// so a client that goes on sending would go on reaching the old container, or nobody.
pub(super) fn forget_moved_udp(now: &[Lease], before: &[Lease]) -> Result<(), NetworkError> {
    let udp = |leases: &[Lease]| -> Vec<(BoundPort, IpAddr)> {
        let published = leases.iter().filter(|lease| lease.published);
        published
            .flat_map(|lease| {
                let ports = lease.attachment.ports.iter();
                ports.filter_map(|port| Some((*port, lease.attachment.target(port)?)))
            })
            .filter(|(port, _)| port.protocol == Protocol::Udp)
            .collect()
    };
    let (now, before) = (udp(now), udp(before));
    let changed = now.iter().filter(|entry| !before.contains(entry));
    let changed = changed.chain(before.iter().filter(|entry| !now.contains(entry)));
    let moved: Vec<BoundPort> = changed.map(|(port, _)| *port).collect();
    for family in [Family::V4, Family::V6] {
        let here = moved
            .iter()
            .filter(|port| Family::of(port.host_ip) == family);
        let numbers: Vec<u16> = here.map(|port| port.host_port).collect();
        if !numbers.is_empty() {
            forget_udp(family, &numbers)?;
        }
    }
    Ok(())
}

fn forget_udp(family: Family, moved: &[u16]) -> Result<(), NetworkError> {
    let local = Links::open()?.addresses()?;
    let through_moved = |flow: &Flow| {
        flow.protocol == Protocol::Udp.transport().number()
            && moved.contains(&flow.port)
            && local.iter().any(|own| own.address == flow.destination)
    };
    conntrack::forget(family, through_moved)?;
    Ok(())
}
