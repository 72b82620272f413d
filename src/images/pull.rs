//! Bringing an image: documents, room, layers in parallel, one commit.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use zstd::zstd_safe::DCtx;

use super::check::Condition;
use super::document::Documents;
use super::layer::{Fetch, Fetched, Wanted};
use super::record::Root;
use super::source::{Remote, Source};
use super::{Event, Image, Images, ImagesError, Progress};
use crate::oci::{Digest, LayerCompression, Platform, Reference};
use crate::store;
use crate::sys::beneath;
use crate::sys::fs::broken;
use crate::unpack::Budget;

/// Bytes that a pull leaves free on the device: containers that run must be able to go on writing, and a rollback must
/// find room for its records.
const RESERVE: u64 = 16 << 20;

/// What gzip and zstd make of a layer, about; real ones reach 2.2 to 4. Only what surely does not fit is refused
/// beforehand, the rest is noticed while unpacking.
const RATIO: u64 = 2;

/// An image to be brought.
pub(super) struct Wish<'a> {
    pub(super) source: &'a dyn Source,
    /// What it is called in messages.
    pub(super) name: &'a str,
    /// Of its index or manifest.
    pub(super) digest: Digest,
    /// Whether that digest means something to others. An image without one goes by its id.
    pub(super) is_stated: bool,
    pub(super) platform: &'a Platform,
}

impl Images {
    /// Brings an image. One that is present, asked for by digest, needs no network; damaged layers are replaced.
    ///
    /// Nothing keeps the result but a [`Images::tag`] or [`Images::pin`] that follows: hold a [`Images::hold`] around
    /// both. All threads have ended when it returns.
    pub fn pull(
        &self,
        reference: &Reference,
        platform: &Platform,
        progress: &dyn Progress,
    ) -> Result<Image, ImagesError> {
        let digest = match reference.digest {
            Some(digest) => digest,
            None => self.client().resolve(reference)?.digest,
        };
        progress.event(&Event::Resolved { reference, digest });
        let remote = Remote::new(self, reference);
        let wish = Wish {
            source: &remote,
            name: &reference.familiar(),
            digest,
            is_stated: true,
            platform,
        };
        let image = self.bring(&wish, progress)?;
        remote.report(progress);
        Ok(image)
    }

    /// Brings an image from wherever it is; as [`Images::pull`] otherwise.
    pub(super) fn bring(
        &self,
        wish: &Wish<'_>,
        progress: &dyn Progress,
    ) -> Result<Image, ImagesError> {
        let _shared = self.store.lock_shared()?;
        let documents = self.documents(wish.source, wish.name, wish.digest, wish.platform)?;
        let missing = self.missing(&documents, progress)?;
        let to_bring = missing.iter().map(|wanted| &wanted.blob);
        let to_bring: Vec<_> = to_bring
            .filter(|blob| self.store.blob(&blob.digest).is_none())
            .collect();
        wish.source.prove(&to_bring)?;
        self.plan_room(wish.name, &missing)?;
        for wanted in &missing {
            let (layer, size) = (wanted.diff_id, wanted.blob.size);
            progress.event(&Event::Planned { layer, size });
        }
        let root = Root {
            digest: match wish.is_stated {
                true => documents.digest,
                false => documents.config,
            },
            manifest: documents.manifest,
            config: documents.config,
            layers: documents.layers.iter().map(|w| w.diff_id).collect(),
        };
        if broken("journal-first") {
            let reference = wish
                .name
                .parse()
                .map_err(|_| ImagesError::Absent(wish.name.to_owned()))?;
            self.write_name(&reference, &root)?;
        }
        let fetched = self.fetch(wish.source, &missing, progress)?;
        let (mut layers, mut blobs) = (Vec::new(), documents.drafts);
        for Fetched { layer, blob } in fetched {
            layers.push(layer);
            blobs.extend(blob);
        }
        store::commit(&self.store, layers, blobs)?;
        self.load(&root)
    }

    /// The layers to be brought, each once.
    fn missing(
        &self,
        documents: &Documents,
        progress: &dyn Progress,
    ) -> Result<Vec<Wanted>, ImagesError> {
        let mut missing: Vec<Wanted> = Vec::new();
        for wanted in &documents.layers {
            let layer = wanted.diff_id;
            if missing.iter().any(|other| other.diff_id == layer) {
                continue;
            }
            match self.condition(&layer)? {
                Condition::Whole => progress.event(&Event::Present { layer }),
                Condition::Absent => missing.push(wanted.clone()),
                Condition::Damaged => {
                    progress.event(&Event::Damaged { layer });
                    missing.push(Wanted {
                        heals: true,
                        ..wanted.clone()
                    });
                }
            }
        }
        Ok(missing)
    }

    fn plan_room(&self, image: &str, missing: &[Wanted]) -> Result<(), ImagesError> {
        let needed = missing.iter().fold(0_u64, |needed, wanted| {
            let size = wanted.blob.size;
            let unpacked = match wanted.compression {
                LayerCompression::None => size,
                _ => size.saturating_mul(RATIO),
            };
            let kept = if self.keep_blobs { size } else { 0 };
            needed.saturating_add(unpacked).saturating_add(kept)
        });
        let free = self.free()?;
        if needed <= free {
            return Ok(());
        }
        Err(ImagesError::Space {
            image: image.to_owned(),
            path: self.store.root().to_owned(),
            needed,
            free,
        })
    }

    /// Bytes that may be taken.
    pub(super) fn free(&self) -> Result<u64, ImagesError> {
        let path = self.store.root();
        let room = beneath::room(path).map_err(|source| ImagesError::Room {
            path: path.to_owned(),
            source,
        })?;
        Ok(room.bytes.saturating_sub(RESERVE))
    }

    fn fetch(
        &self,
        source: &dyn Source,
        missing: &[Wanted],
        progress: &dyn Progress,
    ) -> Result<Vec<Fetched>, ImagesError> {
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let cancelled = AtomicBool::new(false);
        let zstd = Mutex::new(DCtx::create());
        let budget = Budget::new(self.free()?);
        let fetch = Fetch {
            store: &self.store,
            source,
            progress,
            budget: &budget,
            keep_blobs: self.keep_blobs,
            cancelled: &cancelled,
            zstd: &zstd,
        };
        let queue = AtomicUsize::new(0);
        let results = Mutex::new(Ok(Vec::new()));
        let work = || {
            while let Some(wanted) = missing.get(queue.fetch_add(1, Ordering::Relaxed)) {
                if cancelled.load(Ordering::Relaxed) {
                    return;
                }
                let fetched = fetch.layer(wanted);
                if fetched.is_err() {
                    cancelled.store(true, Ordering::Relaxed);
                    source.give_up();
                }
                // A poisoned lock means a panic, which the scope passes on.
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                match (&mut *results, fetched) {
                    (Ok(layers), Ok(layer)) => layers.push(layer),
                    (Ok(_), Err(error)) => *results = Err(error),
                    // What fails after the first failure fails because of it.
                    (Err(_), _) => return,
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.parallel.min(missing.len()) {
                scope.spawn(work);
            }
            work();
        });
        results.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
