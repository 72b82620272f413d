//! The firewall table `dray`: what it says, as a whole, for the leases there are.
//!
//! ```text
//! table ip dray {
//!   map published     { protocol . port : container's address . port }             ports on every host address
//!   map published_at  { host address . protocol . port : … }                       ports on one host address
//!   chain guard       { prerouting, before tracking: from a bridge to 127/8: drop }
//!   chain prerouting  { to this host, but not to 127/8: jump published }            from outside, and hairpins
//!   chain output      { to this host: jump published }                              from the host itself
//!   chain published   { translate by published_at, then by published }
//!   chain forward     { from elsewhere to a bridge: jump inward; to or from an internal one: drop }
//!   chain inward      { answers, and what was translated, pass; drop the rest }
//!   chain postrouting { containers to elsewhere, hairpins, and 127/8 to containers: masquerade }
//! }
//! ```
//!
//! Networks are elsewhere to each other, which is what keeps them apart: only published ports lead across.
//!
//! Why 127/8 is special: a host program that connects to 127.0.0.1 keeps that source address, so the bridge accepts
//! answers to it (`route_localnet`), and without the guard a container could send to the host's loopback services.
//! From outside, nothing may reach a port published on 127.0.0.1 by forging that destination.

use std::net::Ipv4Addr;

use super::NetworkError;
use super::lease::{Built, Lease};
use crate::sys::netlink::NetlinkError;
use crate::sys::nft::{
    Changes, Element, Field, Firewall, Hook, STATUS_DESTINATION_TRANSLATED, Term, key, state,
};

const TABLE: &str = "dray";
const LOOPBACK: (Ipv4Addr, u8) = (Ipv4Addr::new(127, 0, 0, 0), 8);
const ANY_ADDRESS: [Field; 2] = [Field::Protocol, Field::DestinationPort];
const ONE_ADDRESS: [Field; 3] = [Field::Destination, Field::Protocol, Field::DestinationPort];

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

fn table(replaced: bool, built: &[Built], leases: &[Lease]) -> Changes {
    let mut changes = Changes::to(TABLE);
    if replaced {
        changes.remove_table();
    }
    changes.create_table();
    changes.add_map("published", &ANY_ADDRESS);
    changes.add_map("published_at", &ONE_ADDRESS);
    let elements = Elements::of(leases);
    changes.add_elements("published", &elements.any);
    changes.add_elements("published_at", &elements.one);
    changes.add_chain("guard", Some(Hook::Raw));
    built
        .iter()
        .for_each(|built| add_guard(&mut changes, built));
    add_translation(&mut changes);
    add_inward(&mut changes);
    changes.add_chain("forward", Some(Hook::Forward));
    built
        .iter()
        .for_each(|built| add_forward(&mut changes, built));
    changes.add_chain("postrouting", Some(Hook::Postrouting));
    built
        .iter()
        .for_each(|built| add_masquerade(&mut changes, built));
    changes
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

/// What the maps of the table contain.
#[derive(Debug, PartialEq, Eq)]
struct Elements {
    /// Ports on every host address.
    any: Vec<Element>,
    /// Ports on one host address.
    one: Vec<Element>,
}

impl Elements {
    fn of(leases: &[Lease]) -> Elements {
        let (mut any, mut one) = (Vec::new(), Vec::new());
        for lease in leases.iter().filter(|lease| lease.published) {
            for port in &lease.attachment.ports {
                let protocol = [port.protocol.transport().number()];
                let number = port.host_port.to_be_bytes();
                let target = (lease.attachment.ip, port.container_port);
                if port.host_ip.is_unspecified() {
                    any.push((key(&[&protocol, &number]), target));
                } else {
                    let address = port.host_ip.octets();
                    one.push((key(&[&address, &protocol, &number]), target));
                }
            }
        }
        Elements { any, one }
    }

    /// In one order, so that two of them can be compared.
    fn sorted(mut self) -> Elements {
        self.any.sort();
        self.one.sort();
        self
    }
}

fn without(elements: &[Element], others: &[Element]) -> Vec<Element> {
    elements
        .iter()
        .filter(|element| !others.contains(element))
        .cloned()
        .collect()
}

fn add_guard(changes: &mut Changes, built: &Built) {
    changes.add_rule(
        "guard",
        &[
            Term::Named(Field::InputName, &built.bridge),
            Term::In(Field::Destination, LOOPBACK.0, LOOPBACK.1),
            Term::Drop,
        ],
    );
}

fn add_translation(changes: &mut Changes) {
    changes.add_chain("published", None);
    changes.add_rule(
        "published",
        &[Term::TranslateBy(&ONE_ADDRESS, "published_at")],
    );
    changes.add_rule("published", &[Term::TranslateBy(&ANY_ADDRESS, "published")]);
    changes.add_chain("prerouting", Some(Hook::Prerouting));
    changes.add_rule(
        "prerouting",
        &[
            Term::NotIn(Field::Destination, LOOPBACK.0, LOOPBACK.1),
            Term::ToThisHost,
            Term::Jump("published"),
        ],
    );
    changes.add_chain("output", Some(Hook::Output));
    changes.add_rule("output", &[Term::ToThisHost, Term::Jump("published")]);
}

fn add_inward(changes: &mut Changes) {
    changes.add_chain("inward", None);
    let answers = state::ESTABLISHED | state::RELATED;
    for passes in [
        Term::Any(Field::State, answers),
        Term::Any(Field::Status, STATUS_DESTINATION_TRANSLATED),
    ] {
        changes.add_rule("inward", &[passes, Term::Return]);
    }
    changes.add_rule("inward", &[Term::Drop]);
}

fn add_forward(changes: &mut Changes, built: &Built) {
    let inward = [
        Term::NotNamed(Field::InputName, &built.bridge),
        Term::Named(Field::OutputName, &built.bridge),
    ];
    let outward = [
        Term::Named(Field::InputName, &built.bridge),
        Term::NotNamed(Field::OutputName, &built.bridge),
    ];
    let last = match built.internal {
        true => Term::Drop,
        false => Term::Jump("inward"),
    };
    changes.add_rule("forward", &[&inward[..], &[last]].concat());
    if built.internal {
        changes.add_rule("forward", &[&outward[..], &[Term::Drop]].concat());
    }
}

fn add_masquerade(changes: &mut Changes, built: &Built) {
    let from_containers = Term::In(Field::Source, built.pool.base, built.pool.prefix);
    let to_bridge = Term::Named(Field::OutputName, &built.bridge);
    let outward = Term::NotNamed(Field::OutputName, &built.bridge);
    let hairpin = Term::Any(Field::Status, STATUS_DESTINATION_TRANSLATED);
    let from_loopback = Term::In(Field::Source, LOOPBACK.0, LOOPBACK.1);
    if !built.bare {
        let rule = [from_containers.clone(), outward, Term::Masquerade];
        changes.add_rule("postrouting", &rule);
    }
    for rule in [
        &[
            from_containers,
            to_bridge.clone(),
            hairpin,
            Term::Masquerade,
        ][..],
        &[from_loopback, to_bridge, Term::Masquerade],
    ] {
        changes.add_rule("postrouting", rule);
    }
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
