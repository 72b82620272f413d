//! How `header.tar` and `data/0000.tar` are packed.

#[cfg(feature = "artifact-gen")]
use std::io::Write;
use std::io::{self, Read};

#[cfg(feature = "artifact-gen")]
use flate2::GzBuilder;
use flate2::bufread::MultiGzDecoder;

use super::xz::XzReader;
#[cfg(feature = "artifact-gen")]
use super::xz::XzWriter;

/// mender-artifact's default, the smallest that every reader takes.
#[cfg(feature = "artifact-gen")]
const GZIP_LEVEL: u32 = 9;

/// gzip's "unknown operating system": the builder's has no place in the file.
#[cfg(feature = "artifact-gen")]
const GZIP_OS: u8 = 255;

/// Largest window of a zstd stream, as a power of two: what zstd's own program accepts without being asked to.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// A packing, with mender-artifact's names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// One gzip stream.
    #[default]
    Gzip,
    /// Not at all.
    None,
    /// xz, which mender-artifact calls lzma.
    Lzma,
    /// zstd at this level of its own scale; readers before mender-artifact 4 and Mender client 4 do not know it.
    Zstd(i32),
}

impl Compression {
    /// By the name that mender-artifact's option gives it; its four zstd levels are those of zstd's own scale that its
    /// library aims at.
    pub fn by_name(name: &str) -> Option<Compression> {
        Some(match name {
            "gzip" => Compression::Gzip,
            "none" => Compression::None,
            "lzma" => Compression::Lzma,
            "zstd_fastest" => Compression::Zstd(1),
            "zstd_fast" => Compression::Zstd(3),
            "zstd_better" => Compression::Zstd(7),
            "zstd_best" => Compression::Zstd(11),
            _ => return None,
        })
    }

    /// What follows `.tar` in a member's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Compression::Gzip => ".gz",
            Compression::None => "",
            Compression::Lzma => ".xz",
            Compression::Zstd(_) => ".zst",
        }
    }

    /// The other way round: what is left of a member's name before `.tar`, and its packing.
    pub fn of_member(name: &str) -> Option<(&str, Compression)> {
        let zstd = Compression::Zstd(0);
        [
            Compression::Gzip,
            Compression::None,
            Compression::Lzma,
            zstd,
        ]
        .into_iter()
        .find_map(|packing| {
            let stem = name.strip_suffix(packing.suffix())?.strip_suffix(".tar")?;
            Some((stem, packing))
        })
    }

    /// Unpacks `packed` on the way.
    pub fn unpack<'a, R: io::BufRead + 'a>(self, packed: R) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Compression::None => Box::new(packed),
            Compression::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Compression::Lzma => Box::new(XzReader::new(packed)),
            Compression::Zstd(_) => {
                let mut decoder = zstd::Decoder::with_buffer(packed)?;
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }

    /// Packs what is written into `out`.
    #[cfg(feature = "artifact-gen")]
    pub(super) fn pack<W: Write>(self, out: W) -> io::Result<Packer<W>> {
        Ok(match self {
            Compression::None => Packer::None(out),
            Compression::Gzip => {
                let stream = GzBuilder::new().mtime(0).operating_system(GZIP_OS);
                Packer::Gzip(stream.write(out, flate2::Compression::new(GZIP_LEVEL)))
            }
            Compression::Lzma => Packer::Lzma(Box::new(XzWriter::new(out)?)),
            Compression::Zstd(level) => Packer::Zstd(zstd::Encoder::new(out, level)?),
        })
    }
}

/// A packed stream being written; nothing is whole before [`Packer::finish`].
#[cfg(feature = "artifact-gen")]
pub(super) enum Packer<W: Write> {
    None(W),
    Gzip(flate2::write::GzEncoder<W>),
    Lzma(Box<XzWriter<W>>),
    Zstd(zstd::Encoder<'static, W>),
}

#[cfg(feature = "artifact-gen")]
impl<W: Write> Packer<W> {
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Packer::None(out) => Ok(out),
            Packer::Gzip(stream) => stream.finish(),
            Packer::Lzma(stream) => stream.finish(),
            Packer::Zstd(stream) => stream.finish(),
        }
    }
}

#[cfg(feature = "artifact-gen")]
impl<W: Write> Write for Packer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Packer::None(out) => out.write(bytes),
            Packer::Gzip(stream) => stream.write(bytes),
            Packer::Lzma(stream) => stream.write(bytes),
            Packer::Zstd(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Packer::None(out) => out.flush(),
            Packer::Gzip(stream) => stream.flush(),
            Packer::Lzma(stream) => stream.flush(),
            Packer::Zstd(stream) => stream.flush(),
        }
    }
}
