//! Removal: names by a person's word, data when nobody needs it any more.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::plan::FILES_BESIDE;
use super::record::{Root, is_unnamed, unnamed};
use super::{Collected, Hold, Image, Images, ImagesError, Removed};
use crate::oci::{Digest, Document, Reference};
use crate::sys::lock::Exclusive;

/// How long a collection waits for others: every program that opens the store holds it for a moment, among them the
/// monitors of containers that were started just before; a pull holds it for long.
const PATIENCE: Duration = Duration::from_secs(1);

/// All that may not be removed.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    pub(super) layers: BTreeSet<Digest>,
    pub(super) blobs: BTreeSet<Digest>,
}

/// A lock file has no waiting with an end, so it is tried again and again; `None` if that was in vain.
fn patiently<T>(
    mut attempt: impl FnMut() -> Result<Option<T>, ImagesError>,
) -> Result<Option<T>, ImagesError> {
    let begin = Instant::now();
    loop {
        let done = attempt()?;
        if done.is_some() || begin.elapsed() > PATIENCE {
            return Ok(done);
        }
        std::thread::sleep(PATIENCE / 100);
    }
}

impl Collected {
    fn add_partials(&mut self, partials: impl Iterator<Item = (Digest, u64)>) {
        for (blob, bytes) in partials {
            self.bytes += bytes;
            self.partial.push(blob);
        }
    }
}

impl Images {
    /// What [`Images::collect`] would remove.
    pub fn collectable(&self, in_use: &BTreeSet<Digest>) -> Result<Collected, ImagesError> {
        let _shared = self.store.lock_shared()?;
        let mut unneeded = self.unneeded(&Marks::default(), Some(in_use), None)?;
        let partials = self.store.partials()?.into_iter();
        let idle = partials.filter(|(_, kept)| !kept.is_active);
        unneeded.add_partials(idle.map(|(blob, kept)| (blob, kept.bytes)));
        Ok(unneeded)
    }

    /// Removes layers and blobs that neither a name nor a pin needs. Fails with [`ImagesError::Busy`] if another process
    /// still pulls after [`PATIENCE`], and if a name or pin is damaged: it may be all that keeps an image. Do not call while holding a [`Images::hold`].
    ///
    /// `in_use`: the layers of containers that run. They may stand on a damaged one that was replaced since.
    pub fn collect(&self, in_use: &BTreeSet<Digest>) -> Result<Collected, ImagesError> {
        let mut collected = self.collect_but(&Marks::default(), in_use)?;
        // Whoever brings something was waited for.
        collected.add_partials(self.store.remove_partials(|_| true)?.into_iter());
        for unfinished in self.store.unfinished()? {
            self.store.forget_unfinished(&[unfinished.layer])?;
        }
        Ok(collected)
    }

    /// As [`Images::collect`], but without what came of images that are still to come: a pull that was broken off may be tried
    /// again. What is too old for that goes.
    pub fn collect_old(&self, in_use: &BTreeSet<Digest>) -> Result<Collected, ImagesError> {
        self.store.tidy_partials(self.host.now())?;
        let mut keep = Marks::default();
        for unfinished in self.store.unfinished()? {
            keep.layers.insert(unfinished.layer);
            keep.blobs.extend(unfinished.blob);
        }
        self.collect_but(&keep, in_use)
    }

    fn collect_but(
        &self,
        keep: &Marks,
        in_use: &BTreeSet<Digest>,
    ) -> Result<Collected, ImagesError> {
        let alone = patiently(|| Ok(self.store.try_lock_exclusive()?))?;
        let alone = alone.ok_or(ImagesError::Busy)?;
        self.remove_unneeded(&alone, keep, Some(in_use))
    }

    /// As [`Images::collect`] while this process holds the store: its lock changes hands. False if another one holds it
    /// too, or if this one is bringing something.
    pub(super) fn collect_beside(
        &self,
        hold: &Hold,
        keep: &Marks,
        in_use: Option<&BTreeSet<Digest>>,
    ) -> Result<bool, ImagesError> {
        let Ok(_idle) = self.bringing.try_write() else {
            return Ok(false);
        };
        let collected = patiently(|| {
            let done = hold
                .shared
                .alone(|alone| self.remove_unneeded(alone, keep, in_use));
            let done = done.map_err(|source| ImagesError::Io {
                action: "lock",
                path: self.store.root().to_owned(),
                source,
            })?;
            done.transpose()
        })?;
        Ok(collected.is_some())
    }

    fn remove_unneeded(
        &self,
        alone: &Exclusive,
        keep: &Marks,
        in_use: Option<&BTreeSet<Digest>>,
    ) -> Result<Collected, ImagesError> {
        let unneeded = self.unneeded(keep, in_use, None)?;
        // Documents first: without them nothing speaks of the layers.
        self.store.remove_blobs(alone, &unneeded.blobs)?;
        self.store.remove_layers(alone, &unneeded.layers, in_use)?;
        self.store.forget_unfinished(&unneeded.layers)?;
        Ok(unneeded)
    }

