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

use super::lease::{Built, Lease};
use crate::sys::nft::{
    Changes, Element, Field, Hook, STATUS_DESTINATION_TRANSLATED, Term, key, state,
};

/// Its name.
pub(super) const TABLE: &str = "dray";
const LOOPBACK: (Ipv4Addr, u8) = (Ipv4Addr::new(127, 0, 0, 0), 8);
const ANY_ADDRESS: [Field; 2] = [Field::Protocol, Field::DestinationPort];
const ONE_ADDRESS: [Field; 3] = [Field::Destination, Field::Protocol, Field::DestinationPort];

/// Creates it, after removing the one that is `replaced`.
pub(super) fn table(replaced: bool, built: &[Built], leases: &[Lease]) -> Changes {
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

/// What the maps of the table contain.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Elements {
    /// Ports on every host address.
    pub(super) any: Vec<Element>,
    /// Ports on one host address.
    pub(super) one: Vec<Element>,
}

impl Elements {
    pub(super) fn of(leases: &[Lease]) -> Elements {
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
    pub(super) fn sorted(mut self) -> Elements {
        self.any.sort();
        self.one.sort();
        self
    }
}

/// Those of `elements` that are not among `others`.
pub(super) fn without(elements: &[Element], others: &[Element]) -> Vec<Element> {
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
