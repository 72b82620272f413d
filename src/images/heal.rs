//! What is damaged comes back: from the kept blob, from the registry or its mirrors, whoever has it. What is replaced keeps
//! its files for those that run on it.

use std::io;

use super::record::{Root, is_unnamed};
use super::source::{Remote, Source, Wish};
use super::verify::{Damage, Part};
use super::{Images, ImagesError, Progress};
use crate::oci::stream::Verified;
use crate::oci::{Descriptor, Digest, Document, ImageConfig, Platform, Reference};
use crate::store;

/// No place at all: what is here has to do.
struct Nowhere<'a> {
    /// What it is called in messages.
    image: &'a str,
}

impl Source for Nowhere<'_> {
    fn document(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), ImagesError> {
        Err(self.nobody(digest))
    }

    fn blob(
        &self,
        blob: &Descriptor,
        _from: u64,
    ) -> Result<Box<dyn io::Read + Send + '_>, ImagesError> {
        Err(self.nobody(&blob.digest))
    }
}

impl Nowhere<'_> {
    fn nobody(&self, digest: &Digest) -> ImagesError {
        ImagesError::NoSource {
            image: self.image.to_owned(),
            digest: *digest,
        }
    }
}

/// What could not be brought back.
#[derive(Debug)]
pub struct Unhealed<'a> {
    /// What.
    pub damage: &'a Damage,
    /// Why not.
    pub reason: String,
    /// It may still come: a network may be there later.
    pub may_come: bool,
}

