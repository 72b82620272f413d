//! How a table's parts look on the wire. The attribute numbers are those of `linux/netfilter/nf_tables.h`, under the
//! kernel's own names.

use std::net::Ipv4Addr;

use super::{Element, FAMILY_IPV4, Field, Term, key, padded};
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
/// The second 4-byte register, where a value of two parts has its second part.
const REGISTER_SECOND: u32 = libc::NFT_REG32_00 as u32 + 1;

pub(super) fn write_element(list: &mut Request, (from, (address, port)): &Element) {
    let data = key(&[&address.octets(), &port.to_be_bytes()]);
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
    let address: [u8; 4] = data.get(0..4)?.try_into().ok()?;
    let port: [u8; 2] = data.get(4..6)?.try_into().ok()?;
    let target = (address.into(), u16::from_be_bytes(port));
    Some((value(NFTA_SET_ELEM_KEY)?.to_vec(), target))
}

pub(super) fn write_term(list: &mut Request, term: &Term) {
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
            load(list, Field::DestinationKind, REGISTER_VALUE);
            let local = u32::from(libc::RTN_LOCAL);
            compare(list, libc::NFT_CMP_EQ, &local.to_ne_bytes());
        }
        Term::Any(field, bits) => {
            load(list, field, REGISTER_VALUE);
            mask(list, &bits.to_ne_bytes());
            compare(list, libc::NFT_CMP_NEQ, &[0; 4]);
        }
        Term::TranslateBy(fields, map) => translate_by(list, fields, map),
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
    load(list, field, REGISTER_VALUE);
    compare(list, operator, &padded);
}

fn compare_network(list: &mut Request, field: Field, operator: i32, base: Ipv4Addr, prefix: u8) {
    let bits = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    load(list, field, REGISTER_VALUE);
    mask(list, &bits.to_be_bytes());
    compare(list, operator, &base.octets());
}

fn translate_by(list: &mut Request, fields: &[Field], map: &str) {
    let mut register = libc::NFT_REG32_00 as u32;
    for (position, field) in fields.iter().enumerate() {
        // The first one by its old name, as nft itself writes it.
        load(
            list,
            *field,
            if position == 0 {
                REGISTER_VALUE
            } else {
                register
            },
        );
        register += padded(field.size()) as u32 / 4;
    }
    expression(list, "lookup", |lookup| {
        lookup
            .text(NFTA_LOOKUP_SET, map)
            .attribute(NFTA_LOOKUP_SREG, &REGISTER_VALUE.to_be_bytes())
            .attribute(NFTA_LOOKUP_DREG, &REGISTER_VALUE.to_be_bytes());
    });
    expression(list, "nat", |nat| {
        nat.attribute(NFTA_NAT_TYPE, &libc::NFT_NAT_DNAT.to_be_bytes())
            .attribute(NFTA_NAT_FAMILY, &u32::from(FAMILY_IPV4).to_be_bytes())
            .attribute(NFTA_NAT_REG_ADDR_MIN, &REGISTER_VALUE.to_be_bytes())
            .attribute(NFTA_NAT_REG_PROTO_MIN, &REGISTER_SECOND.to_be_bytes());
    });
}

fn load(list: &mut Request, field: Field, register: u32) {
    match field {
        Field::InputName => load_key(list, "meta", libc::NFT_META_IIFNAME, register),
        Field::OutputName => load_key(list, "meta", libc::NFT_META_OIFNAME, register),
        Field::Protocol => load_key(list, "meta", libc::NFT_META_L4PROTO, register),
        Field::State => load_key(list, "ct", libc::NFT_CT_STATE, register),
        Field::Status => load_key(list, "ct", libc::NFT_CT_STATUS, register),
        Field::Source => load_bytes(list, libc::NFT_PAYLOAD_NETWORK_HEADER, 12, field, register),
        Field::Destination => {
            load_bytes(list, libc::NFT_PAYLOAD_NETWORK_HEADER, 16, field, register);
        }
        Field::DestinationPort => {
            load_bytes(list, libc::NFT_PAYLOAD_TRANSPORT_HEADER, 2, field, register);
        }
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

fn load_bytes(list: &mut Request, base: i32, offset: u32, field: Field, register: u32) {
    expression(list, "payload", |payload| {
        payload
            .attribute(NFTA_PAYLOAD_DREG, &register.to_be_bytes())
            .attribute(NFTA_PAYLOAD_BASE, &base.to_be_bytes())
            .attribute(NFTA_PAYLOAD_OFFSET, &offset.to_be_bytes())
            .attribute(NFTA_PAYLOAD_LEN, &(field.size() as u32).to_be_bytes());
    });
}

fn mask(list: &mut Request, bits: &[u8; 4]) {
    let register = REGISTER_VALUE.to_be_bytes();
    expression(list, "bitwise", |bitwise| {
        bitwise
            .attribute(NFTA_BITWISE_SREG, &register)
            .attribute(NFTA_BITWISE_DREG, &register)
            .attribute(NFTA_BITWISE_LEN, &4u32.to_be_bytes())
            .nest(NFTA_BITWISE_MASK, |value| {
                value.attribute(NFTA_DATA_VALUE, bits);
            })
            .nest(NFTA_BITWISE_XOR, |value| {
                value.attribute(NFTA_DATA_VALUE, &[0; 4]);
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
