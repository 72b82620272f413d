//! Puts a log file that is not written any more into a gzip file. Fast, in 120 KB of memory, and small: one block of fixed
//! codes, which makes a fifth of most logs.

use std::io::{self, Read, Write};

use flate2::Crc;

/// How far back a repetition may be.
const WINDOW: usize = 32 * 1024;
/// Shortest repetition that is looked for.
const SHORTEST: usize = 4;
const LONGEST: usize = 258;
/// Places that are remembered, by what stands there.
const PLACES_BITS: u32 = 12;
const END: u32 = 256;

/// Shortest length of each length code from 257 on.
const LENGTHS: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227, 258,
];
/// Shortest distance of each distance code.
const DISTANCES: [u16; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537,
    2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
];

/// Writes `from` compressed into `to`, with a comment in its header.
pub(super) fn compress(mut from: impl Read, to: impl Write, comment: &str) -> io::Result<()> {
    let mut out = Bits::new(to);
    // Deflate, a comment, no time, an unknown system.
    out.bytes(&[0x1f, 0x8b, 8, 16, 0, 0, 0, 0, 0, 255])?;
    out.bytes(comment.as_bytes())?;
    out.bytes(&[0])?;
    // One last block of fixed codes.
    out.put(0b011, 3)?;
    let mut crc = Crc::new();
    let mut text = vec![0; 3 * WINDOW];
    let mut places = vec![0; 1 << PLACES_BITS];
    // What of `text` is coded already, what is there at all, and what has left it.
    let (mut at, mut end, mut gone) = (0, 0, 0);
    loop {
        if at > 2 * WINDOW {
            text.copy_within(at - WINDOW..end, 0);
            gone += at - WINDOW;
            end -= at - WINDOW;
            at = WINDOW;
        }
        let read = from.read(&mut text[end..])?;
        crc.update(&text[end..end + read]);
        end += read;
        while at < end && (read == 0 || end - at >= LONGEST + SHORTEST) {
            match repetition(&text[..end], at, gone, &mut places) {
                Some((length, distance)) => {
                    out.length(length)?;
                    out.distance(distance)?;
                    at += length;
                }
                None => {
                    out.symbol(text[at].into())?;
                    at += 1;
                }
            }
        }
        if read == 0 {
            break;
        }
    }
    out.symbol(END)?;
    out.finish()?;
    out.bytes(&crc.sum().to_le_bytes())?;
    out.bytes(&crc.amount().to_le_bytes())?;
    out.flush()
}

/// Length and distance of what stands at `at` and has stood before; remembers the place.
fn repetition(text: &[u8], at: usize, gone: usize, places: &mut [usize]) -> Option<(usize, usize)> {
    let key: [u8; SHORTEST] = text.get(at..at + SHORTEST)?.try_into().ok()?;
    let place = u32::from_le_bytes(key).wrapping_mul(0x9e37_79b1) >> (32 - PLACES_BITS);
    // From 1 on, so that 0 is none.
    let before =
        std::mem::replace(&mut places[place as usize], gone + at + 1).checked_sub(1 + gone)?;
    let distance = at - before;
    let most = LONGEST.min(text.len() - at);
    let same = |length: &usize| text[before + length] == text[at + length];
    let length = (0..most).take_while(same).count();
    (distance <= WINDOW && length >= SHORTEST).then_some((length, distance))
}

/// Bits on their way into bytes.
struct Bits<W> {
    to: W,
    held: u64,
    count: u32,
    ready: Vec<u8>,
}

