//! Where a file has data, and where nothing was ever written.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek64};

/// The next stretch of `file` from `offset` on that has data; `None` if only a hole follows. Moves the file's position. A
/// filesystem that does not tell has data everywhere.
pub fn next_data(file: &File, offset: u64) -> io::Result<Option<Range<u64>>> {
    let seek = |offset: u64, whence| -> io::Result<Option<u64>> {
        let offset = i64::try_from(offset).map_err(io::Error::other)?;
        match lseek64(file.as_raw_fd(), offset, whence) {
            Err(Errno::ENXIO) => Ok(None),
            found => Ok(u64::try_from(found?).ok()),
        }
    };
    let Some(start) = seek(offset, Whence::SeekData)? else {
        return Ok(None);
    };
    Ok(seek(start, Whence::SeekHole)?.map(|end| start..end))
}
