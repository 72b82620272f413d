//! The driver `journald`: every line an entry in the journal, with the fields that Docker's driver writes, through the
//! journal's native protocol.

use std::io;

use super::sender::Sender;
use super::syslog::DEFAULT_TAG;
use super::{About, Stream, WriterError};
use crate::api::LogConfig;
use crate::runargs::syslog::Address;

/// Where the journal takes entries.
const SOCKET: &str = "/run/systemd/journal/socket";

/// One container's entries.
#[derive(Debug)]
pub(super) struct Journald {
    pub sender: Sender,
    /// The fields that all entries have.
    common: Vec<u8>,
}

impl Journald {
    /// A driver that connects with its first entry.
    pub fn new(config: &LogConfig, about: &About) -> Result<Journald, WriterError> {
        let template = config.config.get("tag").filter(|tag| !tag.is_empty());
        let tag = about.tag(template.map_or(DEFAULT_TAG, String::as_str));
        let tag = tag.map_err(WriterError::Option)?;
        let mut common = Vec::new();
        for (name, template) in [
            ("CONTAINER_ID", "{{.ID}}"),
            ("CONTAINER_ID_FULL", "{{.FullID}}"),
            ("CONTAINER_NAME", "{{.Name}}"),
            ("IMAGE_NAME", "{{.ImageName}}"),
        ] {
            let value = about.tag(template).map_err(WriterError::Option)?;
            field(&mut common, name, value.as_bytes());
        }
        field(&mut common, "CONTAINER_TAG", tag.as_bytes());
        field(&mut common, "SYSLOG_IDENTIFIER", tag.as_bytes());
        for (name, value) in about.attributes(config) {
            field(&mut common, &field_name(&name), value.as_bytes());
        }
        Ok(Journald {
            sender: Sender::new(Address::UnixDatagram(SOCKET.to_owned())),
            common,
        })
    }

    /// Sends one line.
    pub fn line(&mut self, stream: Stream, text: &[u8], time: &str) -> io::Result<()> {
        self.sender.send(&self.entry(stream, text, time))
    }

    fn entry(&self, stream: Stream, text: &[u8], time: &str) -> Vec<u8> {
        let mut entry = self.common.clone();
        let priority = match stream {
            Stream::Stdout => "6",
            Stream::Stderr => "3",
        };
        field(&mut entry, "PRIORITY", priority.as_bytes());
        field(&mut entry, "SYSLOG_TIMESTAMP", time.as_bytes());
        let whole = text.strip_suffix(b"\n");
        if whole.is_none() {
            field(&mut entry, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
        field(&mut entry, "MESSAGE", whole.unwrap_or(text));
        entry
    }
}

/// `NAME=value`, or where the value has a newline the name, the length and the value.
fn field(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

/// A label's name as the journal takes it: upper case, digits and underscores, none of which leads.
fn field_name(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| match c.to_ascii_uppercase() {
            upper @ ('A'..='Z' | '0'..='9') => upper,
            _ => '_',
        })
        .collect();
    name.trim_start_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let mut entry = Vec::new();
        field(&mut entry, "A", b"b=c");
        field(&mut entry, "D", b"e\nf");
        assert_eq!(entry, b"A=b=c\nD\n\x03\0\0\0\0\0\0\0e\nf\n");
        assert_eq!(field_name("_com.example-X1"), "COM_EXAMPLE_X1");
    }

    #[test]
    fn entries() {
        let config = LogConfig::default();
        let journald = Journald::new(&config, &About::default()).unwrap();
        let text =
            |stream, text: &[u8]| String::from_utf8(journald.entry(stream, text, "T")).unwrap();
        let whole = text(Stream::Stderr, b"x\n");
        assert!(
            whole.ends_with("\nPRIORITY=3\nSYSLOG_TIMESTAMP=T\nMESSAGE=x\n"),
            "{whole}"
        );
        let part = text(Stream::Stdout, b"x");
        assert!(
            part.ends_with("\nCONTAINER_PARTIAL_MESSAGE=true\nMESSAGE=x\n"),
            "{part}"
        );
    }
}
