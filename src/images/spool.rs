//! What came of a blob before, in front of what still comes, and a copy of that beside the stream: only so that a pull
//! that is broken off can go on, only while its layer is on its way, and only where there is room for it.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use super::ImagesError;
use super::source::Source;
use crate::oci::Descriptor;
use crate::oci::stream::Verified;
use crate::store::{Partial, Replay};

/// What is smaller is fetched again as fast as it is looked for.
pub(super) const WORTHWHILE: u64 = 128 << 10;

/// After so many bytes it is clear how fast they come.
const TRIAL: u64 = 8 << 20;

/// What comes at so many bytes a second is fetched again rather than kept: a copy would only slow it down.
const FAST: u64 = 32 << 20;

/// Where what is fetched begins; not known while what is here is being read.
#[derive(Debug, Clone)]
pub(super) struct Border(Arc<AtomicU64>);

impl Border {
    pub(super) fn unknown() -> Border {
        Border(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// Nothing is here.
    pub(super) fn at_start() -> Border {
        Border(Arc::default())
    }

    fn set(&self, position: u64) {
        self.0.store(position, Relaxed);
    }

    /// Whether what comes is still from here.
    pub(super) fn is_ahead(&self) -> bool {
        self.0.load(Relaxed) == u64::MAX
    }
}

/// What is here of a blob, then the rest from its source.
pub(super) struct Head<'a> {
    replay: Replay,
    rest: Option<Box<dyn Read + Send + 'a>>,
    source: &'a dyn Source,
    blob: &'a Descriptor,
    border: Border,
}

impl<'a> Head<'a> {
    pub(super) fn new(
        replay: Replay,
        source: &'a dyn Source,
        blob: &'a Descriptor,
        border: Border,
    ) -> Head<'a> {
        Head {
            replay,
            rest: None,
            source,
            blob,
            border,
        }
    }
}

impl Read for Head<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if let Some(rest) = &mut self.rest {
            return rest.read(buffer);
        }
        match self.replay.read(buffer)? {
            0 => {}
            read => return Ok(read),
        }
        let proven = self.replay.proven();
        self.border.set(proven);
        let rest = self.source.blob(self.blob, proven);
        let rest = self.rest.insert(rest.map_err(|error| match error {
            // As if it had happened in the middle.
            ImagesError::Registry(error) => io::Error::other(error),
            error => io::Error::other(error),
        })?);
        rest.read(buffer)
    }
}

/// Copies what is new of a blob.
pub(super) struct Tee<'a, R> {
    inner: Verified<R>,
    /// None where there is nobody or no room to copy for.
    copy: Option<&'a mut Option<Partial>>,
    border: Border,
    begun: Instant,
    copied: u64,
}

impl<'a, R: Read> Tee<'a, R> {
    pub(super) fn new(
        inner: Verified<R>,
        copy: Option<&'a mut Option<Partial>>,
        border: Border,
    ) -> Tee<'a, R> {
        Tee {
            inner,
            copy,
            border,
            begun: Instant::now(),
            copied: 0,
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let Some(Some(partial)) = self.copy.as_deref_mut() else {
            return;
        };
        self.copied += bytes.len() as u64;
        let seconds = self.begun.elapsed().as_secs_f64();
        let is_fast = self.copied == self.inner.position()
            && self.copied >= TRIAL
            && self.copied as f64 > FAST as f64 * seconds;
        let position = self.inner.position();
        if is_fast
            || partial
                .add(bytes, position, || self.inner.so_far())
                .is_err()
        {
            // The image is wanted all the same; what is left of the copy is nobody's then, and goes with its age.
            let _ = self.copy.take().and_then(Option::take).map(Partial::remove);
        }
    }
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if read > 0 && !self.border.is_ahead() {
            self.keep(&buffer[..read]);
        }
        Ok(read)
    }
}
