//! URLs as far as registries need them: origins, paths, redirect targets.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Scheme, host and port: credentials given to one origin are never sent to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) https: bool,
    /// Lower case; IPv6 addresses in brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

/// An origin with the path and query below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) origin: Origin,
    /// Begins with a slash; fragments are dropped.
    pub(super) path: String,
}

impl Origin {
    /// From `HOST[:PORT]` as references spell registries.
    pub(super) fn new(https: bool, authority: &str) -> Option<Origin> {
        let (host, port) = match authority.rfind(']') {
            // The colons of an IPv6 address are not a port's.
            Some(end) => authority.split_at(end + 1),
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok()?,
            Some(_) => return None,
            None if port.is_empty() => {
                if https {
                    443
                } else {
                    80
                }
            }
            None => return None,
        };
        let valid = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
        (!host.is_empty() && host.bytes().all(valid)).then(|| Origin {
            https,
            host: host.to_ascii_lowercase(),
            port,
        })
    }

    /// This machine: `localhost`, 127.0.0.0/8, `[::1]`.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
            || self.ipv6().is_some_and(|address| address.is_loopback())
    }

    /// Named by address instead of by name.
    pub(super) fn is_address(&self) -> bool {
        self.host.parse::<Ipv4Addr>().is_ok() || self.host.starts_with('[')
    }

    fn ipv6(&self) -> Option<Ipv6Addr> {
        self.host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
    }

    /// The URL of `path` at this origin.
    pub(super) fn at(&self, path: String) -> Url {
        Url {
            origin: self.clone(),
            path,
        }
    }

    /// `HOST[:PORT]`, the port left out where it is the scheme's own.
    pub(super) fn authority(&self) -> String {
        match (self.https, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

impl Url {
    /// Parses an absolute http or https URL; one with a user name in it is refused.
    pub(super) fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.split_once("://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        is_clean(&path).then_some(())?;
        Some(Origin::new(https, authority)?.at(path))
    }

    /// Where a `Location` header seen at this URL points to.
    pub(super) fn join(&self, location: &str) -> Option<Url> {
        if location.contains("://") && !location.starts_with(['/', '?']) {
            return Url::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            let scheme = if self.origin.https { "https" } else { "http" };
            return Url::parse(&format!("{scheme}://{rest}"));
        }
        let location = location
            .split_once('#')
            .map_or(location, |(before, _)| before);
        let path = self
            .path
            .split_once('?')
            .map_or(self.path.as_str(), |(path, _)| path);
        let joined = match location {
            _ if location.starts_with('/') => location.to_owned(),
            _ if location.starts_with('?') => format!("{path}{location}"),
            _ => format!("{}{location}", &path[..=path.rfind('/')?]),
        };
        is_clean(&joined).then(|| self.origin.at(without_dots(&joined)))
    }
}

/// A path in which `.` and `..` have been followed (RFC 3986, 5.2.4); its query stays as it is.
fn without_dots(target: &str) -> String {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

/// What may stand in a request line.
fn is_clean(path: &str) -> bool {
    path.bytes().all(|b| b.is_ascii_graphic())
}

/// A value in a query, escaped.
pub(super) fn escape(value: &str) -> String {
    use fmt::Write as _;
    value.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_refuses() {
        for (text, expected) in [
            ("https://a.b/v2/?x=1#y", Some("https://a.b/v2/?x=1")),
            ("HTTP://A.B:5000", Some("http://a.b:5000/")),
            ("https://a:443/x", Some("https://a/x")),
            ("http://a:443/x", Some("http://a:443/x")),
            ("https://a?x=1", Some("https://a/?x=1")),
            ("http://[::1]:5000/x", Some("http://[::1]:5000/x")),
            ("http://[::1]/x", Some("http://[::1]/x")),
            ("https://user:secret@a/x", None),
            ("https://a:99999/", None),
            ("https://a:/", None),
            ("https:///x", None),
            ("ftp://a/x", None),
            ("file:///etc/passwd", None),
            ("/v2/", None),
            ("https://a/x y", None),
            ("https://a/x\r\nHost: b", None),
            ("", None),
        ] {
            let found = Url::parse(text).map(|url| url.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn joins_locations() {
        let base = Url::parse("https://a:5000/v2/x/blobs/y?z=1").unwrap();
        for (location, expected) in [
            ("https://b/c", Some("https://b/c")),
            ("//b/c", Some("https://b/c")),
            ("/c?d=https://e", Some("https://a:5000/c?d=https://e")),
            ("c", Some("https://a:5000/v2/x/blobs/c")),
            ("?q", Some("https://a:5000/v2/x/blobs/y?q")),
            ("../z/./w?q=../r", Some("https://a:5000/v2/x/z/w?q=../r")),
            ("/../../c/..", Some("https://a:5000/")),
            (".", Some("https://a:5000/v2/x/blobs/")),
            ("/a//b/../c", Some("https://a:5000/a//c")),
            ("javascript://x", None),
            ("/a b", None),
        ] {
            let found = base.join(location).map(|url| url.to_string());
            assert_eq!(found.as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn knows_this_machine() {
        for (authority, loopback, address) in [
            ("localhost", true, false),
            ("localhost:5000", true, false),
            ("127.0.0.1:5000", true, true),
            ("127.9.9.9", true, true),
            ("[::1]:5000", true, true),
            ("128.0.0.1", false, true),
            ("[fe80::1]", false, true),
            ("localhost.example", false, false),
            ("127.0.0.1.example", false, false),
        ] {
            let origin = Origin::new(false, authority).unwrap();
            assert_eq!(
                (origin.is_loopback(), origin.is_address()),
                (loopback, address),
                "{authority}"
            );
        }
    }

    #[test]
    fn escapes_what_a_query_needs() {
        assert_eq!(escape("repository:a/b:pull"), "repository:a/b:pull");
        assert_eq!(escape("a b&c=d+é"), "a%20b%26c%3Dd%2B%C3%A9");
    }
}
