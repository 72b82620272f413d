//! Netlink: requests as bytes, and the socket that carries them to the kernel and its answers back.
//!
//! Every request carries the words for what it does ("create bridge dray0"), so that a refusal names the object.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, sockopt};
use nix::sys::time::TimeVal;

/// The kernel answers before `send` returns, so this only ever passes if an answer was lost.
const ANSWER_TIMEOUT_S: i64 = 10;
/// The kernel fills at most 32 KiB with one piece of a dump.
const RECEIVE_SIZE: usize = 32 * 1024;
/// Attempts at a dump that changes while it is read.
const DUMP_ATTEMPTS: u32 = 5;

const HEADER: usize = 16;
const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;
const FLAG_CAPPED: u16 = 0x100;
const FLAG_ACK_TLVS: u16 = 0x200;
const FLAG_DUMP_INTERRUPTED: u16 = 0x10;
const ATTRIBUTE_MESSAGE: u16 = 1;

/// Why the kernel's network configuration could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No socket: the kernel lacks the protocol, or the process the right.
    #[error("failed to open a netlink socket for {purpose}: {source}")]
    Open {
        /// `links and routes`, `firewall rules`.
        purpose: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The kernel refused a request.
    #[error("failed to {action}: {source}{detail}")]
    Refused {
        /// What was to be done to which object.
        action: String,
        /// The kernel's reason.
        source: io::Error,
        /// The kernel's own words in parentheses, if it gave any.
        detail: String,
    },
}

impl NetlinkError {
    /// Whether the kernel was built without what was asked for.
    pub fn is_unsupported(&self) -> bool {
        [
            libc::ENOENT,
            libc::EOPNOTSUPP,
            libc::EPROTONOSUPPORT,
            libc::EAFNOSUPPORT,
        ]
        .contains(&self.errno())
    }

    /// Whether somebody else has what only one can have.
    pub fn is_busy(&self) -> bool {
        self.errno() == libc::EBUSY
    }

    /// Whether an object of that name exists.
    pub fn is_existing(&self) -> bool {
        self.errno() == libc::EEXIST
    }

    /// The kernel's error number, 0 if there is none.
    pub(super) fn errno(&self) -> i32 {
        let (NetlinkError::Open { source, .. } | NetlinkError::Refused { source, .. }) = self;
        source.raw_os_error().unwrap_or(0)
    }
}

/// One message to the kernel.
#[derive(Debug, Clone)]
pub(super) struct Request {
    bytes: Vec<u8>,
    action: String,
}

impl Request {
    /// A message of `kind` with its fixed `header`. `action` completes the sentence "failed to …".
    pub(super) fn new(kind: u16, flags: i32, header: &[u8], action: impl Into<String>) -> Request {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&((flags | libc::NLM_F_REQUEST) as u16).to_ne_bytes());
        bytes.extend_from_slice(header);
        Request {
            bytes,
            action: action.into(),
        }
    }

    /// Appends an attribute.
    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Request {
        self.append(kind, |request| request.bytes.extend_from_slice(value))
    }

    /// Appends a text attribute with its closing NUL.
    pub(super) fn text(&mut self, kind: u16, value: &str) -> &mut Request {
        self.append(kind, |request| {
            request.bytes.extend_from_slice(value.as_bytes());
            request.bytes.push(0);
        })
    }

    /// Appends an attribute made of the attributes that `fill` appends.
    pub(super) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Request)) -> &mut Request {
        self.append(kind | NESTED, fill)
    }

    /// Appends fixed bytes, for nested attributes that start with a header.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Request {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn append(&mut self, kind: u16, fill: impl FnOnce(&mut Request)) -> &mut Request {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        fill(self);
        let length = self.bytes.len() - start;
        // The wire has 16 bits for it; the only long lists, set elements, are cut into pieces by their maker.
        assert!(length <= usize::from(u16::MAX), "attribute too long");
        self.bytes[start..start + 2].copy_from_slice(&(length as u16).to_ne_bytes());
        self.bytes[start + 2..start + 4].copy_from_slice(&kind.to_ne_bytes());
        self.bytes.resize(align(self.bytes.len()), 0);
        self
    }

    fn seal(&mut self, sequence: u32) -> &[u8] {
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        &self.bytes
    }

    fn add_flags(&mut self, flags: i32) {
        let now = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]);
        self.bytes[6..8].copy_from_slice(&(now | flags as u16).to_ne_bytes());
    }
}

