//! Values in the ini file; each parser says in its error what it wants instead.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::{LogDriver, Subnet};
use crate::oci::Reference;

/// What would be valid, to complete "…, but must be".
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid(pub(super) &'static str);

pub(super) fn boolean(text: &str) -> Result<bool, Invalid> {
    match text {
        "yes" | "true" | "on" | "1" => Ok(true),
        "no" | "false" | "off" | "0" => Ok(false),
        _ => Err(Invalid("yes or no")),
    }
}

pub(super) fn path(text: &str) -> Result<PathBuf, Invalid> {
    let path = PathBuf::from(text);
    let climbs = path
        .components()
        .any(|part| part == std::path::Component::ParentDir);
    if !path.is_absolute() || climbs || path.parent().is_none() {
        return Err(Invalid("an absolute path below / without .."));
    }
    Ok(path)
}

pub(super) fn count(text: &str, range: RangeInclusive<u32>) -> Result<u32, Invalid> {
    let wanted = match range.end() {
        32 => "a number from 1 to 32",
        _ => "a number from 1 to 1000",
    };
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or(Invalid(wanted))
}

pub(super) fn seconds(text: &str) -> Result<Duration, Invalid> {
    /// A deployment that takes longer than a day to judge is a mistake in the unit.
    const MAX_SECONDS: u64 = 24 * 60 * 60;
    text.parse()
        .ok()
        .filter(|seconds| *seconds <= MAX_SECONDS)
        .map(Duration::from_secs)
        .ok_or(Invalid("a number of seconds from 0 to 86400"))
}

/// `90s`, `30m`, `3h`; a number alone means seconds.
pub(super) fn duration(text: &str) -> Result<Duration, Invalid> {
    /// What takes longer than a week is no download.
    const MAX_SECONDS: u64 = 7 * 24 * 60 * 60;
    let (number, unit) = match text.as_bytes().last() {
        Some(b'h') => (&text[..text.len() - 1], 3600),
        Some(b'm') => (&text[..text.len() - 1], 60),
        Some(b's') => (&text[..text.len() - 1], 1),
        _ => (text, 1),
    };
    number
        .parse::<u64>()
        .ok()
        .filter(|_| number.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|number| number.checked_mul(unit))
        .filter(|seconds| (1..=MAX_SECONDS).contains(seconds))
        .map(Duration::from_secs)
        .ok_or(Invalid("a time such as 90s, 30m or 3h, up to a week"))
}

/// `12h`, `30d`, or never.
pub(super) fn interval(text: &str) -> Result<Option<Duration>, Invalid> {
    if boolean(text) == Ok(false) {
        return Ok(None);
    }
    let hours = |digits: &str, unit: u64| {
        let plain = digits.bytes().all(|b| b.is_ascii_digit());
        let number: u64 = digits.parse().ok().filter(|_| plain)?;
        Some(number.checked_mul(unit)?).filter(|hours| (1..=366 * 24).contains(hours))
    };
    let hours = match text.split_at_checked(text.len().saturating_sub(1)) {
        Some((digits, "h")) => hours(digits, 1),
        Some((digits, "d")) => hours(digits, 24),
        _ => None,
    };
    hours
        .map(|hours| Some(Duration::from_secs(hours * 3600)))
        .ok_or(Invalid("no, or a time such as 12h or 30d, up to a year"))
}

/// Bytes a second, or none.
pub(super) fn rate(text: &str) -> Result<Option<u64>, Invalid> {
    if boolean(text) == Ok(false) {
        return Ok(None);
    }
    size(text)
        .map(Some)
        .map_err(|_| Invalid("no, or bytes a second such as 500k or 2m"))
}

/// Bytes, or none.
pub(super) fn limit(text: &str) -> Result<Option<u64>, Invalid> {
    if boolean(text) == Ok(false) {
        return Ok(None);
    }
    size(text)
        .map(Some)
        .map_err(|_| Invalid("no, or a size such as 500m or 2g"))
}

/// Bytes with docker's suffixes, powers of 1024: `10m`, `1g`, `512k`, `4096`.
pub(super) fn size(text: &str) -> Result<u64, Invalid> {
    let invalid = || Invalid("a size such as 512k, 10m or 1g, and more than 0");
    let lower = text.to_ascii_lowercase();
    let number = lower.strip_suffix('b').unwrap_or(&lower);
    let (number, shift) = match number.as_bytes().last() {
        Some(b'k') => (&number[..number.len() - 1], 10),
        Some(b'm') => (&number[..number.len() - 1], 20),
        Some(b'g') => (&number[..number.len() - 1], 30),
        _ => (number, 0),
    };
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid());
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(invalid)
}

