//! Archives that cannot be read at any place: compressed ones, and those that come through a pipe.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use flate2::read::MultiGzDecoder;

use super::ImageArchiveError;

/// Enough of the beginning to tell what it is.
const MAGIC: usize = 6;

/// Largest window of a zstd archive, as for layers.
#[cfg(any(feature = "device", feature = "artifact-gen"))]
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Zstd,
}

/// An archive as a plain tar that can be read at any place: the file itself where it is one, else a copy in what
/// `spool` makes, of at most `limit` bytes.
pub fn seekable(
    mut input: File,
    spool: impl FnOnce() -> io::Result<File>,
    limit: u64,
) -> Result<File, ImageArchiveError> {
    let read = ImageArchiveError::io("read it");
    let (head, is_whole) = look(&mut input).map_err(read)?;
    if head.is_empty() {
        return Err(ImageArchiveError::Empty);
    }
    let packing = packing(&head)?;
    if packing == Packing::None && is_whole {
        return Ok(input);
    }
    let mut copy = spool().map_err(ImageArchiveError::io("make a file for a copy of it"))?;
    let packed = io::Cursor::new(head).chain(input);
    match packing {
        Packing::None => keep(packed, &mut copy, limit)?,
        Packing::Gzip => keep(MultiGzDecoder::new(packed), &mut copy, limit)?,
        Packing::Zstd => keep(unzstd(packed)?, &mut copy, limit)?,
    }
    Ok(copy)
}

/// The beginning, and whether the rest is a file from its beginning on, to which it has then returned.
fn look(input: &mut File) -> io::Result<(Vec<u8>, bool)> {
    let from_start = input.metadata()?.is_file() && input.stream_position()? == 0;
    let mut head = Vec::new();
    Read::by_ref(input)
        .take(MAGIC as u64)
        .read_to_end(&mut head)?;
    if from_start && packing(&head).is_ok_and(|packing| packing == Packing::None) {
        input.seek(SeekFrom::Start(0))?;
        return Ok((head, true));
    }
    Ok((head, false))
}

fn packing(head: &[u8]) -> Result<Packing, ImageArchiveError> {
    let refused = |name, unpack| Err(ImageArchiveError::Compression { name, unpack });
    match head {
        [0x1f, 0x8b, ..] => Ok(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Packing::Zstd),
        [b'B', b'Z', b'h', ..] => refused("bzip2", "bunzip2 FILE"),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => refused("xz", "xz -d FILE"),
        _ => Ok(Packing::None),
    }
}

#[cfg(any(feature = "device", feature = "artifact-gen"))]
fn unzstd(packed: impl Read) -> Result<impl Read, ImageArchiveError> {
    let mut decoder =
        zstd::Decoder::new(packed).map_err(ImageArchiveError::io("begin to decompress it"))?;
    decoder
        .window_log_max(MAX_ZSTD_WINDOW_LOG)
        .map_err(ImageArchiveError::io("begin to decompress it"))?;
    Ok(decoder)
}

/// A library for neither program has no decoder.
#[cfg(not(any(feature = "device", feature = "artifact-gen")))]
fn unzstd(_packed: impl Read) -> Result<io::Empty, ImageArchiveError> {
    Err(ImageArchiveError::Compression {
        name: "zstd",
        unpack: "zstd -d FILE",
    })
}

fn keep(from: impl Read, copy: &mut File, limit: u64) -> Result<(), ImageArchiveError> {
    let failed = ImageArchiveError::io("make a plain copy of it");
    let copied = io::copy(&mut from.take(limit.saturating_add(1)), copy).map_err(failed)?;
    copy.flush()
        .map_err(ImageArchiveError::io("make a plain copy of it"))?;
    match copied > limit {
        true => Err(ImageArchiveError::Spool(limit)),
        false => Ok(()),
    }
}
