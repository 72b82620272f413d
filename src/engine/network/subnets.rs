//! The subnets of networks that people make: what they ask for, checked, or what collides with nothing.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::address::{Address, Addresses, Pool};
use super::asked::Asked;
use super::{NetworkError, fit};
use crate::sys::family::Family;
use crate::sys::links::Links;
use crate::sys::process::random;

/// Longest prefixes that leave a container an address.
const MAX_PREFIX: u8 = 30;
const MAX_PREFIX_V6: u8 = 126;

/// The IPv4 addresses of a new network beside those that are `taken`, each by a network.
pub(super) fn v4(
    asked: &Asked<Ipv4Addr>,
    taken: &[(String, Pool)],
) -> Result<Addresses<Ipv4Addr>, NetworkError> {
    fit::check_said(asked)?;
    let subnet = match asked.subnet {
        Some(subnet) => check(subnet, taken, MAX_PREFIX)?,
        None => free(taken)?,
    };
    parts(asked, subnet)
}

/// The same for IPv6.
pub(super) fn v6(
    asked: &Asked<Ipv6Addr>,
    taken: &[(String, Pool<Ipv6Addr>)],
) -> Result<Addresses<Ipv6Addr>, NetworkError> {
    fit::check_said(asked)?;
    let subnet = match asked.subnet {
        Some(subnet) => check(subnet, taken, MAX_PREFIX_V6)?,
        // Nobody else has drawn the same; if the drawing is broken, that is said.
        None => check(unique_local()?, taken, MAX_PREFIX_V6)?,
    };
    parts(asked, subnet)
}

fn check<A: Address>(
    subnet: Pool<A>,
    taken: &[(String, Pool<A>)],
    longest: u8,
) -> Result<Pool<A>, NetworkError> {
    if subnet.prefix > longest {
        let reason = format!("it has no room for containers; use /{longest} or shorter");
        return Err(refuse("--subnet", subnet, reason));
    }
    let overlaps = |(_, other): &&(String, Pool<A>)| subnet.overlaps(other.base, other.prefix);
    if let Some((network, other)) = taken.iter().find(overlaps) {
        return Err(NetworkError::Networks {
            pool: subnet.to_string(),
            other: other.to_string(),
            network: network.clone(),
        });
    }
    fit::check_host(subnet)?;
    Ok(subnet)
}

/// The first of our own choice that collides with no network, no address and no route of this host.
fn free(taken: &[(String, Pool)]) -> Result<Pool, NetworkError> {
    let mut links = Links::open()?;
    let mut found = links.routes(Family::V4)?;
    found.extend(links.addresses()?.iter().map(|a| (a.address, a.prefix)));
    let found = found.into_iter();
    let found = found.filter_map(|(base, prefix)| Some((Ipv4Addr::of(base)?, prefix)));
    let mut used: Vec<(Ipv4Addr, u8)> = found.collect();
    used.extend(taken.iter().map(|(_, pool)| (pool.base, pool.prefix)));
    // Next to the default bridge, where Docker looks last; then a part of 10/8 that people rarely use.
    let pool = |a: u8, b: u8, c: u8| Pool {
        base: Ipv4Addr::new(a, b, c, 0),
        prefix: 24,
    };
    let first = (30..=31).flat_map(|b| (0..=255).map(move |c| pool(172, b, c)));
    let second = (0..=255).map(|c| pool(10, 213, c));
    let is_free = |pool: &Pool| {
        used.iter()
            .all(|(base, prefix)| !pool.overlaps(*base, *prefix))
    };
    first
        .chain(second)
        .find(is_free)
        .ok_or(NetworkError::NoSubnet)
}

/// A random /64 of the range for such (RFC 4193).
fn unique_local() -> Result<Pool<Ipv6Addr>, NetworkError> {
    let drawn = random::<7>().map_err(NetworkError::Random)?;
    let mut octets = [0; 16];
    octets[0] = 0xfd;
    octets[1..8].copy_from_slice(&drawn);
    Ok(Pool {
        base: octets.into(),
        prefix: 64,
    })
}

fn parts<A: Address>(asked: &Asked<A>, subnet: Pool<A>) -> Result<Addresses<A>, NetworkError> {
    if let Some(gateway) = asked.gateway.filter(|gateway| !subnet.has_host(*gateway)) {
        let reason = format!("it is no address for an interface in subnet {subnet}");
        return Err(refuse("--gateway", gateway, reason));
    }
    if let Some(range) = asked.range.filter(|range| !subnet.covers(*range)) {
        let reason = format!("it is no part of subnet {subnet}");
        return Err(refuse("--ip-range", range, reason));
    }
    Ok(Addresses {
        subnet,
        gateway: asked.gateway.unwrap_or_else(|| subnet.gateway()),
        range: asked.range,
    })
}

fn refuse(option: &'static str, value: impl ToString, reason: String) -> NetworkError {
    NetworkError::Wish {
        option,
        value: value.to_string(),
        reason,
    }
}
