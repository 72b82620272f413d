//! What a container is to get, and whether it may take it over: address and ports, against the leases there are.

use super::address::{Address, Addresses};
use super::bind;
use super::lease::{Built, Lease};
use super::leases::Leases;
use super::ports::{self, BoundPort};
use super::{AddressV6, Attachment, DEFAULT, Join, NetworkError};

/// Interfaces of one container; the number of each is the last digit of a name with little room.
pub(super) const MAX_INTERFACES: u8 = 16;
/// Why a container cannot have an IPv6 address there.
pub(super) const NO_V6: &str = "it has IPv4 addresses only; make one with --ipv6";

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
    let route_v6 =
        built.v6.is_some() && !built.internal && !others.iter().any(|other| other.route_v6);
    let had = earlier.map(|lease| lease.attachment.ip);
    let ip = address(leases, built, join, (&built.v4(), join.address, had))?;
    let v6 = built.v6.as_ref().map(|v6| {
        let had = earlier.and_then(|lease| lease.attachment.v6);
        let had = had.map(|had| had.ip);
        Ok::<_, NetworkError>(AddressV6 {
            ip: address(leases, built, join, (v6, join.address_v6, had))?,
            prefix: v6.subnet.prefix,
            gateway: v6.gateway,
        })
    });
    if let (Some(wanted), None) = (join.address_v6, &v6) {
        return Err(NetworkError::Address {
            address: wanted.into(),
            network: built.network.clone(),
            reason: NO_V6.to_owned(),
        });
    }
    let attachment = Attachment {
        network: built.network.clone(),
        ip,
        prefix: built.pool.prefix,
        gateway: built.gateway(),
        v6: v6.transpose()?,
        mac: join.mac.unwrap_or_else(|| ip.into()),
        bridge: built.bridge.clone(),
        ports: choose_ports(leases, join, (earlier, &others), (route, route_v6))?,
    };
    let is_free = |number: &u8| others.iter().all(|other| other.interface != *number);
    let interface = match earlier {
        Some(lease) => Some(lease.interface),
        None => (0..MAX_INTERFACES).find(is_free),
    };
    let interface = interface.ok_or_else(|| NetworkError::TooMany(join.id.to_owned()))?;
    Ok(Lease::new(join, attachment, interface, (route, route_v6)))
}

/// The host ports that the container had here, if it wants the same again, or free ones: of each version of IP where its way
/// outside leads in that, as Docker has it. `others` are its leases elsewhere.
fn choose_ports(
    leases: &Leases,
    join: &Join,
    (earlier, others): (Option<&Lease>, &[&Lease]),
    routes: (bool, bool),
) -> Result<Vec<BoundPort>, NetworkError> {
    let claims = leases.claims(&[&[join.id], join.replacing].concat());
    let had =
        |lease: &&Lease| lease.wanted == join.ports && (lease.route, lease.route_v6) == routes;
    match earlier.filter(had) {
        Some(lease) => {
            let ports = &lease.attachment.ports;
            for port in ports.iter().filter(|_| join.publish) {
                bind::check_claims(port, &[], &claims)?;
            }
            Ok(ports.clone())
        }
        None => {
            let elsewhere = others.iter().flat_map(|other| &other.attachment.ports);
            let elsewhere: Vec<BoundPort> = elsewhere.copied().collect();
            Ok(bind::bind(
                &ports::on(join.ports, routes),
                &elsewhere,
                &claims,
            )?)
        }
    }
}

/// The address that a container insists on, the one it had, or the lowest one that nobody has.
fn address<A: Address>(
    leases: &Leases,
    built: &Built,
    join: &Join,
    (addresses, wanted, had): (&Addresses<A>, Option<A>, Option<A>),
) -> Result<A, NetworkError> {
    let holder = |address: A| {
        let here = |lease: &&Lease| lease.attachment.network == built.network;
        let mut leases = leases.all.iter().filter(here);
        leases.find(|lease| lease.attachment.addresses().any(|a| a == address.into()))
    };
    match (wanted, had) {
        (Some(wanted), _) => {
            let other = holder(wanted).filter(|lease| lease.id != join.id);
            let taken = || other.map(|lease| format!("container {:.12} has it", lease.id));
            match addresses.unusable(wanted).or_else(taken) {
                None => Ok(wanted),
                Some(reason) => Err(NetworkError::Address {
                    address: wanted.into(),
                    network: built.network.clone(),
                    reason,
                }),
            }
        }
        (None, Some(had)) => Ok(had),
        (None, None) => {
            let taken = |address| address == addresses.gateway || holder(address).is_some();
            let range = addresses.range();
            let free = addresses.subnet.free(range, taken);
            free.ok_or_else(|| match built.network.as_str() {
                DEFAULT => NetworkError::Full(built.pool),
                name => NetworkError::NetworkFull {
                    network: name.to_owned(),
                    range: range.to_string(),
                },
            })
        }
    }
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
