//! PAX extension records: `LENGTH KEY=VALUE\n`, with the keys that change what is unpacked.

use super::ArchiveError;
use super::sparse::{MAX_REGIONS, Region};
use crate::sys::beneath::Time;

/// Longest extended attribute value the kernel takes.
const MAX_XATTR: usize = 64 << 10;

/// Most extended attributes of one entry: the names of more would not fit into the list that the kernel gives.
const MAX_XATTRS: usize = 256;

/// Prefix of the keys that hold extended attributes.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xattr {
    /// With its namespace, such as `user.`.
    pub name: Vec<u8>,
    /// What it says.
    pub value: Vec<u8>,
}

/// What one extension header says of the entry that follows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pax {
    /// Name, instead of the header's.
    pub path: Option<Vec<u8>>,
    /// Link, instead of the header's.
    pub link: Option<Vec<u8>>,
    /// Bytes of the body, instead of the header's.
    pub size: Option<u64>,
    /// Owner, instead of the header's.
    pub uid: Option<u64>,
    /// Group, instead of the header's.
    pub gid: Option<u64>,
    /// Time, instead of the header's.
    pub mtime: Option<Time>,
    /// Extended attributes.
    pub xattrs: Vec<Xattr>,
    /// Where a sparse file's data belongs.
    pub sparse: PaxSparse,
}

/// GNU's sparse keys, of versions 0.0, 0.1 and 1.0.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PaxSparse {
    /// Version.
    pub major: Option<u64>,
    /// Version.
    pub minor: Option<u64>,
    /// The file's own name.
    pub name: Option<Vec<u8>>,
    /// Its size with all holes.
    pub real_size: Option<u64>,
    /// Its data, of versions before 1.0.
    pub regions: Vec<Region>,
    /// Version 0.0: an offset whose length has not come yet.
    offset: Option<u64>,
}

impl Pax {
    /// Parses the body of an extension header.
    pub fn parse(mut rest: &[u8]) -> Result<Pax, ArchiveError> {
        let mut pax = Pax::default();
        while !rest.is_empty() {
            let (key, value, after) = record(rest).ok_or(ArchiveError::Pax("a record"))?;
            pax.take(key, value)?;
            rest = after;
        }
        if pax.sparse.offset.is_some() {
            return Err(ArchiveError::Pax("GNU.sparse.offset"));
        }
        Ok(pax)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        // An empty value takes back what a global header said; those are not accepted in the first place.
        if value.is_empty() && !key.starts_with(XATTR) {
            return Ok(());
        }
        match key {
            b"path" => self.path = Some(text(value, "path")?),
            b"linkpath" => self.link = Some(text(value, "linkpath")?),
            b"size" => self.size = Some(number(value, "size")?),
            b"uid" => self.uid = Some(number(value, "uid")?),
            b"gid" => self.gid = Some(number(value, "gid")?),
            b"mtime" => self.mtime = Some(time(value).ok_or(ArchiveError::Pax("mtime"))?),
            b"GNU.sparse.major" => self.sparse.major = Some(number(value, "GNU.sparse.major")?),
            b"GNU.sparse.minor" => self.sparse.minor = Some(number(value, "GNU.sparse.minor")?),
            b"GNU.sparse.name" => self.sparse.name = Some(text(value, "GNU.sparse.name")?),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => {
                self.sparse.real_size = Some(number(value, "GNU.sparse.realsize")?);
            }
            b"GNU.sparse.offset" => self.sparse.offset(number(value, "GNU.sparse.offset")?)?,
            b"GNU.sparse.numbytes" => self.sparse.length(number(value, "GNU.sparse.numbytes")?)?,
            b"GNU.sparse.map" => self.sparse.map(value)?,
            _ => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    self.xattr(name, value)?;
                }
            }
        }
        Ok(())
    }

    fn xattr(&mut self, name: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        if name.is_empty() || name.contains(&0) || value.len() > MAX_XATTR {
            return Err(ArchiveError::Pax("an extended attribute"));
        }
        self.xattrs.retain(|xattr| xattr.name != name);
        if self.xattrs.len() >= MAX_XATTRS {
            return Err(ArchiveError::Pax("more than 256 extended attributes"));
        }
        self.xattrs.push(Xattr {
            name: name.to_vec(),
            value: value.to_vec(),
        });
        Ok(())
    }
}

impl PaxSparse {
    fn offset(&mut self, offset: u64) -> Result<(), ArchiveError> {
        match self.offset.replace(offset) {
            None => Ok(()),
            Some(_) => Err(ArchiveError::Pax("GNU.sparse.offset")),
        }
    }

    fn length(&mut self, length: u64) -> Result<(), ArchiveError> {
        let offset = self.offset.take();
        let offset = offset.ok_or(ArchiveError::Pax("GNU.sparse.numbytes"))?;
        self.push(Region { offset, length })
    }

    fn map(&mut self, value: &[u8]) -> Result<(), ArchiveError> {
        self.regions.clear();
        let mut numbers = value.split(|&byte| byte == b',');
        while let Some(offset) = numbers.next() {
            let length = numbers.next().ok_or(ArchiveError::Pax("GNU.sparse.map"))?;
            self.push(Region {
                offset: number(offset, "GNU.sparse.map")?,
                length: number(length, "GNU.sparse.map")?,
            })?;
        }
        Ok(())
    }

    fn push(&mut self, region: Region) -> Result<(), ArchiveError> {
        if self.regions.len() == MAX_REGIONS {
            return Err(ArchiveError::SparseRegions);
        }
        self.regions.push(region);
        Ok(())
    }
}

