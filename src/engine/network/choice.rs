//! What a container is to get, and whether it may take it over: address and ports, against the leases there are.

use super::bind;
use super::lease::{Built, Lease, Leases};
use super::ports::BoundPort;
use super::{Attachment, Join, NetworkError};

/// What the container is to get: the address it had, or a free one; host ports for its wishes.
pub(super) fn choose(leases: &Leases, built: &Built, join: &Join) -> Result<Lease, NetworkError> {
    let earlier = leases.find(join.id);
    let claims = leases.claims(&[&[join.id], join.replacing].concat());
    let ports = match earlier {
        Some(lease) if lease.wanted == join.ports => {
            let ports = &lease.attachment.ports;
            for port in ports.iter().filter(|_| join.publish) {
                bind::check_claims(port, &[], &claims)?;
            }
            ports.clone()
        }
        _ => bind::bind(join.ports, &claims)?,
    };
    let taken = |address| leases.all.iter().any(|l| l.attachment.ip == address);
    let ip = earlier
        .map(|lease| lease.attachment.ip)
        .or_else(|| built.pool.free(taken))
        .ok_or(NetworkError::Full(built.pool))?;
    let attachment = Attachment {
        network: "bridge".to_owned(),
        ip,
        prefix: built.pool.prefix,
        gateway: built.pool.gateway(),
        mac: join.mac.unwrap_or_else(|| ip.into()),
        bridge: built.bridge.clone(),
        ports,
    };
    Ok(Lease::new(join, attachment))
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
    for lease in on.iter().filter_map(|id| leases.find(id)) {
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