impl Images {
    /// Brings back what is damaged; what of it is still damaged. `known` are names that images are
    /// known by beside those in the store: digests and where they came from.
    ///
    /// All threads have ended when it returns.
    pub fn heal<'a>(
        &self,
        damages: &'a [Damage],
        known: &[(Digest, Reference)],
        progress: &dyn Progress,
    ) -> Result<Vec<Unhealed<'a>>, ImagesError> {
        // What is rotten mends nothing.
        let mut lost = Vec::new();
        for damage in damages {
            if let Part::Blob(digest) = &damage.part {
                self.store.discard_blob(digest)?;
                lost.push(*digest);
            }
        }
        // Records before what they name.
        for damage in damages {
            if let Part::Record(path) = &damage.part {
                match self.mend(path) {
                    Err(ImagesError::Record { .. }) => {}
                    mended => mended?,
                }
            }
        }
        let mut reasons = Vec::new();
        for root in self.roots()? {
            let mut needed = damages.iter().filter(|damage| needs(&root, damage));
            let wants = needed.any(|damage| !self.is_whole(&damage.part));
            let refetched: Vec<Descriptor> = self
                .packed(&root)
                .into_iter()
                .filter(|(blob, _)| lost.contains(&blob.digest))
                .map(|(blob, _)| blob)
                .collect();
            if wants || !refetched.is_empty() {
                let healed = self.heal_root(&root, &refetched, known, progress);
                reasons.extend(healed.err().map(|error| (root, error)));
            }
        }
        let still = damages.iter().filter(|damage| !self.is_whole(&damage.part));
        Ok(still.map(|damage| unhealed(damage, &reasons)).collect())
    }

    /// Whether a part is as it should be again. A kept blob that is gone is as good: it only saves a download.
    fn is_whole(&self, part: &Part) -> bool {
        match part {
            Part::Layer(layer) => self.unsound(&[*layer]).is_ok_and(|all| all.is_empty()),
            Part::Document(digest) => self.store.document(digest).is_ok_and(|d| d.is_some()),
            Part::Blob(_) => true,
            Part::Record(path) => matches!(self.fault(path), Ok(None)),
        }
    }

    /// Asks one after the other of those who may have it.
    fn heal_root(
        &self,
        root: &Root,
        blobs: &[Descriptor],
        known: &[(Digest, Reference)],
        progress: &dyn Progress,
    ) -> Result<(), ImagesError> {
        let names = self.names()?.into_iter();
        let names = names.filter(|name| name.image == *root && !is_unnamed(&name.reference));
        let mut places: Vec<Reference> = names.map(|name| name.reference).collect();
        let also = known.iter().filter(|(digest, _)| root.is(digest));
        places.extend(also.map(|(_, reference)| reference.clone()));
        places.iter_mut().for_each(|place| place.tag = None);
        places.dedup();
        // No registry knows a manifest that was made here.
        if root.stated().is_none() {
            places.clear();
        }
        let mut last = None;
        for place in &places {
            let place = place.pinned(root.manifest);
            let remote = Remote::new(self, &place);
            match self.heal_from(&remote, &place.familiar(), root, blobs, progress) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) => Err(error),
            None => {
                let image = &root.config.to_string();
                self.heal_from(&Nowhere { image }, image, root, blobs, progress)
            }
        }
    }

    fn heal_from(
        &self,
        source: &dyn Source,
        name: &str,
        root: &Root,
        blobs: &[Descriptor],
        progress: &dyn Progress,
    ) -> Result<(), ImagesError> {
        // An index is only kept for its digest: which image it meant is known.
        for digest in [root.stated().unwrap_or(root.manifest), root.manifest] {
            if self.store.document(&digest)?.is_none() {
                let _shared = self.store.lock_shared()?;
                let (bytes, _) = source.document(&digest)?;
                let draft = self.store.draft_document(&bytes)?;
                store::commit(&self.store, Vec::new(), vec![draft])?;
            }
        }
        let config = self.store.document(&root.config)?;
        let config = config.and_then(|bytes| ImageConfig::parse(&bytes).ok());
        let platform = config.map_or_else(Platform::host, |config| config.platform);
        let wish = Wish {
            source,
            name,
            digest: root.manifest,
            is_stated: true,
            platform: &platform,
        };
        self.bring(&wish, progress)?;
        self.store.forget_unfinished(&root.layers)?;
        for blob in blobs.iter().filter(|_| self.keep_blobs) {
            self.keep_again(source, blob)?;
        }
        Ok(())
    }

    /// Fetches a compressed layer that had been kept.
    fn keep_again(&self, source: &dyn Source, blob: &Descriptor) -> Result<(), ImagesError> {
        if self.store.blob(&blob.digest).is_some() {
            return Ok(());
        }
        let _shared = self.store.lock_shared()?;
        let mut draft = self.store.draft_blob(&blob.digest)?;
        let mut content = Verified::of(source.blob(blob, 0)?, blob);
        io::copy(&mut content, &mut draft).map_err(|source| ImagesError::Kept {
            digest: blob.digest,
            source,
        })?;
        Ok(store::commit(&self.store, Vec::new(), vec![draft])?)
    }

    /// An image's layers as they are packed, with their diff ids; none if its manifest cannot be read.
    pub(super) fn packed(&self, root: &Root) -> Vec<(Descriptor, Digest)> {
        let manifest = self.store.document(&root.manifest).ok().flatten();
        let parsed = manifest.and_then(|bytes| Document::parse(&bytes, None).ok());
        match parsed {
            Some(Document::Manifest(manifest)) => manifest
                .layers
                .into_iter()
                .zip(root.layers.iter().copied())
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// Whether an image needs a part that is damaged.
fn needs(root: &Root, damage: &Damage) -> bool {
    match &damage.part {
        Part::Layer(layer) => root.layers.contains(layer),
        Part::Document(digest) => root.is(digest),
        Part::Blob(_) | Part::Record(_) => false,
    }
}

fn unhealed<'a>(damage: &'a Damage, reasons: &[(Root, ImagesError)]) -> Unhealed<'a> {
    let found = reasons.iter().find(|(root, _)| needs(root, damage));
    let (reason, may_come) = match (&damage.part, found) {
        // It names the remedy.
        (Part::Record(_), _) => (damage.reason.clone(), false),
        (_, Some((_, error))) => {
            let may_come = !matches!(error, ImagesError::NoSource { .. });
            (error.to_string(), may_come)
        }
        (_, None) => ("no image needs it; dray gc removes it".to_owned(), false),
    };
    Unhealed {
        damage,
        reason,
        may_come,
    }
}
