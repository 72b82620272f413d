//! Whether a network that is to be made fits this host: said when it is made, not when the first container starts.

use std::net::Ipv4Addr;

use super::address::Pool;
use super::make::Wish;
use super::{NetworkError, options};
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

/// Refuses addresses that hosts do not have, and those that this one has or has a route to.
pub(super) fn check_host(subnet: Pool) -> Result<(), NetworkError> {
    let refuse = |reason: String| NetworkError::Wish {
        option: "--subnet",
        value: subnet.to_string(),
        reason: format!("{reason}; choose another one, such as 10.5.0.0/24"),
    };
    for (base, prefix, kind) in RESERVED {
        if subnet.overlaps(base, prefix) {
            return Err(refuse(format!("{base}/{prefix} are {kind}")));
        }
    }
    let mut links = Links::open()?;
    let addresses = links.addresses()?;
    let mut addresses = addresses.iter();
    if let Some(taken) = addresses.find(|a| subnet.overlaps(a.address, a.prefix)) {
        let link = links.list()?.into_iter().find(|l| l.index == taken.link);
        let link = link.map_or_else(String::new, |link| format!(" of interface {}", link.name));
        let (address, prefix) = (taken.address, taken.prefix);
        return Err(refuse(format!("it overlaps {address}/{prefix}{link}")));
    }
    let mut routes = links.routes()?.into_iter();
    match routes.find(|(base, prefix)| subnet.overlaps(*base, *prefix)) {
        Some((base, prefix)) => Err(refuse(format!(
            "this host has a route to {base}/{prefix}, which it overlaps"
        ))),
        None => Ok(()),
    }
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

/// Parts of a subnet that is not said.
pub(super) fn no_subnet(wish: &Wish) -> NetworkError {
    let (option, value) = match (wish.gateway, wish.range) {
        (Some(gateway), _) => ("--gateway", gateway.to_string()),
        (None, range) => (
            "--ip-range",
            range.map_or_else(String::new, |r| r.to_string()),
        ),
    };
    NetworkError::Wish {
        option,
        value,
        reason: "give the --subnet that it is part of, too".to_owned(),
    }
}
