//! As much of DER as certificates, keys and signatures need.

/// Kinds of elements.
pub const INTEGER: u8 = 0x02;
/// See [`INTEGER`].
pub const BIT_STRING: u8 = 0x03;
/// See [`INTEGER`].
pub const OCTET_STRING: u8 = 0x04;
/// See [`INTEGER`].
pub const OBJECT: u8 = 0x06;
/// See [`INTEGER`].
pub const SEQUENCE: u8 = 0x30;

/// What is in the element of this kind at the beginning, and what comes after it.
pub fn content(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // A certificate has no more than four bytes' worth of length.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let value = digits
                .iter()
                .fold(0_usize, |value, digit| value << 8 | usize::from(*digit));
            (value, rest)
        }
        _ => return None,
    };
    (found == kind).then(|| rest.split_at_checked(length))?
}

/// The bytes of a bit string of whole bytes.
pub fn bits(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, rest) = content(bytes, BIT_STRING)?;
    Some((content.strip_prefix(&[0])?, rest))
}

/// A non-negative integer, its leading zeros stripped.
pub fn integer(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, rest) = content(bytes, INTEGER)?;
    let negative = content.first().is_none_or(|first| first & 0x80 != 0);
    let start = content.iter().position(|&byte| byte != 0);
    (!negative).then(|| (&content[start.unwrap_or(content.len())..], rest))
}
