//! Driver options of a network, as Docker spells them.

use std::collections::BTreeMap;

use super::NetworkError;
use crate::runargs::value;
use crate::sys::links::NAME_LIMIT;

/// Name of the bridge.
const BRIDGE: &str = "com.docker.network.bridge.name";
/// Longest packet that its interfaces take.
const MTU: &str = "com.docker.network.driver.mtu";
/// Whether its containers reach each other.
const ICC: &str = "com.docker.network.bridge.enable_icc";
/// Whether its containers appear outside as the host.
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";

/// The shortest packet that every host has to take, and the longest one there is.
const MTU_RANGE: std::ops::RangeInclusive<u32> = 68..=65535;

/// What the options of a network mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Options<'a> {
    pub(super) bridge: Option<&'a str>,
    pub(super) mtu: Option<u32>,
    pub(super) icc: bool,
    pub(super) masquerade: bool,
}

/// Reads options; those that are not here are refused by name.
pub(super) fn parse(options: &BTreeMap<String, String>) -> Result<Options<'_>, NetworkError> {
    let mut parsed = Options {
        bridge: None,
        mtu: None,
        icc: true,
        masquerade: true,
    };
    for (option, text) in options {
        let read: Result<(), String> = match option.as_str() {
            BRIDGE => interface(text).map(|name| parsed.bridge = Some(name)),
            MTU => mtu(text).map(|mtu| parsed.mtu = mtu),
            ICC => value::boolean(text).map(|icc| parsed.icc = icc),
            MASQUERADE => value::boolean(text).map(|masquerade| parsed.masquerade = masquerade),
            _ => Err(format!(
                "only {BRIDGE}, {MTU}, {ICC} and {MASQUERADE} are supported"
            )),
        };
        read.map_err(|reason| refuse(option, text, reason))?;
    }
    Ok(parsed)
}

/// Why the bridge cannot have this name.
pub(super) fn refuse_bridge(name: &str) -> NetworkError {
    refuse_interface(name, "another network's bridge has this name".to_owned())
}

pub(super) fn refuse_interface(name: &str, reason: String) -> NetworkError {
    refuse(BRIDGE, name, reason)
}

fn refuse(option: &str, text: &str, reason: String) -> NetworkError {
    NetworkError::Wish {
        option: "--opt",
        value: format!("{option}={text}"),
        reason,
    }
}

fn interface(name: &str) -> Result<&str, String> {
    let letters = |byte: u8| byte.is_ascii_graphic() && !b"/:%".contains(&byte);
    let is_good = !name.is_empty()
        && name.len() <= NAME_LIMIT
        && name.bytes().all(letters)
        && ![".", "..", "all", "default"].contains(&name);
    let reason = || format!("an interface has a name of at most {NAME_LIMIT} letters");
    is_good.then_some(name).ok_or_else(reason)
}

/// 0 leaves it to the kernel.
fn mtu(text: &str) -> Result<Option<u32>, String> {
    match text.parse() {
        Ok(0) => Ok(None),
        Ok(mtu) if MTU_RANGE.contains(&mtu) => Ok(Some(mtu)),
        _ => Err(format!(
            "a number of bytes from {} to {} is expected",
            MTU_RANGE.start(),
            MTU_RANGE.end()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_or_refused_by_name() {
        for (option, text, wanted) in [
            (BRIDGE, "br-front", Ok(())),
            (
                BRIDGE,
                "a/b",
                Err("an interface has a name of at most 15 letters"),
            ),
            (
                BRIDGE,
                "",
                Err("an interface has a name of at most 15 letters"),
            ),
            (MTU, "1400", Ok(())),
            (
                MTU,
                "67",
                Err("a number of bytes from 68 to 65535 is expected"),
            ),
            (
                MTU,
                "x",
                Err("a number of bytes from 68 to 65535 is expected"),
            ),
            (ICC, "false", Ok(())),
            (
                ICC,
                "no",
                Err("strconv.ParseBool: parsing \"no\": invalid syntax"),
            ),
            (
                "com.docker.network.bridge.inhibit_ipv4",
                "true",
                Err(
                    "only com.docker.network.bridge.name, com.docker.network.driver.mtu, \
                     com.docker.network.bridge.enable_icc and com.docker.network.bridge.enable_ip_masquerade are supported",
                ),
            ),
        ] {
            let options = BTreeMap::from([(option.to_owned(), text.to_owned())]);
            let said = parse(&options).map(drop).map_err(|error| error.to_string());
            let wanted =
                wanted.map_err(|reason| format!("invalid --opt \"{option}={}\": {reason}", text));
            assert_eq!(said, wanted);
        }
        let all = [(MTU, "0"), (ICC, "0"), (MASQUERADE, "F")];
        let all = all.map(|(option, text)| (option.to_owned(), text.to_owned()));
        let options = BTreeMap::from(all);
        let wanted = Options {
            bridge: None,
            mtu: None,
            icc: false,
            masquerade: false,
        };
        assert_eq!(parse(&options).unwrap(), wanted);
    }
}
