//! What a container is to get, and whether it may take it over: address and ports, against the leases there are.

use std::net::Ipv4Addr;

use super::address::Pool;
use super::bind;
use super::lease::{Built, Lease};
use super::leases::Leases;
use super::ports::BoundPort;
use super::{Attachment, DEFAULT, Join, NetworkError};

/// Interfaces of one container; the number of each is the last digit of a name with little room.
pub(super) const MAX_INTERFACES: u8 = 16;

/// What the container is to get: the address it had, or a free one; the way outside, if it has none yet, and with that host
/// ports for its wishes.
pub(super) fn choose(leases: &Leases, built: &Built, join: &Join) -> Result<Lease, NetworkError> {
    let earlier = leases.find(join.id, &built.network);
    let others: Vec<&Lease> = leases
        .of(join.id)
        .filter(|lease| lease.attachment.network != built.network)
        .collect();
    // The first network that leads outside; a later one takes over when that is left.
    let route = !built.internal && !others.iter().any(|other| other.route);
    let join = &Join {
        ports: if route { join.ports } else { &[] },
        ..*join
    };
    let ip = match (join.address, earlier) {
        (Some(wanted), _) => check_address(leases, built, join, wanted)?,
        (None, Some(lease)) => lease.attachment.ip,
        (None, None) => free_address(leases, built)?,
    };
    let attachment = Attachment {
        network: built.network.clone(),
        ip,
        prefix: built.pool.prefix,
        gateway: built.gateway(),
        mac: join.mac.unwrap_or_else(|| ip.into()),
        bridge: built.bridge.clone(),
        ports: choose_ports(leases, earlier, join)?,
    };
    let is_free = |number: &u8| others.iter().all(|other| other.interface != *number);
    let interface = match earlier {
        Some(lease) => Some(lease.interface),
        None => (0..MAX_INTERFACES).find(is_free),
    };
    let interface = interface.ok_or_else(|| NetworkError::TooMany(join.id.to_owned()))?;
    Ok(Lease::new(join, attachment, interface, route))
}

/// The host ports that the container had, if it wants the same again, or free ones.
fn choose_ports(
    leases: &Leases,
    earlier: Option<&Lease>,
    join: &Join,
) -> Result<Vec<BoundPort>, NetworkError> {
    let claims = leases.claims(&[&[join.id], join.replacing].concat());
    match earlier {
        Some(lease) if lease.wanted == join.ports => {
            let ports = &lease.attachment.ports;
            for port in ports.iter().filter(|_| join.publish) {
                bind::check_claims(port, &[], &claims)?;
            }
            Ok(ports.clone())
        }
        _ => Ok(bind::bind(join.ports, &claims)?),
    }
}

/// The lowest address that nobody has.
fn free_address(leases: &Leases, built: &Built) -> Result<Ipv4Addr, NetworkError> {
    let taken = |address| address == built.gateway() || has(leases, built, address).is_some();
    let range = built.range.unwrap_or(built.pool);
    let free = built.pool.free(range, taken);
    free.ok_or_else(|| match built.network.as_str() {
        DEFAULT => NetworkError::Full(built.pool),
        name => NetworkError::NetworkFull {
            network: name.to_owned(),
            range,
        },
    })
}

/// Who has the address on this network.
fn has<'a>(leases: &'a Leases, built: &Built, address: Ipv4Addr) -> Option<&'a Lease> {
    let here = |lease: &&Lease| lease.attachment.network == built.network;
    let mut leases = leases.all.iter().filter(here);
    leases.find(|lease| lease.attachment.ip == address)
}

/// Whether the container can have the address that it insists on.
fn check_address(
    leases: &Leases,
    built: &Built,
    join: &Join,
    wanted: Ipv4Addr,
) -> Result<Ipv4Addr, NetworkError> {
    let refuse = |reason: String| {
        Err(NetworkError::Address {
            address: wanted,
            network: built.network.clone(),
            reason,
        })
    };
    if let Some(reason) = unusable(built.pool, built.gateway(), wanted) {
        return refuse(reason);
    }
    match has(leases, built, wanted) {
        Some(other) if other.id != join.id => refuse(format!("container {:.12} has it", other.id)),
        _ => Ok(wanted),
    }
}

/// Why no container of this network can have the address, whoever else is on it.
pub(super) fn unusable(subnet: Pool, gateway: Ipv4Addr, address: Ipv4Addr) -> Option<String> {
    if !subnet.has_host(address) {
        return Some(format!("it is none of subnet {subnet}"));
    }
    (address == gateway).then(|| "the network's gateway has it".to_owned())
}

/// Whether the ports of `on` are free once `off` has given up its own. Host programs are asked only about ports that
/// did not lead to a container before: taking one over is no news to them.
pub(super) fn check_takeover(
    leases: &Leases,
    on: &[&str],
    off: &[&str],
) -> Result<(), NetworkError> {
    let staying = leases.claims(&[on, off].concat());
    let mut own: Vec<BoundPort> = Vec::new();
    for lease in on.iter().flat_map(|id| leases.of(id)) {
        for port in &lease.attachment.ports {
            bind::check_claims(port, &own, &staying)?;
            let all = leases.claims(&[]);
            if bind::check_claims(port, &[], &all).is_ok() {
                bind::check_host(port)?;
            }
        }
        own.extend(&lease.attachment.ports);
    }
    Ok(())
}
