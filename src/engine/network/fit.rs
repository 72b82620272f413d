//! Whether a network that is to be made fits this host: said when it is made, not when the first container starts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address::{Address, Pool};
use super::asked::Asked;
use super::{NetworkError, options};
use crate::sys::family::Family;
use crate::sys::links::Links;

/// What no interface of a bridge can have, with its kind.
const RESERVED: [(Ipv4Addr, u8, &str); 3] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "addresses of no host"),
    (
        Ipv4Addr::new(127, 0, 0, 0),
        8,
        "the host's loopback addresses",
    ),
    (
        Ipv4Addr::new(224, 0, 0, 0),
        3,
        "multicast and reserved addresses",
    ),
];

/// Why other IPv6 addresses are no network's: several links have them, or they mean something else.
const NOT_GLOBAL: &str =
    "its addresses are not global ones (2000::/3) or unique local ones (fc00::/7)";

/// Refuses addresses that hosts do not have, and those that this one has or has a route to.
pub(super) fn check_host<A: Address>(subnet: Pool<A>) -> Result<(), NetworkError> {
    let refuse = |reason: String| NetworkError::Wish {
        option: "--subnet",
        value: subnet.to_string(),
        reason: format!("{reason}; choose another one, such as {}", A::EXAMPLE),
    };
    let overlaps = |(base, prefix): (IpAddr, u8)| {
        A::of(base).is_some_and(|base| subnet.overlaps(base, prefix))
    };
    for (base, prefix, kind) in RESERVED {
        if overlaps((base.into(), prefix)) {
            return Err(refuse(format!("{base}/{prefix} are {kind}")));
        }
    }
    let all: IpAddr = subnet.base.into();
    if matches!(all, IpAddr::V6(base) if !is_usable(base, subnet.prefix)) {
        return Err(refuse(NOT_GLOBAL.to_owned()));
    }
    let mut links = Links::open()?;
    let addresses = links.addresses()?;
    let mut addresses = addresses.iter();
    if let Some(taken) = addresses.find(|a| overlaps((a.address, a.prefix))) {
        let link = links.list()?.into_iter().find(|l| l.index == taken.link);
        let link = link.map_or_else(String::new, |link| format!(" of interface {}", link.name));
        let (address, prefix) = (taken.address, taken.prefix);
        return Err(refuse(format!("it overlaps {address}/{prefix}{link}")));
    }
    let mut routes = links.routes(Family::of(all))?.into_iter();
    match routes.find(|route| overlaps(*route)) {
        Some((base, prefix)) => Err(refuse(format!(
            "this host has a route to {base}/{prefix}, which it overlaps"
        ))),
        None => Ok(()),
    }
}

/// Whether addresses are neither those of links nor mean something else.
fn is_usable(base: Ipv6Addr, prefix: u8) -> bool {
    prefix >= 7 && matches!(base.octets()[0], 0x20..=0x3f | 0xfc | 0xfd)
}

/// Refuses the name of an interface that is there: it would not be ours to change or remove.
pub(super) fn check_bridge(name: &str) -> Result<(), NetworkError> {
    match Links::open()?.find(name)? {
        Some(_) => Err(options::refuse_interface(
            name,
            "this host has an interface of that name; choose another one".to_owned(),
        )),
        None => Ok(()),
    }
}

/// Refuses parts of a subnet that is not said.
pub(super) fn check_said<A: Address>(asked: &Asked<A>) -> Result<(), NetworkError> {
    let gateway = asked
        .gateway
        .map(|gateway| ("--gateway", gateway.to_string()));
    let range = asked.range.map(|range| ("--ip-range", range.to_string()));
    match gateway.or(range) {
        Some((option, value)) if asked.subnet.is_none() => Err(NetworkError::Wish {
            option,
            value,
            reason: "give the --subnet that it is part of, too".to_owned(),
        }),
        _ => Ok(()),
    }
}
