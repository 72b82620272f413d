//! Unpacks a stream while it is read; its end is reported only after the index and the footer were right.

use std::io::{self, Read};

use lzma_rust2::Lzma2Reader;
use sha2::{Digest as _, Sha256};

use super::check::Check;
use super::{ALIGN, Counted, FOOTER_MAGIC, LZMA2, MAGIC, crc32, refused};

/// Largest dictionary: that of `xz -9` and of mender-artifact. The decoder needs that much memory.
const MAX_DICTIONARY: u32 = 64 << 20;

/// A stream being unpacked.
pub(crate) struct XzReader<R> {
    /// `None` only while a block is made of it.
    state: Option<State<R>>,
    flags: [u8; 2],
    blocks: u64,
    /// Over the sizes of all blocks, to be compared with the index without keeping them.
    sizes: Sha256,
}

enum State<R> {
    Begin(R),
    Between(R),
    Block(Box<Block<R>>),
    End(R),
}

struct Block<R> {
    data: Lzma2Reader<Counted<R>>,
    header_size: u64,
    unpacked: u64,
    check: Check,
}

impl<R: Read> XzReader<R> {
    pub(crate) fn new(inner: R) -> XzReader<R> {
        XzReader {
            state: Some(State::Begin(inner)),
            flags: [0; 2],
            blocks: 0,
            sizes: Sha256::new(),
        }
    }

    fn begin(&mut self, mut inner: R) -> io::Result<State<R>> {
        let header: [u8; 12] = take(&mut inner)?;
        if !header.starts_with(MAGIC) {
            return Err(refused("it does not begin as an xz stream does"));
        }
        self.flags = [header[6], header[7]];
        if header[8..] != crc32(&self.flags).to_le_bytes() {
            return Err(refused("the checksum of its header is wrong"));
        }
        if self.flags[0] != 0 || Check::new(self.flags[1]).is_none() {
            return Err(refused("its kind of checksum is unknown"));
        }
        Ok(State::Between(inner))
    }

    /// Another block, or the index and the end.
    fn next(&mut self, mut inner: R) -> io::Result<State<R>> {
        let [size] = take(&mut inner)?;
        if size == 0 {
            self.index(&mut inner)?;
            return Ok(State::End(inner));
        }
        let header_size = (u64::from(size) + 1) * ALIGN;
        let mut header = vec![size];
        (&mut inner)
            .take(header_size - 1)
            .read_to_end(&mut header)?;
        if header.len() as u64 != header_size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (header, sum) = header.split_at(header.len() - 4);
        if sum != crc32(header).to_le_bytes() {
            return Err(refused("the checksum of a block's header is wrong"));
        }
        let dictionary = dictionary(header)?;
        Ok(State::Block(Box::new(Block {
            data: Lzma2Reader::new(Counted::new(inner), dictionary, None),
            header_size,
            unpacked: 0,
            // The stream's header was checked for it.
            check: Check::new(self.flags[1]).unwrap_or(Check::None),
        })))
    }

    /// Padding and checksum after a block's data.
    fn after(&mut self, block: Block<R>) -> io::Result<State<R>> {
        let mut data = block.data.into_inner();
        let packed = data.count;
        zeros(&mut data)?;
        let expected = block.check.finish();
        let mut found = Vec::new();
        (&mut data)
            .take(expected.len() as u64)
            .read_to_end(&mut found)?;
        if found != expected {
            return Err(refused("the checksum of a block is wrong"));
        }
        self.blocks += 1;
        let unpadded = block.header_size + packed + expected.len() as u64;
        self.sizes.update(unpadded.to_le_bytes());
        self.sizes.update(block.unpacked.to_le_bytes());
        Ok(State::Between(data.inner))
    }

