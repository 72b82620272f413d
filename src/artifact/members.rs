//! A tar read from front to back, with the parts that layers are read with: Go's rules, and what Go guesses is refused.

use std::io::{self, Read};

use super::limits::{MAX_FILE, MAX_PADDING};
use crate::tarball::{ArchiveError, BLOCK, Block, Extensions, MAX_EXTENSION, Pax, quoted};

/// A tar stream and the place in it.
pub(super) struct Members<R> {
    source: R,
    /// Bytes read so far.
    position: u64,
    /// Unread bytes of the current member, and the padding behind them.
    body: u64,
    padding: u64,
    has_ended: bool,
}

/// One member; its bytes are read through [`Members`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) size: u64,
    /// In seconds since 1970.
    pub(super) mtime: i64,
    pub(super) is_folder: bool,
}

impl<R: Read> Members<R> {
    pub(super) fn new(source: R) -> Members<R> {
        Members {
            source,
            position: 0,
            body: 0,
            padding: 0,
            has_ended: false,
        }
    }

    /// Where the current member ends and the next one begins.
    pub(super) fn end_of_member(&self) -> u64 {
        self.position + self.body + self.padding
    }

    /// The next member, after what is left of the current one. At the end the stream has been read to its own end, and
    /// there was nothing behind the archive but zeros.
    pub(super) fn next(&mut self) -> Result<Option<Member>, ArchiveError> {
        let mut extensions = Extensions::default();
        loop {
            self.pass_over(self.body + self.padding)?;
            (self.body, self.padding) = (0, 0);
            let Some(block) = self.header()? else {
                return match extensions.is_empty() {
                    true => Ok(None),
                    false => Err(ArchiveError::Truncated),
                };
            };
            match block.type_flag() {
                // Go hands it out as a member, which no artifact has.
                b'g' => return Err(ArchiveError::Global),
                flag if Extensions::is_type(flag) => {
                    extensions.take(flag, self.extension(&block)?)?
                }
                _ => return self.member(&block, extensions).map(Some),
            }
        }
    }

    fn member(&mut self, block: &Block, extensions: Extensions) -> Result<Member, ArchiveError> {
        let (pax, name, _) = extensions.resolve(block)?;
        refuse_sparse(&pax)?;
        let size = match pax.size {
            Some(size) => size,
            None => block.size()?,
        };
        let flag = block.type_flag();
        let is_folder = match flag {
            0 | b'0' | b'7' => false,
            b'5' => true,
            other => {
                return Err(ArchiveError::Type {
                    name: quoted(&name),
                    flag: char::from(other),
                });
            }
        };
        // The size of a folder means nothing.
        self.begin_body(if is_folder { 0 } else { size })?;
        let name = String::from_utf8(name).map_err(|_| ArchiveError::Pax("a name in UTF-8"))?;
        Ok(Member {
            name,
            size: self.body,
            mtime: pax
                .mtime
                .map_or_else(|| block.mtime(), |time| Ok(time.seconds))?,
            is_folder,
        })
    }

    fn begin_body(&mut self, size: u64) -> Result<(), ArchiveError> {
        if size > MAX_FILE {
            return Err(ArchiveError::Number("size"));
        }
        self.body = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    fn extension(&mut self, block: &Block) -> Result<Vec<u8>, ArchiveError> {
        let size = block.size()?;
        if size > MAX_EXTENSION {
            return Err(ArchiveError::ExtensionSize(size));
        }
        self.begin_body(size)?;
        let mut body = Vec::new();
        self.read_to_end(&mut body).map_err(ended)?;
        Ok(body)
    }

    /// The next header; `None` at the end, which is two blocks of zeros or just the stream's end.
    fn header(&mut self) -> Result<Option<Block>, ArchiveError> {
        if self.has_ended {
            return Ok(None);
        }
        let Some(block) = self.block()? else {
            return Ok(None);
        };
        if let Some(block) = Block::parse(block)? {
            return Ok(Some(block));
        }
        // One block of zeros among members: some readers stop there, others go on.
        if let Some(second) = self.block()?
            && Block::parse(second)?.is_some()
        {
            return Err(ArchiveError::Trailing);
        }
        self.has_ended = true;
        self.drain()?;
        Ok(None)
    }

    /// A whole block, or `None` if the stream ends before it.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, ArchiveError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.source.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(ArchiveError::Truncated),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ended(error)),
            }
        }
        self.position += BLOCK as u64;
        Ok(Some(block))
    }

    /// What is behind the end: zeros, or something that no checksum covers and that other readers may see.
    fn drain(&mut self) -> Result<(), ArchiveError> {
        let mut buffer = [0; 8 << 10];
        let mut seen = 0;
        loop {
            match self.source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => {
                    seen += read as u64;
                    if buffer[..read].iter().any(|&byte| byte != 0) || seen > MAX_PADDING {
                        return Err(ArchiveError::Trailing);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ended(error)),
            }
        }
    }

    fn pass_over(&mut self, length: u64) -> Result<(), ArchiveError> {
        let passed = io::copy(&mut (&mut self.source).take(length), &mut io::sink());
        let passed = passed.map_err(ended)?;
        self.position += passed;
        match passed == length {
            true => Ok(()),
            false => Err(ArchiveError::Truncated),
        }
    }
}

/// The current member's bytes.
impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.body).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.source.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.body -= read as u64;
        self.position += read as u64;
        Ok(read)
    }
}

/// No writer of artifacts leaves holes.
fn refuse_sparse(pax: &Pax) -> Result<(), ArchiveError> {
    let sparse = &pax.sparse;
    let none = sparse.major.is_none() && sparse.name.is_none() && sparse.real_size.is_none();
    match none && sparse.regions.is_empty() {
        true => Ok(()),
        false => Err(ArchiveError::Sparse("artifacts have no sparse files")),
    }
}

fn ended(error: io::Error) -> ArchiveError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveError::Truncated,
        _ => ArchiveError::Read(error),
    }
}
