//! Ports of this host's own programs: whether one is free, and who has it if not.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::sys::socket::{self, SockaddrIn, SockaddrIn6, sockopt};

use super::family::Family;

/// State of a listening TCP socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Transport protocols as sockets know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Transport {
    /// The protocol's number in the IP header.
    pub fn number(self) -> u8 {
        match self {
            Transport::Tcp => libc::IPPROTO_TCP as u8,
            Transport::Udp => libc::IPPROTO_UDP as u8,
            Transport::Sctp => libc::IPPROTO_SCTP as u8,
        }
    }
}

/// Tries whether a program could listen on `address:port` now; nothing is left behind, and nothing ever listened.
///
/// `AddrInUse` says that somebody does; `AddrNotAvailable` that the address is not one of this host's.
pub fn try_bind(transport: Transport, address: IpAddr, port: u16) -> io::Result<()> {
    let socket = match open(transport, Family::of(address)) {
        // Where the kernel does not know the protocol, no program listens.
        Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => return Ok(()),
        other => other?,
    };
    if address.is_ipv6() {
        // Who has the port for IPv4 only is not in the way.
        socket::setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    if transport == Transport::Tcp {
        // As servers do: otherwise connections that ended a minute ago would count as in use.
        socket::setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    }
    let socket = socket.as_raw_fd();
    let bound = match address {
        IpAddr::V4(address) => {
            let address = SockaddrIn::from(SocketAddrV4::new(address, port));
            socket::bind(socket, &address)
        }
        IpAddr::V6(address) => {
            let address = SockaddrIn6::from(SocketAddrV6::new(address, port, 0, 0));
            socket::bind(socket, &address)
        }
    };
    bound.map_err(io::Error::from)
}

/// nix has no name for SCTP.
fn open(transport: Transport, family: Family) -> io::Result<OwnedFd> {
    let kind = match transport {
        Transport::Udp => libc::SOCK_DGRAM,
        Transport::Tcp | Transport::Sctp => libc::SOCK_STREAM,
    };
    let protocol = i32::from(transport.number());
    // SAFETY: socket takes numbers only.
    let descriptor =
        unsafe { libc::socket(family.number().into(), kind | libc::SOCK_CLOEXEC, protocol) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Name and pid of a program that listens on the port, as far as `/proc` tells: `nginx (pid 812)`.
pub fn holder(transport: Transport, port: u16) -> Option<String> {
    let tables = match transport {
        Transport::Tcp => ["tcp", "tcp6"],
        Transport::Udp => ["udp", "udp6"],
        Transport::Sctp => return None,
    };
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/thread-self/net/{table}")).ok())
        .flat_map(|table| {
            let rows = table.lines().skip(1);
            rows.filter_map(|row| inode_of(row, transport, port))
                .collect::<Vec<_>>()
        })
        .collect();
    fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .find_map(|pid| {
            holds_any(pid, &inodes).then_some(())?;
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            Some(format!("{} (pid {pid})", name.trim_end()))
        })
}

/// The socket's inode if this row of `/proc/net/{tcp,udp}` listens on the port.
fn inode_of(row: &str, transport: Transport, port: u16) -> Option<String> {
    let columns: Vec<&str> = row.split_ascii_whitespace().collect();
    let (_, local) = columns.get(1)?.rsplit_once(':')?;
    let listens = transport == Transport::Udp || *columns.get(3)? == LISTEN;
    let matches = u16::from_str_radix(local, 16) == Ok(port) && listens;
    matches.then(|| columns.get(9).map(|inode| (*inode).to_owned()))?
}

fn holds_any(pid: i32, inodes: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors.flatten().any(|descriptor| {
        fs::read_link(descriptor.path()).is_ok_and(|target| {
            target
                .to_str()
                .and_then(|t| t.strip_prefix("socket:[")?.strip_suffix(']'))
                .is_some_and(|inode| inodes.iter().any(|i| i == inode))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener, UdpSocket};

    #[test]
    fn a_taken_port_names_its_holder() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        for (transport, port) in [
            (Transport::Tcp, tcp.local_addr().unwrap().port()),
            (Transport::Udp, udp.local_addr().unwrap().port()),
        ] {
            let refusal = try_bind(transport, Ipv4Addr::UNSPECIFIED.into(), port).unwrap_err();
            assert_eq!(refusal.kind(), io::ErrorKind::AddrInUse);
            let holder = holder(transport, port).unwrap();
            let pid = format!("(pid {})", std::process::id());
            assert!(holder.ends_with(&pid), "{holder}");
        }
    }

    #[test]
    fn a_freed_port_and_a_foreign_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        try_bind(Transport::Tcp, Ipv4Addr::LOCALHOST.into(), port).unwrap();
        let foreign = Ipv4Addr::new(203, 0, 113, 9);
        let refusal = try_bind(Transport::Tcp, foreign.into(), port).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
