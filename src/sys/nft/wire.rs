//! How a table's parts look on the wire. The attribute numbers are those of `linux/netfilter/nf_tables.h`, under the
//! kernel's own names.

use std::net::IpAddr;

use super::{Element, Field, Term, key, padded};
use crate::sys::family::{self, Family, octets};
use crate::sys::netlink::{Request, attribute};

pub(super) const NFTA_TABLE_NAME: u16 = 1;
pub(super) const NFTA_CHAIN_TABLE: u16 = 1;
pub(super) const NFTA_CHAIN_NAME: u16 = 3;
pub(super) const NFTA_CHAIN_HOOK: u16 = 4;
pub(super) const NFTA_CHAIN_POLICY: u16 = 5;
pub(super) const NFTA_CHAIN_TYPE: u16 = 7;
pub(super) const NFTA_HOOK_HOOKNUM: u16 = 1;
pub(super) const NFTA_HOOK_PRIORITY: u16 = 2;
pub(super) const NFTA_RULE_TABLE: u16 = 1;
pub(super) const NFTA_RULE_CHAIN: u16 = 2;
pub(super) const NFTA_RULE_EXPRESSIONS: u16 = 4;
pub(super) const NFTA_SET_TABLE: u16 = 1;
pub(super) const NFTA_SET_NAME: u16 = 2;
pub(super) const NFTA_SET_FLAGS: u16 = 3;
pub(super) const NFTA_SET_KEY_TYPE: u16 = 4;
pub(super) const NFTA_SET_KEY_LEN: u16 = 5;
pub(super) const NFTA_SET_DATA_TYPE: u16 = 6;
pub(super) const NFTA_SET_DATA_LEN: u16 = 7;
pub(super) const NFTA_SET_ID: u16 = 10;
pub(super) const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
pub(super) const NFTA_SET_ELEM_LIST_SET: u16 = 2;
pub(super) const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
pub(super) const NFTA_SET_ELEM_KEY: u16 = 1;
pub(super) const NFTA_SET_ELEM_DATA: u16 = 2;
pub(super) const NFTA_LIST_ELEM: u16 = 1;
pub(super) const NFTA_EXPR_NAME: u16 = 1;
pub(super) const NFTA_EXPR_DATA: u16 = 2;
pub(super) const NFTA_DATA_VALUE: u16 = 1;
pub(super) const NFTA_DATA_VERDICT: u16 = 2;
pub(super) const NFTA_VERDICT_CODE: u16 = 1;
pub(super) const NFTA_VERDICT_CHAIN: u16 = 2;
pub(super) const NFTA_META_DREG: u16 = 1;
pub(super) const NFTA_META_KEY: u16 = 2;
pub(super) const NFTA_PAYLOAD_DREG: u16 = 1;
pub(super) const NFTA_PAYLOAD_BASE: u16 = 2;
pub(super) const NFTA_PAYLOAD_OFFSET: u16 = 3;
pub(super) const NFTA_PAYLOAD_LEN: u16 = 4;
pub(super) const NFTA_FIB_DREG: u16 = 1;
pub(super) const NFTA_FIB_RESULT: u16 = 2;
pub(super) const NFTA_FIB_FLAGS: u16 = 3;
pub(super) const NFTA_BITWISE_SREG: u16 = 1;
pub(super) const NFTA_BITWISE_DREG: u16 = 2;
pub(super) const NFTA_BITWISE_LEN: u16 = 3;
pub(super) const NFTA_BITWISE_MASK: u16 = 4;
pub(super) const NFTA_BITWISE_XOR: u16 = 5;
pub(super) const NFTA_CMP_SREG: u16 = 1;
pub(super) const NFTA_CMP_OP: u16 = 2;
pub(super) const NFTA_CMP_DATA: u16 = 3;
pub(super) const NFTA_LOOKUP_SET: u16 = 1;
pub(super) const NFTA_LOOKUP_SREG: u16 = 2;
pub(super) const NFTA_LOOKUP_DREG: u16 = 3;
pub(super) const NFTA_NAT_TYPE: u16 = 1;
pub(super) const NFTA_NAT_FAMILY: u16 = 2;
pub(super) const NFTA_NAT_REG_ADDR_MIN: u16 = 3;
pub(super) const NFTA_NAT_REG_PROTO_MIN: u16 = 5;
pub(super) const NFTA_IMMEDIATE_DREG: u16 = 1;
pub(super) const NFTA_IMMEDIATE_DATA: u16 = 2;

const FIB_RESULT_ADDRESS_TYPE: u32 = 3;
const FIB_FLAG_DESTINATION: u32 = 1 << 1;

