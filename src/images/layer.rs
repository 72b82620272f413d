//! One layer: fetched, checked, unpacked and sealed in one pass by three threads.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use zstd::zstd_safe::DCtx;

use super::check::seal_file;
use super::inflate::{Codec, Inflated};
use super::pipe::{Inlet, pipe};
use super::source::Source;
use super::spool::{Border, Head, Tee, WORTHWHILE};
use super::{Event, ImagesError, Progress};
use crate::oci::stream::Verified;
use crate::oci::{Descriptor, Digest, LayerCompression};
use crate::store::{BlobDraft, LayerDraft, Partial, Store};
use crate::unpack::{Budget, Content, Seal, UnpackError, unpack};

/// How much arrives between two progress events.
const REPORT_BYTES: u64 = 512 << 10;

/// What came within this time may as well come again.
const QUICK: Duration = Duration::from_secs(2);

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
    /// Bytes that copies of what is on its way may still take.
    pub(super) spool: &'a AtomicU64,
    /// The one zstd decoder of a pull: its window may be half of all the memory a pull may use.
    pub(super) zstd: &'a Mutex<DCtx<'static>>,
}

/// A layer that is unpacked, checked and sealed, but not yet durable.
pub(super) struct Fetched {
    pub(super) layer: LayerDraft,
    pub(super) blob: Option<BlobDraft>,
    pub(super) diff_id: Digest,
    /// The digest of its compressed bytes.
    pub(super) packed: Digest,
    /// Its compressed bytes, until it is durable.
    pub(super) partial: Option<Partial>,
    /// It came at once, so that it is no loss if it has to come again.
    pub(super) is_quick: bool,
}

