//! Whether there is room, for all images of a deployment together and before the first byte of a layer.
//!
//! What a layer takes is known only when it has been unpacked. So the compressed sizes decide where they can: what fits
//! however well it is compressed, and what does not fit even uncompressed. In between the layers themselves are asked,
//! which costs a small request each: gzip ends with the size of what it holds, zstd may begin with it. That may be a
//! lie, or only a part of the truth; what is unpacked is counted all the same ([`Budget`](crate::unpack::Budget)).

use std::collections::{BTreeMap, BTreeSet};

use super::check::Condition;
use super::document::Documents;
use super::gc::Marks;
use super::layer::Wanted;
use super::shortage::Shortage;
use super::size::unpacked_size;
use super::source::{Remote, Source, Wish};
use super::{Collected, Event, Hold, Images, ImagesError, Progress, StoreUsage};
use crate::oci::{Descriptor, Digest, LayerCompression, Platform, Reference};
use crate::registry::Client;
use crate::store::NOBODY;
use crate::sys::beneath::{self, Room};

/// What fits this many times over fits: real layers are compressed to a fifth at best.
const CLEARLY: u64 = 16;

/// What gzip and zstd make of a layer, about, where it does not say itself; real ones reach 2.2 to 4.
const RATIO: u64 = 2;

/// Of a tar's bytes, what its files take beside them because they begin blocks of their own: real files have 32 KiB.
const ROUNDING: u64 = 16;

/// Bytes to a file that no real layer exceeds on average; whoever has less inodes than that has too few for certain.
const BYTES_PER_FILE: u64 = 128 << 10;

/// Files of a layer beside its tree's.
pub(super) const FILES_BESIDE: u64 = 5;

/// Files of a blob that is partly here.
const PARTIAL_FILES: u64 = 2;

/// An image whose documents are here and that there is room for. While it lives nothing is collected.
#[derive(Debug)]
pub struct Planned {
    pub(super) name: String,
    pub(super) reference: Option<Reference>,
    /// Its time runs, and it knows who helps.
    pub(super) client: Option<Client>,
    pub(super) is_stated: bool,
    pub(super) documents: Documents,
    /// Bytes that copies of what is on its way may take.
    pub(super) spool: u64,
    /// For whom what comes of it is noted until it is pinned or named.
    pub(super) holder: String,
    is_fetched: bool,
    _hold: Hold,
}

impl Planned {
    /// It is for a deployment: what comes of it is noted for that one's scope, by what its pins' names begin with.
    pub fn on_behalf_of(&mut self, holder: &str) {
        holder.clone_into(&mut self.holder);
    }

    /// Whether any of its layers has to be fetched: not all of them are here, packed or unpacked.
    pub fn is_fetched(&self) -> bool {
        self.is_fetched
    }
}

/// Whether there is room.
enum Fit {
    /// Yes, and for so many bytes of copies of what is on its way.
    Fits {
        spool: u64,
    },
    Short(Shortage),
}

/// What the disk and the settings allow.
pub(super) struct Allowance {
    pub(super) room: Room,
    /// What of it images may take.
    pub(super) bytes: u64,
    /// What they take already, if that is limited.
    pub(super) used: Option<u64>,
}

