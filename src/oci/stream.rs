//! Size and digest checks around any reader; every carrier of blobs goes through one of these.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::{Descriptor, Digest};

/// Why a stream is not the blob it should be; arrives inside an [`io::Error`] of kind `InvalidData` or
/// `UnexpectedEof`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StreamError {
    /// The stream went on after the announced size.
    #[error("{digest} has more than the announced {size} bytes")]
    TooLong {
        /// The blob.
        digest: Digest,
        /// Its announced size.
        size: u64,
    },
    /// The stream ended early.
    #[error("{digest} ended after {got} of {size} bytes")]
    TooShort {
        /// The blob.
        digest: Digest,
        /// Its announced size.
        size: u64,
        /// How much there was.
        got: u64,
    },
    /// Right size, wrong content.
    #[error("{expected} arrived with the digest {found}")]
    Digest {
        /// The blob.
        expected: Digest,
        /// What the bytes hash to.
        found: Digest,
    },
    /// Longer than a document of this kind may be.
    #[error("more than the {0} bytes allowed")]
    Limit(u64),
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> io::Error {
        let kind = match error {
            StreamError::TooShort { .. } => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

/// A reader that hands out at most the announced size, and reports the end of the stream only if size and digest are
/// right: whoever has read it to the end has read the blob.
#[derive(Debug)]
pub struct Verified<R> {
    inner: R,
    digest: Digest,
    size: u64,
    got: u64,
    /// Gone once the end was reached and found right.
    hasher: Option<Sha256>,
}

impl<R: Read> Verified<R> {
    /// Checks `inner` against `digest` and `size`.
    pub fn new(inner: R, digest: Digest, size: u64) -> Verified<R> {
        Verified {
            inner,
            digest,
            size,
            got: 0,
            hasher: Some(Sha256::new()),
        }
    }

    /// Checks `inner` against what `descriptor` says.
    pub fn of(inner: R, descriptor: &Descriptor) -> Verified<R> {
        Verified::new(inner, descriptor.digest, descriptor.size)
    }

    /// How many bytes have been read so far.
    pub fn position(&self) -> u64 {
        self.got
    }

    /// What the bytes so far hash to; none once the end was reached.
    pub fn so_far(&self) -> Option<Digest> {
        self.hasher.clone().map(Digest::finish)
    }

    /// Reads what its user left over, for decoders that stop at their own end mark; fails unless the blob is right.
    pub fn finish(mut self) -> io::Result<()> {
        io::copy(&mut self, &mut io::sink()).map(drop)
    }

    fn check_end(&mut self) -> Result<(), StreamError> {
        let Some(hasher) = &self.hasher else {
            return Ok(());
        };
        if self.got < self.size {
            return Err(StreamError::TooShort {
                digest: self.digest,
                size: self.size,
                got: self.got,
            });
        }
        let found = Digest::finish(hasher.clone());
        if found != self.digest {
            return Err(StreamError::Digest {
                expected: self.digest,
                found,
            });
        }
        self.hasher = None;
        Ok(())
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.hasher.is_none() {
            return Ok(0);
        }
        let left = self.size - self.got;
        if left == 0 {
            // One byte more than announced would be one too many; only the end is right here.
            return match self.inner.read(&mut [0])? {
                0 => self.check_end().map(|()| 0).map_err(io::Error::from),
                _ => Err(StreamError::TooLong {
                    digest: self.digest,
                    size: self.size,
                }
                .into()),
            };
        }
        let wanted = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self.inner.read(&mut buffer[..wanted])?;
        if read == 0 {
            return self.check_end().map(|()| 0).map_err(io::Error::from);
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..read]);
        }
        self.got += read as u64;
        Ok(read)
    }
}

/// Reads a document of unannounced size that may have at most `limit` bytes.
pub fn read_limited(reader: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(StreamError::Limit(limit).into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