/// The two registers that terms use: values are loaded side by side from the first 4-byte one on.
const REGISTER_VALUE: u32 = libc::NFT_REG_1 as u32;
/// The first 4-byte register by its other name, to count from.
const REGISTER_FIRST: u32 = libc::NFT_REG32_00 as u32;

pub(super) fn write_element(list: &mut Request, (from, (address, port)): &Element) {
    let data = key(&[&octets(*address), &port.to_be_bytes()]);
    list.nest(NFTA_LIST_ELEM, |element| {
        element
            .nest(NFTA_SET_ELEM_KEY, |value| {
                value.attribute(NFTA_DATA_VALUE, from);
            })
            .nest(NFTA_SET_ELEM_DATA, |value| {
                value.attribute(NFTA_DATA_VALUE, &data);
            });
    });
}

/// `None` for something that [`write_element`] would not have written.
pub(super) fn read_element(element: &[u8]) -> Option<Element> {
    let value = |kind| attribute(attribute(element, kind)?, NFTA_DATA_VALUE);
    let data = value(NFTA_SET_ELEM_DATA)?;
    let (address, port) = data.split_at_checked(data.len().checked_sub(4)?)?;
    let target = (
        family::address(address)?,
        u16::from_be_bytes([port[0], port[1]]),
    );
    Some((value(NFTA_SET_ELEM_KEY)?.to_vec(), target))
}

pub(super) fn write_term(list: &mut Request, family: Family, term: &Term) {
    match *term {
        Term::Named(field, name) => compare_name(list, field, libc::NFT_CMP_EQ, name),
        Term::NotNamed(field, name) => compare_name(list, field, libc::NFT_CMP_NEQ, name),
        Term::In(field, base, prefix) => {
            compare_network(list, field, libc::NFT_CMP_EQ, base, prefix);
        }
        Term::NotIn(field, base, prefix) => {
            compare_network(list, field, libc::NFT_CMP_NEQ, base, prefix);
        }
        Term::ToThisHost => {
            load(list, family, Field::DestinationKind, REGISTER_VALUE);
            let local = u32::from(libc::RTN_LOCAL);
            compare(list, libc::NFT_CMP_EQ, &local.to_ne_bytes());
        }
        Term::Any(field, bits) => {
            load(list, family, field, REGISTER_VALUE);
            mask(list, &bits.to_ne_bytes());
            compare(list, libc::NFT_CMP_NEQ, &[0; 4]);
        }
        Term::TranslateBy(fields, map) => translate_by(list, family, fields, map),
        Term::Masquerade => expression(list, "masq", |_| {}),
        Term::Jump(chain) => verdict(list, libc::NFT_JUMP, Some(chain)),
        Term::Return => verdict(list, libc::NFT_RETURN, None),
        Term::Drop => verdict(list, libc::NF_DROP, None),
    }
}

fn compare_name(list: &mut Request, field: Field, operator: i32, name: &str) {
    let mut padded = [0; libc::IFNAMSIZ];
    // A longer name cannot exist, so it is enough that it equals none.
    let length = name.len().min(padded.len());
    padded[..length].copy_from_slice(&name.as_bytes()[..length]);
    // An interface has no family.
    load(list, Family::V4, field, REGISTER_VALUE);
    compare(list, operator, &padded);
}

fn compare_network(list: &mut Request, field: Field, operator: i32, base: IpAddr, prefix: u8) {
    let family = Family::of(base);
    load(list, family, field, REGISTER_VALUE);
    mask(list, &family::mask(family, prefix));
    compare(list, operator, &octets(base));
}

fn translate_by(list: &mut Request, family: Family, fields: &[Field], map: &str) {
    let mut register = REGISTER_FIRST;
    for (position, field) in fields.iter().enumerate() {
        // The first one by its old name, as nft itself writes it.
        load(
            list,
            family,
            *field,
            if position == 0 {
                REGISTER_VALUE
            } else {
                register
            },
        );
        register += padded(field.size(family)) as u32 / 4;
    }
    expression(list, "lookup", |lookup| {
        lookup
            .text(NFTA_LOOKUP_SET, map)
            .attribute(NFTA_LOOKUP_SREG, &REGISTER_VALUE.to_be_bytes())
            .attribute(NFTA_LOOKUP_DREG, &REGISTER_VALUE.to_be_bytes());
    });
    // Behind the address.
    let port = REGISTER_FIRST + family.size() as u32 / 4;
    expression(list, "nat", |nat| {
        nat.attribute(NFTA_NAT_TYPE, &libc::NFT_NAT_DNAT.to_be_bytes())
            .attribute(NFTA_NAT_FAMILY, &u32::from(family.number()).to_be_bytes())
            .attribute(NFTA_NAT_REG_ADDR_MIN, &REGISTER_VALUE.to_be_bytes())
            .attribute(NFTA_NAT_REG_PROTO_MIN, &port.to_be_bytes());
    });
}