impl Images {
    /// Looks at images of a deployment that are to be brought, and makes room for all of them together: if what is free does
    /// not suffice, what nobody needs goes. Follow with a [`Images::pull_planned`] for each.
    ///
    /// Nobody is taken to wait: a registry is asked again and again as `[download] retries` says.
    ///
    /// `spare`: who gives up what he has pinned if that suffices, and only then.
    ///
    /// A [`Images::hold`] of this process may be given up for a moment: pin or name what was pulled before.
    pub fn plan(
        &self,
        asked: &[(&Reference, &Platform)],
        spare: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<Vec<Planned>, ImagesError> {
        self.plan_with(asked, spare, progress, Client::begin_unattended)
    }

    /// The same with what begins the transfer of an image.
    pub(super) fn plan_with(
        &self,
        asked: &[(&Reference, &Platform)],
        spare: Option<&str>,
        progress: &dyn Progress,
        begin: fn(&Client) -> Client,
    ) -> Result<Vec<Planned>, ImagesError> {
        let mut remotes = Vec::new();
        for (reference, platform) in asked {
            // The time for the image runs from the first question on.
            let remote = Remote::of(begin(self.client()), reference);
            let digest = match reference.digest {
                Some(digest) => digest,
                None => remote.client().resolve(reference)?.digest,
            };
            progress.event(&Event::Resolved { reference, digest });
            remotes.push((remote, reference.familiar(), digest, *platform));
        }
        let mut wishes = Vec::new();
        for (remote, name, digest, platform) in &remotes {
            wishes.push(Wish {
                source: remote,
                name,
                digest: *digest,
                is_stated: true,
                platform,
            });
        }
        let mut planned = self.plan_wishes(&wishes, spare, progress)?;
        // Of several, each gets the time that one may take.
        let one = remotes.len() == 1;
        for ((planned, (reference, _)), (remote, ..)) in planned.iter_mut().zip(asked).zip(&remotes)
        {
            planned.reference = Some((*reference).clone());
            planned.client = one.then(|| remote.client());
        }
        Ok(planned)
    }

    /// The same for images from anywhere.
    pub(super) fn plan_wishes(
        &self,
        wishes: &[Wish<'_>],
        mut spare: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<Vec<Planned>, ImagesError> {
        let mut has_collected = false;
        loop {
            let mut planned = Vec::new();
            let mut missing: Vec<(&dyn Source, Wanted)> = Vec::new();
            for wish in wishes {
                let one = self.look(wish)?;
                self.add_missing(wish.source, &one.documents, &mut missing)?;
                planned.push(one);
            }
            let names: Vec<&str> = wishes.iter().map(|wish| wish.name).collect();
            let mut shortage = match self.fit(&names, &missing)? {
                Fit::Fits { spool } => {
                    for one in &mut planned {
                        one.spool = spool;
                        one.is_fetched = self.is_fetched(&one.documents, &missing);
                    }
                    return Ok(planned);
                }
                Fit::Short(shortage) => shortage,
            };
            let keep = kept(&planned);
            let hold = self.hold()?;
            // The drafts may go while the lock changes hands.
            drop(planned);
            let in_use = self.in_use.and_then(|ask| ask(&self.host, &self.settings));
            let in_use = in_use.as_ref();
            let unneeded = self.unneeded(&keep, in_use, None).unwrap_or_default();
            let idle = self.store.partials()?.into_iter();
            let idle = idle.filter(|(_, kept)| !kept.is_active);
            let (wanted, others): (Vec<_>, Vec<_>) =
                idle.partition(|(blob, _)| keep.blobs.contains(blob));
            let partial_files = PARTIAL_FILES * (wanted.len() + others.len()) as u64;
            let [wanted, others] =
                [wanted, others].map(|all| all.iter().map(|(_, kept)| kept.bytes).sum::<u64>());
            shortage.collectable = unneeded.bytes + others + wanted;
            let is_helped = |unneeded: &Collected| {
                let bytes = unneeded.bytes + others + wanted;
                shortage.is_helped_by(bytes, unneeded.files + partial_files)
            };
            if has_collected || !is_helped(&unneeded) {
                let Some(holder) = spare.take() else {
                    return Err(ImagesError::Space(Box::new(shortage)));
                };
                let more = self
                    .unneeded(&keep, in_use, Some(holder))
                    .unwrap_or_default();
                // It helps, and nobody else is at work, who would keep what is given up.
                if !is_helped(&more) || !self.collect_beside(&hold, &keep, in_use)? {
                    return Err(ImagesError::Space(Box::new(shortage)));
                }
                progress.event(&Event::GivenUp { holder });
                self.unpin(holder)?;
                has_collected = false;
                continue;
            }
            // What came of these images before goes last.
            let all = !shortage.is_helped_by(unneeded.bytes + others, unneeded.files);
            self.store
                .remove_partials(|blob| all || !keep.blobs.contains(blob))?;
            if unneeded != Collected::default() && !self.collect_beside(&hold, &keep, in_use)? {
                return Err(ImagesError::Space(Box::new(shortage)));
            }
            let bytes = unneeded.bytes + others + if all { wanted } else { 0 };
            progress.event(&Event::Freed { bytes });
            has_collected = true;
        }
    }

    fn look(&self, wish: &Wish<'_>) -> Result<Planned, ImagesError> {
        let hold = self.hold()?;
        Ok(Planned {
            name: wish.name.to_owned(),
            reference: None,
            client: None,
            is_stated: wish.is_stated,
            documents: self.documents(wish.source, wish.name, wish.digest, wish.platform)?,
            spool: 0,
            holder: NOBODY.to_owned(),
            is_fetched: false,
            _hold: hold,
        })
    }

    /// What of an image has to come; fails where its source is known not to have it.
    fn add_missing<'a>(
        &self,
        source: &'a dyn Source,
        documents: &Documents,
        missing: &mut Vec<(&'a dyn Source, Wanted)>,
    ) -> Result<(), ImagesError> {
        let mut absent = Vec::new();
        for wanted in &documents.layers {
            let is_same = |(_, other): &(_, Wanted)| other.diff_id == wanted.diff_id;
            if missing.iter().any(is_same)
                || matches!(self.condition_now(&wanted.diff_id)?, Condition::Whole)
            {
                continue;
            }
            if self.store.blob(&wanted.blob.digest).is_none() {
                absent.push(&wanted.blob);
            }
            missing.push((source, wanted.clone()));
        }
        source.prove(&absent)
    }

    /// Whether some of what is missing of an image has to be fetched.
    fn is_fetched(&self, documents: &Documents, missing: &[(&dyn Source, Wanted)]) -> bool {
        let is_missing = |layer: &Wanted| missing.iter().any(|(_, m)| m.diff_id == layer.diff_id);
        let is_here = |Descriptor { digest, size, .. }: &Descriptor| {
            self.store.blob(digest).is_some() || self.store.partial_length(digest) >= *size
        };
        let mut layers = documents.layers.iter();
        layers.any(|layer| is_missing(layer) && !is_here(&layer.blob))
    }

    /// Whether there is room for these layers.
    fn fit(&self, images: &[&str], missing: &[(&dyn Source, Wanted)]) -> Result<Fit, ImagesError> {
        if missing.is_empty() {
            return Ok(Fit::Fits { spool: 0 });
        }
        let allowance = self.allowance()?;
        let kept = match self.keep_blobs {
            true => missing.iter().fold(0_u64, |sum, (_, wanted)| {
                sum.saturating_add(wanted.blob.size)
            }),
            false => 0,
        };
        let sum = |unpacked: &dyn Fn(&dyn Source, &Wanted) -> u64| {
            let sizes = missing
                .iter()
                .map(|(source, wanted)| unpacked(*source, wanted));
            sizes.fold(0_u64, u64::saturating_add)
        };
        let times = |factor: u64| {
            move |_: &dyn Source, wanted: &Wanted| match wanted.compression {
                LayerCompression::None => wanted.blob.size,
                _ => wanted.blob.size.saturating_mul(factor),
            }
        };
        let short = |unpacked: u64| {
            let files = unpacked / BYTES_PER_FILE + FILES_BESIDE * missing.len() as u64;
            let shortage = Shortage {
                images: images.join(", "),
                path: self.store.root().to_owned(),
                unpacked,
                kept,
                files,
                free: allowance.room.bytes,
                inodes: allowance.room.inodes,
                reserve: self.settings.store.reserve,
                quota: self.settings.store.max_size.zip(allowance.used),
                collectable: 0,
            };
            (!shortage.is_helped_by(0, 0)).then_some(shortage)
        };
        let rounded = |tar: u64| tar.saturating_add(tar / ROUNDING);
        let left = |unpacked: u64| {
            allowance
                .bytes
                .saturating_sub(unpacked.saturating_add(kept))
        };
        if short(rounded(sum(&times(CLEARLY)))).is_none() {
            let spool = left(rounded(sum(&times(CLEARLY / 4))));
            return Ok(Fit::Fits { spool });
        }
        if let Some(shortage) = short(sum(&times(1))) {
            return Ok(Fit::Short(shortage));
        }
        let asked = |source: &dyn Source, wanted: &Wanted| {
            // What only passes by cannot be asked: it may fit, and what is unpacked is counted all the same.
            let factor = if source.comes_in_order() { 1 } else { RATIO };
            unpacked_size(source, wanted).unwrap_or(wanted.blob.size.saturating_mul(factor))
        };
        let unpacked = rounded(sum(&asked));
        Ok(match short(unpacked) {
            Some(shortage) => Fit::Short(shortage),
            None => Fit::Fits {
                spool: left(unpacked),
            },
        })
    }

    /// What may be taken now.
    pub(super) fn allowance(&self) -> Result<Allowance, ImagesError> {
        let path = self.store.root();
        let room = beneath::room(path).map_err(|source| ImagesError::Room {
            path: path.to_owned(),
            source,
        })?;
        let settings = &self.settings.store;
        let mut bytes = room.bytes.saturating_sub(settings.reserve);
        let mut used = None;
        if let Some(quota) = settings.max_size {
            let taken = self.taken()?;
            bytes = bytes.min(quota.saturating_sub(taken));
            used = Some(taken);
        }
        Ok(Allowance { room, bytes, used })
    }

    /// Bytes of all layers and blobs.
    fn taken(&self) -> Result<u64, ImagesError> {
        let usage = self.usage(&BTreeSet::new())?;
        Ok(usage.layers.values().sum::<u64>() + usage.damaged + usage.blobs)
    }

    /// What takes the room. `in_use`: the layers of containers that run.
    pub fn usage(&self, in_use: &BTreeSet<Digest>) -> Result<StoreUsage, ImagesError> {
        let mut layers = BTreeMap::new();
        for layer in self.store.layers()? {
            let size = self.seal(&layer)?.map_or(0, |seal| seal.bytes);
            layers.insert(layer, size);
        }
        let (mut damaged, mut damaged_free) = (0, 0);
        for aside in self.store.set_aside()? {
            let size = self.size_aside(&aside)?;
            damaged += size;
            damaged_free += if aside.is_free(Some(in_use)) { size } else { 0 };
        }
        let blobs = self.store.blobs()?;
        Ok(StoreUsage {
            layers,
            damaged,
            damaged_free,
            blobs: blobs.iter().map(|blob| self.store.blob_size(blob)).sum(),
            abandoned: self.store.abandoned()?,
            partial: self.store.partials()?.into_iter().collect(),
        })
    }
}

/// What is not to be collected for the sake of images that need it soon.
fn kept(planned: &[Planned]) -> Marks {
    let mut keep = Marks::default();
    for Planned { documents, .. } in planned {
        keep.blobs
            .extend([documents.digest, documents.manifest, documents.config]);
        for wanted in &documents.layers {
            keep.layers.insert(wanted.diff_id);
            keep.blobs.insert(wanted.blob.digest);
        }
    }
    keep
}
