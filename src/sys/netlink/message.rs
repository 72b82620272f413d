//! Netlink messages: requests under construction, answers taken apart.

use std::io;

const HEADER: usize = 16;
const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;
const FLAG_CAPPED: u16 = 0x100;
const FLAG_ACK_TLVS: u16 = 0x200;
const ATTRIBUTE_MESSAGE: u16 = 1;

/// One message to the kernel.
#[derive(Debug, Clone)]
pub(in crate::sys) struct Request {
    bytes: Vec<u8>,
    /// Completes the sentence "failed to …".
    pub(super) action: String,
}

impl Request {
    /// A message of `kind` with its fixed `header`. `action` completes the sentence "failed to …".
    pub(in crate::sys) fn new(
        kind: u16,
        flags: i32,
        header: &[u8],
        action: impl Into<String>,
    ) -> Request {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&((flags | libc::NLM_F_REQUEST) as u16).to_ne_bytes());
        bytes.extend_from_slice(header);
        Request {
            bytes,
            action: action.into(),
        }
    }

    /// Appends an attribute.
    pub(in crate::sys) fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Request {
        self.append(kind, |request| request.bytes.extend_from_slice(value))
    }

    /// Appends a text attribute with its closing NUL.
    pub(in crate::sys) fn text(&mut self, kind: u16, value: &str) -> &mut Request {
        self.append(kind, |request| {
            request.bytes.extend_from_slice(value.as_bytes());
            request.bytes.push(0);
        })
    }

    /// Appends an attribute made of the attributes that `fill` appends.
    pub(in crate::sys) fn nest(
        &mut self,
        kind: u16,
        fill: impl FnOnce(&mut Request),
    ) -> &mut Request {
        self.append(kind | NESTED, fill)
    }

    /// Appends fixed bytes, for nested attributes that start with a header.
    pub(in crate::sys) fn raw(&mut self, bytes: &[u8]) -> &mut Request {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn append(&mut self, kind: u16, fill: impl FnOnce(&mut Request)) -> &mut Request {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        fill(self);
        let length = self.bytes.len() - start;
        // The wire has 16 bits for it; the only long lists, set elements, are cut into pieces by their maker.
        assert!(length <= usize::from(u16::MAX), "attribute too long");
        self.bytes[start..start + 2].copy_from_slice(&(length as u16).to_ne_bytes());
        self.bytes[start + 2..start + 4].copy_from_slice(&kind.to_ne_bytes());
        self.bytes.resize(align(self.bytes.len()), 0);
        self
    }

    pub(super) fn seal(&mut self, sequence: u32) -> &[u8] {
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        &self.bytes
    }

    pub(super) fn add_flags(&mut self, flags: i32) {
        let now = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]);
        self.bytes[6..8].copy_from_slice(&(now | flags as u16).to_ne_bytes());
    }
}

fn align(length: usize) -> usize {
    length.div_ceil(4) * 4
}

/// The attributes in `bytes`, kind without its flag bits and value; stops at the first malformed one.
pub(in crate::sys) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(0..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(align(length)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// The value of the first attribute `kind` in `bytes`.
pub(in crate::sys) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(k, _)| *k == kind).map(|(_, v)| v)
}

/// A text attribute's value without its closing NUL.
pub(in crate::sys) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// Four bytes of an attribute as a number in this machine's byte order.
pub(in crate::sys) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.get(0..4)?.try_into().ok()?))
}

/// One answer of the kernel.
pub(super) struct Answer<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) payload: &'a [u8],
}

impl Answer<'_> {
    /// For an acknowledgement: the refusal it carries, `None` if it is a consent.
    pub(super) fn refusal(&self) -> Option<(io::Error, String)> {
        let code = self
            .payload
            .get(0..4)
            .and_then(number)
            .map_or(-libc::EPROTO, |code| code as i32);
        (code != 0).then(|| (io::Error::from_raw_os_error(-code), self.words()))
    }

    /// The kernel's own words about a refusal, in parentheses.
    fn words(&self) -> String {
        let echoed = match self.payload.get(4..8).and_then(number) {
            Some(length) if self.flags & FLAG_CAPPED == 0 => align(length as usize),
            _ => HEADER,
        };
        (self.flags & FLAG_ACK_TLVS != 0)
            .then(|| self.payload.get(4 + echoed..))
            .flatten()
            .and_then(|tlvs| attribute(tlvs, ATTRIBUTE_MESSAGE))
            .map_or_else(String::new, |message| format!(" ({})", text(message)))
    }
}

pub(super) fn answers(mut bytes: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    std::iter::from_fn(move || {
        let header = bytes.get(0..HEADER)?;
        let length = u32::from_ne_bytes(header[0..4].try_into().ok()?) as usize;
        let answer = Answer {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            flags: u16::from_ne_bytes([header[6], header[7]]),
            sequence: u32::from_ne_bytes(header[8..12].try_into().ok()?),
            payload: bytes.get(HEADER..length)?,
        };
        bytes = bytes.get(align(length)..).unwrap_or(&[]);
        Some(answer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_aligned_and_nested() {
        let mut request = Request::new(16, libc::NLM_F_CREATE, &[9, 9, 9, 9], "test");
        request.text(3, "ab").nest(18, |inner| {
            inner.attribute(1, &[7]);
        });
        let bytes = request.seal(5).to_vec();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(bytes.len(), 16 + 4 + 8 + 4 + 8);
        assert_eq!(number(&bytes), Some(bytes.len() as u32));
        let found: Vec<_> = attributes(&bytes[20..]).collect();
        assert_eq!(found[0], (3, &b"ab\0"[..]));
        assert_eq!(found[1].0, 18);
        assert_eq!(attribute(found[1].1, 1), Some(&[7][..]));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn malformed_attributes_end_the_list() {
        for bytes in [&[][..], &[1], &[3, 0, 1, 0], &[9, 0, 1, 0, 1, 2]] {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
        }
    }

    #[test]
    fn malformed_answers_end_the_list() {
        for bytes in [&[0; 8][..], &[0; 16], &[15; 40]] {
            assert_eq!(answers(bytes).count(), 0, "{bytes:?}");
        }
    }
}