fn align(length: usize) -> usize {
    length.div_ceil(4) * 4
}

/// The attributes in `bytes`, kind without its flag bits and value; stops at the first malformed one.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(0..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(align(length)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// The value of the first attribute `kind` in `bytes`.
pub(super) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(k, _)| *k == kind).map(|(_, v)| v)
}

/// A text attribute's value without its closing NUL.
pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// Four bytes of an attribute as a number in this machine's byte order.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.get(0..4)?.try_into().ok()?))
}

/// One answer of the kernel.
struct Answer<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

impl Answer<'_> {
    /// For an acknowledgement: the refusal it carries, `None` if it is a consent.
    fn refusal(&self) -> Option<(io::Error, String)> {
        let code = self
            .payload
            .get(0..4)
            .and_then(number)
            .map_or(-libc::EPROTO, |code| code as i32);
        (code != 0).then(|| (io::Error::from_raw_os_error(-code), self.words()))
    }

    /// The kernel's own words about a refusal, in parentheses.
    fn words(&self) -> String {
        let echoed = match self.payload.get(4..8).and_then(number) {
            Some(length) if self.flags & FLAG_CAPPED == 0 => align(length as usize),
            _ => HEADER,
        };
        (self.flags & FLAG_ACK_TLVS != 0)
            .then(|| self.payload.get(4 + echoed..))
            .flatten()
            .and_then(|tlvs| attribute(tlvs, ATTRIBUTE_MESSAGE))
            .map_or_else(String::new, |message| format!(" ({})", text(message)))
    }
}

fn answers(mut bytes: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    std::iter::from_fn(move || {
        let header = bytes.get(0..HEADER)?;
        let length = u32::from_ne_bytes(header[0..4].try_into().ok()?) as usize;
        let answer = Answer {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            flags: u16::from_ne_bytes([header[6], header[7]]),
            sequence: u32::from_ne_bytes(header[8..12].try_into().ok()?),
            payload: bytes.get(HEADER..length)?,
        };
        bytes = bytes.get(align(length)..).unwrap_or(&[]);
        Some(answer)
    })
}

/// What a netlink socket is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// Interfaces, addresses, routes.
    Links,
    /// nf_tables and connection tracking.
    Firewall,
}

/// A netlink socket. It belongs to the network namespace of the thread that opened it, for good.
#[derive(Debug)]
pub(super) struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
}

