//! Why there is not enough room, with all the numbers.

use std::fmt;
use std::path::PathBuf;

/// What is needed and what there is; bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// What is to be brought.
    pub images: String,
    /// Where.
    pub path: PathBuf,
    /// What its files take, about.
    pub unpacked: u64,
    /// What its compressed layers take, if they are kept.
    pub kept: u64,
    /// How many files it has at least.
    pub files: u64,
    /// What is free.
    pub free: u64,
    /// How many files can still be made, where that is limited.
    pub inodes: Option<u64>,
    /// What has to stay free.
    pub reserve: u64,
    /// What images may take, and what they take already.
    pub quota: Option<(u64, u64)>,
    /// What could be had by removing what nobody needs.
    pub collectable: u64,
}

impl Shortage {
    /// Whether it would fit if so many bytes and files were freed.
    pub(super) fn is_helped_by(&self, bytes: u64, files: u64) -> bool {
        let needed = self.unpacked.saturating_add(self.kept);
        let free = self.free.saturating_add(bytes);
        let fits = needed.saturating_add(self.reserve) <= free;
        let is_allowed = self
            .quota
            .is_none_or(|(quota, used)| needed <= quota.saturating_sub(used.saturating_sub(bytes)));
        let inodes = self
            .inodes
            .is_none_or(|inodes| self.files <= inodes.saturating_add(files));
        fits && is_allowed && inodes
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needed = self.unpacked.saturating_add(self.kept);
        write!(
            f,
            "not enough space in {:?} for {}: about {needed} bytes are needed",
            self.path, self.images
        )?;
        if self.kept > 0 {
            write!(f, ", {} of them for compressed layers", self.kept)?;
        }
        write!(
            f,
            "; {} are free, of which {} are to stay so ([store] reserve)",
            self.free, self.reserve
        )?;
        if let Some((quota, used)) = self.quota {
            write!(
                f,
                "; images may take {quota} ([store] max_size) and take {used}"
            )?;
        }
        if let Some(inodes) = self.inodes.filter(|inodes| *inodes < self.files) {
            write!(
                f,
                "; at least {} files are needed, {inodes} can be made",
                self.files
            )?;
        }
        write!(
            f,
            "; {} bytes are taken by what nobody needs; remove images or containers first",
            self.collectable
        )
    }
}
