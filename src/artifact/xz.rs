//! The xz container around LZMA2: one stream with one or many blocks, as `xz` and mender-artifact's `lzma` write it.
//!
//! The crate underneath knows the container too, but would bring a second implementation of SHA-256 with six crates for
//! one of its four checksums. Filters for machine code are not taken: nobody's artifacts have them.
//!
//! ```text
//! header                       magic, which checksum
//! block*                       header: filters, dictionary; LZMA2 data; padding; checksum of what it unpacks to
//! index                        sizes of all blocks
//! footer                       size of the index, which checksum, magic
//! ```

mod check;
mod read;
#[cfg(feature = "artifact-gen")]
mod write;

#[cfg(test)]
#[cfg(feature = "artifact-gen")]
mod tests;

pub(super) use read::XzReader;
#[cfg(feature = "artifact-gen")]
pub(super) use write::XzWriter;

use std::io::{self, Read};

const MAGIC: &[u8] = b"\xfd7zXZ\0";
const FOOTER_MAGIC: &[u8] = b"YZ";

/// The only filter taken.
const LZMA2: u64 = 0x21;

/// Everything in the container begins at a multiple of this.
const ALIGN: u64 = 4;

fn refused(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("xz: {problem}"))
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Counts what goes through, and keeps it where a checksum follows.
struct Counted<T> {
    inner: T,
    count: u64,
}

impl<T> Counted<T> {
    fn new(inner: T) -> Counted<T> {
        Counted { inner, count: 0 }
    }

    /// Bytes up to the next boundary.
    fn padding(&self) -> usize {
        // Less than the alignment.
        (self.count.next_multiple_of(ALIGN) - self.count) as usize
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count += read as u64;
        Ok(read)
    }
}

#[cfg(feature = "artifact-gen")]
impl<W: io::Write> io::Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
