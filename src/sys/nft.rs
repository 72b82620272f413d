//! Firewall rules: one nf_tables table, changed in transactions.
//!
//! Only the words that dray's own rules need; a rule is a list of [`Term`]s, read from left to right like a line of
//! `nft`, and ends at the first term that does not hold. Each version of IP has a table of its own (`table ip`, `table ip6`),
//! since NAT in `inet` tables is younger than many devices' kernels; one transaction changes both.

mod wire;

use std::net::IpAddr;

use super::family::Family;
use super::netlink::{NetlinkError, Purpose, Request, Socket, attribute, attributes, number, text};
use wire::*;

/// Set elements per message: an attribute holds 64 KiB, an element takes at most 48 bytes.
const ELEMENTS_PER_MESSAGE: usize = 1000;

/// `NFNL_SUBSYS_NFTABLES`, the high byte of every message kind.
const SUBSYSTEM: u16 = 10;
const FAMILIES_OF_IPV4: [u8; 2] = [libc::NFPROTO_IPV4 as u8, libc::NFPROTO_INET as u8];

/// Message kinds within the subsystem.
mod message {
    pub(super) const NEW_TABLE: u16 = 0;
    pub(super) const GET_TABLE: u16 = 1;
    pub(super) const DELETE_TABLE: u16 = 2;
    pub(super) const NEW_CHAIN: u16 = 3;
    pub(super) const GET_CHAIN: u16 = 4;
    pub(super) const NEW_RULE: u16 = 6;
    pub(super) const NEW_SET: u16 = 9;
    pub(super) const NEW_ELEMENTS: u16 = 12;
    pub(super) const GET_ELEMENTS: u16 = 13;
    pub(super) const DELETE_ELEMENTS: u16 = 14;
}

/// A property of a packet or its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Name of the interface it came in by.
    InputName,
    /// Name of the interface it goes out by.
    OutputName,
    /// Source address.
    Source,
    /// Destination address.
    Destination,
    /// Transport protocol number.
    Protocol,
    /// Destination port, of protocols that have ports.
    DestinationPort,
    /// Kind of the destination address, `RTN_LOCAL` for one of this host's.
    DestinationKind,
    /// State bits of the connection.
    State,
    /// Status bits of the connection.
    Status,
}

impl Field {
    /// Bytes of its value.
    fn size(self, family: Family) -> usize {
        match self {
            Field::InputName | Field::OutputName => libc::IFNAMSIZ,
            Field::Protocol => 1,
            Field::DestinationPort => 2,
            Field::Source | Field::Destination => family.size(),
            _ => 4,
        }
    }

    /// The number by which `nft` knows how to print it, as part of a map's key.
    fn printed_as(self, family: Family) -> u32 {
        match self {
            Field::Protocol => 12,
            Field::DestinationPort => 13,
            Field::Source | Field::Destination => match family {
                Family::V4 => 7,
                Family::V6 => 8,
            },
            _ => 0,
        }
    }
}

/// Connection state bits, see [`Field::State`].
pub mod state {
    /// Answers of a connection, and what follows them.
    pub const ESTABLISHED: u32 = 1 << 1;
    /// Belongs to another connection, like an ICMP error.
    pub const RELATED: u32 = 1 << 2;
}

/// The status bit of connections whose destination was translated, see [`Field::Status`].
pub const STATUS_DESTINATION_TRANSLATED: u32 = 1 << 5;

