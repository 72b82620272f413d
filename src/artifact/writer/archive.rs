//! A plain ustar archive: nothing in it but what is given.

use std::io::{self, Read, Seek, SeekFrom, Write};

use tar::{EntryType, Header as Entry};

use super::{MODE, PayloadFile, WriteError};
use crate::artifact::compression::Compression;
use crate::oci::stream::Verified;
use crate::tarball::BLOCK;

/// Largest member that the header form can hold.
pub(super) const MAX_SIZE: u64 = 0o77_777_777_777;

/// Copied at once.
const CHUNK: usize = 128 << 10;

pub(super) struct Archive<W> {
    pub(super) out: W,
    pub(super) mtime: u64,
}

/// How large an archive with members of these sizes is.
pub(super) fn size(members: impl IntoIterator<Item = u64>) -> u64 {
    let block = BLOCK as u64;
    let sizes = members.into_iter();
    sizes
        .map(|size| block + size.next_multiple_of(block))
        .sum::<u64>()
        + 2 * block
}

impl<W: Write> Archive<W> {
    pub(super) fn member(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.header(name, mode, content.len() as u64)?;
        self.out.write_all(content)?;
        self.pad(content.len() as u64)
    }

    fn header(&mut self, name: &str, mode: u32, size: u64) -> io::Result<()> {
        let mut entry = Entry::new_ustar();
        entry.set_entry_type(EntryType::Regular);
        entry.set_path(name)?;
        entry.set_mode(mode);
        entry.set_uid(0);
        entry.set_gid(0);
        entry.set_mtime(self.mtime);
        entry.set_size(size);
        entry.set_cksum();
        self.out.write_all(entry.as_bytes())
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        // Less than a block.
        self.out.write_all(&[0; BLOCK][..padding as usize])
    }

    pub(super) fn end(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok(self.out)
    }

    fn file(&mut self, file: &PayloadFile<'_>) -> Result<(), WriteError> {
        self.header(&file.name, MODE, file.size)?;
        // Whose fault it is decides who has to act: a registry's owner, or the disk's.
        let failed = |source| WriteError::File {
            name: file.name.clone(),
            source,
        };
        let content = (file.open)().map_err(failed)?;
        let mut content = Verified::new(content, file.digest, file.size);
        let mut chunk = vec![0; CHUNK];
        loop {
            match content.read(&mut chunk) {
                Ok(0) => return Ok(self.pad(file.size)?),
                Ok(read) => self.out.write_all(&chunk[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

impl<W: Write + Seek> Archive<W> {
    /// The payload's files, packed on the way: how large that gets is known afterwards, and written then.
    pub(super) fn packed_data(
        &mut self,
        name: &str,
        compression: Compression,
        files: &[PayloadFile<'_>],
    ) -> Result<(), WriteError> {
        let header = self.out.stream_position()?;
        self.out.write_all(&[0; BLOCK])?;
        let begin = header + BLOCK as u64;
        let mut inner = Archive {
            out: compression.pack(&mut self.out)?,
            mtime: self.mtime,
        };
        for file in files {
            inner.file(file)?;
        }
        inner.end()?.finish()?;
        let end = self.out.stream_position()?;
        if end - begin > MAX_SIZE {
            return Err(WriteError::FileSize(name.to_owned()));
        }
        self.out.seek(SeekFrom::Start(header))?;
        self.header(name, MODE, end - begin)?;
        self.out.seek(SeekFrom::Start(end))?;
        Ok(self.pad(end - begin)?)
    }
}
