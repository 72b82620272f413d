//! Looking at what is here when somebody asks: at every file's status, or at every byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use super::check::Kept;
use super::record::{Root, is_unnamed};
use super::{Images, ImagesError};
use crate::oci::Digest;
use crate::store::Verified;
use crate::sys::beneath;
use crate::unpack::{Content, Pace};

/// Read at once.
const CHUNK: usize = 256 << 10;

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Names, kinds, modes, owners, sizes and times; nothing is read but small records.
    Status,
    /// Every byte.
    Content,
}

/// What to look at.
#[derive(Debug)]
pub struct Verify<'a> {
    /// How closely.
    pub depth: Depth,
    /// Images by name, id or digest; none means all that is here.
    pub images: &'a [String],
    /// Leave out what was read within this time.
    pub unless_within: Option<Duration>,
}

/// Who hears of it while it goes on.
pub struct Watch<'a> {
    /// How many bytes there are to read, about.
    pub planned: &'a dyn Fn(u64),
    /// How many have been read since it was last called.
    pub read: Pace<'a>,
    /// Something damaged was found.
    pub found: &'a dyn Fn(&Damage),
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// A part of the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// An unpacked layer, by diff id.
    Layer(Digest),
    /// A manifest, index or configuration.
    Document(Digest),
    /// A compressed layer that was kept.
    Blob(Digest),
    /// A name or a pin.
    Record(PathBuf),
}

/// What is wrong with a part of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Which part.
    pub part: Part,
    /// What is wrong.
    pub reason: String,
    /// Paths in a layer that are probably why, the first ones; none if that cannot be told.
    pub paths: Vec<String>,
    /// Names of the images that need it, or their ids.
    pub images: Vec<String>,
}

/// What was looked at.
#[derive(Debug, Default)]
pub struct Verdict {
    /// How many layers.
    pub layers: u64,
    /// How many of them an older release unpacked, whose content cannot be checked.
    pub unknown: u64,
    /// How many manifests, indexes, configurations and kept compressed layers.
    pub blobs: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// What is damaged.
    pub damages: Vec<Damage>,
}

/// How one layer looks.
enum Look {
    Whole,
    /// As far as can be told.
    WithoutContent,
    /// It was removed meanwhile.
    Gone,
    Damaged(String, Vec<String>),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::Layer(digest) => write!(f, "layer {digest}"),
            Part::Document(digest) => write!(f, "document {digest}"),
            Part::Blob(digest) => write!(f, "kept blob {digest}"),
            Part::Record(path) => write!(f, "record {path:?}"),
        }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is damaged: {}", self.part, self.reason)?;
        match self.paths.as_slice() {
            [] => {}
            [path] => write!(f, ", probably {path}")?,
            [first, others @ ..] => {
                write!(f, ", probably {first} or one of {}", others.join(", "))?;
            }
        }
        if !self.images.is_empty() {
            write!(f, " (of {})", self.images.join(", "))?;
        }
        Ok(())
    }
}

impl Images {
    /// Looks at layers, documents, kept blobs and records, and remembers which layers are damaged, so that a pull, a load
    /// or [`Images::heal`] replaces them. Nothing is removed or changed.
    pub fn verify(&self, wanted: &Verify<'_>, watch: &Watch<'_>) -> Result<Verdict, ImagesError> {
        let everything = wanted.images.is_empty();
        let roots = match everything {
            true => self.roots()?,
            false => {
                let found = wanted.images.iter().map(|words| self.find_root(words));
                found.collect::<Result<_, _>>()?
            }
        };
        // A damaged record is one thing, what it wrongly names is none.
        let roots = roots.iter().map(|root| self.mended(root));
        let roots = roots.collect::<Result<Vec<_>, _>>()?;
        let layers = self.layers_of(&roots, wanted)?;
        let (documents, blobs) = self.blobs_of(&roots, wanted)?;
        let sizes = layers.iter().map(|layer| {
            let seal = self.seal(layer).ok().flatten();
            seal.map_or(0, |seal| seal.bytes)
        });
        let kept = blobs.iter().map(|blob| self.store.blob_size(blob));
        if wanted.depth == Depth::Content {
            (watch.planned)(sizes.chain(kept).sum());
        }
        let mut verdict = Verdict::default();
        let bytes = std::cell::Cell::new(0);
        let read = |count| {
            bytes.set(bytes.get() + count);
            (watch.read)(count);
        };
        let note = |verdict: &mut Verdict, part, reason, paths| {
            let damage = Damage {
                images: users(&roots, &part, self),
                part,
                reason,
                paths,
            };
            (watch.found)(&damage);
            verdict.damages.push(damage);
        };
        // What is small first: it says what the rest is.
        for fault in self.faults()?.into_iter().filter(|_| everything) {
            // What has gone is told as such.
            if !fault.is_of_data {
                let part = Part::Record(fault.path);
                note(&mut verdict, part, fault.error.to_string(), Vec::new());
            }
        }
        for digest in documents {
            verdict.blobs += 1;
            if self.store.document(&digest)?.is_none() {
                let reason = match self.store.blob(&digest) {
                    Some(_) => "its content has changed",
                    None => "it is missing",
                };
                let part = Part::Document(digest);
                note(&mut verdict, part, reason.to_owned(), Vec::new());
            }
        }
        for digest in &blobs {
            verdict.blobs += 1;
            if let Some(reason) = self.look_at_blob(digest, &read) {
                note(&mut verdict, Part::Blob(*digest), reason, Vec::new());
            }
        }
        if wanted.depth == Depth::Content && everything && !blobs.is_empty() {
            self.store
                .note_blobs_verified(&Verified::new(self.now(), None))?;
        }
        for layer in &layers {
            match self.look_at_layer(layer, wanted.depth, &read)? {
                Look::Gone => continue,
                Look::Whole => {}
                Look::WithoutContent => verdict.unknown += 1,
                Look::Damaged(reason, paths) => {
                    note(&mut verdict, Part::Layer(*layer), reason, paths);
                }
            }
            verdict.layers += 1;
        }
        verdict.bytes = bytes.get();
        Ok(verdict)
    }