/// Compressed bytes that are here, and what they grow by.
struct Spool {
    partial: Option<Partial>,
    /// Some of it came earlier.
    is_old: bool,
    /// There is room for the rest of it.
    grows: bool,
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
            let mut spool = self.spool(wanted);
            let is_old = spool.is_old;
            let attempted = self.attempt(wanted, codec, &mut spool);
            if let Err(error) = &attempted
                && let Some(partial) = spool.partial.take()
                && (partial.is_empty() || !self.is_broken_off(error))
            {
                // It is wrong, in the way of what is to be unpacked, or nothing.
                partial.remove()?;
            }
            match attempted {
                // What came earlier may have been wrong.
                Err(error @ (ImagesError::Layer { .. } | ImagesError::DiffId { .. }))
                    if is_old && !self.is_broken_off(&error) => {}
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

    /// Whether something failed for reasons that have nothing to do with the layer: the next pull goes on with it.
    fn is_broken_off(&self, error: &ImagesError) -> bool {
        self.cancelled.load(Ordering::Relaxed)
            || self.progress.is_cancelled()
            || error.is_of_network()
    }

    /// Takes what is here of a layer that is far away. Without it nothing is lost but what a restart costs, so what keeps
    /// it from being made is nobody's concern.
    fn spool(&self, wanted: &Wanted) -> Spool {
        let blob = &wanted.blob;
        let is_worthwhile = self.source.is_far()
            && blob.size >= WORTHWHILE
            && self.store.blob(&blob.digest).is_none();
        let none = Spool {
            partial: None,
            is_old: false,
            grows: false,
        };
        if !is_worthwhile {
            return none;
        }
        let here = self.store.partial_length(&blob.digest);
        let relaxed = Ordering::Relaxed;
        let take = |left: u64| left.checked_sub(blob.size.saturating_sub(here));
        let grows = self.spool.fetch_update(relaxed, relaxed, take).is_ok();
        if here == 0 && !grows {
            return none;
        }
        let partial = self.store.partial(&blob.digest).ok().flatten();
        Spool {
            // Of what somebody else brings just now nothing is taken.
            is_old: partial.is_some() && here > 0,
            partial,
            grows,
        }
    }

    fn attempt(
        &self,
        wanted: &Wanted,
        codec: Codec<'_>,
        spool: &mut Spool,
    ) -> Result<Fetched, ImagesError> {
        let begun = Instant::now();
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
        let replay = match &spool.partial {
            Some(partial) if spool.is_old => partial.replay().ok(),
            _ => None,
        };
        let is_old = replay.is_some();
        let border = match is_old {
            true => Border::unknown(),
            false => Border::at_start(),
        };
        let source = Metered {
            inner: match replay {
                Some(replay) => {
                    let (source, blob) = (self.source, &wanted.blob);
                    Box::new(Head::new(replay, source, blob, border.clone()))
                }
                None => self.open(wanted)?,
            },
            copy: blob.as_mut(),
            fetch: self,
            layer: wanted.diff_id,
            unreported: 0,
            border: border.clone(),
        };
        let copy = spool.grows.then_some(&mut spool.partial);
        let source = Tee::new(Verified::of(source, &wanted.blob), copy, border);
        let tree = layer.tree()?;
        let unpacked = unpack_from(source, codec, tree.as_fd(), self.budget);
        let (unpacked, found) = unpacked.map_err(ImagesError::Thread)?;
        let (seal, content) = unpacked.map_err(|source| self.failed(wanted, source))?;
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
        Ok(Fetched {
            layer,
            blob,
            diff_id: wanted.diff_id,
            packed: wanted.blob.digest,
            partial: spool.partial.take(),
            is_quick: !is_old && begun.elapsed() < QUICK,
        })
    }

    /// Who is to blame decides whether another copy of the blob is tried.
    fn failed(&self, wanted: &Wanted, source: UnpackError) -> ImagesError {
        let layer = wanted.blob.digest;
        match source.is_of_disk() {
            true => ImagesError::Disk {
                layer,
                path: self.store.root().to_owned(),
                source,
            },
            false => ImagesError::Layer { layer, source },
        }
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
        self.source.blob(&wanted.blob, 0)
    }
}

/// What a tree looks like and contains, or why there is none.
type Unpacked = Result<(Seal, Content), UnpackError>;

/// Decompresses, hashes and unpacks a blob, each in a thread of its own: what was unpacked, and the digest of what was packed.
fn unpack_from(
    source: Tee<'_, Metered<'_>>,
    codec: Codec<'_>,
    tree: BorrowedFd<'_>,
    budget: &Budget,
) -> io::Result<(Unpacked, Digest)> {
    let mut packed = Some((source, codec));
    let (inlet, meter, mut outlet) = pipe();
    let unpacked = std::thread::scope(|scope| {
        let spawn = std::thread::Builder::new;
        let digest = spawn().spawn_scoped(scope, move || meter.run()).ok()?;
        let begin = &mut packed;
        let inflate = move || {
            begin
                .take()
                .map(|(source, codec)| inflate(source, codec, &inlet))
        };
        spawn().spawn_scoped(scope, inflate).ok()?;
        let unpacked = unpack(&mut outlet, tree, budget);
        // Lets the other threads end, wherever they are.
        drop(outlet);
        Some(digest.join().map(|digest| (unpacked, digest)))
    });
    match (unpacked, packed) {
        (Some(unpacked), _) => unpacked.map_err(|_| io::Error::other("it panicked")),
        (None, Some((source, codec))) => unpack_alone(source, codec, tree, budget),
        (None, None) => Err(io::Error::other("it began and ended")),
    }
}

/// The same where no threads can be had, in this one.
fn unpack_alone(
    source: Tee<'_, Metered<'_>>,
    codec: Codec<'_>,
    tree: BorrowedFd<'_>,
    budget: &Budget,
) -> io::Result<(Unpacked, Digest)> {
    let hashed = Hashed {
        inner: Inflated::new(source, codec)?,
        hasher: Sha256::new(),
    };
    let mut hashed = BufReader::new(hashed);
    let unpacked = unpack(&mut hashed, tree, budget);
    Ok((unpacked, Digest::finish(hashed.into_inner().hasher)))
}

/// Hashes what comes by.
struct Hashed<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// Decompresses the blob into the pipe.
fn inflate(source: Tee<'_, Metered<'_>>, codec: Codec<'_>, inlet: &Inlet) {
    match Inflated::new(source, codec) {
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
    border: Border,
}

impl Metered<'_> {
    fn report(&mut self, was_here: bool) {
        let (layer, bytes) = (self.layer, std::mem::take(&mut self.unreported));
        let event = match was_here {
            true => Event::Found { layer, bytes },
            false => Event::Received { layer, bytes },
        };
        self.fetch.progress.event(&event);
    }
}

/// What has come counts, also if the rest does not.
impl Drop for Metered<'_> {
    fn drop(&mut self) {
        if self.unreported > 0 {
            self.report(self.border.is_ahead());
        }
    }
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.fetch.cancelled.load(Ordering::Relaxed) {
            return Err(io::Error::other("another layer failed"));
        }
        if self.fetch.progress.is_cancelled() {
            return Err(io::Error::other("the pull was cancelled"));
        }
        let was_here = self.border.is_ahead();
        let read = self.inner.read(buffer)?;
        if was_here && !self.border.is_ahead() && self.unreported > 0 {
            self.report(true);
        }
        if let Some(copy) = &mut self.copy {
            copy.write_all(&buffer[..read])?;
        }
        self.unreported += read as u64;
        if self.unreported >= REPORT_BYTES || (read == 0 && self.unreported > 0) {
            self.report(self.border.is_ahead());
        }
        Ok(read)
    }
}
