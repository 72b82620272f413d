//! Bringing an image: documents, room, layers in parallel, one commit.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use zstd::zstd_safe::DCtx;

use super::check::Condition;
use super::document::Documents;
use super::layer::{Fetch, Fetched, Wanted};
use super::plan::{FILES_BESIDE, Planned};
use super::record::Root;
use super::source::{Remote, Source, Wish};
use super::{Event, Image, Images, ImagesError, Progress};
use crate::oci::{Digest, Platform, Reference};
use crate::registry::Client;
use crate::store::{self, BlobDraft};
use crate::sys::fs::broken;
use crate::unpack::Budget;

/// Files that a pull leaves to others: records of containers and of a way back.
const INODE_RESERVE: u64 = 16;

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
        let asked = [(reference, platform)];
        let mut planned = self.plan_with(&asked, None, progress, Client::begin)?;
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
            // One of several images of a deployment.
            None => Remote::of(self.client().begin_unattended(), &reference),
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
        let mut planned = self.plan_wishes(std::slice::from_ref(wish), None, progress)?;
        match planned.pop() {
            Some(planned) => self.bring_planned(wish.source, planned, progress),
            None => Err(ImagesError::Absent(wish.name.to_owned())),
        }
    }

    pub(super) fn bring_planned(
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
        let holder = &planned.holder;
        let arrived = self.fetch(source, &missing, (planned.spool, holder), progress)?;
        // Until a name or a pin has them, nothing else keeps them from a collection.
        self.note(&arrived, holder);
        self.commit(arrived, planned.documents.drafts)?;
        self.load(&root)
    }

    /// Makes layers durable, and lets go of what was kept of them until now.
    fn commit(&self, fetched: Vec<Fetched>, mut blobs: Vec<BlobDraft>) -> Result<(), ImagesError> {
        let (mut layers, mut partials) = (Vec::new(), Vec::new());
        for fetched in fetched {
            layers.push(fetched.layer);
            blobs.extend(fetched.blob);
            match fetched.partial {
                // Not worth being written to the disk.
                Some(partial) if fetched.is_quick => partial.remove()?,
                partial => partials.extend(partial),
            }
        }
        store::commit(&self.store, layers, blobs)?;
        partials
            .into_iter()
            .try_for_each(|partial| Ok(partial.remove()?))
    }

    /// Makes the layers durable that have come so far of an image that has not, so that they need not come again.
    fn commit_some(&self, fetched: Vec<Fetched>, holder: &str) -> Result<(), ImagesError> {
        self.note(&fetched, holder);
        self.commit(fetched, Vec::new())
    }

    /// Notes for whom these layers have come.
    fn note(&self, fetched: &[Fetched], holder: &str) {
        for Fetched {
            diff_id, packed, ..
        } in fetched
        {
            self.store.note_unfinished(diff_id, Some(packed), holder);
        }
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
    pub fn free(&self) -> Result<u64, ImagesError> {
        Ok(self.allowance()?.bytes)
    }

    fn fetch(
        &self,
        source: &dyn Source,
        missing: &[Wanted],
        (spool, holder): (u64, &str),
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
            spool: &AtomicU64::new(spool),
            zstd: &zstd,
        };
        let queue = AtomicUsize::new(0);
        let arrived = Mutex::new(Arrived {
            layers: Vec::new(),
            synced: self.host.instant(),
            error: None,
        });
        let work = || {
            while let Some(wanted) = missing.get(queue.fetch_add(1, Ordering::Relaxed)) {
                if cancelled.load(Ordering::Relaxed) {
                    return;
                }
                let fetched = fetch.layer(wanted);
                // A poisoned lock means a panic, which the scope passes on.
                let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = fetched.and_then(|layer| self.take(&mut arrived, layer, holder))
                {
                    cancelled.store(true, Ordering::Relaxed);
                    source.give_up();
                    // What fails after the first failure fails because of it.
                    arrived.error.get_or_insert(error);
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            let parallel = match source.comes_in_order() {
                true => 1,
                false => self.parallel,
            };
            for _ in 1..parallel.min(missing.len()) {
                // Without it the others have more to do.
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let mut arrived = arrived.into_inner().unwrap_or_else(PoisonError::into_inner);
        match arrived.error.take() {
            None => Ok(arrived.layers),
            Some(error) => {
                let is_wanted = error.is_of_network() || progress.is_cancelled();
                self.leave(arrived, missing, is_wanted.then_some(holder));
                Err(error)
            }
        }
    }

    /// A layer has arrived; from time to time all that have are made durable.
    fn take(&self, arrived: &mut Arrived, layer: Fetched, holder: &str) -> Result<(), ImagesError> {
        arrived.layers.push(layer);
        match arrived.is_due(self.host.instant()) {
            false => Ok(()),
            true => {
                let some = std::mem::take(&mut arrived.layers);
                let committed = self.commit_some(some, holder);
                arrived.synced = self.host.instant();
                committed
            }
        }
    }

    /// What is done with the parts of an image that does not come: another pull may go on with them, unless they are what is
    /// wrong or in the way; `wanted` says for whom. The failure that led here is the one to tell.
    fn leave(&self, mut arrived: Arrived, missing: &[Wanted], wanted: Option<&str>) {
        let Some(holder) = wanted else {
            drop(arrived);
            let is_meant = |blob: &Digest| missing.iter().any(|m| m.blob.digest == *blob);
            let _ = self.store.remove_partials(is_meant);
            let layers: Vec<Digest> = missing.iter().map(|wanted| wanted.diff_id).collect();
            let _ = self.store.forget_unfinished(&layers);
            return;
        };
        if arrived.is_due(self.host.instant()) {
            let _ = self.commit_some(std::mem::take(&mut arrived.layers), holder);
        }
    }
}

/// How often layers that have come are made durable while others still come: a sync of the whole disk is felt by all who
/// write to it.
const SYNC_EVERY: Duration = Duration::from_secs(10);

/// How many layers are brought before they are made durable: up to then each keeps four files open.
const MOST_OPEN: usize = 50;

/// What has come of an image.
struct Arrived {
    /// Not yet durable.
    layers: Vec<Fetched>,
    synced: Instant,
    error: Option<ImagesError>,
}

impl Arrived {
    fn is_due(&self, now: Instant) -> bool {
        let is_late = now.duration_since(self.synced) >= SYNC_EVERY;
        self.layers.len() >= MOST_OPEN || !self.layers.is_empty() && is_late
    }
}
