//! The journal of a scope: one small file, replaced as a whole at every transition.
//!
//! Each verb writes what it is about to do before the first side effect, and its outcome after it, whether or not it
//! worked. So after a kill at any instruction the file names the one generation that has to run, and every container of
//! the scope whose generation the file does not name is left over and may go.
//!
//! A full disk must not keep a rollback from being recorded: beside the journal lies a file of [`RESERVE_BYTES`] that
//! serves nothing but being removed when a write finds no space; the next [`Journal::refill`] puts it back.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::state::{State, Verb};
use crate::oci::Digest;
use crate::sys;

/// Version of the format that this build writes, and the highest it reads.
const VERSION: u64 = 1;

/// Larger than the journal of four generations with the most services an artifact may have.
const MAX_BYTES: u64 = 1 << 20;

/// Room for a journal and for the engine's own small files of a rollback, when the disk is full.
const RESERVE_BYTES: usize = 256 << 10;

/// Longest failure text kept; it is for a reader, the whole of it went to the deployment's log.
const MAX_FAILURE: usize = 1000;

const JOURNAL: &str = "journal.json";
const DAMAGED: &str = "journal.damaged";
const RESERVE: &str = "reserve";

/// What one deployment wants, under a number that the scope never gives again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// Counts up from 1.
    pub number: u64,
    /// Mender's name for the artifact; for a reader only.
    pub artifact: String,
    /// Digest of the meta-data: an artifact's later verbs find the generation that its `Download` made. `None` is nobody's.
    pub request: Option<Digest>,
    /// When its containers count as good.
    pub health: Health,
    /// Its containers, each after those it depends on; empty while the download runs.
    pub services: Vec<Service>,
}

/// One container of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The container's id.
    pub container: String,
    /// The name it has while its generation runs; `None` leaves it the name it was created with.
    pub name: Option<String>,
    /// The image as the artifact calls it.
    pub image: String,
    /// What the image's reference stood for when it was fetched.
    pub digest: Digest,
}

/// When a started container counts as good, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Most time until a health check says healthy.
    pub timeout_s: u64,
    /// Time that a container without health check must stay up.
    pub stable_s: u64,
}

/// How the last verb ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Mender's word.
    pub verb: String,
    /// Why it failed; absent if it did not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<String>,
}

/// The recorded state of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    version: u64,
    /// Where the open deployment stands.
    pub state: State,
    /// Number of the next generation.
    pub next: u64,
    /// What the last finished deployment wants: the target of every rollback.
    pub committed: Option<Generation>,
    /// In [`State::Committed`]: the committed generation before, until the client can no longer ask for it.
    pub previous: Option<Generation>,
    /// In [`State::Switching`] and [`State::Trial`] what is switched to; while a further candidate is being downloaded, the
    /// uncommitted one that runs meanwhile.
    pub trial: Option<Generation>,
    /// In [`State::Downloading`] and [`State::Prepared`]: what may be switched to next.
    pub candidate: Option<Generation>,
    /// In [`State::Downloading`] and [`State::Prepared`]: the way back to the committed generation failed before, and has to
    /// be tried again when this candidate is dropped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsettled: bool,
    /// How the last verb ended.
    pub last: Option<Outcome>,
}

impl Generation {
    /// Whether the `Download` that had this request made it.
    pub fn is_of(&self, request: Option<Digest>) -> bool {
        request.is_some() && self.request == request
    }
}

impl Default for Record {
    fn default() -> Record {
        Record {
            version: VERSION,
            state: State::Idle,
            next: 1,
            committed: None,
            previous: None,
            trial: None,
            candidate: None,
            unsettled: false,
            last: None,
        }
    }
}

impl Record {
    /// The generation whose containers run when the verb at hand is over and nothing else was asked for.
    pub fn running(&self) -> Option<&Generation> {
        match self.state {
            State::Switching | State::RollingBack => self.committed.as_ref(),
            _ => self.trial.as_ref().or(self.committed.as_ref()),
        }
    }

    /// What runs, or is being switched to, and nobody committed.
    pub fn on_trial(&self) -> Option<&Generation> {
        match self.state {
            State::Committed => None,
            _ => self.trial.as_ref(),
        }
    }

    /// What a client may still decide about: what is on trial or being switched to, and what may be next; after a commit
    /// without a cleanup what was committed.
    pub fn open(&self) -> impl Iterator<Item = &Generation> {
        let open = match self.state {
            State::Idle => [None, None],
            State::Committed => [self.committed.as_ref(), None],
            _ => [self.trial.as_ref(), self.candidate.as_ref()],
        };
        open.into_iter().flatten()
    }

    /// Every generation whose containers and pins have to stay.
    pub fn kept(&self) -> impl Iterator<Item = &Generation> {
        [
            &self.committed,
            &self.previous,
            &self.trial,
            &self.candidate,
        ]
        .into_iter()
        .flatten()
    }

