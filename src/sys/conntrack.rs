//! Tracked connections: the kernel goes on translating those it knows, whatever the rules say by now. Whoever moves a
//! port or gives up an address makes it forget them.

use std::net::IpAddr;

use super::family::{self, Family};
use super::netlink::{NetlinkError, Purpose, Request, Socket, attribute};

/// `NFNL_SUBSYS_CTNETLINK`, the high byte of every message kind.
const SUBSYSTEM: u16 = 1;
const GET: u16 = SUBSYSTEM << 8 | 1;
const DELETE: u16 = SUBSYSTEM << 8 | 2;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
/// Numbers of the source addresses of both families; each is followed by that of the destination.
const CTA_IP_SRC: [u16; 2] = [1, 3];
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_DST_PORT: u16 = 3;

/// What identifies a connection to the kernel, and what callers choose by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Who opened it.
    pub source: IpAddr,
    /// Transport protocol number.
    pub protocol: u8,
    /// The address that it was opened to, before any translation.
    pub destination: IpAddr,
    /// The port that it was opened to; 0 for protocols without ports.
    pub port: u16,
    /// Who answers, after any translation.
    pub answers: IpAddr,
}

/// Makes the kernel forget the connections of `family` that `chosen` picks; returns how many.
///
/// A kernel that cannot list connections forgets none: they end when nothing more of them comes.
pub fn forget(family: Family, chosen: impl Fn(&Flow) -> bool) -> Result<usize, NetlinkError> {
    let mut socket = Socket::open(Purpose::Firewall)?;
    let list = Request::new(GET, 0, &header(family), "list tracked connections");
    let doomed = match socket.dump(list, |payload| doom(payload, family, &chosen)) {
        Ok(doomed) => doomed,
        Err(error) if error.errno() == libc::EINVAL => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut count = 0;
    for request in doomed {
        match socket.transact(vec![request]) {
            Ok(()) => count += 1,
            // It ended by itself meanwhile.
            Err(error) if error.errno() == libc::ENOENT => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// The request that deletes the listed connection, if it is chosen.
fn doom(payload: &[u8], family: Family, chosen: &impl Fn(&Flow) -> bool) -> Option<Request> {
    let header = header(family);
    let attributes = payload.get(header.len()..)?;
    chosen(&parse(attributes, family)?).then_some(())?;
    let mut request = Request::new(DELETE, 0, &header, "forget a tracked connection");
    let original = attribute(attributes, CTA_TUPLE_ORIG)?;
    request.nest(CTA_TUPLE_ORIG, |tuple| {
        tuple.raw(original);
    });
    // With the number, a new connection between the same ends is left alone.
    for kind in [CTA_ID, CTA_ZONE] {
        if let Some(value) = attribute(attributes, kind) {
            request.attribute(kind, value);
        }
    }
    Some(request)
}

fn header(family: Family) -> [u8; 4] {
    [family.number(), 0, 0, 0]
}

fn parse(attributes: &[u8], family: Family) -> Option<Flow> {
    let source = CTA_IP_SRC[usize::from(family == Family::V6)];
    let address = |tuple, end| -> Option<IpAddr> {
        let ends = attribute(attribute(attributes, tuple)?, CTA_TUPLE_IP)?;
        family::address(attribute(ends, end)?)
    };
    let protocol = attribute(attribute(attributes, CTA_TUPLE_ORIG)?, CTA_TUPLE_PROTO)?;
    let port = attribute(protocol, CTA_PROTO_DST_PORT)
        .and_then(|bytes| Some(u16::from_be_bytes(bytes.try_into().ok()?)));
    Some(Flow {
        source: address(CTA_TUPLE_ORIG, source)?,
        protocol: *attribute(protocol, CTA_PROTO_NUM)?.first()?,
        destination: address(CTA_TUPLE_ORIG, source + 1)?,
        port: port.unwrap_or(0),
        answers: address(CTA_TUPLE_REPLY, source)?,
    })
}
