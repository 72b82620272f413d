//! The options of the log driver `syslog`: where it sends to, and how.

/// Port of a receiver that names none.
const PORT: u16 = 514;

/// How an address may begin.
const SCHEMES: &str = "udp, tcp, tcp+tls, unix or unixgram";

/// Facilities by number.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system.
    Unix(String),
    /// The same, but only one that takes datagrams.
    UnixDatagram(String),
    /// `host:port`.
    Udp(String),
    /// `host:port`.
    Tcp(String),
    /// `host:port`, encrypted.
    Tls(String),
}

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As local programs write it: RFC 3164 without the host's name.
    Local,
    /// RFC 3164.
    Rfc3164,
    /// RFC 5424 with whole seconds.
    Rfc5424,
    /// RFC 5424 with microseconds.
    Rfc5424Micro,
}

/// `udp://host[:port]`, `tcp://host[:port]`, `tcp+tls://host[:port]`, `unix://path`, `unixgram://path`; nothing is the device's own receiver.
pub fn address(text: &str) -> Result<Address, String> {
    if text.is_empty() {
        return Ok(Address::Unix("/dev/log".to_owned()));
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let receiver = with_port(rest).ok_or_else(|| {
        format!("invalid syslog address {text:?}: it has to be such as udp://192.0.2.7:514")
    });
    match scheme {
        "unix" | "unixgram" if !rest.starts_with('/') => Err(format!(
            "invalid syslog address {text:?}: the socket's path has to be absolute"
        )),
        "unix" => Ok(Address::Unix(rest.to_owned())),
        "unixgram" => Ok(Address::UnixDatagram(rest.to_owned())),
        "udp" => receiver.map(Address::Udp),
        "tcp" => receiver.map(Address::Tcp),
        "tcp+tls" => receiver.map(Address::Tls),
        "" => Err(format!(
            "syslog-address should be in form proto://address, got {text}; proto is {SCHEMES}"
        )),
        _ => Err(format!("unsupported scheme: '{scheme}'; use {SCHEMES}")),
    }
}

fn with_port(host: &str) -> Option<String> {
    let bracketed = host.starts_with('[');
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !bracketed || name.ends_with(']') => {
            (name, port.parse::<u16>().ok().filter(|port| *port > 0)?)
        }
        _ => (host, PORT),
    };
    let whole = match bracketed {
        true => name.ends_with(']') && name.len() > 2,
        // An IPv6 address without brackets could end in a port or not.
        false => !name.is_empty() && !name.contains([':', '/', ' ']),
    };
    whole.then(|| format!("{name}:{port}"))
}

/// A facility by name or number; nothing is `daemon`.
pub fn facility(text: &str) -> Result<u8, String> {
    let by_number = text.parse::<u8>().ok().filter(|number| *number < 24);
    let by_name = || {
        let name = if text.is_empty() { "daemon" } else { text };
        let place = FACILITIES.iter().position(|known| *known == name)?;
        u8::try_from(place).ok()
    };
    by_number.or_else(by_name).ok_or_else(|| {
        format!("invalid syslog facility: {text:?} has to be a name such as daemon or local0, or 0 to 23")
    })
}

/// The form of a message; nothing is that of local programs, as with Docker.
pub fn format(text: &str) -> Result<Format, String> {
    match text {
        "" => Ok(Format::Local),
        "rfc3164" => Ok(Format::Rfc3164),
        "rfc5424" => Ok(Format::Rfc5424),
        "rfc5424micro" => Ok(Format::Rfc5424Micro),
        _ => Err(format!(
            "Invalid syslog format: {text:?} has to be rfc3164, rfc5424 or rfc5424micro"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let text = str::to_owned;
        for (given, expected) in [
            ("", Some(Address::Unix(text("/dev/log")))),
            ("unix:///run/log", Some(Address::Unix(text("/run/log")))),
            (
                "unixgram:///run/log",
                Some(Address::UnixDatagram(text("/run/log"))),
            ),
            ("udp://192.0.2.7", Some(Address::Udp(text("192.0.2.7:514")))),
            (
                "udp://logs.example:1514",
                Some(Address::Udp(text("logs.example:1514"))),
            ),
            (
                "tcp://[2001:db8::1]",
                Some(Address::Tcp(text("[2001:db8::1]:514"))),
            ),
            (
                "tcp://[2001:db8::1]:99",
                Some(Address::Tcp(text("[2001:db8::1]:99"))),
            ),
            ("tcp://", None),
            ("tcp://:514", None),
            ("tcp://a:0", None),
            ("tcp://a:99999", None),
            ("tcp://2001:db8::1", None),
            ("tcp://[2001:db8::1", None),
            ("unix://relative", None),
            ("tcp+tls://a:6514", Some(Address::Tls(text("a:6514")))),
            ("http://a", None),
            ("192.0.2.7:514", None),
        ] {
            assert_eq!(address(given).ok(), expected, "{given}");
        }
    }

    #[test]
    fn facilities_and_formats() {
        for (given, expected) in [
            ("", Some(3)),
            ("kern", Some(0)),
            ("local7", Some(23)),
            ("23", Some(23)),
            ("24", None),
            ("loud", None),
        ] {
            assert_eq!(facility(given).ok(), expected, "{given}");
        }
        assert_eq!(format("rfc5424micro"), Ok(Format::Rfc5424Micro));
        assert!(format("rfc1").is_err());
    }
}