/// One word of a rule.
#[derive(Debug, Clone)]
pub enum Term<'a> {
    /// The interface name in the field is this one.
    Named(Field, &'a str),
    /// The interface name in the field is another one.
    NotNamed(Field, &'a str),
    /// The address in the field lies in the network.
    In(Field, IpAddr, u8),
    /// The address in the field lies outside the network.
    NotIn(Field, IpAddr, u8),
    /// The destination is an address of this host.
    ToThisHost,
    /// At least one of the bits is set in the field.
    Any(Field, u32),
    /// Look the fields up in a map of (address, port), and translate the destination to what it says.
    TranslateBy(&'a [Field], &'a str),
    /// Translate the source to the address of the outgoing interface.
    Masquerade,
    /// Go on in another chain, and come back.
    Jump(&'a str),
    /// Back to the chain that jumped here; in a base chain, its policy.
    Return,
    /// Drop the packet.
    Drop,
}

/// Where in the packet's way a chain sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Before connection tracking knows the packet.
    Raw,
    /// Where destinations of incoming packets are translated.
    Prerouting,
    /// Where destinations of this host's own packets are translated.
    Output,
    /// Where passing packets are filtered.
    Forward,
    /// Where sources are translated.
    Postrouting,
}

impl Hook {
    /// Chain type, hook number and priority.
    fn parts(self) -> (&'static str, i32, i32) {
        match self {
            Hook::Raw => ("filter", libc::NF_INET_PRE_ROUTING, libc::NF_IP_PRI_RAW),
            Hook::Prerouting => ("nat", libc::NF_INET_PRE_ROUTING, libc::NF_IP_PRI_NAT_DST),
            Hook::Output => ("nat", libc::NF_INET_LOCAL_OUT, libc::NF_IP_PRI_NAT_DST),
            Hook::Forward => ("filter", libc::NF_INET_FORWARD, libc::NF_IP_PRI_FILTER),
            Hook::Postrouting => ("nat", libc::NF_INET_POST_ROUTING, libc::NF_IP_PRI_NAT_SRC),
        }
    }
}

/// Where a map leads: an address and a port.
pub type Target = (IpAddr, u16);

/// An element of a map: the values of its key, see [`key`], and where it leads.
pub type Element = (Vec<u8>, Target);

/// Changes to the tables of one name, carried out all at once or not at all; nothing happens before
/// [`Firewall::commit`].
#[derive(Debug)]
pub struct Changes {
    table: String,
    family: Family,
    requests: Vec<Request>,
    maps: u32,
}

impl Changes {
    /// To the table for IPv4 first.
    pub fn to(table: &str) -> Changes {
        Changes {
            table: table.to_owned(),
            family: Family::V4,
            requests: vec![boundary(libc::NFNL_MSG_BATCH_BEGIN)],
            maps: 0,
        }
    }

    /// From here on to the table for `family`.
    pub fn turn_to(&mut self, family: Family) {
        self.family = family;
    }

    /// Creates the table; if it exists, it stays as it is.
    pub fn create_table(&mut self) {
        self.push_table(message::NEW_TABLE, "create");
    }

    /// Removes the table with everything in it.
    pub fn remove_table(&mut self) {
        self.push_table(message::DELETE_TABLE, "remove");
    }

    /// Adds a chain that packets enter at `hook`, or by a jump if there is none.
    pub fn add_chain(&mut self, name: &str, hook: Option<Hook>) {
        let mut request = self.request(message::NEW_CHAIN, &format!("create chain {name} in"));
        request
            .text(NFTA_CHAIN_TABLE, &self.table)
            .text(NFTA_CHAIN_NAME, name);
        if let Some((kind, number, priority)) = hook.map(Hook::parts) {
            request
                .nest(NFTA_CHAIN_HOOK, |hook| {
                    hook.attribute(NFTA_HOOK_HOOKNUM, &number.to_be_bytes())
                        .attribute(NFTA_HOOK_PRIORITY, &priority.to_be_bytes());
                })
                .attribute(NFTA_CHAIN_POLICY, &libc::NF_ACCEPT.to_be_bytes())
                .text(NFTA_CHAIN_TYPE, kind);
        }
        self.requests.push(request);
    }

    /// Appends a rule to a chain.
    pub fn add_rule(&mut self, chain: &str, terms: &[Term]) {
        let action = format!("add a rule to chain {chain} of");
        let mut request = self.request(message::NEW_RULE, &action);
        request
            .text(NFTA_RULE_TABLE, &self.table)
            .text(NFTA_RULE_CHAIN, chain)
            .nest(NFTA_RULE_EXPRESSIONS, |list| {
                terms
                    .iter()
                    .for_each(|term| write_term(list, self.family, term));
            });
        self.requests.push(request);
    }

    /// Adds an empty map from the values of `key` to an address and a port.
    pub fn add_map(&mut self, name: &str, key: &[Field]) {
        self.maps += 1;
        let family = self.family;
        let concatenate =
            |fields: &[Field]| fields.iter().fold(0, |t, f| t << 6 | f.printed_as(family));
        let data = concatenate(&[Field::Destination, Field::DestinationPort]);
        let length: usize = key.iter().map(|field| padded(field.size(family))).sum();
        // An address and a port.
        let target = family.size() as u32 + 4;
        let mut request = self.request(message::NEW_SET, &format!("create map {name} in"));
        request
            .text(NFTA_SET_TABLE, &self.table)
            .text(NFTA_SET_NAME, name)
            .attribute(NFTA_SET_FLAGS, &libc::NFT_SET_MAP.to_be_bytes())
            .attribute(NFTA_SET_KEY_TYPE, &concatenate(key).to_be_bytes())
            .attribute(NFTA_SET_KEY_LEN, &(length as u32).to_be_bytes())
            .attribute(NFTA_SET_DATA_TYPE, &data.to_be_bytes())
            .attribute(NFTA_SET_DATA_LEN, &target.to_be_bytes())
            .attribute(NFTA_SET_ID, &self.maps.to_be_bytes());
        self.requests.push(request);
    }

    /// Adds elements to a map.
    pub fn add_elements(&mut self, map: &str, elements: &[Element]) {
        self.push_elements(message::NEW_ELEMENTS, "fill", map, elements);
    }

    /// Removes elements from a map.
    pub fn remove_elements(&mut self, map: &str, elements: &[Element]) {
        self.push_elements(message::DELETE_ELEMENTS, "clear", map, elements);
    }

    fn push_elements(&mut self, kind: u16, verb: &str, map: &str, elements: &[Element]) {
        for elements in elements.chunks(ELEMENTS_PER_MESSAGE) {
            let mut request = self.request(kind, &format!("{verb} map {map} of"));
            request
                .text(NFTA_SET_ELEM_LIST_TABLE, &self.table)
                .text(NFTA_SET_ELEM_LIST_SET, map)
                .nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
                    elements
                        .iter()
                        .for_each(|element| write_element(list, element));
                });
            self.requests.push(request);
        }
    }

    fn push_table(&mut self, kind: u16, verb: &str) {
        let mut request = self.request(kind, verb);
        request.text(NFTA_TABLE_NAME, &self.table);
        self.requests.push(request);
    }

    fn request(&self, kind: u16, verb: &str) -> Request {
        Request::new(
            SUBSYSTEM << 8 | kind,
            libc::NLM_F_CREATE | libc::NLM_F_APPEND,
            &[self.family.number(), 0, 0, 0],
            format!("{verb} {}", named(self.family, &self.table)),
        )
    }
}

