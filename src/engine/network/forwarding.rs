//! Forwarding: the host passes packets on while a network needs it; afterwards it is as it was before.
//!
//! IPv4's is one switch. That of IPv6 also turns every interface of the host into a router's, which forgets the routers
//! that it heard of and hears of no others, unless it is told to listen all the same. So those that listen are told so
//! while the switch is thrown, and each interface is a host's again at once: for passing packets on, the switch is enough.
//! What an administrator says of an interface meanwhile stays. Only where a throw was interrupted, for which a mark is left,
//! nobody knows any more whose word is whose, and what was found first counts.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::NetworkError;
use super::state::MODE;
use crate::sys::fs;
use crate::sys::links::{Link, Links};
use crate::sys::netns;

const V4: &str = "ipv4/ip_forward";
const V6: &str = "ipv6/conf/all/forwarding";
/// Stands for interfaces that come later.
const LATER: &str = "default";
/// Values of `accept_ra`: listen unless one is a router; listen always.
const LISTEN: &str = "1";
const LISTEN_ALWAYS: &str = "2";

/// The host's interfaces before IPv6 forwarding was enabled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hosts {
    /// Those that were routers', or not: all, each with its value.
    forwarding: Vec<(String, String)>,
    /// Those that listened to routers.
    listening: Vec<String>,
    /// File that is there while the switch is being thrown.
    #[serde(default)]
    turning: PathBuf,
}

/// Whether IPv4 forwarding is off on this host, so that it has to be enabled, and disabled in the end.
pub(super) fn is_off() -> Result<bool, NetworkError> {
    Ok(read(V4)? == "0")
}

/// Whether this kernel has IPv6.
pub(super) fn has_v6() -> bool {
    netns::parameter(V6).is_ok()
}

/// What is to be put back in the end, if IPv6 forwarding is off on this host; `turning` is where a mark can be left.
pub(super) fn survey(links: &mut Links, turning: &Path) -> Result<Option<Hosts>, NetworkError> {
    if read(V6)? != "0" {
        return Ok(None);
    }
    let mut hosts = Hosts {
        turning: turning.to_owned(),
        ..Hosts::default()
    };
    let names = links.list()?.into_iter().map(|link| link.name);
    for name in names.chain([LATER.to_owned()]) {
        // One that has gone meanwhile, or that knows no IPv6, is none.
        if let Ok(value) = netns::parameter(&of(&name, "forwarding")) {
            if name != LATER && netns::parameter(&of(&name, "accept_ra")).is_ok_and(|v| v == LISTEN)
            {
                hosts.listening.push(name.clone());
            }
            hosts.forwarding.push((name, value));
        }
    }
    Ok(Some(hosts))
}

/// Enables IPv4 forwarding.
pub(super) fn enable() -> Result<(), NetworkError> {
    set(V4, "1")
}

/// Enables IPv6 forwarding, or finishes what a kill interrupted.
pub(super) fn enable_v6(hosts: &Hosts) -> Result<(), NetworkError> {
    match read(V6)? == "1" && !hosts.turning.exists() {
        true => Ok(()),
        false => throw(hosts, "1"),
    }
}

/// Disables what was enabled for a network that goes, unless another bridge has come to rely on it meanwhile: Docker
/// enables forwarding only once, when it starts, and would be cut off.
pub(super) fn restore(
    links: &mut Links,
    (v4, v6): (bool, Option<&Hosts>),
    is_ours: impl Fn(&Link) -> bool,
) -> Result<(), NetworkError> {
    if !v4 && v6.is_none() {
        return Ok(());
    }
    let needed = |link: &Link| link.kind == "bridge" && !is_ours(link);
    if links.list()?.iter().any(needed) {
        return Ok(());
    }
    let first = if v4 { set(V4, "0") } else { Ok(()) };
    let second = v6.map_or(Ok(()), |hosts| throw(hosts, "0"));
    first.and(second)
}

/// Throws IPv6's switch and leaves each interface as it was.
fn throw(hosts: &Hosts, value: &str) -> Result<(), NetworkError> {
    let turning = &hosts.turning;
    let is_cut = turning.exists();
    let now = |name: &str, parameter| {
        let value = netns::parameter(&of(name, parameter)).ok();
        value.filter(|_| !is_cut)
    };
    let still_listens = |name: &&String| now(name, "accept_ra").is_none_or(|now| now == LISTEN);
    let listening: Vec<&String> = hosts.listening.iter().filter(still_listens).collect();
    let own = |(name, found): &(String, String)| {
        let value = now(name, "forwarding").unwrap_or_else(|| found.clone());
        (of(name, "forwarding"), value)
    };
    let forwarding: Vec<(String, String)> = hosts.forwarding.iter().map(own).collect();
    let listen = |value| {
        let mut all = listening.iter();
        all.try_for_each(|name| set_if_there(&of(name, "accept_ra"), value))
    };
    // A record of an earlier version names no file.
    let is_marked = !turning.as_os_str().is_empty();
    let failed = |source| NetworkError::State {
        path: turning.clone(),
        source,
    };
    if is_marked {
        fs::replace_volatile(turning, MODE, b"").map_err(failed)?;
    }
    listen(LISTEN_ALWAYS)?;
    set(V6, value)?;
    for (name, value) in &forwarding {
        set_if_there(name, value)?;
    }
    listen(LISTEN)?;
    match is_marked {
        true => fs::remove_file_volatile(turning).map_err(failed),
        false => Ok(()),
    }
}

fn of(interface: &str, parameter: &str) -> String {
    format!("ipv6/conf/{interface}/{parameter}")
}

fn read(name: &str) -> Result<String, NetworkError> {
    netns::parameter(name).map_err(|source| error(name, source))
}

/// Writes only what differs: some parameters make the kernel work for each write.
pub(super) fn set(name: &str, value: &str) -> Result<(), NetworkError> {
    let change = || {
        if netns::parameter(name)? == value {
            return Ok(());
        }
        netns::set_parameter(name, value)
    };
    change().map_err(|source| error(name, source))
}

/// The same for a parameter that may not be there: its interface is gone, or the kernel has no IPv6.
pub(super) fn set_if_there(name: &str, value: &str) -> Result<(), NetworkError> {
    match set(name, value) {
        Err(NetworkError::Parameter { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Writes even what is there: to say of all interfaces what was said before changes those that have become different since.
pub(super) fn insist(name: &str, value: &str) -> Result<(), NetworkError> {
    let path = name.replace('.', "/");
    let below = path.strip_prefix("net/").unwrap_or(&path);
    netns::set_parameter(below, value).map_err(|source| error(name, source))
}

fn error(name: &str, source: std::io::Error) -> NetworkError {
    NetworkError::Parameter {
        name: name.replace('/', "."),
        source,
    }
}
