//! Which proxy the settings or the environment want for an origin, by the rules Docker's daemon follows: the settings win.

use std::net::IpAddr;

use super::url::Origin;
use crate::config::ProxySettings;
use crate::host::Host;

/// The proxy's URL and where it is from: `https` or `http` of the settings by the origin's scheme, or `HTTPS_PROXY` or
/// `HTTP_PROXY`; `no_proxy` or `NO_PROXY` excepted. Never for this machine.
pub(super) fn choose(
    host: &Host,
    settings: &ProxySettings,
    origin: &Origin,
) -> Option<(String, &'static str)> {
    let set = |own: &Option<String>, upper: &str| {
        let variable = || host.var(upper).or_else(|| host.var(&upper.to_lowercase()));
        match own {
            Some(own) => Some((own.clone(), "[proxy] of the settings")),
            None => Some((variable()?.to_owned(), "the environment")),
        }
    };
    if origin.is_loopback() {
        return None;
    }
    let chosen = match origin.https {
        true => set(&settings.https, "HTTPS_PROXY"),
        false => set(&settings.http, "HTTP_PROXY"),
    }?;
    let exempt = set(&settings.no_proxy, "NO_PROXY")
        .is_some_and(|(list, _)| list.split(',').any(|rule| exempts(rule.trim(), origin)));
    (!exempt).then_some(chosen)
}

/// `*`, `host`, `.domain`, `domain` (with what is below), an address or a network in CIDR form, each with an optional
/// port.
fn exempts(rule: &str, origin: &Origin) -> bool {
    if rule == "*" {
        return true;
    }
    let host = origin.host.trim_matches(['[', ']']);
    if let (Some((network, prefix)), Ok(address)) = (rule.split_once('/'), host.parse::<IpAddr>()) {
        return contains(network, prefix, address);
    }
    let rule = rule.to_ascii_lowercase();
    let (name, port) = match rule.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (rule.as_str(), None),
    };
    if port.is_some_and(|port| port.parse() != Ok(origin.port)) {
        return false;
    }
    let name = name.trim_matches(['[', ']']);
    let domain = name.trim_start_matches("*.").trim_start_matches('.');
    let below = host
        .strip_suffix(domain)
        .is_some_and(|rest| rest.ends_with('.'));
    !domain.is_empty() && (below || (host == domain && !name.starts_with(['.', '*'])))
}

fn contains(network: &str, prefix: &str, address: IpAddr) -> bool {
    let Ok(prefix) = prefix.parse::<u32>() else {
        return false;
    };
    match (network.parse(), address) {
        (Ok(IpAddr::V4(network)), IpAddr::V4(address)) if prefix <= 32 => {
            // A shift by the whole width, for /0, has no bits left to compare.
            (network.to_bits() ^ address.to_bits())
                .checked_shr(32 - prefix)
                .unwrap_or(0)
                == 0
        }
        (Ok(IpAddr::V6(network)), IpAddr::V6(address)) if prefix <= 128 => {
            (network.to_bits() ^ address.to_bits())
                .checked_shr(128 - prefix)
                .unwrap_or(0)
                == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_by_scheme_and_exceptions() {
        let mut host = Host::at(std::path::Path::new("/nowhere"));
        for (name, value) in [
            ("HTTPS_PROXY", "http://secure:3128"),
            ("http_proxy", "http://plain:3128"),
            (
                "NO_PROXY",
                "exact.example:5000, .below.example,domain.example,10.0.0.0/8,192.168.1.1,fd00::/8,*.star.example",
            ),
        ] {
            host.env.insert(name.into(), value.into());
        }
        for (https, authority, expected) in [
            (true, "hub.example", Some("http://secure:3128")),
            (false, "hub.example", Some("http://plain:3128")),
            (false, "localhost:5000", None),
            (false, "127.0.0.1:5000", None),
            (false, "[::1]:5000", None),
            (true, "exact.example:5000", None),
            (true, "exact.example", Some("http://secure:3128")),
            (true, "a.below.example", None),
            (true, "below.example", Some("http://secure:3128")),
            (true, "domain.example", None),
            (true, "a.domain.example", None),
            (true, "notdomain.example", Some("http://secure:3128")),
            (true, "a.star.example", None),
            (true, "10.1.2.3", None),
            (true, "11.1.2.3", Some("http://secure:3128")),
            (true, "192.168.1.1:5000", None),
            (true, "192.168.1.11", Some("http://secure:3128")),
            (true, "[fd12::1]:5000", None),
            (true, "[fe80::1]", Some("http://secure:3128")),
        ] {
            let origin = Origin::new(https, authority).unwrap();
            let found = choose(&host, &ProxySettings::default(), &origin);
            let found = found.map(|(url, place)| {
                assert_eq!(place, "the environment");
                url
            });
            assert_eq!(found.as_deref(), expected, "{authority}");
        }
        // The settings win, each by itself.
        let settings = ProxySettings {
            https: Some("http://own:1".to_owned()),
            http: None,
            no_proxy: Some("own.example".to_owned()),
        };
        for (https, authority, expected) in [
            (true, "hub.example", Some("http://own:1")),
            (false, "hub.example", Some("http://plain:3128")),
            (true, "own.example", None),
            (true, "exact.example:5000", Some("http://own:1")),
            (true, "localhost:5000", None),
        ] {
            let origin = Origin::new(https, authority).unwrap();
            let found = choose(&host, &settings, &origin).map(|(url, _)| url);
            assert_eq!(found.as_deref(), expected, "{authority}");
        }
    }
}