pub(super) fn log_driver(text: &str) -> Result<LogDriver, Invalid> {
    match text {
        "json-file" => Ok(LogDriver::JsonFile),
        "local" => Ok(LogDriver::Local),
        "none" => Ok(LogDriver::None),
        _ => Err(Invalid("json-file, local or none")),
    }
}

pub(super) fn interface(text: &str) -> Result<String, Invalid> {
    /// The kernel's IFNAMSIZ without its final NUL.
    const MAX_INTERFACE: usize = 15;
    let is_good = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if text.is_empty()
        || text.len() > MAX_INTERFACE
        || text == "."
        || text == ".."
        || !text.bytes().all(is_good)
    {
        return Err(Invalid("an interface name: up to 15 of A-Z a-z 0-9 _ . -"));
    }
    Ok(text.to_owned())
}

pub(super) fn subnet4(text: &str) -> Result<Subnet<Ipv4Addr>, Invalid> {
    let invalid = || Invalid("an IPv4 network such as 172.29.0.0/16, from /8 to /29");
    let (address, prefix) = cidr::<Ipv4Addr>(text).ok_or_else(invalid)?;
    // Below /29 there is no room for a bridge and more than one container.
    if !(8..=29).contains(&prefix) || address.to_bits() << prefix != 0 {
        return Err(invalid());
    }
    Ok(Subnet { address, prefix })
}

pub(super) fn subnet6(text: &str) -> Result<Option<Subnet<Ipv6Addr>>, Invalid> {
    let invalid = || Invalid("no, or an IPv6 network such as fd00:d7a7::/64, from /16 to /112");
    if boolean(text) == Ok(false) {
        return Ok(None);
    }
    let (address, prefix) = cidr::<Ipv6Addr>(text).ok_or_else(invalid)?;
    if !(16..=112).contains(&prefix) || address.to_bits() << prefix != 0 {
        return Err(invalid());
    }
    Ok(Some(Subnet { address, prefix }))
}

fn cidr<A: std::str::FromStr>(text: &str) -> Option<(A, u8)> {
    let (address, prefix) = text.split_once('/')?;
    Some((address.parse().ok()?, prefix.parse().ok()?))
}

/// A registry as references spell it, in quotes.
pub(super) fn registry(quoted: &str) -> Result<String, Invalid> {
    let invalid = || Invalid("[registry \"HOST[:PORT]\"], with the host as image names spell it");
    let host = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or_else(invalid)?;
    host_of(host).ok_or_else(invalid)
}

/// `HOST[:PORT]`.
pub(super) fn host(text: &str) -> Result<String, Invalid> {
    host_of(text).ok_or(Invalid("HOST or HOST:PORT"))
}

/// Several of a kind, separated by commas.
pub(super) fn list<T>(
    text: &str,
    one: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Vec<T>, Invalid> {
    text.split(',').map(|part| one(part.trim())).collect()
}

/// `HOST[:PORT]` of a mirror, also as the URL that docker's settings have.
pub(super) fn mirror(text: &str) -> Result<String, Invalid> {
    let host = text.strip_prefix("https://").unwrap_or(text);
    let host = host.strip_suffix('/').unwrap_or(host);
    host_of(host).ok_or(Invalid(
        "https://HOST[:PORT] of mirrors, separated by commas (one without https has insecure = yes in its own section)",
    ))
}

/// A device type, as artifacts name it.
pub(super) fn device_type(text: &str) -> Result<String, Invalid> {
    let fits = !text.is_empty() && text.len() <= 256 && text.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| text.to_owned()).ok_or(Invalid(
        "one word, of at most 256 letters, digits and signs",
    ))
}

/// The URL of a proxy. It may contain a password, so it is never shown.
pub(super) fn proxy(text: &str) -> Result<String, Invalid> {
    match is_proxy(text) {
        true => Ok(text.to_owned()),
        false => Err(Invalid("http://HOST:PORT of a proxy")),
    }
}

/// Whether a text is `http://[USER:PASSWORD@]HOST[:PORT]`, the URL of a proxy as far as they are supported.
pub fn is_proxy(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://") else {
        return false;
    };
    let authority = rest.split_once('/').map_or(rest, |(before, _)| before);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, at)| at);
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address are not a port's.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    !host.is_empty() && port.is_none_or(is_port) && rest.bytes().all(|b| b.is_ascii_graphic())
}

/// The host as an image name would have it; anything else that parses would be taken for something else there.
fn host_of(text: &str) -> Option<String> {
    let reference: Reference = format!("{text}/x").parse().ok()?;
    (reference.host == text).then(|| text.to_owned())
}