    /// Those of these layers that are not whole: looked at as at the making of a container, once after each unclean stop.
    pub fn unsound(&self, layers: &[Digest]) -> Result<Vec<Digest>, ImagesError> {
        let mut unsound = Vec::new();
        for layer in layers {
            if !matches!(self.condition(layer)?, super::check::Condition::Whole) {
                unsound.push(*layer);
            }
        }
        Ok(unsound)
    }

    /// All layers that a name or a pin needs.
    pub fn needed_layers(&self) -> Result<BTreeSet<Digest>, ImagesError> {
        let roots = self.roots()?.into_iter();
        Ok(roots.flat_map(|root| root.layers).collect())
    }

    /// The layers that may be under a container of which nothing is known but its pin: all of that, and without one all that
    /// were ever replaced.
    pub fn may_be_under(&self, holder: &str) -> Result<Vec<Digest>, ImagesError> {
        let holdings = self.holdings()?.into_iter();
        let pinned = holdings.filter(|holding| holding.holder == holder);
        let mut layers = pinned.flat_map(|holding| holding.images).peekable();
        if layers.peek().is_some() {
            return Ok(layers.flat_map(|root| root.layers).collect());
        }
        let aside = self.store.set_aside()?.into_iter();
        Ok(aside.map(|aside| aside.layer).collect())
    }

