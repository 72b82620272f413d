//! Bringing an image: documents, room, layers in parallel, one commit.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use zstd::zstd_safe::DCtx;

use super::check::Condition;
use super::document::Documents;
use super::layer::{Fetch, Fetched, Wanted};
use super::plan::{FILES_BESIDE, Planned};
use super::record::Root;
use super::source::{Remote, Source};
use super::{Event, Image, Images, ImagesError, Progress};
use crate::oci::{Digest, Platform, Reference};
use crate::store;
use crate::sys::fs::broken;
use crate::unpack::Budget;

/// Files that a pull leaves to others: records of containers and of a way back.
const INODE_RESERVE: u64 = 16;

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
        let mut planned = self.plan(&[(reference, platform)], progress)?;
        match planned.pop() {
            Some(planned) => self.pull_planned(planned, progress),
            None => Err(ImagesError::Absent(reference.familiar())),
        }
    }

    /// Brings an image that [`Images::plan`] has found room for.
    pub fn pull_planned(
        &self,
        mut planned: Planned,
        progress: &dyn Progress,
    ) -> Result<Image, ImagesError> {
        let Some(reference) = planned.reference.take() else {
            return Err(ImagesError::Absent(planned.name));
        };
        let remote = match planned.client.take() {
            Some(client) => Remote::of(client, &reference),
            None => Remote::new(self, &reference),
        };
        let image = self.bring_planned(&remote, planned, progress)?;
        remote.report(progress);
        Ok(image)
    }

    /// Brings an image from wherever it is; as [`Images::pull`] otherwise.
    pub(super) fn bring(
        &self,
        wish: &Wish<'_>,
        progress: &dyn Progress,
    ) -> Result<Image, ImagesError> {
        let mut planned = self.plan_wishes(std::slice::from_ref(wish), progress)?;
        match planned.pop() {
            Some(planned) => self.bring_planned(wish.source, planned, progress),
            None => Err(ImagesError::Absent(wish.name.to_owned())),
        }
    }

    fn bring_planned(
        &self,
        source: &dyn Source,
        planned: Planned,
        progress: &dyn Progress,
    ) -> Result<Image, ImagesError> {
        let _brings = self.bringing.read().unwrap_or_else(PoisonError::into_inner);
        let documents = &planned.documents;
        // Another image of the same plan may have brought some meanwhile.
        let missing = self.missing(documents, progress)?;
        for wanted in &missing {
            let (layer, size) = (wanted.diff_id, wanted.blob.size);
            progress.event(&Event::Planned { layer, size });
        }
        let root = Root {
            digest: match planned.is_stated {
                true => documents.digest,
                false => documents.config,
            },
            manifest: documents.manifest,
            config: documents.config,
            layers: documents.layers.iter().map(|w| w.diff_id).collect(),
        };
        if broken("journal-first") {
            let name = &planned.name;
            let reference = name
                .parse()
                .map_err(|_| ImagesError::Absent(name.to_owned()))?;
            self.write_name(&reference, &root)?;
        }
        let fetched = self.fetch(source, &missing, progress)?;
        let (mut layers, mut blobs) = (Vec::new(), planned.documents.drafts);
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

    /// Bytes that may be taken.
    pub(super) fn free(&self) -> Result<u64, ImagesError> {
        Ok(self.allowance()?.bytes)
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
        let mut allowance = self.allowance()?;
        let beside = FILES_BESIDE * missing.len() as u64 + INODE_RESERVE;
        let inodes = &mut allowance.room.inodes;
        *inodes = inodes.map(|inodes| inodes.saturating_sub(beside));
        let reserve = self.settings.store.reserve;
        let budget = Budget::on(self.store.root(), &allowance.room, allowance.bytes, reserve);
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
