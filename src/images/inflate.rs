//! A layer's blob, decompressed in this process and checked on the way.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use zstd::zstd_safe::{DCtx, ResetDirective};

/// Largest window of a zstd layer, as a power of two: what zstd's own program accepts without being asked to. The
/// decoder needs that much memory; encoders use 8 MiB or less unless told to go further.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// Read at once from the network.
const CHUNK: usize = 64 << 10;

/// How a layer is compressed, and what is needed to undo that.
pub(super) enum Codec<'a> {
    Plain,
    Gzip,
    /// The decoder with its window.
    Zstd(&'a mut DCtx<'static>),
}

/// A blob's content. Ends only when the blob itself has been read to its end, that is, where it is checked on the way, when
/// its digest is right: decompressors stop at their own end mark.
pub(super) enum Inflated<'a, R: Read> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<BufReader<R>>>),
    Zstd(zstd::Decoder<'a, BufReader<R>>),
}

impl<'a, R: Read> Inflated<'a, R> {
    pub(super) fn new(blob: R, codec: Codec<'a>) -> io::Result<Inflated<'a, R>> {
        let buffered = |blob| BufReader::with_capacity(CHUNK, blob);
        Ok(match codec {
            Codec::Plain => Inflated::Plain(blob),
            Codec::Gzip => Inflated::Gzip(Box::new(MultiGzDecoder::new(buffered(blob)))),
            Codec::Zstd(context) => {
                // An earlier layer may have ended in the middle of a frame.
                let reset = context.reset(ResetDirective::SessionOnly);
                reset.map_err(|_| io::Error::other("zstd cannot be reset"))?;
                let mut decoder = zstd::Decoder::with_context(buffered(blob), context);
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
                Inflated::Zstd(decoder)
            }
        })
    }
}

impl<R: Read> Read for Inflated<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Inflated::Plain(blob) => return blob.read(buffer),
            Inflated::Gzip(decoder) => decoder.read(buffer)?,
            Inflated::Zstd(decoder) => decoder.read(buffer)?,
        };
        if read == 0 && !buffer.is_empty() {
            let rest = match self {
                Inflated::Plain(_) => return Ok(0),
                Inflated::Gzip(decoder) => decoder.get_mut(),
                Inflated::Zstd(decoder) => decoder.get_mut(),
            };
            io::copy(rest, &mut io::sink())?;
        }
        Ok(read)
    }
}
