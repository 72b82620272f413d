//! Addresses and names of hosts: `--add-host`, `--dns`, `--dns-search`.

use std::net::IpAddr;

/// Stands for the host's own address on the container's network.
const HOST_GATEWAY: &str = "host-gateway";

/// Longest domain name.
const MAX_DOMAIN: usize = 255;

/// An address in its canonical form; blanks around it are fine, brackets are not.
pub(super) fn ip(text: &str) -> Result<String, String> {
    text.trim()
        .parse::<IpAddr>()
        .map(|address| address.to_string())
        .map_err(|_| format!("IP address is not correctly formatted: {text}"))
}

/// `name:address` or `name=address` as `name:address`, the address as given but without brackets.
pub(super) fn extra_host(text: &str) -> Result<String, String> {
    let (name, address) = text
        .split_once('=')
        .or_else(|| text.split_once(':'))
        .filter(|(name, _)| !name.is_empty() && !name.contains(':'))
        .ok_or_else(|| format!("bad format for add-host: {text:?}"))?;
    if address == HOST_GATEWAY {
        return Ok(format!("{name}:{address}"));
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .filter(|inside| !inside.is_empty())
        .unwrap_or(address);
    ip(bare).map_err(|_| format!("invalid IP address in add-host: {bare:?}"))?;
    Ok(format!("{name}:{bare}"))
}

/// A domain of the resolver's search list, without a dot at its end; a single dot is the empty list.
pub(super) fn search_domain(text: &str) -> Result<String, String> {
    let text = text.trim_matches(' ');
    if text == "." {
        return Ok(text.to_owned());
    }
    let trimmed = text.trim_end();
    let domain = trimmed.strip_suffix('.').unwrap_or(trimmed);
    // Docker's pattern lets a colon stand before each label.
    let label = |label: &str| {
        let label = label.trim_start_matches(':');
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let lettered = text.bytes().any(|b| b.is_ascii_alphabetic());
    if !lettered || domain.len() >= MAX_DOMAIN || !domain.split('.').all(label) {
        return Err(format!("{text} is not a valid domain"));
    }
    Ok(domain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        assert_eq!(ip(" 0:0::1 ").unwrap(), "::1");
        assert_eq!(
            ip("[::1]"),
            Err("IP address is not correctly formatted: [::1]".to_owned())
        );
        assert_eq!(
            ip("1.2.3"),
            Err("IP address is not correctly formatted: 1.2.3".to_owned())
        );
        for (text, expected) in [
            ("a:1.2.3.4", Ok("a:1.2.3.4")),
            ("a=1.2.3.4", Ok("a:1.2.3.4")),
            ("a:::1", Ok("a:::1")),
            ("a:[::1]", Ok("a:::1")),
            ("a=[0::1]", Ok("a:0::1")),
            ("a:host-gateway", Ok("a:host-gateway")),
            ("a", Err("bad format for add-host: \"a\"")),
            (":1.2.3.4", Err("bad format for add-host: \":1.2.3.4\"")),
            (
                "a:b=1.2.3.4",
                Err("bad format for add-host: \"a:b=1.2.3.4\""),
            ),
            ("a:x", Err("invalid IP address in add-host: \"x\"")),
            ("a:[]", Err("invalid IP address in add-host: \"[]\"")),
        ] {
            assert_eq!(
                extra_host(text),
                expected.map(str::to_owned).map_err(str::to_owned),
                "{text}"
            );
        }
    }

    #[test]
    fn reads_search_domains() {
        let long = format!("{}.a", "b".repeat(252));
        for (text, expected) in [
            (".", Some(".")),
            ("example.org", Some("example.org")),
            ("example.org. ", Some("example.org")),
            ("a-b.c1", Some("a-b.c1")),
            ("1.2", None),
            ("-a.b", None),
            ("a..b", None),
            ("a_b", None),
            ("", None),
            (long.as_str(), Some(long.as_str())),
            (&"c".repeat(255), None),
        ] {
            assert_eq!(search_domain(text).ok().as_deref(), expected, "{text}");
        }
    }
}
