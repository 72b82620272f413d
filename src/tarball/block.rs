//! One 512-byte tar header: checksum, numbers, names. Reads V7, ustar, PAX, GNU and star headers as Go's
//! `archive/tar` does, because that is what every other container engine reads them with.

use super::ArchiveError;

/// Size of a header, and the unit that bodies are padded to.
pub const BLOCK: usize = 512;

/// Places of the fields: start and end.
const NAME: (usize, usize) = (0, 100);
const MODE: (usize, usize) = (100, 108);
const UID: (usize, usize) = (108, 116);
const GID: (usize, usize) = (116, 124);
const SIZE: (usize, usize) = (124, 136);
const MTIME: (usize, usize) = (136, 148);
const CHECKSUM: (usize, usize) = (148, 156);
const TYPE: usize = 156;
const LINK: (usize, usize) = (157, 257);
const MAGIC: (usize, usize) = (257, 265);
const DEV_MAJOR: (usize, usize) = (329, 337);
const DEV_MINOR: (usize, usize) = (337, 345);
const PREFIX: (usize, usize) = (345, 500);
const STAR_PREFIX: (usize, usize) = (345, 476);
const STAR_TRAILER: (usize, usize) = (508, 512);

/// A header whose checksum is right.
#[derive(Debug)]
pub struct Block([u8; BLOCK]);

impl Block {
    /// Checks the checksum; `None` for a block of zeros, which ends an archive.
    pub fn parse(bytes: [u8; BLOCK]) -> Result<Option<Block>, ArchiveError> {
        if bytes.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let block = Block(bytes);
        let stored = block.number(CHECKSUM, "checksum")?;
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (at, &byte) in block.0.iter().enumerate() {
            let byte = if (CHECKSUM.0..CHECKSUM.1).contains(&at) {
                b' '
            } else {
                byte
            };
            unsigned += i64::from(byte);
            // Some old systems summed signed characters.
            signed += i64::from(byte.cast_signed());
        }
        if stored == unsigned || stored == signed {
            Ok(Some(block))
        } else {
            Err(ArchiveError::Checksum)
        }
    }

    /// What kind of entry follows, as tar's letter or digit.
    pub fn type_flag(&self) -> u8 {
        self.0[TYPE]
    }

    /// Bytes of the body.
    pub fn size(&self) -> Result<u64, ArchiveError> {
        self.unsigned(SIZE, "size")
    }

    /// Permission bits, and on old systems the file type.
    pub fn mode(&self) -> Result<u64, ArchiveError> {
        self.unsigned(MODE, "mode")
    }

    /// Owner.
    pub fn uid(&self) -> Result<u64, ArchiveError> {
        self.unsigned(UID, "uid")
    }

    /// Group.
    pub fn gid(&self) -> Result<u64, ArchiveError> {
        self.unsigned(GID, "gid")
    }

    /// Last change of content, in seconds.
    pub fn mtime(&self) -> Result<i64, ArchiveError> {
        self.number(MTIME, "mtime")
    }

    /// Major and minor number.
    pub fn device(&self) -> Result<(u64, u64), ArchiveError> {
        Ok((
            self.unsigned(DEV_MAJOR, "device major")?,
            self.unsigned(DEV_MINOR, "device minor")?,
        ))
    }

    /// What a link points at.
    pub fn link(&self) -> &[u8] {
        until_nul(self.field(LINK))
    }

    /// The name with the prefix of the formats that have one.
    pub fn name(&self) -> Vec<u8> {
        let name = until_nul(self.field(NAME));
        let prefix = match self.field(MAGIC) {
            b"ustar\x0000" if self.field(STAR_TRAILER) == b"tar\0" => self.field(STAR_PREFIX),
            magic if magic.starts_with(b"ustar\0") => self.field(PREFIX),
            // GNU keeps times and the sparse map there, V7 nothing.
            _ => b"",
        };
        match until_nul(prefix) {
            b"" => name.to_vec(),
            prefix => [prefix, b"/", name].concat(),
        }
    }

    /// Whether the fields of GNU's own header form are there.
    pub fn is_gnu(&self) -> bool {
        self.field(MAGIC) == b"ustar  \0"
    }

    /// The bytes of one field.
    pub(super) fn field(&self, (start, end): (usize, usize)) -> &[u8] {
        &self.0[start..end]
    }

    fn unsigned(&self, place: (usize, usize), what: &'static str) -> Result<u64, ArchiveError> {
        u64::try_from(self.number(place, what)?).map_err(|_| ArchiveError::Number(what))
    }

    fn number(&self, place: (usize, usize), what: &'static str) -> Result<i64, ArchiveError> {
        parse_number(self.field(place)).ok_or(ArchiveError::Number(what))
    }
}

/// The part before the first NUL.
fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0);
    &field[..end.unwrap_or(field.len())]
}

/// Octal digits among spaces and NULs, or GNU's base 256 (highest bit set, two's complement below it).
pub(super) fn parse_number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => parse_base_256(field),
        _ => parse_octal(field),
    }
}

fn parse_octal(field: &[u8]) -> Option<i64> {
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let Some(start) = field.iter().position(|byte| !blank(byte)) else {
        return Some(0);
    };
    let digits = field[start..].split(blank).next()?;
    digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

fn parse_base_256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let first = if negative {
        field[0] | 0x80
    } else {
        field[0] & 0x7f
    };
    let start = if negative { -1 } else { 0_i64 };
    std::iter::once(&first)
        .chain(&field[1..])
        .try_fold(start, |value, &byte| {
            value.checked_mul(256)?.checked_add(i64::from(byte))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_every_notation() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"644 0000", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"77777777777\0", Some(0o77_777_777_777)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\x00", Some(256)),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                Some(-1),
            ),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00",
                Some(-256),
            ),
            (
                b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
                Some(i64::MAX),
            ),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"0000648\0", None),
            (b"-000644\0", None),
            (b"0x1ff\0\0\0", None),
        ] {
            assert_eq!(parse_number(field), value, "{field:?}");
        }
    }

    #[test]
    fn a_wrong_checksum_is_refused_and_zeros_end_the_archive() {
        assert!(Block::parse([0; BLOCK]).unwrap().is_none());
        let mut bytes = [0; BLOCK];
        bytes[0] = b'a';
        bytes[CHECKSUM.0..CHECKSUM.1].copy_from_slice(b"0000541\0");
        assert_eq!(Block::parse(bytes).unwrap().unwrap().name(), b"a");
        bytes[1] = b'b';
        assert!(matches!(Block::parse(bytes), Err(ArchiveError::Checksum)));
    }
}
