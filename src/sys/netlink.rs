//! Netlink: requests as bytes, and the socket that carries them to the kernel and its answers back.
//!
//! Every request carries the words for what it does ("create bridge dray0"), so that a refusal names the object.

mod message;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, sockopt};
use nix::sys::time::TimeVal;

use message::answers;
pub(super) use message::{Request, attribute, attributes, number, text};

/// The kernel answers before `send` returns, so this only ever passes if an answer was lost.
const ANSWER_TIMEOUT_S: i64 = 10;
/// The kernel fills at most 32 KiB with one piece of a dump.
const RECEIVE_SIZE: usize = 32 * 1024;
const FLAG_DUMP_INTERRUPTED: u16 = 0x10;
/// Attempts at a dump that changes while it is read.
const DUMP_ATTEMPTS: u32 = 5;

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
    /// Whether the kernel was built without what was asked for. `EINVAL` is how it says so for a whole subsystem.
    pub fn is_unsupported(&self) -> bool {
        [
            libc::EINVAL,
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
