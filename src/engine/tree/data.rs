//! The content of a file: holes stay holes, and nothing is read for ever.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::sys::beneath::{self, Status};

/// Most bytes of a file that says it has none, as the kernel's own do; those have a few hundred kilobytes.
const MAX_UNSIZED: u64 = 64 << 20;

/// Units of [`Status::blocks`].
const BLOCK: u64 = 512;

/// Copies what `source` held when `status` was taken into the empty `target`; what is written to it meanwhile is left out.
pub fn copy(source: &mut File, target: &mut File, status: &Status) -> io::Result<u64> {
    match status.size {
        0 => copy_unsized(source, target),
        size if status.blocks.saturating_mul(BLOCK) >= size => {
            io::copy(&mut source.take(size), target)
        }
        size => copy_sparse(source, target, size),
    }
}

fn copy_unsized(source: &mut File, target: &mut File) -> io::Result<u64> {
    let copied = io::copy(&mut source.take(MAX_UNSIZED + 1), target)?;
    if copied > MAX_UNSIZED {
        let said = format!("it says that it is empty and has more than {MAX_UNSIZED} bytes");
        return Err(io::Error::other(said));
    }
    Ok(copied)
}

fn copy_sparse(source: &mut File, target: &mut File, size: u64) -> io::Result<u64> {
    let mut at = 0;
    while let Some(data) = beneath::next_data(source, at)?.filter(|data| data.start < size) {
        at = data.end.min(size);
        for file in [&mut *source, &mut *target] {
            file.seek(SeekFrom::Start(data.start))?;
        }
        io::copy(&mut source.take(at - data.start), target)?;
    }
    // The hole at the end.
    target.set_len(size)?;
    Ok(size)
}