    /// Seconds since 1970.
    pub(super) fn now(&self) -> u64 {
        let now = self.host.now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| now.as_secs())
    }

    fn layers_of(
        &self,
        roots: &[Root],
        wanted: &Verify<'_>,
    ) -> Result<BTreeSet<Digest>, ImagesError> {
        let mut layers: BTreeSet<Digest> = roots.iter().flat_map(|r| &r.layers).copied().collect();
        if wanted.images.is_empty() {
            layers.extend(self.store.layers()?);
        }
        layers.retain(|layer| !self.is_spared(wanted, self.store.verified(layer)));
        Ok(layers)
    }

    /// Whether something was read so lately that it is left out. What was found damaged and is so still has to be said, and
    /// mended, each time.
    fn is_spared(&self, wanted: &Verify<'_>, known: Option<Verified>) -> bool {
        let now = self.now();
        let is_fresh = |within: Duration| now.saturating_sub(within.as_secs())..=now;
        let known = known.filter(|known| known.damage.is_none());
        let times = wanted.unless_within.map(is_fresh);
        times.is_some_and(|times| known.is_some_and(|known| times.contains(&known.at)))
    }

    /// Documents and kept blobs.
    fn blobs_of(
        &self,
        roots: &[Root],
        wanted: &Verify<'_>,
    ) -> Result<(BTreeSet<Digest>, BTreeSet<Digest>), ImagesError> {
        let documents = |root: &Root| [Some(root.manifest), Some(root.config), root.stated()];
        let documents: BTreeSet<Digest> = roots.iter().flat_map(documents).flatten().collect();
        let mut blobs = BTreeSet::new();
        let is_spared = self.is_spared(wanted, self.store.blobs_verified());
        if wanted.depth == Depth::Status || is_spared {
            return Ok((documents, blobs));
        }
        if wanted.images.is_empty() {
            blobs.extend(self.store.blobs()?);
        } else {
            let kept = roots.iter().flat_map(|root| self.packed(root));
            blobs.extend(kept.map(|(blob, _)| blob.digest));
            blobs.retain(|blob| self.store.blob(blob).is_some());
        }
        blobs.retain(|blob| !documents.contains(blob));
        Ok((documents, blobs))
    }

    /// What is wrong with a kept blob; nothing if it is gone.
    fn look_at_blob(&self, digest: &Digest, pace: Pace<'_>) -> Option<String> {
        let path = self.store.blob(digest)?;
        let mut hasher = Sha256::new();
        let mut read = || {
            let mut file = File::open(&path)?;
            beneath::forget_cached(&file);
            let mut buffer = vec![0; CHUNK];
            loop {
                let count = file.read(&mut buffer)?;
                if count == 0 {
                    beneath::forget_cached(&file);
                    return Ok(());
                }
                hasher.update(&buffer[..count]);
                pace(count as u64);
            }
        };
        match read() {
            Err(_) if !path.exists() => None,
            Err(error) => Some(std::io::Error::to_string(&error)),
            Ok(()) if Digest::finish(hasher) == *digest => None,
            Ok(()) => Some("its content has changed".to_owned()),
        }
    }

    fn look_at_layer(
        &self,
        layer: &Digest,
        depth: Depth,
        pace: Pace<'_>,
    ) -> Result<Look, ImagesError> {
        let tree = beneath::open_dir(&self.store.tree_dir(layer));
        let look = self.look_at_tree(layer, tree.as_ref().ok(), depth, pace)?;
        // Nobody was kept away meanwhile: what was looked at may have been removed, or replaced by a whole one.
        let _shared = self.store.lock_shared()?;
        let inode = |tree: &OwnedFd| beneath::status(tree.as_fd()).map(|status| status.inode);
        let now = beneath::open_dir(&self.store.tree_dir(layer));
        let is_same = match (&tree, &now) {
            (Ok(tree), Ok(now)) => inode(tree).ok() == inode(now).ok(),
            (tree, now) => tree.is_err() && now.is_err(),
        };
        // What was removed before it was even opened, as nobody needs it any more, is as little damaged.
        let is_gone =
            now.is_err() && !self.store.has_layer(layer) && !self.needed_layers()?.contains(layer);
        if !is_same || is_gone {
            return Ok(Look::Gone);
        }
        let known = self.store.verified(layer).and_then(|known| known.damage);
        match (look, known) {
            // What was read before tells more than what is looked at now.
            (Look::Whole | Look::WithoutContent, Some(known)) if depth < Depth::Content => {
                Ok(Look::Damaged(known, Vec::new()))
            }
            (Look::Damaged(reason, paths), _) => {
                if self.store.has_layer(layer) {
                    let found = Verified::new(self.now(), Some(reason.clone()));
                    self.store.note_verified(layer, &found)?;
                }
                Ok(Look::Damaged(reason, paths))
            }
            (look, _) => {
                if depth == Depth::Content && !matches!(look, Look::Gone) {
                    self.store
                        .note_verified(layer, &Verified::new(self.now(), None))?;
                }
                Ok(look)
            }
        }
    }

    fn look_at_tree(
        &self,
        layer: &Digest,
        tree: Option<&OwnedFd>,
        depth: Depth,
        pace: Pace<'_>,
    ) -> Result<Look, ImagesError> {
        let plain = |reason: &str| Ok(Look::Damaged(reason.to_owned(), Vec::new()));
        let Some(seal) = self.seal(layer)? else {
            return match self.store.has_layer(layer) {
                false => plain("it is missing"),
                true => plain("its seal is missing or cannot be read"),
            };
        };
        let Some(tree) = tree else {
            return plain("its files are missing or cannot be read");
        };
        let kept = match self.kept_content(layer)? {
            Kept::Damaged => return plain("what was noted of its content is damaged"),
            Kept::Absent => None,
            Kept::Content(content) => Some(content),
        };
        let mut now = kept
            .as_ref()
            .map_or(Content::empty(), |kept| kept.unlisted());
        let suspects = |now: &Content| {
            let kept = kept.as_ref();
            let paths = kept.map_or(Vec::new(), |kept| kept.suspects(now, tree.as_fd()));
            paths.iter().map(ToString::to_string).collect()
        };
        match seal.difference(tree.as_fd(), &mut now) {
            Err(error) => return plain(&error.to_string()),
            Ok(Some(reason)) => return Ok(Look::Damaged(reason, suspects(&now))),
            Ok(None) => {}
        }
        let Some(content) = &kept else {
            return Ok(Look::WithoutContent);
        };
        if depth == Depth::Status {
            return Ok(Look::Whole);
        }
        match Content::of(tree.as_fd(), pace) {
            Err(error) => plain(&error.to_string()),
            Ok(read) if read.is_same(content) => Ok(Look::Whole),
            Ok(mut read) => {
                read.relist(&now);
                let reason = "what its files contain has changed".to_owned();
                Ok(Look::Damaged(reason, suspects(&read)))
            }
        }
    }
}

/// Names of the images that need a part, or ids of those without one.
fn users(roots: &[Root], part: &Part, images: &Images) -> Vec<String> {
    let needs = |root: &&Root| match part {
        Part::Layer(layer) => root.layers.contains(layer),
        Part::Document(digest) => root.is(digest),
        Part::Blob(digest) => images
            .packed(root)
            .iter()
            .any(|(blob, _)| blob.digest == *digest),
        Part::Record(_) => false,
    };
    let named = images.names().unwrap_or_default();
    let mut users = BTreeMap::new();
    for root in roots.iter().filter(needs) {
        let names = named
            .iter()
            .filter(|name| name.image == *root && !is_unnamed(&name.reference));
        let mut names: Vec<String> = names.map(|name| name.reference.familiar()).collect();
        if names.is_empty() {
            names.push(root.config.hex()[..12].to_owned());
        }
        users.extend(names.into_iter().map(|name| (name, ())));
    }
    users.into_keys().collect()
}
