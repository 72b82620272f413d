//! Which host port each published port gets, and who is in the way.

use std::io;

use super::ports::{BoundPort, PortError, PublishedPort};
use crate::sys::{netns, port};

/// The kernel's default range for ports that nobody chose, should it not say its own.
const EPHEMERAL: (u16, u16) = (32768, 60999);

/// A port that another container has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'a> {
    /// The container's id.
    pub(super) holder: &'a str,
    /// The port.
    pub(super) port: BoundPort,
    /// Whether it leads to that container now; otherwise the container waits for it.
    pub(super) published: bool,
}

/// Chooses a host port for each wish: none that another container or a program of this host has, and preferably the one that
/// it got `elsewhere`, in the other version of IP.
pub(super) fn bind(
    wishes: &[PublishedPort],
    elsewhere: &[BoundPort],
    claims: &[Claim],
) -> Result<Vec<BoundPort>, PortError> {
    let mut bound = Vec::new();
    for wish in wishes {
        let same = |port: &&BoundPort| {
            port.protocol == wish.protocol && port.container_port == wish.container_port
        };
        let known = elsewhere.iter().filter(same).map(|port| port.host_port);
        let own = bind_one(wish, known, &bound, claims)?;
        bound.extend(own);
    }
    Ok(bound)
}

fn bind_one(
    wish: &PublishedPort,
    known: impl Iterator<Item = u16>,
    own: &[BoundPort],
    claims: &[Claim],
) -> Result<Vec<BoundPort>, PortError> {
    let (first, last) = wish.host_ports.unwrap_or_else(ephemeral);
    if first == last {
        let ports: Vec<BoundPort> = wish.at(first).collect();
        for port in &ports {
            check_claims(port, own, claims)?;
            check_host(port)?;
        }
        return Ok(ports);
    }
    let known = known.filter(|port| (first..=last).contains(port));
    'next: for host_port in known.chain(first..=last) {
        let ports: Vec<BoundPort> = wish.at(host_port).collect();
        for port in &ports {
            // Nobody insists on a port of the ephemeral range, so one that somebody waits for is left to him.
            let awaited = wish.host_ports.is_none() && claims.iter().any(|c| c.port.collides(port));
            if awaited || check_claims(port, own, claims).is_err() {
                continue 'next;
            }
        }
        for port in &ports {
            match try_host(port) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue 'next,
                Err(error) => return Err(refusal(*port, error)),
            }
        }
        return Ok(ports);
    }
    Err(PortError::NoneFree {
        first,
        last,
        protocol: wish.protocol,
    })
}

/// Whether the port leads to another container now, or is among `own` already.
pub(super) fn check_claims(
    port: &BoundPort,
    own: &[BoundPort],
    claims: &[Claim],
) -> Result<(), PortError> {
    if own.iter().any(|other| other.collides(port)) {
        return Err(PortError::Twice { port: *port });
    }
    match claims
        .iter()
        .find(|claim| claim.published && claim.port.collides(port))
    {
        Some(claim) => Err(PortError::Taken {
            port: *port,
            holder: format!("container {:.12}", claim.holder),
        }),
        None => Ok(()),
    }
}

/// Whether a program of this host has the port.
pub(super) fn check_host(port: &BoundPort) -> Result<(), PortError> {
    try_host(port).map_err(|error| refusal(*port, error))
}

fn try_host(port: &BoundPort) -> io::Result<()> {
    port::try_bind(port.protocol.transport(), port.host_ip, port.host_port)
}

fn refusal(port: BoundPort, source: io::Error) -> PortError {
    match source.kind() {
        io::ErrorKind::AddrInUse => PortError::Taken {
            port,
            holder: port::holder(port.protocol.transport(), port.host_port)
                .unwrap_or_else(|| "a program on this host".to_owned()),
        },
        io::ErrorKind::AddrNotAvailable => PortError::ForeignAddress { port },
        _ => PortError::Probe { port, source },
    }
}

fn ephemeral() -> (u16, u16) {
    netns::parameter("ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| {
            let mut numbers = text.split_ascii_whitespace().map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
        .unwrap_or(EPHEMERAL)
}
