//! What one file contains, in 256 bits that are made as it goes by.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// Bytes that count together; holes have at least that size.
pub(super) const BLOCK: usize = 4096;

/// What one file contains.
pub(super) type FileNumbers = [u64; 5];

/// One file's content as it goes by, in pieces of any size.
pub(in crate::unpack) struct FileSum {
    lanes: [u64; 4],
    /// Where the next byte belongs.
    at: u64,
    /// The block it belongs to, as far as it came by in pieces.
    block: Box<[u8; BLOCK]>,
    pending: bool,
}

impl FileSum {
    pub(super) fn new() -> FileSum {
        FileSum {
            lanes: SEED,
            at: 0,
            block: Box::new([0; BLOCK]),
            pending: false,
        }
    }

    pub(super) fn begin(&mut self) {
        self.flush();
        (self.lanes, self.at) = (SEED, 0);
    }

    /// What follows belongs further on; between is a hole.
    pub(in crate::unpack) fn seek(&mut self, offset: u64) {
        if offset / BLOCK as u64 != self.at / BLOCK as u64 {
            self.flush();
        }
        self.at = offset;
    }

    pub(in crate::unpack) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let within = (self.at % BLOCK as u64) as usize;
            if within == 0
                && !self.pending
                && let Some((block, rest)) = bytes.split_first_chunk::<BLOCK>()
            {
                absorb(&mut self.lanes, self.at / BLOCK as u64, block);
                self.at += BLOCK as u64;
                bytes = rest;
                continue;
            }
            let (piece, rest) = bytes.split_at(bytes.len().min(BLOCK - within));
            self.block[within..within + piece.len()].copy_from_slice(piece);
            self.pending = true;
            // Of the block that it fills, not of the next one.
            if within + piece.len() == BLOCK {
                self.flush();
            }
            self.at += piece.len() as u64;
            bytes = rest;
        }
    }

    fn flush(&mut self) {
        if self.pending {
            absorb(&mut self.lanes, self.at / BLOCK as u64, &self.block);
            self.block.fill(0);
            self.pending = false;
        }
    }

    pub(super) fn end(&mut self, size: u64) -> FileNumbers {
        self.flush();
        let [a, b, c, d] = self.lanes;
        [size, a, b, c, d]
    }
}

/// A file that is written and counted.
pub(in crate::unpack) struct Counted<'a> {
    pub(in crate::unpack) file: &'a mut File,
    pub(in crate::unpack) sum: &'a mut FileSum,
}

impl Counted<'_> {
    /// What is written next belongs at `offset`.
    pub(in crate::unpack) fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.sum.seek(offset);
        self.file.seek(SeekFrom::Start(offset)).map(drop)
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// XXH64's round in four lanes, all of which are kept: no change to one word is ever lost. About as fast as memory where
/// the processor multiplies in hardware; no hash that the program has anyway is both wide and fast.
fn absorb(lanes: &mut [u64; 4], number: u64, block: &[u8; BLOCK]) {
    if block.as_chunks::<8>().0.iter().all(|word| *word == [0; 8]) {
        return;
    }
    let [mut a, mut b, mut c, mut d] = *lanes;
    a = round(a, &(number + 1).to_le_bytes());
    for stripe in block.as_chunks::<32>().0 {
        let (words, _) = stripe.as_chunks::<8>();
        a = round(a, &words[0]);
        b = round(b, &words[1]);
        c = round(c, &words[2]);
        d = round(d, &words[3]);
    }
    *lanes = [a, b, c, d];
}

const FIRST: u64 = 0x9E37_79B1_85EB_CA87;
const SECOND: u64 = 0xC2B2_AE3D_27D4_EB4F;
pub(super) const SEED: [u64; 4] = [FIRST, SECOND, FIRST ^ SECOND, !FIRST];

pub(super) fn round(lane: u64, word: &[u8; 8]) -> u64 {
    lane.wrapping_add(u64::from_le_bytes(*word).wrapping_mul(SECOND))
        .rotate_left(31)
        .wrapping_mul(FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[(u64, &[u8])], size: u64) -> FileNumbers {
        let mut sum = FileSum::new();
        sum.begin();
        for (at, bytes) in pieces {
            sum.seek(*at);
            sum.update(bytes);
        }
        sum.end(size)
    }

    #[test]
    fn pieces_and_holes_make_no_difference_and_everything_else_does() {
        let bytes: Vec<u8> = (0..30_000_u32).map(|n| ((n * n) >> 5) as u8).collect();
        let size = bytes.len() as u64;
        let whole = of(&[(0, &bytes)], size);
        for piece in [1, 7, 4095, 4096, 4097, 9000] {
            let mut sum = FileSum::new();
            sum.begin();
            bytes.chunks(piece).for_each(|bytes| sum.update(bytes));
            assert_eq!(sum.end(size), whole, "{piece}");
        }
        let mut holes = bytes.clone();
        holes[5000..17_000].fill(0);
        let (head, tail) = (&holes[..5000], &holes[17_000..]);
        let with_holes = of(&[(0, head), (17_000, tail)], size);
        assert_eq!(with_holes, of(&[(0, &holes)], size));
        assert_ne!(with_holes, whole);
        for at in [0, 8, 4095, 4096, 29_999] {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[at] ^= 1 << bit;
                assert_ne!(of(&[(0, &other)], size), whole, "{at} {bit}");
            }
        }
        let mut swapped = bytes.clone();
        swapped.rotate_left(4096);
        assert_ne!(of(&[(0, &swapped)], size), whole);
        assert_ne!(of(&[(4096, &bytes)], size), whole);
    }
}
