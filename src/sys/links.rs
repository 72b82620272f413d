//! Network interfaces, their addresses and routes: typed requests over rtnetlink.

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use super::family::{self, Family, octets};
use super::netlink::{NetlinkError, Purpose, Request, Socket, attribute, number, text};
use super::netns::Netns;

/// Longest name of an interface, without the closing NUL.
pub const NAME_LIMIT: usize = libc::IFNAMSIZ - 1;

const CREATE: i32 = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
const VETH_PEER: u16 = 1;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const UP: u32 = libc::IFF_UP as u32;

/// An interface as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `bridge`, `veth` and so on; empty for hardware.
    pub kind: String,
    /// The note that somebody left on it; often empty.
    pub alias: String,
    /// The bridge that it is a port of; 0 for none.
    pub master: u32,
}

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The interface's number.
    pub link: u32,
    /// The address.
    pub address: IpAddr,
    /// Length of its network part.
    pub prefix: u8,
}

/// A veth pair to be made.
#[derive(Debug, Clone, Copy)]
pub struct VethPair<'a> {
    /// Name of the end in this namespace; it comes up at once.
    pub name: &'a str,
    /// Number of the bridge that this end becomes a port of.
    pub bridge: u32,
    /// Name of the other end; it stays down.
    pub peer_name: &'a str,
    /// Hardware address of the other end.
    pub peer_mac: [u8; 6],
    /// Namespace that the other end is created in, without ever having been elsewhere.
    pub peer_namespace: &'a Netns,
    /// Longest packet of both ends.
    pub mtu: Option<u32>,
    /// Whether the bridge leads nothing from this end to others that are so, or back; kernels before 4.18 do anyway.
    pub isolated: bool,
}

/// A connection to one namespace's link configuration.
#[derive(Debug)]
pub struct Links(Socket);

impl Links {
    /// Of the calling thread's namespace.
    pub fn open() -> Result<Links, NetlinkError> {
        Socket::open(Purpose::Links).map(Links)
    }

    /// Of another namespace.
    pub fn open_in(namespace: &Netns) -> Result<Links, NetlinkError> {
        namespace.run(Links::open).unwrap_or_else(|source| {
            Err(NetlinkError::Refused {
                action: "enter the container's network namespace".to_owned(),
                source,
                detail: String::new(),
            })
        })
    }

    /// All interfaces.
    pub fn list(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let request = Request::new(
            libc::RTM_GETLINK,
            0,
            &link_header(0, 0),
            "list network interfaces",
        );
        self.0.dump(request, parse_link)
    }