impl Socket {
    pub(super) fn open(purpose: Purpose) -> Result<Socket, NetlinkError> {
        let (protocol, purpose) = match purpose {
            Purpose::Links => (SockProtocol::NetlinkRoute, "links and routes"),
            Purpose::Firewall => (SockProtocol::NetlinkNetFilter, "firewall rules"),
        };
        let open = || -> nix::Result<OwnedFd> {
            let flags = SockFlag::SOCK_CLOEXEC;
            let descriptor =
                socket::socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
            let timeout = TimeVal::new(ANSWER_TIMEOUT_S, 0);
            socket::setsockopt(&descriptor, sockopt::ReceiveTimeout, &timeout)?;
            // Both only improve answers (the kernel's own words; no echo of the request): old kernels lack them.
            for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
                enable(&descriptor, option);
            }
            Ok(descriptor)
        };
        match open() {
            Ok(descriptor) => Ok(Socket {
                descriptor,
                sequence: 0,
            }),
            Err(errno) => Err(NetlinkError::Open {
                purpose,
                source: errno.into(),
            }),
        }
    }

    /// Sends all requests at once and reads one acknowledgement for each. The kernel works through all of them also if
    /// one is refused; the first refusal is the error.
    pub(super) fn transact(&mut self, mut requests: Vec<Request>) -> Result<(), NetlinkError> {
        for request in &mut requests {
            request.add_flags(libc::NLM_F_ACK);
        }
        let first = self.send(&mut requests)?;
        let mut missing = requests.len();
        let mut first_refusal = None;
        let mut buffer = vec![0; RECEIVE_SIZE];
        while missing > 0 {
            let length = self
                .receive(&mut buffer, MsgFlags::empty())
                .map_err(|source| lost(&requests[0], source))?;
            for answer in answers(&buffer[..length]) {
                let index = answer.sequence.wrapping_sub(first) as usize;
                if i32::from(answer.kind) != libc::NLMSG_ERROR || index >= requests.len() {
                    continue;
                }
                missing -= 1;
                if let Some(refusal) = answer.refusal()
                    && first_refusal
                        .as_ref()
                        .is_none_or(|(earlier, _)| index < *earlier)
                {
                    first_refusal = Some((index, refusal));
                }
            }
        }
        first_refusal.map_or(Ok(()), |(index, refusal)| {
            Err(refused(&requests[index], refusal))
        })
    }

    /// Sends requests that the kernel carries out together or not at all, without acknowledgements: whatever it
    /// answers is a refusal, and it has answered when the send returns.
    pub(super) fn commit(&mut self, mut requests: Vec<Request>) -> Result<(), NetlinkError> {
        let first = self.send(&mut requests)?;
        let mut buffer = vec![0; RECEIVE_SIZE];
        loop {
            let length = match self.receive(&mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(source) => return Err(lost(&requests[0], source)),
            };
            for answer in answers(&buffer[..length]) {
                if i32::from(answer.kind) == libc::NLMSG_ERROR
                    && let Some(refusal) = answer.refusal()
                {
                    let index = answer.sequence.wrapping_sub(first) as usize;
                    let request = requests.get(index).unwrap_or(&requests[0]);
                    return Err(refused(request, refusal));
                }
            }
        }
    }

    /// Asks for one object; `None` if the answer is not one that `parse` understands.
    pub(super) fn ask<T>(
        &mut self,
        mut request: Request,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, NetlinkError> {
        let sequence = self.send(std::slice::from_mut(&mut request))?;
        let mut buffer = vec![0; RECEIVE_SIZE];
        loop {
            let length = self
                .receive(&mut buffer, MsgFlags::empty())
                .map_err(|source| lost(&request, source))?;
            let Some(answer) = answers(&buffer[..length]).find(|a| a.sequence == sequence) else {
                continue;
            };
            if i32::from(answer.kind) != libc::NLMSG_ERROR {
                return Ok(parse(answer.payload));
            }
            return match answer.refusal() {
                Some(refusal) => Err(refused(&request, refusal)),
                None => Ok(None),
            };
        }
    }

    /// Asks for a list and hands each entry's payload to `each`; starts over if the list changed meanwhile.
    pub(super) fn dump<T>(
        &mut self,
        request: Request,
        each: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        let mut attempt = 1;
        loop {
            let (list, consistent) = self.dump_once(request.clone(), &each)?;
            if consistent {
                return Ok(list);
            }
            if attempt == DUMP_ATTEMPTS {
                return Err(lost(&request, io::Error::from(io::ErrorKind::Interrupted)));
            }
            attempt += 1;
        }
    }

    fn dump_once<T>(
        &mut self,
        mut request: Request,
        each: &impl Fn(&[u8]) -> Option<T>,
    ) -> Result<(Vec<T>, bool), NetlinkError> {
        request.add_flags(libc::NLM_F_DUMP);
        let sequence = self.send(std::slice::from_mut(&mut request))?;
        let mut list = Vec::new();
        let mut consistent = true;
        let mut buffer = vec![0; RECEIVE_SIZE];
        loop {
            let length = self
                .receive(&mut buffer, MsgFlags::empty())
                .map_err(|source| lost(&request, source))?;
            for answer in answers(&buffer[..length]).filter(|a| a.sequence == sequence) {
                consistent &= answer.flags & FLAG_DUMP_INTERRUPTED == 0;
                match i32::from(answer.kind) {
                    libc::NLMSG_DONE => return Ok((list, consistent)),
                    libc::NLMSG_ERROR => {
                        if let Some(refusal) = answer.refusal() {
                            return Err(refused(&request, refusal));
                        }
                    }
                    _ => list.extend(each(answer.payload)),
                }
            }
        }
    }

    /// Sends the requests with rising sequence numbers in one datagram; returns the first number.
    fn send(&mut self, requests: &mut [Request]) -> Result<u32, NetlinkError> {
        let first = self.sequence.wrapping_add(1);
        let mut datagram = Vec::new();
        for request in requests.iter_mut() {
            self.sequence = self.sequence.wrapping_add(1);
            datagram.extend_from_slice(request.seal(self.sequence));
        }
        let sent = (|| {
            // A datagram must fit the send buffer, some of which is overhead; the default holds about 200 KiB.
            if datagram.len() > 64 * 1024 {
                socket::setsockopt(
                    &self.descriptor,
                    sockopt::SndBufForce,
                    &(datagram.len() * 2),
                )?;
            }
            socket::send(self.descriptor.as_raw_fd(), &datagram, MsgFlags::empty())
        })();
        match sent {
            Ok(_) => Ok(first),
            Err(errno) => Err(lost(&requests[0], errno.into())),
        }
    }

    fn receive(&self, buffer: &mut [u8], flags: MsgFlags) -> io::Result<usize> {
        loop {
            match socket::recv(self.descriptor.as_raw_fd(), buffer, flags) {
                Err(nix::Error::EINTR) => {}
                other => return other.map_err(io::Error::from),
            }
        }
    }
}

