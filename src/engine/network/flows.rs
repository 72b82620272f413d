//! Exchanges that the kernel remembers, and would go on leading to where a port led before.

use std::net::Ipv4Addr;

use super::NetworkError;
use super::lease::Lease;
use super::ports::{BoundPort, Protocol};
use crate::sys::conntrack::{self, Flow};
use crate::sys::links::Links;

/// Makes the kernel forget UDP exchanges through ports that lead elsewhere now: there is no connection that would end,
/// so a client that goes on sending would go on reaching the old container, or nobody.
pub(super) fn forget_moved_udp(now: &[Lease], before: &[Lease]) -> Result<(), NetworkError> {
    let udp = |leases: &[Lease]| -> Vec<(BoundPort, Ipv4Addr)> {
        let published = leases.iter().filter(|lease| lease.published);
        published
            .flat_map(|lease| {
                let ports = lease.attachment.ports.iter();
                ports.map(|port| (*port, lease.attachment.ip))
            })
            .filter(|(port, _)| port.protocol == Protocol::Udp)
            .collect()
    };
    let (now, before) = (udp(now), udp(before));
    let changed = now.iter().filter(|entry| !before.contains(entry));
    let changed = changed.chain(before.iter().filter(|entry| !now.contains(entry)));
    let moved: Vec<u16> = changed.map(|(port, _)| port.host_port).collect();
    if moved.is_empty() {
        return Ok(());
    }
    let local = Links::open()?.addresses()?;
    let through_moved = |flow: &Flow| {
        flow.protocol == Protocol::Udp.transport().number()
            && moved.contains(&flow.port)
            && local.iter().any(|own| own.address == flow.destination)
    };
    conntrack::forget(through_moved)?;
    Ok(())
}
