//! The bridge and its veth pairs in the kernel, and the parameters of the host that they need.

use super::address::{Mac, Pool};
use super::lease::{Built, Lease};
use super::{NetworkError, rules};
use crate::sys::links::{Link, Links, VethPair};
use crate::sys::netlink::NetlinkError;
use crate::sys::netns::{self, Netns};
use crate::sys::nft::Firewall;

/// The container's ends of its veth pairs start so; followed by a number.
const INTERFACE: &str = "eth";
const FORWARDING: &str = "ipv4/ip_forward";
/// The names of host ends start so; followed by the container's address in hex.
const LINK_PREFIX: &str = "veth";

/// Whether forwarding is off on this host, so that it has to be enabled, and disabled in the end.
pub(super) fn forwarding_is_off() -> Result<bool, NetworkError> {
    netns::parameter(FORWARDING)
        .map(|value| value == "0")
        .map_err(|source| parameter_error(FORWARDING, source))
}

/// Whether the bridge is there, or could be.
pub(super) fn check(links: &mut Links, built: &Built, owner: &str) -> Result<(), NetworkError> {
    match claimed(links, &built.bridge, owner)? {
        Some(_) => Ok(()),
        None => check_overlap(links, &built.pool),
    }
}

/// Brings up the bridge with its address and parameters; creates what of it is missing.
pub(super) fn ensure(links: &mut Links, built: &Built, owner: &str) -> Result<Link, NetworkError> {
    let link = match claimed(links, &built.bridge, owner)? {
        Some(link) => link,
        None => {
            check_overlap(links, &built.pool)?;
            let mac = Mac::from(built.gateway());
            links
                .create_bridge(&built.bridge, mac.0, owner)
                .map_err(explain)?;
            find(links, &built.bridge)?
        }
    };
    set(FORWARDING, "1")?;
    // Answers to host programs that connected through 127.0.0.1; the guard chain is in force already.
    set(&format!("ipv4/conf/{}/route_localnet", link.name), "1")?;
    disable_ipv6(&link.name)?;
    links.set_up(&link, built.gateway(), built.pool.prefix)?;
    Ok(link)
}

/// Containers have no IPv6 address, so the bridge needs none; with one, any container could make itself the host's IPv6
/// router by an advertisement.
fn disable_ipv6(bridge: &str) -> Result<(), NetworkError> {
    let name = format!("ipv6/conf/{bridge}/disable_ipv6");
    match netns::set_parameter(&name, "1") {
        // A kernel without IPv6.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| parameter_error(&name, source)),
    }
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

fn is_own(link: &Link, owner: &str) -> bool {
    link.kind == "bridge" && link.alias == owner
}

pub(super) fn check_overlap(links: &mut Links, pool: &Pool) -> Result<(), NetworkError> {
    let taken = links
        .addresses()?
        .into_iter()
        .find(|taken| pool.overlaps(taken.address, taken.prefix));
    let Some(taken) = taken else {
        return Ok(());
    };
    let link = links.list()?.into_iter().find(|l| l.index == taken.link);
    Err(NetworkError::Overlap {
        pool: *pool,
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
    let gateway = lease.route.then_some(attachment.gateway);
    inside.furnish(&interface, attachment.ip, attachment.prefix, gateway)?;
    Ok(())
}

/// Leads the container's default route to the network of this lease.
pub(super) fn lead_outside(lease: &Lease) -> Result<(), NetworkError> {
    let mut inside = inside(lease.pid)?;
    let interface = find(&mut inside, &format!("{INTERFACE}{}", lease.interface))?;
    Ok(inside.route_through(&interface, lease.attachment.gateway)?)
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
    let forwarding = restore_forwarding(links, built);
    // The bridge before the table: without the guard no packet may come from it.
    remove(links, &built.bridge, owner)
        .and(rules::remove(firewall))
        .and(forwarding)
}

/// Disables forwarding if we enabled it, unless another bridge has come to rely on it meanwhile: Docker enables
/// forwarding only once, when it starts, and would be cut off.
fn restore_forwarding(links: &mut Links, built: &Built) -> Result<(), NetworkError> {
    if !built.forwarding_enabled {
        return Ok(());
    }
    let needed = links
        .list()?
        .iter()
        .any(|link| link.kind == "bridge" && link.name != built.bridge);
    if needed { Ok(()) } else { set(FORWARDING, "0") }
}

/// Writes only what differs: some parameters make the kernel work for each write.
fn set(name: &str, value: &str) -> Result<(), NetworkError> {
    let change = || {
        if netns::parameter(name)? == value {
            return Ok(());
        }
        netns::set_parameter(name, value)
    };
    change().map_err(|source| parameter_error(name, source))
}

fn parameter_error(name: &str, source: std::io::Error) -> NetworkError {
    NetworkError::Parameter {
        name: name.replace('/', "."),
        source,
    }
}