/// The error for a request that the kernel refused.
fn refused(request: &Request, (source, detail): (io::Error, String)) -> NetlinkError {
    NetlinkError::Refused {
        action: request.action.clone(),
        source,
        detail,
    }
}

/// The error for a request whose answer never came.
fn lost(request: &Request, source: io::Error) -> NetlinkError {
    refused(request, (source, String::new()))
}

fn enable(descriptor: &OwnedFd, option: libc::c_int) {
    let on: libc::c_int = 1;
    // SAFETY: the value pointer and length describe `on`, which lives through the call; the descriptor is open.
    unsafe {
        libc::setsockopt(
            descriptor.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_aligned_and_nested() {
        let mut request = Request::new(16, libc::NLM_F_CREATE, &[9, 9, 9, 9], "test");
        request.text(3, "ab").nest(18, |inner| {
            inner.attribute(1, &[7]);
        });
        let bytes = request.seal(5).to_vec();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(bytes.len(), 16 + 4 + 8 + 4 + 8);
        assert_eq!(number(&bytes), Some(bytes.len() as u32));
        let found: Vec<_> = attributes(&bytes[20..]).collect();
        assert_eq!(found[0], (3, &b"ab\0"[..]));
        assert_eq!(found[1].0, 18);
        assert_eq!(attribute(found[1].1, 1), Some(&[7][..]));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn malformed_attributes_end_the_list() {
        for bytes in [&[][..], &[1], &[3, 0, 1, 0], &[9, 0, 1, 0, 1, 2]] {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
        }
    }

    #[test]
    fn malformed_answers_end_the_list() {
        for bytes in [&[0; 8][..], &[0; 16], &[15; 40]] {
            assert_eq!(answers(bytes).count(), 0, "{bytes:?}");
        }
    }
}
