//! The driver `syslog`: every line a message, in the forms that Docker's driver has.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use chrono::{DateTime, Datelike, Timelike, Utc};

use super::sender::Sender;
use super::{About, Stream, WriterError};
use crate::api::LogConfig;
use crate::engine::time;
use crate::registry::Trust;
use crate::runargs::syslog::{self, Address, Format};
use crate::runargs::value;
use crate::sys::{process, zone};

/// Severity of a line on standard output.
const INFORMATION: u8 = 6;
/// Severity of a line on standard error.
const ERROR: u8 = 3;
/// What a tag is made from unless an option says otherwise.
pub(super) const DEFAULT_TAG: &str = "{{.ID}}";

/// One container's messages.
#[derive(Debug)]
pub(super) struct Syslog {
    pub sender: Sender,
    format: Format,
    facility: u8,
    tag: String,
    hostname: String,
    /// Each message begins with its length, as RFC 5425 wants it.
    counted: bool,
}

impl Syslog {
    /// A driver that connects with its first message.
    pub fn new(config: &LogConfig, about: &About) -> Result<Syslog, WriterError> {
        let option = |name: &str| config.config.get(name).map_or("", String::as_str);
        let address = syslog::address(option("syslog-address")).map_err(WriterError::Option)?;
        let template = Some(option("tag")).filter(|tag| !tag.is_empty());
        let format = syslog::format(option("syslog-format")).map_err(WriterError::Option)?;
        let modern = matches!(format, Format::Rfc5424 | Format::Rfc5424Micro);
        let counted = modern && matches!(address, Address::Tls(_));
        let mut sender = Sender::new(address);
        let file = |name: &str| Some(PathBuf::from(option(name))).filter(|p| p.is_absolute());
        sender.trust = Trust {
            bundles: about.ca_bundles.clone(),
            authority: file("syslog-tls-ca-cert"),
            client: file("syslog-tls-cert").zip(file("syslog-tls-key")),
            anybody: value::boolean(option("syslog-tls-skip-verify")).unwrap_or(false),
        };
        Ok(Syslog {
            sender,
            format,
            counted,
            facility: syslog::facility(option("syslog-facility")).map_err(WriterError::Option)?,
            tag: about
                .tag(template.unwrap_or(DEFAULT_TAG))
                .map_err(WriterError::Option)?,
            // A message without a host's name is better than no message.
            hostname: process::hostname().unwrap_or_else(|_| "-".to_owned()),
        })
    }

    /// Sends one line.
    pub fn line(&mut self, stream: Stream, text: &[u8], time: &str) -> io::Result<()> {
        let severity = match stream {
            Stream::Stdout => INFORMATION,
            Stream::Stderr => ERROR,
        };
        let priority = self.facility << 3 | severity;
        let mut message = self.header(priority, time).into_bytes();
        message.extend_from_slice(text.strip_suffix(b"\n").unwrap_or(text));
        message.push(b'\n');
        if self.counted {
            message.splice(..0, format!("{} ", message.len()).into_bytes());
        }
        self.sender.send(&message)
    }

    fn header(&self, priority: u8, time: &str) -> String {
        let (host, tag, pid) = (&self.hostname, &self.tag, std::process::id());
        // `2026-01-02T03:04:05.123456789Z`, cut where the form wants it.
        let cut = |length: usize| format!("{}Z", time.get(..length).unwrap_or(time));
        match self.format {
            Format::Local => format!("<{priority}>{} {tag}[{pid}]: ", stamp(time)),
            Format::Rfc3164 => format!("<{priority}>{} {host} {tag}[{pid}]: ", stamp(time)),
            Format::Rfc5424 => format!("<{priority}>1 {} {host} {tag} {pid} {tag} - ", cut(19)),
            Format::Rfc5424Micro => {
                format!("<{priority}>1 {} {host} {tag} {pid} {tag} - ", cut(26))
            }
        }
    }
}

/// RFC 3164's `Jan  2 03:04:05`, in local time.
fn stamp(time: &str) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let time = time::parse(time).unwrap_or(SystemTime::UNIX_EPOCH);
    let ahead = zone::offset(time).unwrap_or(0);
    let local = DateTime::<Utc>::from(time).timestamp() + ahead;
    let Some(local) = DateTime::from_timestamp(local, 0) else {
        return String::new();
    };
    format!(
        "{} {:2} {:02}:{:02}:{:02}",
        MONTHS[local.month0() as usize],
        local.day(),
        local.hour(),
        local.minute(),
        local.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_docker_s() {
        let time = "2026-01-02T03:04:05.123456789Z";
        let pid = std::process::id();
        for (format, expected) in [
            ("", format!("<30>STAMP db[{pid}]: ")),
            ("rfc3164", format!("<30>STAMP box db[{pid}]: ")),
            (
                "rfc5424",
                format!("<30>1 2026-01-02T03:04:05Z box db {pid} db - "),
            ),
            (
                "rfc5424micro",
                format!("<30>1 2026-01-02T03:04:05.123456Z box db {pid} db - "),
            ),
        ] {
            let options = [("syslog-format", format), ("tag", "db")];
            let config = LogConfig {
                driver: "syslog".into(),
                config: options.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            };
            let mut syslog = Syslog::new(&config, &About::default()).unwrap();
            syslog.hostname = "box".into();
            let header = syslog.header(30, time).replace(&stamp(time), "STAMP");
            assert_eq!(header, expected);
        }
        let stamp = stamp(time);
        assert!(stamp.len() == 15 && stamp.starts_with("Jan  "), "{stamp}");
    }
}
