//! The firewall tables in the kernel: made, changed and removed, each time in one transaction. What they say is [`table`]'s.

use super::NetworkError;
use super::lease::{Built, Lease};
use super::table::{Elements, TABLE, families, table, without};
use crate::sys::family::Family;
use crate::sys::netlink::NetlinkError;
use crate::sys::nft::{Changes, Firewall};

/// Replaces the tables, if there are any, by what these leases need.
pub(super) fn replace(
    firewall: &mut Firewall,
    built: &[Built],
    leases: &[Lease],
) -> Result<(), NetworkError> {
    let replaced = present(firewall)?;
    firewall
        .commit(table(&replaced, built, leases))
        .map_err(explain)
}

/// Those that there are.
fn present(firewall: &mut Firewall) -> Result<Vec<Family>, NetworkError> {
    let mut present = Vec::new();
    for family in [Family::V4, Family::V6] {
        match firewall.has_table(family, TABLE) {
            Ok(true) => present.push(family),
            Ok(false) => {}
            // Some kernels have nf_tables for IPv4 only.
            Err(error) if family == Family::V6 && error.is_unsupported() => {}
            Err(error) => return Err(explain(error)),
        }
    }
    Ok(present)
}

/// Whether the kernel would take the tables; nothing is changed.
pub(super) fn try_out(firewall: &mut Firewall, built: &[Built]) -> Result<(), NetworkError> {
    let replaced = present(firewall)?;
    firewall
        .try_out(table(&replaced, built, &[]))
        .map_err(explain)
}

/// Changes the tables from what the leases `before` needed to what they need `now`, by the difference only: what is
/// removed from a table costs the kernel milliseconds. One that somebody removed or changed meanwhile is replaced.
pub(super) fn update(
    firewall: &mut Firewall,
    built: &[Built],
    before: &[Lease],
    now: &[Lease],
) -> Result<(), NetworkError> {
    let mut changes = Changes::to(TABLE);
    let mut same = true;
    for family in families(built) {
        if !firewall.has_table(family, TABLE).map_err(explain)? {
            return replace(firewall, built, now);
        }
        let (old, new) = (Elements::of(before, family), Elements::of(now, family));
        same &= old == new;
        changes.turn_to(family);
        changes.remove_elements("published", &without(&old.any, &new.any));
        changes.remove_elements("published_at", &without(&old.one, &new.one));
        changes.add_elements("published", &without(&new.any, &old.any));
        changes.add_elements("published_at", &without(&new.one, &old.one));
    }
    if same {
        return Ok(());
    }
    match firewall.commit(changes) {
        Ok(()) => Ok(()),
        Err(_) => replace(firewall, built, now),
    }
}

/// Whether the kernel knows firewall tables at all; to be asked before anything is written down.
pub(super) fn check(firewall: &mut Firewall) -> Result<(), NetworkError> {
    let known = firewall.has_table(Family::V4, TABLE);
    known.map(drop).map_err(explain)
}

/// Takes the ports of a container that goes out of the tables, as [`update`]; `rest` are the leases that stay.
pub(super) fn withdraw(
    firewall: &mut Firewall,
    built: &[Built],
    before: &[Lease],
    rest: &[Lease],
) -> Result<(), NetworkError> {
    // The kernel may have refused the table, and would do so again.
    if rest.is_empty() && present(firewall)?.is_empty() {
        return Ok(());
    }
    update(firewall, built, before, rest)
}

/// Replaces the tables if their ports are not those of these leases.
pub(super) fn settle(
    firewall: &mut Firewall,
    built: &[Built],
    leases: &[Lease],
) -> Result<(), NetworkError> {
    let mut families = families(built);
    let sound = families.all(|family| {
        let wanted = Elements::of(leases, family).sorted();
        let mut elements = |map| firewall.elements(family, TABLE, map);
        // Without the maps there is no table, or one that somebody else made.
        let (Ok(any), Ok(one)) = (elements("published"), elements("published_at")) else {
            return false;
        };
        Elements { any, one }.sorted() == wanted
    });
    match sound {
        true => Ok(()),
        false => replace(firewall, built, leases),
    }
}

/// Removes the tables, if there are any.
pub(super) fn remove(firewall: &mut Firewall) -> Result<(), NetworkError> {
    let present = present(firewall)?;
    if present.is_empty() {
        return Ok(());
    }
    let mut changes = Changes::to(TABLE);
    for family in present {
        changes.turn_to(family);
        changes.remove_table();
    }
    firewall.commit(changes).map_err(explain)
}

/// Tells apart what a person can do something about.
pub(super) fn explain(source: NetlinkError) -> NetworkError {
    if source.is_unsupported() {
        NetworkError::NoNat(source)
    } else if source.is_busy() {
        NetworkError::NatBusy(source)
    } else {
        NetworkError::Kernel(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn refusals_say_what_a_person_can_do() {
        let kernel = "failed to create chain output in firewall table dray";
        let gone = "No such file or directory (os error 2)";
        let busy = "Device or resource busy (os error 16)";
        let full = "Cannot allocate memory (os error 12)";
        for (errno, wanted) in [
            (
                2,
                format!(
                    "network mode bridge needs nf_tables with NAT, which this kernel lacks (CONFIG_NFT_NAT, NFT_MASQ, NFT_CT, NFT_FIB_IPV4); use --network host, or none: {kernel}: {gone}"
                ),
            ),
            (
                16,
                format!(
                    "network mode bridge needs NAT, which iptables has for itself on this kernel; remove its nat rules, or use --network host: {kernel}: {busy}"
                ),
            ),
            (12, format!("{kernel}: {full}")),
        ] {
            let error = explain(NetlinkError::Refused {
                action: "create chain output in firewall table dray".to_owned(),
                source: io::Error::from_raw_os_error(errno),
                detail: String::new(),
            });
            assert_eq!(error.to_string(), wanted);
        }
    }
}
