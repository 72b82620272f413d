//! The checksum of a block's content, of the kind that the stream's header names.

use sha2::{Digest as _, Sha256};

/// CRC64 as xz has it, reflected.
const POLYNOMIAL: u64 = 0xc96c_5795_d787_0f42;

const TABLE: [u64; 256] = table();

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut crc = at as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ POLYNOMIAL
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
}

/// A checksum being computed.
pub(super) enum Check {
    None,
    Crc32(flate2::Crc),
    Crc64(u64),
    Sha256(Box<Sha256>),
}

impl Check {
    /// What `xz` and mender-artifact write.
    #[cfg(feature = "artifact-gen")]
    pub(super) const CRC64: u8 = 4;

    /// By its number in the header.
    pub(super) fn new(kind: u8) -> Option<Check> {
        Some(match kind {
            0 => Check::None,
            1 => Check::Crc32(flate2::Crc::new()),
            4 => Check::Crc64(!0),
            10 => Check::Sha256(Box::default()),
            _ => return None,
        })
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Check::None => {}
            Check::Crc32(crc) => crc.update(bytes),
            Check::Crc64(crc) => {
                for byte in bytes {
                    let at = (*crc ^ u64::from(*byte)) & 0xff;
                    // Less than 256.
                    *crc = TABLE[at as usize] ^ (*crc >> 8);
                }
            }
            Check::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// The bytes that follow the block.
    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Check::None => Vec::new(),
            Check::Crc32(crc) => crc.sum().to_le_bytes().to_vec(),
            Check::Crc64(crc) => (!crc).to_le_bytes().to_vec(),
            Check::Sha256(hasher) => hasher.finalize().to_vec(),
        }
    }
}
