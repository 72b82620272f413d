//! The bridge and its veth pairs in the kernel.

use std::net::IpAddr;

use super::address::{Address, Pool};
use super::forwarding::{self, Hosts};
use super::lease::{Built, Lease};
use super::mac::Mac;
use super::{NetworkError, rules};
use crate::sys::links::{Link, Links, VethPair};
use crate::sys::netlink::NetlinkError;
use crate::sys::netns::Netns;
use crate::sys::nft::Firewall;

/// The container's ends of its veth pairs start so; followed by a number.
const INTERFACE: &str = "eth";
/// The names of host ends start so; followed by the container's address in hex.
const LINK_PREFIX: &str = "veth";

/// Whether the bridge is there, or could be.
pub(super) fn check(links: &mut Links, built: &Built, owner: &str) -> Result<(), NetworkError> {
    match claimed(links, &built.bridge, owner)? {
        Some(_) => Ok(()),
        None => check_overlaps(links, built),
    }
}

fn check_overlaps(links: &mut Links, built: &Built) -> Result<(), NetworkError> {
    check_overlap(links, &built.pool)?;
    let second = built.v6.as_ref();
    second.map_or(Ok(()), |v6| check_overlap(links, &v6.subnet))
}

/// Brings up the bridge with its addresses and parameters; creates what of it is missing. `hosts` is what was found where
/// IPv6 forwarding had to be enabled.
pub(super) fn ensure(
    links: &mut Links,
    built: &Built,
    hosts: Option<&Hosts>,
    owner: &str,
) -> Result<Link, NetworkError> {
    let link = match claimed(links, &built.bridge, owner)? {
        Some(link) => link,
        None => {
            check_overlaps(links, built)?;
            let mac = Mac::from(built.gateway());
            links
                .create_bridge(&built.bridge, mac.0, owner)
                .map_err(explain)?;
            find(links, &built.bridge)?
        }
    };
    forwarding::enable()?;
    // Answers to host programs that connected through 127.0.0.1; the guard chain is in force already.
    let local = format!("ipv4/conf/{}/route_localnet", link.name);
    forwarding::set(&local, "1")?;
    let mut addresses = vec![(IpAddr::from(built.gateway()), built.pool.prefix)];
    if let Some(v6) = &built.v6 {
        if let Some(hosts) = hosts {
            forwarding::enable_v6(hosts)?;
        }
        enable_ipv6(&link.name)?;
        addresses.push((v6.gateway.into(), v6.subnet.prefix));
    } else {
        // With it, any container could make itself the host's router by an advertisement.
        forwarding::set_if_there(&format!("ipv6/conf/{}/disable_ipv6", link.name), "1")?;
    }
    links.set_up(&link, addresses)?;
    Ok(link)
}

/// IPv6 on an interface of a network: its addresses are given, so nobody is asked whether they are free, which would take
/// a second, and no container can make itself a router by an advertisement.
fn enable_ipv6(interface: &str) -> Result<(), NetworkError> {
    [
        ("accept_ra", "0"),
        ("accept_dad", "0"),
        ("disable_ipv6", "0"),
    ]
    .iter()
    .try_for_each(|(name, value)| forwarding::set(&format!("ipv6/conf/{interface}/{name}"), value))
}

/// The bridge, if there is one; an interface that is not ours under its name is an error.
fn claimed(links: &mut Links, name: &str, owner: &str) -> Result<Option<Link>, NetworkError> {
    match links.find(name)? {
        Some(link) if !is_own(&link, owner) => Err(NetworkError::Foreign {
            bridge: name.to_owned(),
            owner: if link.alias.is_empty() {
                "somebody else".to_owned()
            } else {
                link.alias
            },
        }),
        found => Ok(found),
    }
}

/// The bridge, if there is one and it is ours.
pub(super) fn own(
    links: &mut Links,
    name: &str,
    owner: &str,
) -> Result<Option<Link>, NetworkError> {
    Ok(links.find(name)?.filter(|link| is_own(link, owner)))
}