fn load(list: &mut Request, family: Family, field: Field, register: u32) {
    let (source, destination) = match family {
        Family::V4 => (12, 16),
        Family::V6 => (8, 24),
    };
    let mut bytes = |base, offset| {
        let size = field.size(family) as u32;
        load_bytes(list, base, (offset, size), register);
    };
    match field {
        Field::InputName => load_key(list, "meta", libc::NFT_META_IIFNAME, register),
        Field::OutputName => load_key(list, "meta", libc::NFT_META_OIFNAME, register),
        Field::Protocol => load_key(list, "meta", libc::NFT_META_L4PROTO, register),
        Field::State => load_key(list, "ct", libc::NFT_CT_STATE, register),
        Field::Status => load_key(list, "ct", libc::NFT_CT_STATUS, register),
        Field::Source => bytes(libc::NFT_PAYLOAD_NETWORK_HEADER, source),
        Field::Destination => bytes(libc::NFT_PAYLOAD_NETWORK_HEADER, destination),
        Field::DestinationPort => bytes(libc::NFT_PAYLOAD_TRANSPORT_HEADER, 2),
        Field::DestinationKind => expression(list, "fib", |fib| {
            fib.attribute(NFTA_FIB_DREG, &register.to_be_bytes())
                .attribute(NFTA_FIB_RESULT, &FIB_RESULT_ADDRESS_TYPE.to_be_bytes())
                .attribute(NFTA_FIB_FLAGS, &FIB_FLAG_DESTINATION.to_be_bytes());
        }),
    }
}

/// `meta` and `ct` number their attributes alike.
fn load_key(list: &mut Request, kind: &str, key: i32, register: u32) {
    expression(list, kind, |load| {
        load.attribute(NFTA_META_DREG, &register.to_be_bytes())
            .attribute(NFTA_META_KEY, &key.to_be_bytes());
    });
}

fn load_bytes(list: &mut Request, base: i32, (offset, size): (u32, u32), register: u32) {
    expression(list, "payload", |payload| {
        payload
            .attribute(NFTA_PAYLOAD_DREG, &register.to_be_bytes())
            .attribute(NFTA_PAYLOAD_BASE, &base.to_be_bytes())
            .attribute(NFTA_PAYLOAD_OFFSET, &offset.to_be_bytes())
            .attribute(NFTA_PAYLOAD_LEN, &size.to_be_bytes());
    });
}

fn mask(list: &mut Request, bits: &[u8]) {
    let register = REGISTER_VALUE.to_be_bytes();
    expression(list, "bitwise", |bitwise| {
        bitwise
            .attribute(NFTA_BITWISE_SREG, &register)
            .attribute(NFTA_BITWISE_DREG, &register)
            .attribute(NFTA_BITWISE_LEN, &(bits.len() as u32).to_be_bytes())
            .nest(NFTA_BITWISE_MASK, |value| {
                value.attribute(NFTA_DATA_VALUE, bits);
            })
            .nest(NFTA_BITWISE_XOR, |value| {
                value.attribute(NFTA_DATA_VALUE, &vec![0; bits.len()]);
            });
    });
}

fn compare(list: &mut Request, operator: i32, value: &[u8]) {
    expression(list, "cmp", |cmp| {
        cmp.attribute(NFTA_CMP_SREG, &REGISTER_VALUE.to_be_bytes())
            .attribute(NFTA_CMP_OP, &operator.to_be_bytes())
            .nest(NFTA_CMP_DATA, |data| {
                data.attribute(NFTA_DATA_VALUE, value);
            });
    });
}

fn verdict(list: &mut Request, code: i32, chain: Option<&str>) {
    let register = libc::NFT_REG_VERDICT as u32;
    expression(list, "immediate", |immediate| {
        immediate
            .attribute(NFTA_IMMEDIATE_DREG, &register.to_be_bytes())
            .nest(NFTA_IMMEDIATE_DATA, |data| {
                data.nest(NFTA_DATA_VERDICT, |verdict| {
                    verdict.attribute(NFTA_VERDICT_CODE, &code.to_be_bytes());
                    if let Some(chain) = chain {
                        verdict.text(NFTA_VERDICT_CHAIN, chain);
                    }
                });
            });
    });
}

fn expression(list: &mut Request, name: &str, fill: impl FnOnce(&mut Request)) {
    list.nest(NFTA_LIST_ELEM, |element| {
        element
            .text(NFTA_EXPR_NAME, name)
            .nest(NFTA_EXPR_DATA, fill);
    });
}
