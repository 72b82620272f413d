//! One layer: fetched, checked, unpacked and sealed in one pass by three threads.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use zstd::zstd_safe::DCtx;

use super::check::seal_file;
use super::inflate::{Codec, Inflated};
use super::pipe::{Inlet, pipe};
use super::source::Source;
use super::{Event, ImagesError, Progress};
use crate::oci::stream::Verified;
use crate::oci::{Descriptor, Digest, LayerCompression};
use crate::store::{BlobDraft, LayerDraft, Store};
use crate::unpack::{Budget, unpack};

/// How much arrives between two progress events.
const REPORT_BYTES: u64 = 512 << 10;

/// A layer to be brought.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) blob: Descriptor,
    pub(super) compression: LayerCompression,
    pub(super) diff_id: Digest,
    /// There is one, and it is damaged.
    pub(super) heals: bool,
}

/// What all layers of a pull have in common.
pub(super) struct Fetch<'a> {
    pub(super) store: &'a Store,
    pub(super) source: &'a dyn Source,
    pub(super) progress: &'a dyn Progress,
    pub(super) budget: &'a Budget,
    pub(super) keep_blobs: bool,
    /// Another layer failed: stop.
    pub(super) cancelled: &'a AtomicBool,
    /// The one zstd decoder of a pull: its window may be half of all the memory a pull may use.
    pub(super) zstd: &'a Mutex<DCtx<'static>>,
}

/// A layer that is unpacked, checked and sealed, but not yet durable.
pub(super) struct Fetched {
    pub(super) layer: LayerDraft,
    pub(super) blob: Option<BlobDraft>,
}

impl Fetch<'_> {
    /// Brings one layer.
    pub(super) fn layer(&self, wanted: &Wanted) -> Result<Fetched, ImagesError> {
        let mut zstd = (wanted.compression == LayerCompression::Zstd)
            .then(|| self.zstd.lock().unwrap_or_else(PoisonError::into_inner));
        loop {
            let codec = match (&mut zstd, wanted.compression) {
                (Some(context), _) => Codec::Zstd(context),
                (None, LayerCompression::Gzip) => Codec::Gzip,
                (None, _) => Codec::Plain,
            };
            match self.attempt(wanted, codec) {
                // A kept blob may be as damaged as the layer that it was to mend.
                Err(ImagesError::Layer { .. } | ImagesError::DiffId { .. })
                    if self.store.discard_blob(&wanted.blob.digest)? => {}
                // Bytes that are not the layer may be a mirror's fault.
                Err(ImagesError::Layer { .. })
                    if !self.cancelled.load(Ordering::Relaxed)
                        && self.source.distrust(&wanted.blob.digest) => {}
                done => return done,
            }
        }
    }

    fn attempt(&self, wanted: &Wanted, codec: Codec<'_>) -> Result<Fetched, ImagesError> {
        self.progress.event(&Event::Started {
            layer: wanted.diff_id,
            size: wanted.blob.size,
        });
        let mut layer = self.store.draft_layer()?;
        if wanted.heals {
            layer.replace_damaged();
        }
        let mut blob = match self.keep_blobs && self.store.blob(&wanted.blob.digest).is_none() {
            true => Some(self.store.draft_blob(&wanted.blob.digest)?),
            false => None,
        };
        let source = Metered {
            inner: self.open(wanted)?,
            copy: blob.as_mut(),
            fetch: self,
            layer: wanted.diff_id,
            unreported: 0,
        };
        let tree = layer.tree()?;
        let (inlet, meter, mut outlet) = pipe();
        let (unpacked, found) = std::thread::scope(|scope| {
            let spawn = std::thread::Builder::new;
            spawn().spawn_scoped(scope, move || inflate(source, codec, wanted, &inlet))?;
            let digest = spawn().spawn_scoped(scope, move || meter.run())?;
            let unpacked = unpack(&mut outlet, tree.as_fd(), self.budget);
            // Lets the other threads end, wherever they are.
            drop(outlet);
            let digest = digest.join().map_err(|_| io::Error::other("it panicked"))?;
            Ok((unpacked, digest))
        })
        .map_err(ImagesError::Thread)?;
        let (seal, content) = unpacked.map_err(|source| ImagesError::Layer {
            layer: wanted.blob.digest,
            source,
        })?;
        if found != wanted.diff_id {
            return Err(ImagesError::DiffId {
                layer: wanted.blob.digest,
                expected: wanted.diff_id,
                found,
            });
        }
        let seal = seal_file(wanted.diff_id, seal);
        let content = content.file(&wanted.diff_id, &seal);
        layer.seal(&wanted.diff_id, &seal, &content)?;
        self.progress.event(&Event::Unpacked {
            layer: wanted.diff_id,
        });
        Ok(Fetched { layer, blob })
    }

    /// The blob's bytes: from the store if it was kept, else from where the image comes from.
    fn open(&self, wanted: &Wanted) -> Result<Box<dyn Read + Send + '_>, ImagesError> {
        if let Some(file) = self
            .store
            .blob(&wanted.blob.digest)
            .and_then(|path| File::open(path).ok())
        {
            return Ok(Box::new(file));
        }
        self.source.blob(&wanted.blob)
    }
}

/// Decompresses the blob into the pipe.
fn inflate(source: Metered<'_>, codec: Codec<'_>, wanted: &Wanted, inlet: &Inlet) {
    match Inflated::new(Verified::of(source, &wanted.blob), codec) {
        Ok(mut inflated) => inlet.send_all(&mut inflated),
        Err(error) => inlet.fail(error),
    }
}

/// The blob's bytes on their way: counted, copied if they are to be kept, stopped if another layer has failed.
struct Metered<'a> {
    inner: Box<dyn Read + Send + 'a>,
    copy: Option<&'a mut BlobDraft>,
    fetch: &'a Fetch<'a>,
    layer: Digest,
    unreported: u64,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.fetch.cancelled.load(Ordering::Relaxed) {
            return Err(io::Error::other("another layer failed"));
        }
        if self.fetch.progress.is_cancelled() {
            return Err(io::Error::other("the pull was cancelled"));
        }
        let read = self.inner.read(buffer)?;
        if let Some(copy) = &mut self.copy {
            copy.write_all(&buffer[..read])?;
        }
        self.unreported += read as u64;
        if self.unreported >= REPORT_BYTES || (read == 0 && self.unreported > 0) {
            self.fetch.progress.event(&Event::Received {
                layer: self.layer,
                bytes: std::mem::take(&mut self.unreported),
            });
        }
        Ok(read)
    }
}
