//! The firewall tables `dray`: what they say, as a whole, for the leases there are.
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
//!
//! Where a network has IPv6, `table ip6 dray` says the same of its addresses. Nothing is special there: what comes from
//! elsewhere to `::1` the kernel drops by itself. It would drop answers, too, so nothing leads away from there; nor from
//! link-local addresses, whose packets stay on their link.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::lease::{Built, Lease};
use crate::sys::family::{Family, octets};
use crate::sys::nft::{
    Changes, Element, Field, Hook, STATUS_DESTINATION_TRANSLATED, Term, key, state,
};

/// Their name.
pub(super) const TABLE: &str = "dray";
const LOOPBACK: (IpAddr, u8) = (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8);
const LOOPBACK_V6: (IpAddr, u8) = (IpAddr::V6(Ipv6Addr::LOCALHOST), 128);
const LINK_LOCAL: (IpAddr, u8) = (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10);
const ANY_ADDRESS: [Field; 2] = [Field::Protocol, Field::DestinationPort];
const ONE_ADDRESS: [Field; 3] = [Field::Destination, Field::Protocol, Field::DestinationPort];

/// The versions of IP that these networks have.
pub(super) fn families(built: &[Built]) -> impl Iterator<Item = Family> {
    let second = built.iter().any(|built| built.v6.is_some());
    [Family::V4].into_iter().chain(second.then_some(Family::V6))
}

/// Creates the tables, after removing those that are `replaced`.
pub(super) fn table(replaced: &[Family], built: &[Built], leases: &[Lease]) -> Changes {
    let mut changes = Changes::to(TABLE);
    for family in replaced {
        changes.turn_to(*family);
        changes.remove_table();
    }
    for family in families(built) {
        changes.turn_to(family);
        let subnet = |built: &Built| match family {
            Family::V4 => Some((built.pool.base.into(), built.pool.prefix)),
            Family::V6 => built.v6.map(|v6| (v6.subnet.base.into(), v6.subnet.prefix)),
        };
        let networks = built
            .iter()
            .filter_map(|built| Some((built, subnet(built)?)));
        let networks: Vec<(&Built, (IpAddr, u8))> = networks.collect();
        add_table(&mut changes, family, &networks, leases);
    }
    changes
}

fn add_table(
    changes: &mut Changes,
    family: Family,
    networks: &[(&Built, (IpAddr, u8))],
    leases: &[Lease],
) {
    changes.create_table();
    changes.add_map("published", &ANY_ADDRESS);
    changes.add_map("published_at", &ONE_ADDRESS);
    let elements = Elements::of(leases, family);
    changes.add_elements("published", &elements.any);
    changes.add_elements("published_at", &elements.one);
    if family == Family::V4 {
        changes.add_chain("guard", Some(Hook::Raw));
        networks
            .iter()
            .for_each(|(built, _)| add_guard(changes, built));
    }
    add_translation(changes, family);
    add_inward(changes);
    changes.add_chain("forward", Some(Hook::Forward));
    networks
        .iter()
        .for_each(|(built, _)| add_forward(changes, built));
    changes.add_chain("postrouting", Some(Hook::Postrouting));
    networks
        .iter()
        .for_each(|(built, subnet)| add_masquerade(changes, built, *subnet));
}

/// What the maps of a table contain.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Elements {
    /// Ports on every host address.
    pub(super) any: Vec<Element>,
    /// Ports on one host address.
    pub(super) one: Vec<Element>,
}

impl Elements {
    pub(super) fn of(leases: &[Lease], family: Family) -> Elements {
        let (mut any, mut one) = (Vec::new(), Vec::new());
        for lease in leases.iter().filter(|lease| lease.published) {
            let ports = lease.attachment.ports.iter();
            for port in ports.filter(|port| Family::of(port.host_ip) == family) {
                let Some(target) = lease.attachment.target(port) else {
                    continue;
                };
                let protocol = [port.protocol.transport().number()];
                let number = port.host_port.to_be_bytes();
                let target = (target, port.container_port);
                if port.host_ip.is_unspecified() {
                    any.push((key(&[&protocol, &number]), target));
                } else {
                    let address = octets(port.host_ip);
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

fn add_translation(changes: &mut Changes, family: Family) {
    changes.add_chain("published", None);
    changes.add_rule(
        "published",
        &[Term::TranslateBy(&ONE_ADDRESS, "published_at")],
    );
    changes.add_rule("published", &[Term::TranslateBy(&ANY_ADDRESS, "published")]);
    changes.add_chain("prerouting", Some(Hook::Prerouting));
    let elsewhere = |(base, prefix)| Term::NotIn(Field::Destination, base, prefix);
    let (from_outside, from_here) = match family {
        Family::V4 => (vec![elsewhere(LOOPBACK)], Vec::new()),
        Family::V6 => (
            vec![elsewhere(LINK_LOCAL)],
            vec![elsewhere(LOOPBACK_V6), elsewhere(LINK_LOCAL)],
        ),
    };
    let jump = [Term::ToThisHost, Term::Jump("published")];
    changes.add_rule("prerouting", &[&from_outside[..], &jump].concat());
    changes.add_chain("output", Some(Hook::Output));
    changes.add_rule("output", &[&from_here[..], &jump].concat());
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

fn add_masquerade(changes: &mut Changes, built: &Built, subnet: (IpAddr, u8)) {
    let from_containers = Term::In(Field::Source, subnet.0, subnet.1);
    let to_bridge = Term::Named(Field::OutputName, &built.bridge);
    let outward = Term::NotNamed(Field::OutputName, &built.bridge);
    let hairpin = Term::Any(Field::Status, STATUS_DESTINATION_TRANSLATED);
    if !built.bare {
        let rule = [from_containers.clone(), outward, Term::Masquerade];
        changes.add_rule("postrouting", &rule);
    }
    let hairpins = [
        from_containers,
        to_bridge.clone(),
        hairpin,
        Term::Masquerade,
    ];
    changes.add_rule("postrouting", &hairpins);
    if subnet.0.is_ipv4() {
        let from_loopback = Term::In(Field::Source, LOOPBACK.0, LOOPBACK.1);
        let rule = [from_loopback, to_bridge, Term::Masquerade];
        changes.add_rule("postrouting", &rule);
    }
}
