//! Looking at a layer that is here: at its seal, and after an unclean stop at every file.

use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};

use super::{Images, ImagesError};
use crate::oci::Digest;
use crate::store::{Aside, Verified};
use crate::sys::beneath;
use crate::unpack::{Content, Seal, UnpackError};

/// `seal.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealFile {
    version: u64,
    diff_id: Digest,
    seal: Seal,
}

/// The seal format this release writes; a layer with another one counts as absent and is fetched again.
const SEAL_VERSION: u64 = 1;

/// How a layer on disk looks.
pub(super) enum Condition {
    Whole,
    Absent,
    Damaged,
}

/// What was noted of a layer's content.
pub(super) enum Kept {
    Content(Box<Content>),
    /// An older release unpacked it.
    Absent,
    Damaged,
}

/// The content of `seal.json`.
pub(super) fn seal_file(diff_id: Digest, seal: Seal) -> Vec<u8> {
    let file = SealFile {
        version: SEAL_VERSION,
        diff_id,
        seal,
    };
    // Numbers, digests and escaped paths: nothing JSON could refuse.
    serde_json::to_vec(&file).unwrap_or_default()
}

impl Images {
    /// Looks at a layer: at its seal, and at every file's status if a power cut may have harmed it since it was last
    /// looked at. What is damaged stays under its name until there is something to replace it with: without a network, what
    /// still starts is better than nothing.
    pub(super) fn condition(&self, diff_id: &Digest) -> Result<Condition, ImagesError> {
        self.condition_by(diff_id, self.store.is_checked(diff_id))
    }

    /// As [`Images::condition`] for whoever brings an image: at every file's status whenever it was last looked at. What is
    /// found holds until the layer is replaced.
    pub(super) fn condition_now(&self, diff_id: &Digest) -> Result<Condition, ImagesError> {
        let condition = self.condition_by(diff_id, false)?;
        if let Condition::Damaged = condition
            && self
                .store
                .verified(diff_id)
                .is_none_or(|known| known.damage.is_none())
        {
            let reason = "its files are not what they were".to_owned();
            let found = Verified::new(self.now(), Some(reason));
            self.store.note_verified(diff_id, &found)?;
        }
        Ok(condition)
    }

    fn condition_by(&self, diff_id: &Digest, is_checked: bool) -> Result<Condition, ImagesError> {
        let Some(seal) = self.seal(diff_id)? else {
            return Ok(match self.store.has_layer(diff_id) {
                false => Condition::Absent,
                true => Condition::Damaged,
            });
        };
        // What was found when it was last read as a whole holds until it is replaced.
        let known = self.store.verified(diff_id);
        if known.is_some_and(|known| known.damage.is_some()) {
            return Ok(Condition::Damaged);
        }
        let tree = beneath::open_dir(&self.store.tree_dir(diff_id)).map_err(UnpackError::Read);
        if is_checked && tree.is_ok() {
            return Ok(Condition::Whole);
        }
        let holds = tree.and_then(|tree| seal.holds(tree.as_fd(), &mut Content::empty()));
        // A tree that cannot be read is as bad as one that has changed.
        if let Ok(true) = holds {
            self.store.note_checked(diff_id)?;
            return Ok(Condition::Whole);
        }
        Ok(Condition::Damaged)
    }

    /// What a layer's files are to contain.
    pub(super) fn kept_content(&self, diff_id: &Digest) -> Result<Kept, ImagesError> {
        let Some(content) = self.store.content(diff_id)? else {
            return Ok(Kept::Absent);
        };
        let seal = self.store.seal(diff_id)?.unwrap_or_default();
        let content = Content::parse(&content, diff_id, &seal);
        Ok(content.map_or(Kept::Damaged, |content| Kept::Content(Box::new(content))))
    }

    /// A layer's seal; `None` if it has none that this release understands.
    pub(super) fn seal(&self, diff_id: &Digest) -> Result<Option<Seal>, ImagesError> {
        let bytes = self.store.seal(diff_id)?;
        Ok(bytes.and_then(|bytes| parse(&bytes, diff_id)))
    }

    /// Bytes of the files of a layer that was set aside, as far as it still says so, or as many as what replaced it has.
    pub(super) fn size_aside(&self, aside: &Aside) -> Result<u64, ImagesError> {
        let seal = match parse(&aside.seal(), &aside.layer) {
            None => self.seal(&aside.layer)?,
            known => known,
        };
        Ok(seal.map_or(0, |seal| seal.bytes))
    }
}

fn parse(bytes: &[u8], diff_id: &Digest) -> Option<Seal> {
    let file: SealFile = serde_json::from_slice(bytes).ok()?;
    (file.version == SEAL_VERSION && file.diff_id == *diff_id).then_some(file.seal)
}