    /// The index after its first byte, and the footer.
    fn index(&mut self, inner: &mut R) -> io::Result<()> {
        let mut index = Summed {
            inner: Counted::new(inner),
            crc: flate2::Crc::new(),
        };
        index.inner.count = 1;
        index.crc.update(&[0]);
        let mut sizes = Sha256::new();
        let blocks = number(&mut index)?;
        if blocks != self.blocks {
            return Err(refused("its index does not list its blocks"));
        }
        for _ in 0..2 * blocks {
            sizes.update(number(&mut index)?.to_le_bytes());
        }
        if sizes.finalize() != std::mem::take(&mut self.sizes).finalize() {
            return Err(refused("its index does not list its blocks"));
        }
        for _ in 0..index.inner.padding() {
            if take(&mut index)? != [0] {
                return Err(refused("its index has padding that is not zero"));
            }
        }
        let (size, sum) = (index.inner.count + 4, index.crc.sum());
        let inner = index.inner.inner;
        if take(inner)? != sum.to_le_bytes() {
            return Err(refused("the checksum of its index is wrong"));
        }
        let footer: [u8; 12] = take(inner)?;
        let backward =
            u32::try_from(size / ALIGN - 1).map_err(|_| refused("its index is too long"))?;
        let expected = [&backward.to_le_bytes()[..], &self.flags].concat();
        if footer[..4] != crc32(&expected).to_le_bytes()
            || footer[4..10] != expected
            || &footer[10..] != FOOTER_MAGIC
        {
            return Err(refused("its footer is wrong"));
        }
        Ok(())
    }
}

impl<R: Read> Read for XzReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let state = self.state.take();
            let state = state.ok_or_else(|| refused("it failed before"))?;
            let next = match state {
                State::Begin(inner) => self.begin(inner)?,
                State::Between(inner) => self.next(inner)?,
                State::Block(mut block) => match block.data.read(buffer)? {
                    0 => self.after(*block)?,
                    read => {
                        block.check.update(&buffer[..read]);
                        block.unpacked += read as u64;
                        self.state = Some(State::Block(block));
                        return Ok(read);
                    }
                },
                State::End(inner) => {
                    self.state = Some(State::End(inner));
                    return Ok(0);
                }
            };
            self.state = Some(next);
        }
    }
}

/// The dictionary that a block's header asks for; everything else in it must be what is expected.
fn dictionary(header: &[u8]) -> io::Result<u32> {
    let flags = header[1];
    let mut rest = &header[2..];
    // One filter, no reserved bits. The sizes are in the index again, where they are checked.
    if flags & 0x3f != 0 {
        return Err(refused("it uses filters other than LZMA2"));
    }
    for present in [0x40, 0x80] {
        if flags & present != 0 {
            number(&mut rest)?;
        }
    }
    if number(&mut rest)? != LZMA2 || number(&mut rest)? != 1 {
        return Err(refused("it uses filters other than LZMA2"));
    }
    let [bits] = take(&mut rest)?;
    if rest.iter().any(|&byte| byte != 0) {
        return Err(refused("a block's header has padding that is not zero"));
    }
    let size = match bits {
        0..=39 => (2 | u64::from(bits & 1)) << (bits / 2 + 11),
        _ => u64::MAX,
    };
    let limit = u64::from(MAX_DICTIONARY);
    u32::try_from(size)
        .ok()
        .filter(|_| size <= limit)
        .ok_or_else(|| {
            refused(&format!(
                "its dictionary is larger than the {limit} bytes allowed"
            ))
        })
}

/// A number in seven bits per byte, lowest first, in the shortest form.
fn number(source: &mut impl Read) -> io::Result<u64> {
    let mut value = 0;
    for at in 0..9 {
        let [byte] = take(source)?;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return match byte == 0 && at > 0 {
                false => Ok(value),
                true => Err(refused("a number is not in its shortest form")),
            };
        }
    }
    Err(refused("a number is too long"))
}

fn zeros<R: Read>(data: &mut Counted<R>) -> io::Result<()> {
    for _ in 0..data.padding() {
        if take(data)? != [0] {
            return Err(refused("a block has padding that is not zero"));
        }
    }
    Ok(())
}

fn take<const N: usize>(source: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Sums up what is read.
struct Summed<R> {
    inner: Counted<R>,
    crc: flate2::Crc,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.crc.update(&buffer[..read]);
        Ok(read)
    }
}