/// Whether it is a bridge of ours.
pub(super) fn is_own(link: &Link, owner: &str) -> bool {
    link.kind == "bridge" && link.alias == owner
}

fn check_overlap<A: Address>(links: &mut Links, pool: &Pool<A>) -> Result<(), NetworkError> {
    let taken = links.addresses()?.into_iter().find(|taken| {
        A::of(taken.address).is_some_and(|address| pool.overlaps(address, taken.prefix))
    });
    let Some(taken) = taken else {
        return Ok(());
    };
    let link = links.list()?.into_iter().find(|l| l.index == taken.link);
    Err(NetworkError::Overlap {
        pool: pool.to_string(),
        address: taken.address,
        prefix: taken.prefix,
        link: link.map_or_else(|| taken.link.to_string(), |link| link.name),
    })
}

/// The namespace of process `pid`, which must not be the host's.
fn namespace(pid: i32) -> Result<Netns, NetworkError> {
    let process = |source| NetworkError::Process { pid, source };
    let namespace = Netns::of_process(pid).map_err(process)?;
    let host = Netns::current().map_err(process)?;
    match namespace.is(&host).map_err(process)? {
        true => Err(NetworkError::HostNamespace(pid)),
        false => Ok(namespace),
    }
}

/// Does something in the namespace of process `pid`.
fn within(
    namespace: &Netns,
    pid: i32,
    work: impl FnOnce() -> Result<(), NetworkError> + Send,
) -> Result<(), NetworkError> {
    let process = |source| NetworkError::Process { pid, source };
    namespace.run(work).map_err(process)?
}

/// Switches IPv6 off in the namespace of process `pid`, but for the loopback interface: whoever joins a network that has it
/// gets it there, see [`connect`]. Without this each interface has a link-local address, by which containers reach each
/// other past what keeps them apart.
pub(super) fn seclude(pid: i32) -> Result<(), NetworkError> {
    let parameters = [("all", "1"), ("lo", "0")];
    within(&namespace(pid)?, pid, || {
        parameters.iter().try_for_each(|(interface, value)| {
            forwarding::set_if_there(&format!("ipv6/conf/{interface}/disable_ipv6"), value)
        })
    })
}

/// Sets parameters in the namespace of process `pid`, given with dots.
pub(super) fn set(pid: i32, parameters: &[(&str, &str)]) -> Result<(), NetworkError> {
    within(&namespace(pid)?, pid, || {
        let mut parameters = parameters.iter();
        parameters.try_for_each(|(name, value)| forwarding::insist(name, value))
    })
}

/// The interfaces in the namespace of process `pid`.
pub(super) fn inside(pid: i32) -> Result<Links, NetworkError> {
    Ok(Links::open_in(&namespace(pid)?)?)
}

/// Gives the container its interface: a veth pair between the bridge and its namespace, address, default route.
pub(super) fn connect(
    links: &mut Links,
    (bridge, built): (&Link, &Built),
    leases: &[Lease],
    lease: &Lease,
) -> Result<(), NetworkError> {
    let namespace = namespace(lease.pid)?;
    let attachment = &lease.attachment;
    let peer_name = format!("{INTERFACE}{}", lease.interface);
    let pair = VethPair {
        name: &lease.link,
        bridge: bridge.index,
        peer_name: &peer_name,
        peer_mac: attachment.mac.0,
        peer_namespace: &namespace,
        mtu: built.mtu,
        isolated: built.apart,
    };
    match links.create_veth(&pair) {
        // An earlier attempt in the same namespace was killed.
        Err(error) if error.is_existing() => {
            links.remove(&lease.link)?;
            remove_strays(links, bridge, leases)?;
            links.create_veth(&pair)?;
        }
        other => other.map_err(explain)?,
    }
    // A kernel that knows nothing of it takes the wish in silence.
    if built.apart && !links.is_isolated(&lease.link)? {
        return Err(NetworkError::NoIsolation(built.network.clone()));
    }
    let mut inside = Links::open_in(&namespace)?;
    let interface = find(&mut inside, &peer_name)?;
    let mut addresses = vec![(IpAddr::from(attachment.ip), attachment.prefix)];
    if let Some(v6) = &attachment.v6 {
        within(&namespace, lease.pid, || enable_ipv6(&peer_name))?;
        addresses.push((v6.ip.into(), v6.prefix));
    }
    inside.furnish(&interface, addresses, gateways(lease))?;
    Ok(())
}