impl<W: Write> Bits<W> {
    fn new(to: W) -> Bits<W> {
        Bits {
            to,
            held: 0,
            count: 0,
            ready: Vec::with_capacity(8192),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.ready.extend_from_slice(bytes);
        match self.ready.len() >= 4096 {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.write_all(&self.ready)?;
        self.ready.clear();
        Ok(())
    }

    /// The lowest bit first.
    fn put(&mut self, bits: u32, count: u32) -> io::Result<()> {
        self.held |= u64::from(bits) << self.count;
        self.count += count;
        while self.count >= 8 {
            let byte = (self.held & 0xff) as u8;
            self.held >>= 8;
            self.count -= 8;
            self.bytes(&[byte])?;
        }
        Ok(())
    }

    /// A code, whose highest bit comes first.
    fn code(&mut self, code: u32, count: u32) -> io::Result<()> {
        self.put(code.reverse_bits() >> (32 - count), count)
    }

    /// A byte, the end, or the code of a length.
    fn symbol(&mut self, symbol: u32) -> io::Result<()> {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    fn length(&mut self, length: usize) -> io::Result<()> {
        let length = length as u16;
        let code = LENGTHS.partition_point(|shortest| *shortest <= length) - 1;
        self.symbol(257 + code as u32)?;
        let further = match code {
            8..=27 => (code as u32 - 4) / 4,
            _ => 0,
        };
        self.put((length - LENGTHS[code]).into(), further)
    }

    fn distance(&mut self, distance: usize) -> io::Result<()> {
        let distance = distance as u16;
        let code = DISTANCES.partition_point(|shortest| *shortest <= distance) - 1;
        self.code(code as u32, 5)?;
        let further = (code as u32 / 2).saturating_sub(1);
        self.put((distance - DISTANCES[code]).into(), further)
    }

    /// Fills the last byte up.
    fn finish(&mut self) -> io::Result<()> {
        self.put(0, (8 - self.count % 8) % 8)
    }
}

#[cfg(test)]
mod tests {
    use flate2::bufread::GzDecoder;

    use super::*;

    #[test]
    fn what_is_compressed_comes_back() {
        let mut noise = 1u32;
        let mut random = |length: usize| -> Vec<u8> {
            let next = || {
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                (noise >> 8) as u8
            };
            std::iter::repeat_with(next).take(length).collect()
        };
        let lines: String = (0..20_000)
            .map(|n| {
                format!(
                    "2026-01-02T03:04:{n:05} GET /item/{} 200\n",
                    n * 7919 % 1000
                )
            })
            .collect();
        let far = [
            &random(WINDOW)[..],
            b"abcdefgh",
            &random(WINDOW - 8),
            b"abcdefgh",
        ]
        .concat();
        for (name, text, most) in [
            ("nothing", Vec::new(), 40),
            ("one", vec![255], 40),
            ("same", vec![b'x'; 1_000_000], 15_000),
            ("noise", random(200_000), 220_000),
            ("far", far, 80_000),
            ("lines", lines.clone().into_bytes(), lines.len() / 3),
            ("all", (0..=255).cycle().take(70_000).collect(), 2_000),
        ] {
            let mut packed = Vec::new();
            compress(&text[..], &mut packed, "said").unwrap();
            assert!(packed.len() <= most, "{name}: {}", packed.len());
            let mut decoder = GzDecoder::new(&packed[..]);
            let mut back = Vec::new();
            decoder.read_to_end(&mut back).unwrap();
            assert!(back == text, "{name}");
            assert_eq!(decoder.header().unwrap().comment(), Some(&b"said"[..]));
        }
    }

    #[test]
    fn it_takes_what_is_read_piece_by_piece() {
        struct Pieces(Vec<u8>, usize);
        impl Read for Pieces {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let length = 700.min(buffer.len()).min(self.0.len() - self.1);
                buffer[..length].copy_from_slice(&self.0[self.1..][..length]);
                self.1 += length;
                Ok(length)
            }
        }
        let text: Vec<u8> = (0..200_000u32)
            .flat_map(|n| (n / 3).to_le_bytes())
            .collect();
        let mut packed = Vec::new();
        compress(Pieces(text.clone(), 0), &mut packed, "").unwrap();
        let mut back = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
        assert!(back == text);
    }
}
