//! Blobs on their way, so that a pull that is broken off goes on where it was, also after a restart.
//!
//! ```text
//! <state>/partial/               made when first needed; nothing in it is believed, and no sweep looks at it
//!   <hex>                        the first bytes of a blob, locked by who brings it
//!   <hex>.marks                  lines `BYTES DIGEST`: what the blob's first BYTES bytes hash to
//!   layer-<hex of its diff id>   a note that this layer is whole, and the image it is of is not (`unfinished`)
//! ```
//!
//! After a power cut a file may have its size and not its content, so it is read from its beginning and compared with
//! each mark before its bytes are given to anybody ([`Replay`]): a bad end costs the end, not all. That also makes the
//! order in which bytes and marks come to the disk indifferent. What is kept is bounded in age and number, and the first
//! to go when room is needed.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest as _, Sha256};

use super::{Store, StoreError, failed};
use crate::oci::Digest;
use crate::sys::lock::Exclusive;
use crate::sys::{beneath, fs};

/// Bytes between two marks: what a restart may cost.
const MARK_EVERY: u64 = 16 << 10;

/// Most bytes between two marks that are believed: they are read at once.
const MAX_GAP: u64 = MARK_EVERY + (256 << 10);

/// Longest line of the marks.
const MAX_LINE: u64 = 100;

/// How often what is there is made durable, so that a power cut costs this much time at most.
const SYNC_EVERY: Duration = Duration::from_secs(10);

/// How long anything here is kept for a pull that may come again.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many blobs are kept for that.
const MAX_NUMBER: usize = 64;

/// A blob on its way; whoever has it is the only one who writes it.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    marks_path: PathBuf,
    data: File,
    marks: File,
    unmarked: u64,
    synced: Instant,
    _lock: Exclusive,
}

/// The proven beginning of a blob.
#[derive(Debug)]
pub struct Replay {
    data: File,
    marks: BufReader<File>,
    hasher: Sha256,
    /// The bytes up to the last mark, and how many of them were given away.
    block: Vec<u8>,
    given: usize,
    proven: u64,
    marks_length: u64,
}

/// Something in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What the blob takes.
    pub bytes: u64,
    /// When the last byte came.
    pub changed: SystemTime,
    /// Somebody brings it just now.
    pub is_active: bool,
}

impl Store {
    pub(super) fn partial_dir(&self) -> PathBuf {
        self.root().join("partial")
    }

    /// What is here of a blob, empty at first; `None` if somebody else is bringing it.
    pub fn partial(&self, blob: &Digest) -> Result<Option<Partial>, StoreError> {
        let dir = self.partial_dir();
        fs::create_dirs(&dir).map_err(failed("create", &dir))?;
        let path = dir.join(blob.hex());
        let Some(lock) = Exclusive::attempt(&path).map_err(failed("lock", &path))? else {
            return Ok(None);
        };
        let marks_path = path.with_extension("marks");
        let open = |path: &Path| {
            OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .mode(0o600)
                .open(path)
                .map_err(failed("open", path))
        };
        let data = open(&path)?;
        // Whoever had it before may have removed it between the two calls.
        let same = beneath::status(data.as_fd())
            .and_then(|data| Ok(data.inode == beneath::status(lock.as_fd())?.inode));
        if !same.map_err(failed("read", &path))? {
            return Ok(None);
        }
        Ok(Some(Partial {
            marks: open(&marks_path)?,
            path,
            marks_path,
            data,
            unmarked: 0,
            synced: Instant::now(),
            _lock: lock,
        }))
    }

    /// How much is here of a blob, proven or not.
    pub fn partial_length(&self, blob: &Digest) -> u64 {
        let path = self.partial_dir().join(blob.hex());
        path.metadata().map_or(0, |metadata| metadata.len())
    }

    /// The blobs that are partly here.
    pub fn partials(&self) -> Result<Vec<(Digest, Kept)>, StoreError> {
        let mut found = Vec::new();
        for (name, path) in self.partial_entries()? {
            let Ok(blob) = Digest::from_hex(&name) else {
                continue;
            };
            let Ok(metadata) = path.metadata() else {
                continue;
            };
            let held = Exclusive::is_held(&path).map_err(failed("lock", &path))?;
            let kept = Kept {
                bytes: metadata.len(),
                changed: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                is_active: held,
            };
            found.push((blob, kept));
        }
        Ok(found)
    }

    /// Removes the partial blobs that nobody is bringing and that `which` chooses; which those were, and their bytes.
    pub fn remove_partials(
        &self,
        which: impl Fn(&Digest) -> bool,
    ) -> Result<Vec<(Digest, u64)>, StoreError> {
        let mut removed = Vec::new();
        for (blob, kept) in self.partials()? {
            if !kept.is_active
                && which(&blob)
                && let Some(partial) = self.partial(&blob)?
            {
                partial.remove()?;
                removed.push((blob, kept.bytes));
            }
        }
        Ok(removed)
    }

    /// Removes what is too old or too much to be kept for a pull that may come again.
    pub fn tidy_partials(&self, now: SystemTime) -> Result<(), StoreError> {
        let dir = self.partial_dir();
        if dir.exists() {
            // Notes that somebody was killed over.
            fs::sweep_abandoned(&dir).map_err(failed("clear", &dir))?;
        }
        let idle = self.partials()?.into_iter();
        let idle = idle.filter(|(_, kept)| !kept.is_active);
        let idle = idle.map(|(blob, kept)| (blob, kept.changed));
        let doomed = outdated(idle, MAX_NUMBER, now);
        self.remove_partials(|blob| doomed.contains(blob))?;
        self.tidy_unfinished(now)
    }

