//! What layers say of their own size, for the asking: a small request each.

use super::layer::Wanted;
use super::source::Source;
use crate::oci::LayerCompression;

/// What a layer says of its own size; `None` if it says nothing that could be true.
pub(super) fn unpacked_size(source: &dyn Source, wanted: &Wanted) -> Option<u64> {
    let size = wanted.blob.size;
    match wanted.compression {
        LayerCompression::None => Some(size),
        LayerCompression::Gzip => {
            let tail = source.peek(&wanted.blob, size.checked_sub(4)?, 4)?;
            in_gzip(u32::from_le_bytes(tail.try_into().ok()?), size)
        }
        LayerCompression::Zstd => {
            let head = source.peek(&wanted.blob, 0, ZSTD_HEAD.min(size))?;
            zstd::zstd_safe::get_frame_content_size(&head)
                .ok()
                .flatten()
        }
    }
    .filter(|unpacked| *unpacked > 0)
}

/// Real layers are compressed to a fifth at best, a sixteenth is a mistake.
const MOST_RATIO: u64 = 16;

/// As much as the header of a zstd frame may have.
const ZSTD_HEAD: u64 = 18;

/// What a gzip file of `size` bytes holds whose trailer says `modulo`: of the last of its members, without whole multiples
/// of 4 GiB.
fn in_gzip(modulo: u32, size: u64) -> Option<u64> {
    // What cannot be compressed grows, by a sixteenth where somebody was in a hurry.
    let least = (size - size / 8).saturating_sub(64);
    let mut unpacked = u64::from(modulo);
    while unpacked < least {
        unpacked += 1 << 32;
    }
    // Otherwise there are several members, and this is the last one's alone.
    (unpacked <= size.saturating_mul(MOST_RATIO)).then_some(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gzip_trailer_is_believed_where_it_can_be_true() {
        const GIB: u64 = 1 << 30;
        for (modulo, size, expected) in [
            (3_000, 1_000, Some(3_000)),
            (1_000, 1_060, Some(1_000)),
            // A member of its own at the end, with nothing in it.
            (0, 1_000_000, None),
            (20_000, 1_000, None),
            ((GIB / 2) as u32, 2 * GIB, Some(4 * GIB + GIB / 2)),
            (0, 6 * GIB, Some(8 * GIB)),
        ] {
            assert_eq!(in_gzip(modulo, size), expected, "{modulo} of {size}");
        }
    }
}