/// Splits off the first record: key, value and what follows it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    // A record's length is at most the header's, and that has seven digits.
    let space = bytes.iter().take(8).position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space])?).ok()?;
    if length > bytes.len() {
        return None;
    }
    let (record, rest) = bytes.split_at(length);
    let pair = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    let (key, value) = (&pair[..equals], &pair[equals + 1..]);
    (!key.is_empty()).then_some((key, value, rest))
}

fn text(value: &[u8], key: &'static str) -> Result<Vec<u8>, ArchiveError> {
    if value.contains(&0) {
        return Err(ArchiveError::Pax(key));
    }
    Ok(value.to_vec())
}

fn number(value: &[u8], key: &'static str) -> Result<u64, ArchiveError> {
    decimal(value).ok_or(ArchiveError::Pax(key))
}

/// Decimal digits and nothing else, up to the largest file offset.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })?;
    u64::try_from(value).ok()
}

/// `[-]SECONDS[.FRACTION]`; digits beyond the nanosecond are dropped.
fn time(value: &[u8]) -> Option<Time> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(value) => (true, value),
        None => (false, value),
    };
    let mut parts = value.splitn(2, |&byte| byte == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanoseconds = fraction
        .iter()
        .chain(std::iter::repeat(&b'0'))
        .take(9)
        .fold(0_u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    Some(match (negative, nanoseconds) {
        (false, nanoseconds) => Time {
            seconds,
            nanoseconds,
        },
        (true, 0) => Time {
            seconds: -seconds,
            nanoseconds: 0,
        },
        (true, nanoseconds) => Time {
            seconds: (-seconds).checked_sub(1)?,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(pairs: &[(&str, &[u8])]) -> Vec<u8> {
        pairs
            .iter()
            .flat_map(|(key, value)| {
                let body = key.len() + value.len() + 3;
                let digits = |n: usize| n.to_string().len();
                let mut length = body + digits(body);
                if digits(length) != digits(body) {
                    length = body + digits(length);
                }
                [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
            })
            .collect()
    }

    #[test]
    fn values_may_hold_newlines_and_equals_signs() {
        let capability: &[u8] = b"\x01\0\0\x02\n=\0\0\n";
        let pax = Pax::parse(&records(&[
            ("path", b"a=b\nc"),
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.user.empty", b""),
            ("comment", b"ignored"),
            ("size", b"512"),
        ]))
        .unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a=b\nc"[..]));
        assert_eq!(pax.size, Some(512));
        assert_eq!(pax.xattrs.len(), 2);
        assert_eq!(pax.xattrs[0].value, capability);
        assert_eq!(pax.xattrs[1].value, b"");
    }

    #[test]
    fn attributes_are_counted() {
        let names: Vec<String> = (0..=MAX_XATTRS)
            .map(|n| format!("SCHILY.xattr.user.{n}"))
            .collect();
        let pairs: Vec<(&str, &[u8])> = names
            .iter()
            .map(|name| (name.as_str(), &b"1"[..]))
            .collect();
        assert_eq!(
            Pax::parse(&records(&pairs[1..])).unwrap().xattrs.len(),
            MAX_XATTRS
        );
        // The same again is no further one.
        let twice = [&pairs[1..], &pairs[1..]].concat();
        assert_eq!(
            Pax::parse(&records(&twice)).unwrap().xattrs.len(),
            MAX_XATTRS
        );
        let said = Pax::parse(&records(&pairs)).unwrap_err().to_string();
        assert!(said.contains("more than 256 extended attributes"), "{said}");
    }

    #[test]
    fn malformed_records_are_refused() {
        for bytes in [
            &b"6 a=b"[..],
            b"7 a=b\n",
            b"06 path=x\n",
            b"5 a=b\n",
            b"6 =ab\n",
            b"6 abc\n",
            b"a=b\n",
            b"-6 a=b\n",
            b"99999999 a=b\n",
            b"10 size=x\n",
            b"10 size=-1\n",
            b"11 path=a\0b\n",
            b"11 mtime=1e\n",
        ] {
            assert!(
                matches!(Pax::parse(bytes), Err(ArchiveError::Pax(_))),
                "{}",
                bytes.escape_ascii()
            );
        }
    }

    #[test]
    fn times() {
        for (text, expected) in [
            ("1700000000", Some((1_700_000_000, 0))),
            ("1.5", Some((1, 500_000_000))),
            ("1.1234567899", Some((1, 123_456_789))),
            ("1.", Some((1, 0))),
            ("-1", Some((-1, 0))),
            ("-1.25", Some((-2, 750_000_000))),
            (".5", None),
            ("1.x", None),
            ("9223372036854775808", None),
        ] {
            let expected = expected.map(|(seconds, nanoseconds)| Time {
                seconds,
                nanoseconds,
            });
            assert_eq!(time(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn sparse_maps_of_both_old_versions() {
        let zero = records(&[
            ("GNU.sparse.offset", b"0"),
            ("GNU.sparse.numbytes", b"10"),
            ("GNU.sparse.offset", b"512"),
            ("GNU.sparse.numbytes", b"5"),
        ]);
        let one = records(&[("GNU.sparse.map", b"0,10,512,5")]);
        for bytes in [zero, one] {
            let regions = Pax::parse(&bytes).unwrap().sparse.regions;
            let pairs: Vec<_> = regions.iter().map(|r| (r.offset, r.length)).collect();
            assert_eq!(pairs, [(0, 10), (512, 5)]);
        }
        let half = records(&[("GNU.sparse.map", b"0,10,512")]);
        assert!(Pax::parse(&half).is_err());
    }
}