    pub(super) fn partial_entries(&self) -> Result<Vec<(String, PathBuf)>, StoreError> {
        let dir = self.partial_dir();
        let entries = match std::fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed("read", &dir))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed("read", &dir))?;
            if let Ok(name) = entry.file_name().into_string() {
                found.push((name, entry.path()));
            }
        }
        Ok(found)
    }
}

/// Those that are older than they may be, or have `most` newer ones. A clock that was set back makes nothing old.
pub(super) fn outdated(
    all: impl Iterator<Item = (Digest, SystemTime)>,
    most: usize,
    now: SystemTime,
) -> Vec<Digest> {
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(_, changed)| std::cmp::Reverse(*changed));
    let is_old = |changed: SystemTime| {
        let age = now.duration_since(changed);
        age.is_ok_and(|age| age > MAX_AGE)
    };
    let all = all.into_iter().enumerate();
    all.filter(|(place, (_, changed))| *place >= most || is_old(*changed))
        .map(|(_, (digest, _))| digest)
        .collect()
}

impl Partial {
    /// Whether nothing of it is here.
    pub fn is_empty(&self) -> bool {
        self.data.metadata().is_ok_and(|data| data.len() == 0)
    }

    /// Its bytes from the beginning, as far as they are what they were.
    pub fn replay(&self) -> io::Result<Replay> {
        // Descriptors of their own: these have places of their own to read at.
        let reopen = |path: &Path| OpenOptions::new().read(true).write(true).open(path);
        Ok(Replay {
            data: reopen(&self.path)?,
            marks: BufReader::new(reopen(&self.marks_path)?),
            hasher: Sha256::new(),
            block: Vec::new(),
            given: 0,
            proven: 0,
            marks_length: 0,
        })
    }

    /// Adds what came; `position` is where it ends in the blob, and `so_far` hashes all up to there.
    pub fn add(
        &mut self,
        bytes: &[u8],
        position: u64,
        so_far: impl FnOnce() -> Option<Digest>,
    ) -> io::Result<()> {
        self.data.write_all(bytes)?;
        self.unmarked += bytes.len() as u64;
        if self.unmarked < MARK_EVERY {
            return Ok(());
        }
        if let Some(digest) = so_far() {
            let line = format!("{position} {}\n", digest.hex());
            self.marks.write_all(line.as_bytes())?;
            self.unmarked = 0;
        }
        if self.synced.elapsed() >= SYNC_EVERY {
            self.synced = Instant::now();
            self.data.sync_data()?;
            self.marks.sync_data()?;
            // Its name too.
            fs::sync_parent(&self.path)?;
        }
        Ok(())
    }

    /// It is no longer needed, or no good.
    pub fn remove(self) -> Result<(), StoreError> {
        for path in [&self.marks_path, &self.path] {
            fs::remove_file_volatile(path).map_err(failed("remove", path))?;
        }
        Ok(())
    }
}

impl Replay {
    /// How many bytes have been proven. All that is here, once a read has come to the end.
    pub fn proven(&self) -> u64 {
        self.proven
    }

    /// Reads the bytes up to the next mark; `false` if they are not what they were, or if there is no mark any more.
    fn prove_next(&mut self) -> io::Result<bool> {
        let mut line = String::new();
        let read = (&mut self.marks).take(MAX_LINE).read_line(&mut line);
        let Ok(length) = read else {
            return Ok(false);
        };
        let mark = line.strip_suffix('\n').and_then(|line| {
            let (position, hex) = line.split_once(' ')?;
            let position: u64 = position.parse().ok()?;
            Some((position, Digest::from_hex(hex).ok()?))
        });
        let gap = |position: u64| {
            let gap = position.checked_sub(self.proven)?;
            (1..=MAX_GAP).contains(&gap).then_some(gap)
        };
        let Some((position, gap, digest)) = mark.and_then(|(p, d)| Some((p, gap(p)?, d))) else {
            return Ok(false);
        };
        self.block.resize(gap as usize, 0);
        self.given = 0;
        let read = self.data.read_exact(&mut self.block);
        self.hasher.update(&self.block);
        if read.is_err() || Digest::finish(self.hasher.clone()) != digest {
            self.block.clear();
            return Ok(false);
        }
        self.proven = position;
        self.marks_length += length as u64;
        Ok(true)
    }

    /// Cuts off what is not proven; what follows is added there.
    fn cut(&mut self) -> io::Result<()> {
        self.data.set_len(self.proven)?;
        let marks = self.marks.get_mut();
        marks.set_len(self.marks_length)?;
        marks.seek(SeekFrom::End(0)).map(drop)
    }
}

impl Read for Replay {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.block.len() && !self.prove_next()? {
            (self.block, self.given) = (Vec::new(), 0);
            return self.cut().map(|()| 0);
        }
        let left = &self.block[self.given..];
        let read = left.len().min(buffer.len());
        buffer[..read].copy_from_slice(&left[..read]);
        self.given += read;
        Ok(read)
    }
}
