//! One stored piece of output, and the two line formats that it is read from.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::{Format, Stream};

/// One stored piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it came from.
    pub stream: Stream,
    /// RFC 3339, nanoseconds.
    pub time: String,
    /// The text with its newline, if it had one.
    pub text: String,
    /// The tag, and the labels and variables that the log's options name.
    pub attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct JsonLine {
    log: String,
    stream: String,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
    time: String,
}

/// `None` for a line that a power cut tore.
pub(super) fn parse(format: Format, line: &[u8]) -> Option<Entry> {
    match format {
        Format::Json => parse_json(line),
        Format::Local => parse_local(line),
    }
}

fn parse_json(line: &[u8]) -> Option<Entry> {
    let JsonLine {
        log,
        stream,
        attrs,
        time,
    } = serde_json::from_slice(line).ok()?;
    let stream = if stream == "stderr" {
        Stream::Stderr
    } else {
        Stream::Stdout
    };
    Some(Entry {
        stream,
        time,
        text: log,
        attributes: attrs,
    })
}

fn parse_local(line: &[u8]) -> Option<Entry> {
    let line = String::from_utf8_lossy(line);
    let mut parts = line.splitn(3, ' ');
    let (time, mark, text) = (parts.next()?, parts.next()?, parts.next()?);
    let stream = if mark.starts_with('e') {
        Stream::Stderr
    } else {
        Stream::Stdout
    };
    let text = if mark.ends_with('P') {
        text.trim_end_matches('\n')
    } else {
        text
    };
    Some(Entry {
        stream,
        time: time.into(),
        text: text.into(),
        attributes: BTreeMap::new(),
    })
}