    /// Reads the text of a journal.
    pub fn parse(text: &[u8]) -> Result<Record, RecordError> {
        /// Only the version, so that a later format is told from a damaged one.
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let versioned: Versioned = serde_json::from_slice(text).map_err(RecordError::Json)?;
        if versioned.version > VERSION {
            return Err(RecordError::Newer(versioned.version));
        }
        serde_json::from_slice(text).map_err(RecordError::Json)
    }
}

/// Why a text is not a journal.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Written by a later dray.
    #[error(
        "it has version {0}, but this dray knows only {VERSION}: it was written by a later dray"
    )]
    Newer(u64),
    /// Damaged.
    #[error("it is damaged: {0}")]
    Json(#[source] serde_json::Error),
}

/// Why the journal cannot be used. Nothing is done without it.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The scope's folder.
    #[error("failed to create folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Reading.
    #[error("failed to read journal {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Understanding.
    #[error("failed to read journal {}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: RecordError,
    },
    /// Writing.
    #[error("failed to write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The journal of one scope, loaded. Whoever has one holds the scope's lock.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    record: Record,
    existed: bool,
}

impl Journal {
    /// Reads the journal in `dir`; a scope without one has never been deployed to. Unfinished writes go.
    pub fn load(dir: &Path) -> Result<Journal, JournalError> {
        // A state folder that is read-only, or not there yet, is no reason to refuse a query or a rollback here.
        let _ = sys::fs::sweep_scratch(dir);
        let read = Journal::look(dir)?;
        Ok(Journal {
            dir: dir.to_owned(),
            existed: read.is_some(),
            record: read.unwrap_or_default(),
        })
    }

    /// What the journal in `dir` says, without a lock: for who only wants to know. `None` without one.
    pub fn look(dir: &Path) -> Result<Option<Record>, JournalError> {
        let path = dir.join(JOURNAL);
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text));
        match read {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(JournalError::Read { path, source }),
            Ok(_) => match Record::parse(&text) {
                Ok(record) => Ok(Some(record)),
                Err(source) => Err(JournalError::Parse { path, source }),
            },
        }
    }

    /// What it says.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Whether it is on disk.
    pub fn exists(&self) -> bool {
        self.existed
    }

    /// Changes the record durably, or not at all. On a full disk the reserve makes room.
    pub fn update(&mut self, change: impl FnOnce(&mut Record)) -> Result<(), JournalError> {
        let mut record = self.record.clone();
        change(&mut record);
        self.create_folder()?;
        let path = self.dir.join(JOURNAL);
        let fail = |source| JournalError::Write {
            path: path.clone(),
            source,
        };
        let text = serde_json::to_vec_pretty(&record).map_err(|e| fail(e.into()))?;
        match sys::fs::replace(&path, 0o600, &text) {
            Err(error) if is_full(&error) => {
                self.spend_reserve()?;
                sys::fs::replace(&path, 0o600, &text)
            }
            written => written,
        }
        .map_err(fail)?;
        self.record = record;
        self.existed = true;
        Ok(())
    }

    /// Sets a journal aside that cannot be read, and begins anew; nothing that it said is lost to a reader.
    pub fn set_aside(dir: &Path) -> Result<Journal, JournalError> {
        let path = dir.join(JOURNAL);
        sys::fs::publish(&path, &dir.join(DAMAGED))
            .map_err(|source| JournalError::Write { path, source })?;
        Journal::load(dir)
    }

    /// Gives the reserve's space back to whatever has to be written now.
    pub fn spend_reserve(&self) -> Result<(), JournalError> {
        let path = self.dir.join(RESERVE);
        sys::fs::remove_file(&path).map_err(|source| JournalError::Write { path, source })
    }

    fn create_folder(&self) -> Result<(), JournalError> {
        sys::fs::create_dirs(&self.dir).map_err(|source| JournalError::Folder {
            path: self.dir.clone(),
            source,
        })
    }

    /// Makes sure that the reserve is there.
    pub fn refill(&self) -> Result<(), JournalError> {
        let path = self.dir.join(RESERVE);
        if path
            .metadata()
            .is_ok_and(|meta| meta.len() == RESERVE_BYTES as u64)
        {
            return Ok(());
        }
        self.create_folder()?;
        sys::fs::replace(&path, 0o600, &incompressible())
            .map_err(|source| JournalError::Write { path, source })
    }

    /// Records how a verb ended; the text of a failure is cut to a line.
    pub fn note(&mut self, verb: Verb, failure: Option<String>) -> Result<(), JournalError> {
        let failure = failure.map(|text| text.chars().take(MAX_FAILURE).collect());
        self.update(|record| {
            record.last = Some(Outcome {
                verb: verb.name().to_owned(),
                failure,
            });
        })
    }
}

/// Whether an error means that the disk, or this user's part of it, is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}

/// Bytes that take up their full size on filesystems that compress (UBIFS, btrfs, f2fs).
fn incompressible() -> Vec<u8> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(RESERVE_BYTES);
    while bytes.len() < RESERVE_BYTES {
        // xorshift64: only has to look random to a compressor.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        bytes.extend_from_slice(&seed.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests;
