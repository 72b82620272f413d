//! The firewall table in the kernel: made, changed and removed, each time in one transaction. What it says is [`table`]'s.

use super::NetworkError;
use super::lease::{Built, Lease};
use super::table::{Elements, TABLE, table, without};
use crate::sys::netlink::NetlinkError;
use crate::sys::nft::{Changes, Firewall};

/// Replaces the table, if there is one, by what these leases need.
pub(super) fn replace(
    firewall: &mut Firewall,
    built: &[Built],
    leases: &[Lease],
) -> Result<(), NetworkError> {
    let replaced = firewall.has_table(TABLE).map_err(explain)?;
    firewall
        .commit(table(replaced, built, leases))
        .map_err(explain)
}

/// Whether the kernel would take the table; nothing is changed.
pub(super) fn try_out(firewall: &mut Firewall, built: &[Built]) -> Result<(), NetworkError> {
    let replaced = firewall.has_table(TABLE).map_err(explain)?;
    firewall
        .try_out(table(replaced, built, &[]))
        .map_err(explain)
}

/// Changes the table from what the leases `before` needed to what they need `now`, by the difference only: what is
/// removed from a table costs the kernel milliseconds. A table that somebody removed or changed meanwhile is replaced.
pub(super) fn update(
    firewall: &mut Firewall,
    built: &[Built],
    before: &[Lease],
    now: &[Lease],
) -> Result<(), NetworkError> {
    if !firewall.has_table(TABLE).map_err(explain)? {
        return replace(firewall, built, now);
    }
    let (old, new) = (Elements::of(before), Elements::of(now));
    if old == new {
        return Ok(());
    }
    let mut changes = Changes::to(TABLE);
    changes.remove_elements("published", &without(&old.any, &new.any));
    changes.remove_elements("published_at", &without(&old.one, &new.one));
    changes.add_elements("published", &without(&new.any, &old.any));
    changes.add_elements("published_at", &without(&new.one, &old.one));
    match firewall.commit(changes) {
        Ok(()) => Ok(()),
        Err(_) => replace(firewall, built, now),
    }
}

/// Whether the kernel knows firewall tables at all; to be asked before anything is written down.
pub(super) fn check(firewall: &mut Firewall) -> Result<(), NetworkError> {
    firewall.has_table(TABLE).map(drop).map_err(explain)
}

/// Takes the ports of a container that goes out of the table, as [`update`]; `rest` are the leases that stay.
pub(super) fn withdraw(
    firewall: &mut Firewall,
    built: &[Built],
    before: &[Lease],
    rest: &[Lease],
) -> Result<(), NetworkError> {
    // The kernel may have refused the table, and would do so again.
    if rest.is_empty() && !firewall.has_table(TABLE).map_err(explain)? {
        return Ok(());
    }
    update(firewall, built, before, rest)
}

/// Replaces the table if its ports are not those of these leases.
pub(super) fn settle(
    firewall: &mut Firewall,
    built: &[Built],
    leases: &[Lease],
) -> Result<(), NetworkError> {
    let wanted = Elements::of(leases).sorted();
    let found = firewall.elements(TABLE, "published").and_then(|any| {
        let one = firewall.elements(TABLE, "published_at")?;
        Ok(Elements { any, one }.sorted())
    });
    match found {
        Ok(found) if found == wanted => Ok(()),
        // Without the maps there is no table, or one that somebody else made.
        _ => replace(firewall, built, leases),
    }
}

/// Removes the table, if there is one.
pub(super) fn remove(firewall: &mut Firewall) -> Result<(), NetworkError> {
    if !firewall.has_table(TABLE).map_err(explain)? {
        return Ok(());
    }
    let mut changes = Changes::to(TABLE);
    changes.remove_table();
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