/// A connection to the firewall of the calling thread's namespace.
///
/// Keep it for as long as there may be more to do: closing it waits until the kernel has disposed of everything that
/// was removed through it, which takes milliseconds that pass by themselves meanwhile.
#[derive(Debug)]
pub struct Firewall(Socket);

impl Firewall {
    /// Opens the connection.
    pub fn open() -> Result<Firewall, NetlinkError> {
        Socket::open(Purpose::Firewall).map(Firewall)
    }

    /// Makes the changes, all at once; after an error nothing has changed.
    pub fn commit(&mut self, mut changes: Changes) -> Result<(), NetlinkError> {
        changes.requests.push(boundary(libc::NFNL_MSG_BATCH_END));
        self.0.commit(changes.requests)
    }

    /// Has the kernel judge the changes without making them.
    pub fn try_out(&mut self, changes: Changes) -> Result<(), NetlinkError> {
        // It carries out nothing whose end it has not seen.
        self.0.commit(changes.requests)
    }

    /// Whether there is a table of that name.
    pub fn has_table(&mut self, family: Family, name: &str) -> Result<bool, NetlinkError> {
        let mut request = Request::new(
            SUBSYSTEM << 8 | message::GET_TABLE,
            0,
            &[family.number(), 0, 0, 0],
            format!("look up {}", named(family, name)),
        );
        request.text(NFTA_TABLE_NAME, name);
        match self.0.ask(request, |_| Some(())) {
            Ok(found) => Ok(found.is_some()),
            Err(error) if error.errno() == libc::ENOENT => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The elements of a map of the table, in no particular order.
    pub fn elements(
        &mut self,
        family: Family,
        table: &str,
        map: &str,
    ) -> Result<Vec<Element>, NetlinkError> {
        let mut request = Request::new(
            SUBSYSTEM << 8 | message::GET_ELEMENTS,
            0,
            &[family.number(), 0, 0, 0],
            format!("list map {map} of {}", named(family, table)),
        );
        request
            .text(NFTA_SET_ELEM_LIST_TABLE, table)
            .text(NFTA_SET_ELEM_LIST_SET, map);
        let pieces = self.0.dump(request, |payload| {
            let elements = attribute(payload.get(4..)?, NFTA_SET_ELEM_LIST_ELEMENTS)?;
            Some(
                attributes(elements)
                    .filter_map(|(_, e)| read_element(e))
                    .collect::<Vec<_>>(),
            )
        })?;
        Ok(pieces.concat())
    }

    /// Names of the chains of other tables that drop passing packets unless one of their own rules accepts them: no
    /// accept in dray's table can override that.
    pub fn dropping_forward_chains(&mut self) -> Result<Vec<String>, NetlinkError> {
        let request = Request::new(
            SUBSYSTEM << 8 | message::GET_CHAIN,
            0,
            &[libc::AF_UNSPEC as u8, 0, 0, 0],
            "list firewall chains",
        );
        self.0.dump(request, dropping_forward_chain)
    }
}

fn dropping_forward_chain(payload: &[u8]) -> Option<String> {
    if !FAMILIES_OF_IPV4.contains(payload.first()?) {
        return None;
    }
    let attributes = payload.get(4..)?;
    let big_endian = |value: &[u8]| number(value).map(u32::from_be);
    let hook = attribute(attributes, NFTA_CHAIN_HOOK)?;
    let number = attribute(hook, NFTA_HOOK_HOOKNUM).and_then(big_endian)?;
    let policy = attribute(attributes, NFTA_CHAIN_POLICY).and_then(big_endian)?;
    let name = |kind| attribute(attributes, kind).map(text);
    (number == libc::NF_INET_FORWARD as u32 && policy == libc::NF_DROP as u32).then_some(format!(
        "{} of table {}",
        name(NFTA_CHAIN_NAME)?,
        name(NFTA_CHAIN_TABLE)?
    ))
}

/// The key of a map element: the values of its fields, each padded to whole 4-byte registers.
pub fn key(parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::new();
    for part in parts {
        key.extend_from_slice(part);
        key.resize(padded(key.len()), 0);
    }
    key
}

/// In refusals.
fn named(family: Family, table: &str) -> String {
    match family {
        Family::V4 => format!("firewall table {table}"),
        Family::V6 => format!("firewall table {table} of IPv6"),
    }
}

fn padded(length: usize) -> usize {
    length.div_ceil(4) * 4
}

fn boundary(kind: i32) -> Request {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    let header = [libc::AF_UNSPEC as u8, 0, high, low];
    Request::new(kind as u16, 0, &header, "change the firewall")
}
