//! One member's bytes.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A stretch of a member that has data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Its place in the member.
    pub(super) offset: u64,
    pub(super) length: u64,
    /// Its place in the file.
    pub(super) at: u64,
}

/// Reads one member; several may be read at once. Holes read as zeros.
#[derive(Debug)]
pub struct Content {
    file: Arc<File>,
    /// Ascending, not overlapping, inside `size`.
    extents: Vec<Extent>,
    /// The first that is not behind `position`.
    next: usize,
    size: u64,
    position: u64,
}

impl Content {
    pub(super) fn new(file: Arc<File>, extents: Vec<Extent>, size: u64) -> Content {
        Content {
            file,
            extents,
            next: 0,
            size,
            position: 0,
        }
    }

    /// Goes on reading there.
    pub fn go_to(&mut self, position: u64) {
        (self.position, self.next) = (position, 0);
    }

    /// Its bytes, holes included.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(extent) = self.extents.get(self.next)
            && extent.offset + extent.length <= self.position
        {
            self.next += 1;
        }
        let here = self.extents.get(self.next);
        let hole_end = here.map_or(self.size, |extent| extent.offset);
        let fit = |left: u64| {
            usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len())
        };
        let read = if self.position < hole_end {
            let zeros = fit(hole_end - self.position);
            buffer[..zeros].fill(0);
            zeros
        } else if let Some(extent) = here {
            let within = self.position - extent.offset;
            let wanted = fit(extent.length - within);
            match self
                .file
                .read_at(&mut buffer[..wanted], extent.at + within)?
            {
                // It was checked against the file's length; somebody has cut it since.
                0 if wanted > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => read,
            }
        } else {
            0
        };
        self.position += read as u64;
        Ok(read)
    }
}
