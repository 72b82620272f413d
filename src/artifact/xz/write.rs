//! Packs a stream: one block, CRC64, as `xz` does by default. The same bytes always give the same bytes.

use std::io::{self, Write};

use lzma_rust2::{Lzma2Options, Lzma2Writer};

use super::check::Check;
use super::{Counted, FOOTER_MAGIC, LZMA2, MAGIC, crc32};

/// xz's own default, with a dictionary of 8 MiB. mender-artifact takes 9, with which every device needs 64 MiB to unpack.
const PRESET: u32 = 6;

/// How a block's header says 8 MiB.
const DICTIONARY: u8 = 22;

const FLAGS: [u8; 2] = [0, Check::CRC64];

/// A stream being packed; not whole before [`XzWriter::finish`].
pub(crate) struct XzWriter<W: Write> {
    data: Lzma2Writer<Counted<W>>,
    header_size: u64,
    unpacked: u64,
    check: Check,
}

impl<W: Write> XzWriter<W> {
    pub(crate) fn new(mut out: W) -> io::Result<XzWriter<W>> {
        out.write_all(MAGIC)?;
        out.write_all(&FLAGS)?;
        out.write_all(&crc32(&FLAGS).to_le_bytes())?;
        // Twelve bytes with the checksum; one filter, no sizes; padding.
        let header = [2, 0, LZMA2 as u8, 1, DICTIONARY, 0, 0, 0];
        out.write_all(&header)?;
        out.write_all(&crc32(&header).to_le_bytes())?;
        Ok(XzWriter {
            data: Lzma2Writer::new(Counted::new(out), Lzma2Options::with_preset(PRESET)),
            header_size: 12,
            unpacked: 0,
            check: Check::new(Check::CRC64).unwrap_or(Check::None),
        })
    }

    pub(crate) fn finish(self) -> io::Result<W> {
        let mut data = self.data.finish()?;
        let packed = data.count;
        let padding = data.padding();
        data.write_all(&[0; 4][..padding])?;
        let check = self.check.finish();
        data.write_all(&check)?;
        let mut index = vec![0, 1];
        push_number(&mut index, self.header_size + packed + check.len() as u64);
        push_number(&mut index, self.unpacked);
        index.resize(index.len().next_multiple_of(4), 0);
        let mut out = data.inner;
        out.write_all(&index)?;
        out.write_all(&crc32(&index).to_le_bytes())?;
        // At most 24 bytes.
        let backward = (index.len() / 4) as u32;
        let footer = [&backward.to_le_bytes()[..], &FLAGS].concat();
        out.write_all(&crc32(&footer).to_le_bytes())?;
        out.write_all(&footer)?;
        out.write_all(FOOTER_MAGIC)?;
        Ok(out)
    }
}

impl<W: Write> Write for XzWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.data.write(bytes)?;
        self.check.update(&bytes[..written]);
        self.unpacked += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.data.flush()
    }
}

fn push_number(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}