/// Where the container's default routes lead that are the business of this lease.
fn gateways(lease: &Lease) -> impl Iterator<Item = IpAddr> {
    let attachment = &lease.attachment;
    let v4 = lease.route.then_some(attachment.gateway.into());
    let v6 = attachment.v6.as_ref().filter(|_| lease.route_v6);
    v4.into_iter().chain(v6.map(|v6| v6.gateway.into()))
}

/// Leads the container's default routes to the network of this lease, beside those that led there `before`.
pub(super) fn lead_outside(lease: &Lease, before: Option<&Lease>) -> Result<(), NetworkError> {
    let mut inside = inside(lease.pid)?;
    let interface = find(&mut inside, &format!("{INTERFACE}{}", lease.interface))?;
    let known: Vec<IpAddr> = before.into_iter().flat_map(gateways).collect();
    for gateway in gateways(lease).filter(|gateway| !known.contains(gateway)) {
        inside.route_through(&interface, gateway)?;
    }
    Ok(())
}

/// Tells apart what a person can do something about.
fn explain(source: NetlinkError) -> NetworkError {
    if source.is_unsupported() {
        NetworkError::NoBridge(source)
    } else {
        NetworkError::Kernel(source)
    }
}

fn find(links: &mut Links, name: &str) -> Result<Link, NetworkError> {
    links
        .find(name)?
        .ok_or_else(|| NetworkError::Vanished(name.to_owned()))
}

/// Removes the ports of the bridge that are host ends of our veth pairs but belong to none of these leases.
pub(super) fn remove_strays(
    links: &mut Links,
    bridge: &Link,
    leases: &[Lease],
) -> Result<(), NetworkError> {
    for stray in strays(links, bridge, leases)? {
        links.remove(&stray)?;
    }
    Ok(())
}

/// The names of what [`remove_strays`] removes.
pub(super) fn strays(
    links: &mut Links,
    bridge: &Link,
    leases: &[Lease],
) -> Result<Vec<String>, NetworkError> {
    let is_stray = |link: &Link| {
        link.master == bridge.index
            && link.kind == "veth"
            && link.name.starts_with(LINK_PREFIX)
            && !leases.iter().any(|lease| lease.link == link.name)
    };
    let all = links.list()?.into_iter();
    Ok(all.filter(is_stray).map(|link| link.name).collect())
}

/// Removes the bridge of one network while others stay.
pub(super) fn remove(links: &mut Links, name: &str, owner: &str) -> Result<(), NetworkError> {
    match own(links, name, owner)? {
        Some(link) => links.remove(&link.name).map(drop).map_err(Into::into),
        None => Ok(()),
    }
}

/// Takes everything back: table, bridge, forwarding. Goes on after a failure; the first one is the error.
pub(super) fn tear_down(
    links: &mut Links,
    firewall: &mut Firewall,
    built: &Built,
    owner: &str,
) -> Result<(), NetworkError> {
    let enabled = (built.forwarding_enabled, built.hosts.as_ref());
    let is_ours = |link: &Link| is_own(link, owner);
    let forwarding = forwarding::restore(links, enabled, is_ours);
    // The bridge before the table: without the guard no packet may come from it.
    remove(links, &built.bridge, owner)
        .and(rules::remove(firewall))
        .and(forwarding)
}