    /// The interface called `name`, if there is one.
    pub fn find(&mut self, name: &str) -> Result<Option<Link>, NetlinkError> {
        let mut request = Request::new(
            libc::RTM_GETLINK,
            0,
            &link_header(0, 0),
            format!("look up interface {name}"),
        );
        request.text(libc::IFLA_IFNAME, name);
        match self.0.ask(request, parse_link) {
            Ok(link) => Ok(link),
            Err(error) if error.errno() == libc::ENODEV => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the port `name` of a bridge is kept apart from the others that are.
    pub fn is_isolated(&mut self, name: &str) -> Result<bool, NetlinkError> {
        let action = format!("look at port {name}");
        let mut request = Request::new(libc::RTM_GETLINK, 0, &link_header(0, 0), action);
        request.text(libc::IFLA_IFNAME, name);
        let isolated = |payload: &[u8]| {
            let info = attribute(payload.get(16..)?, libc::IFLA_LINKINFO)?;
            let port = attribute(info, libc::IFLA_INFO_SLAVE_DATA)?;
            Some(attribute(port, IFLA_BRPORT_ISOLATED) == Some(&[1]))
        };
        Ok(self.0.ask(request, isolated)?.unwrap_or(false))
    }

    /// All addresses of both families.
    pub fn addresses(&mut self) -> Result<Vec<Address>, NetlinkError> {
        let request = Request::new(
            libc::RTM_GETADDR,
            0,
            &[libc::AF_UNSPEC as u8, 0, 0, 0, 0, 0, 0, 0],
            "list network addresses",
        );
        self.0.dump(request, parse_address)
    }

    /// The networks that this namespace has routes to, without the default route.
    pub fn routes(&mut self, family: Family) -> Result<Vec<(IpAddr, u8)>, NetlinkError> {
        let header = [family.number(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let request = Request::new(libc::RTM_GETROUTE, 0, &header, "list routes");
        self.0.dump(request, parse_route)
    }

    /// Gives a namespace its default route for the gateway's family.
    pub fn route_through(&mut self, link: &Link, gateway: IpAddr) -> Result<(), NetlinkError> {
        self.0.transact(vec![add_default_route(link, gateway)])
    }

    /// Creates a bridge, down, and leaves the note `alias` on it.
    pub fn create_bridge(
        &mut self,
        name: &str,
        mac: [u8; 6],
        alias: &str,
    ) -> Result<(), NetlinkError> {
        let action = format!("create bridge {name}");
        let mut create = Request::new(libc::RTM_NEWLINK, CREATE, &link_header(0, 0), &*action);
        create
            .text(libc::IFLA_IFNAME, name)
            .attribute(libc::IFLA_ADDRESS, &mac)
            .nest(libc::IFLA_LINKINFO, |info| {
                info.text(libc::IFLA_INFO_KIND, "bridge");
            });
        // The kernel takes a note only for what exists; both go in one send, so that no bridge is left without it.
        let mut note = Request::new(libc::RTM_SETLINK, 0, &link_header(0, 0), action);
        note.text(libc::IFLA_IFNAME, name)
            .text(libc::IFLA_IFALIAS, alias);
        self.0.transact(vec![create, note])
    }

    /// Creates a veth pair across two namespaces.
    pub fn create_veth(&mut self, pair: &VethPair) -> Result<(), NetlinkError> {
        let mut request = Request::new(
            libc::RTM_NEWLINK,
            CREATE,
            &link_header(0, UP),
            format!("create interface {}", pair.name),
        );
        request
            .text(libc::IFLA_IFNAME, pair.name)
            .attribute(libc::IFLA_MASTER, &pair.bridge.to_ne_bytes());
        if let Some(mtu) = pair.mtu {
            request.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
        }
        request.nest(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "veth")
                .nest(libc::IFLA_INFO_DATA, |data| {
                    data.nest(VETH_PEER, |peer| fill_peer(peer, pair));
                });
        });
        // A container that reaches itself through the host's address: where bridged packets go through the firewall, they
        // are turned round below the bridge, which by itself sends nothing back to where it came from.
        let mut hairpin = Request::new(
            libc::RTM_NEWLINK,
            0,
            &link_header(0, 0),
            format!("let port {} send back", pair.name),
        );
        hairpin
            .text(libc::IFLA_IFNAME, pair.name)
            .nest(libc::IFLA_LINKINFO, |info| {
                info.text(libc::IFLA_INFO_SLAVE_KIND, "bridge").nest(
                    libc::IFLA_INFO_SLAVE_DATA,
                    |port| {
                        port.attribute(IFLA_BRPORT_MODE, &[1]);
                        if pair.isolated {
                            port.attribute(IFLA_BRPORT_ISOLATED, &[1]);
                        }
                    },
                );
            });
        self.0.transact(vec![request, hairpin])
    }

    /// Brings an interface up and gives it addresses, which it may have already.
    pub fn set_up(
        &mut self,
        link: &Link,
        addresses: impl IntoIterator<Item = (IpAddr, u8)>,
    ) -> Result<(), NetlinkError> {
        let mut requests = vec![up(link.index, &link.name)];
        let addresses = addresses.into_iter();
        requests.extend(addresses.map(|address| add_address(link, address)));
        self.0.transact(requests)
    }

    /// Switches the loopback interface of a fresh namespace on.
    pub fn raise_loopback(&mut self) -> Result<(), NetlinkError> {
        // The loopback interface is number 1 in every namespace.
        self.0.transact(vec![up(1, "lo")])
    }

    /// Makes a namespace usable: loopback up, `link` up with its addresses and the default routes through `gateways`.
    pub fn furnish(
        &mut self,
        link: &Link,
        addresses: impl IntoIterator<Item = (IpAddr, u8)>,
        gateways: impl IntoIterator<Item = IpAddr>,
    ) -> Result<(), NetlinkError> {
        // The loopback interface is number 1 in every namespace.
        let mut requests = vec![up(1, "lo"), up(link.index, &link.name)];
        let addresses = addresses.into_iter();
        requests.extend(addresses.map(|address| add_address(link, address)));
        let gateways = gateways.into_iter();
        requests.extend(gateways.map(|gateway| add_default_route(link, gateway)));
        self.0.transact(requests)
    }

    /// Removes the interface `name`; `false` if there was none. A veth takes its other end with it.
    pub fn remove(&mut self, name: &str) -> Result<bool, NetlinkError> {
        let mut request = Request::new(
            libc::RTM_DELLINK,
            0,
            &link_header(0, 0),
            format!("remove interface {name}"),
        );
        request.text(libc::IFLA_IFNAME, name);
        match self.0.transact(vec![request]) {
            Ok(()) => Ok(true),
            Err(error) if error.errno() == libc::ENODEV => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn fill_peer(peer: &mut Request, pair: &VethPair) {
    let namespace = pair.peer_namespace.as_fd().as_raw_fd();
    // Not up yet: the kernel opens this end before it has joined the two.
    peer.raw(&link_header(0, 0))
        .text(libc::IFLA_IFNAME, pair.peer_name)
        .attribute(libc::IFLA_ADDRESS, &pair.peer_mac)
        .attribute(libc::IFLA_NET_NS_FD, &namespace.to_ne_bytes());
    if let Some(mtu) = pair.mtu {
        peer.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
    }
}

fn up(index: u32, name: &str) -> Request {
    let action = format!("bring up interface {name}");
    Request::new(libc::RTM_NEWLINK, 0, &link_header(index, UP), action)
}

fn add_address(link: &Link, (address, prefix): (IpAddr, u8)) -> Request {
    let mut request = Request::new(
        libc::RTM_NEWADDR,
        libc::NLM_F_CREATE | libc::NLM_F_REPLACE,
        &address_header(Family::of(address), link.index, prefix),
        format!("give {} the address {address}/{prefix}", link.name),
    );
    let own = octets(address);
    request
        .attribute(libc::IFA_LOCAL, &own)
        .attribute(libc::IFA_ADDRESS, &own);
    if let IpAddr::V4(address) = address {
        let broadcast = u32::MAX.checked_shr(prefix.into()).unwrap_or(0) | address.to_bits();
        request.attribute(libc::IFA_BROADCAST, &broadcast.to_be_bytes());
    }
    request
}

fn add_default_route(link: &Link, gateway: IpAddr) -> Request {
    // struct rtmsg: family, destination and source length, TOS, table, protocol, scope, type, flags.
    let header = [
        Family::of(gateway).number(),
        0,
        0,
        0,
        libc::RT_TABLE_MAIN,
        libc::RTPROT_BOOT,
        libc::RT_SCOPE_UNIVERSE,
        libc::RTN_UNICAST,
        0,
        0,
        0,
        0,
    ];
    let mut request = Request::new(
        libc::RTM_NEWROUTE,
        CREATE,
        &header,
        format!("add the default route through {gateway}"),
    );
    request
        .attribute(libc::RTA_GATEWAY, &octets(gateway))
        .attribute(libc::RTA_OIF, &link.index.to_ne_bytes());
    request
}

/// struct ifinfomsg: family, padding, type, index, flags, mask of the flags to change.
fn link_header(index: u32, flags: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&flags.to_ne_bytes());
    header
}

/// struct ifaddrmsg: family, prefix length, flags, scope, index.
fn address_header(family: Family, index: u32, prefix: u8) -> [u8; 8] {
    let [a, b, c, d] = index.to_ne_bytes();
    // Nobody else can have it, and asking around for a second (IPv6) would hold up what uses it.
    let flags = match family {
        Family::V4 => 0,
        Family::V6 => libc::IFA_F_NODAD as u8,
    };
    let (family, scope) = (family.number(), libc::RT_SCOPE_UNIVERSE);
    [family, prefix, flags, scope, a, b, c, d]
}

fn parse_link(payload: &[u8]) -> Option<Link> {
    let attributes = payload.get(16..)?;
    let word = |kind| attribute(attributes, kind).map(text).unwrap_or_default();
    Some(Link {
        index: number(payload.get(4..8)?)?,
        name: word(libc::IFLA_IFNAME),
        kind: attribute(attributes, libc::IFLA_LINKINFO)
            .and_then(|info| attribute(info, libc::IFLA_INFO_KIND))
            .map(text)
            .unwrap_or_default(),
        alias: word(libc::IFLA_IFALIAS),
        master: attribute(attributes, libc::IFLA_MASTER)
            .and_then(number)
            .unwrap_or(0),
    })
}

/// `None` for a default route, which has no destination.
fn parse_route(payload: &[u8]) -> Option<(IpAddr, u8)> {
    let destination = attribute(payload.get(12..)?, libc::RTA_DST)?;
    Some((family::address(destination)?, *payload.get(1)?))
}

fn parse_address(payload: &[u8]) -> Option<Address> {
    let attributes = payload.get(8..)?;
    // IPv6 has the former for the ends of tunnels only.
    let local = attribute(attributes, libc::IFA_LOCAL)
        .or_else(|| attribute(attributes, libc::IFA_ADDRESS))?;
    Some(Address {
        link: number(payload.get(4..8)?)?,
        address: family::address(local)?,
        prefix: *payload.get(1)?,
    })
}