    /// What neither a name nor a pin needs, other than one of the holder `without`, and what is not to be kept; and of what was
    /// replaced what nobody stands on.
    pub(super) fn unneeded(
        &self,
        keep: &Marks,
        in_use: Option<&BTreeSet<Digest>>,
        without: Option<&str>,
    ) -> Result<Collected, ImagesError> {
        if let Some(damaged) = self.damaged()?.into_iter().next() {
            return Err(damaged);
        }
        let mut marks = keep.clone();
        for root in self.roots_without(without)? {
            self.mark(&root, &mut marks)?;
        }
        let mut unneeded = Collected::default();
        for layer in self.store.layers()? {
            if !marks.layers.contains(&layer) {
                let seal = self.seal(&layer)?;
                unneeded.bytes += seal.as_ref().map_or(0, |seal| seal.bytes);
                unneeded.files += seal.as_ref().map_or(0, |seal| seal.files) + FILES_BESIDE;
                unneeded.layers.push(layer);
            }
        }
        for aside in self.store.set_aside()? {
            if aside.is_free(in_use) {
                unneeded.bytes += self.size_aside(&aside)?;
                unneeded.damaged.push(aside.layer);
            }
        }
        for blob in self.store.blobs()? {
            if !marks.blobs.contains(&blob) {
                unneeded.bytes += self.store.blob_size(&blob);
                unneeded.files += 1;
                unneeded.blobs.push(blob);
            }
        }
        Ok(unneeded)
    }

    fn mark(&self, root: &Root, marks: &mut Marks) -> Result<(), ImagesError> {
        marks.layers.extend(&root.layers);
        marks
            .blobs
            .extend([root.digest, root.manifest, root.config]);
        // Compressed layers are only a convenience: without a readable manifest they may go.
        let manifest = self.store.document(&root.manifest)?;
        let parsed = manifest.and_then(|bytes| Document::parse(&bytes, None).ok());
        if let Some(Document::Manifest(manifest)) = parsed {
            marks.blobs.extend(manifest.layers.iter().map(|l| l.digest));
        }
        Ok(())
    }

    /// Takes an image's name away, or with an id all its names, and removes what nobody needs any more; while another
    /// process pulls or a record is damaged, the data stays until the next collection. `force` allows to take several names away at once, and
    /// the last name of an image that is pinned; what is pinned stays in any case.
    pub fn remove(
        &self,
        words: &str,
        force: bool,
        in_use: &BTreeSet<Digest>,
    ) -> Result<Vec<Removed>, ImagesError> {
        let root = self.find_root(words)?;
        let mut removed = self.remove_names(&root, words, force)?;
        match self.collect_old(in_use) {
            Ok(collected) => {
                if collected.blobs.contains(&root.config) {
                    removed.push(Removed::Deleted(root.config));
                }
                removed.extend(collected.layers.into_iter().map(Removed::Deleted));
            }
            Err(ImagesError::Busy | ImagesError::Record { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(removed)
    }

    fn remove_names(
        &self,
        root: &Root,
        words: &str,
        force: bool,
    ) -> Result<Vec<Removed>, ImagesError> {
        let _records = self.store.lock_records()?;
        let names: Vec<Reference> = self
            .names()?
            .into_iter()
            .filter(|name| name.image.config == root.config)
            .map(|name| name.reference)
            .collect();
        let one = words.parse::<Reference>().ok();
        let one = one.map(|reference| super::record::plain(&reference));
        let doomed: Vec<Reference> = match one.filter(|one| names.contains(one)) {
            Some(one) => vec![one],
            None if names.iter().filter(|name| !is_unnamed(name)).count() > 1 && !force => {
                let names: Vec<String> = names.iter().map(Reference::familiar).collect();
                return Err(ImagesError::ManyNames {
                    image: words.to_owned(),
                    names: names.join(", "),
                });
            }
            None => names.clone(),
        };
        if !force && doomed.len() == names.len() {
            self.require_unpinned(root, words)?;
        }
        for name in &doomed {
            self.remove_name(name)?;
        }
        Ok(doomed
            .iter()
            .filter(|name| !is_unnamed(name))
            .map(|name| Removed::Untagged(name.familiar()))
            .collect())
    }

    /// Takes all names of an image away unless somebody has pinned it; those that are gone. Nothing is collected.
    pub fn forget(&self, image: &Image) -> Result<Vec<Reference>, ImagesError> {
        let _records = self.store.lock_records()?;
        match self.require_unpinned(&Root::of(image), "") {
            Err(ImagesError::InUse { .. }) => return Ok(Vec::new()),
            unpinned => unpinned?,
        }
        for name in image.names.iter().chain([&unnamed(image.id)]) {
            self.remove_name(name)?;
        }
        Ok(image.names.clone())
    }

    fn require_unpinned(&self, root: &Root, words: &str) -> Result<(), ImagesError> {
        for holding in self.holdings()? {
            if holding.images.iter().any(|image| image.is(&root.config)) {
                return Err(ImagesError::InUse {
                    image: words.to_owned(),
                    holder: holding.holder,
                });
            }
        }
        Ok(())
    }
}
