//! What has to be known after a power cut: what the device provides, and how far an install came that is not over.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::StandaloneError;
use super::provides::Provides;
use crate::host::Host;
use crate::oci::Digest;
use crate::sys;

/// Version of the format that this build writes, and the only one it reads.
const VERSION: u64 = 1;

/// An artifact's documents have a megabyte each.
const MAX_BYTES: u64 = 8 << 20;

/// How far an install is; each but the third is recorded before what it names begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The module may be fetching; nothing was switched.
    Download,
    /// The module may be switching.
    ArtifactInstall,
    /// It is installed and runs, and nobody committed it.
    Installed,
    /// The module may be committing.
    ArtifactCommit,
    /// The module may be going back.
    ArtifactRollback,
    /// It went back, as far as it could.
    ArtifactFailure,
    /// It is committed, and recorded; scripts behind the commit may be running.
    Committed,
    /// It is over, one way or the other, and recorded; what nothing needs may still be there.
    Cleanup,
}

/// An install that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// Name of the artifact.
    pub artifact: String,
    /// Whose containers it replaces.
    pub scope: String,
    /// Digest of the request as the module is shown it: what the module calls the deployment's own.
    pub request: Digest,
    /// How far it is.
    pub stage: Stage,
    /// What the device provides once it is committed.
    pub provides: Provides,
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let artifact = &self.artifact;
        match self.stage {
            Stage::Download => write!(
                f,
                "the install of artifact {artifact:?} was cut before anything was switched"
            ),
            Stage::Installed => write!(
                f,
                "artifact {artifact:?} is installed but not committed: `dray commit` keeps it, `dray rollback` goes back"
            ),
            Stage::ArtifactCommit => write!(
                f,
                "the commit of artifact {artifact:?} was cut: `dray commit` finishes it, `dray rollback` goes back"
            ),
            Stage::ArtifactInstall | Stage::ArtifactRollback | Stage::ArtifactFailure => write!(
                f,
                "artifact {artifact:?} is neither installed nor taken back, as it was cut in {:?}: `dray rollback` goes back",
                self.stage
            ),
            Stage::Committed => write!(
                f,
                "the commit of artifact {artifact:?} was cut when it had been recorded; the next word finishes it"
            ),
            Stage::Cleanup => write!(
                f,
                "the end of the install of artifact {artifact:?} was cut; the next word finishes it"
            ),
        }
    }
}

/// Everything that is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    version: u64,
    /// What is installed and committed; `None` before anything was.
    pub provides: Option<Provides>,
    /// What is not over.
    pub pending: Option<Pending>,
}

impl Default for Record {
    fn default() -> Record {
        Record {
            version: VERSION,
            provides: None,
            pending: None,
        }
    }
}

/// The record on disk.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    record: Record,
}

impl Store {
    /// Reads the record; without one nothing was ever installed.
    pub fn load(host: &Host) -> Result<Store, StandaloneError> {
        let dir = host.state.join("standalone");
        let path = dir.join("artifact.json");
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text));
        let record = match read {
            Err(error) if error.kind() == ErrorKind::NotFound => Record::default(),
            Err(error) => return Err(StandaloneError::io("read", &path, error)),
            Ok(_) => parse(&path, &text)?,
        };
        Ok(Store { dir, record })
    }

    /// What it says.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The folder of all that belongs to it.
    pub fn folder(&self) -> &Path {
        &self.dir
    }

    /// Changes it durably, or not at all. Only who has the lock does.
    pub fn update(&mut self, change: impl FnOnce(&mut Record)) -> Result<(), StandaloneError> {
        let mut record = self.record.clone();
        change(&mut record);
        let path = self.dir.join("artifact.json");
        let fail = |error| StandaloneError::io("write", &path, error);
        sys::fs::create_dirs(&self.dir).map_err(fail)?;
        let text = serde_json::to_vec_pretty(&record).map_err(|error| fail(error.into()))?;
        // What is written has to be read again.
        if text.len() as u64 > MAX_BYTES {
            let problem =
                format!("what the artifacts provide would take more than {MAX_BYTES} bytes");
            return Err(StandaloneError::Setting { path, problem });
        }
        sys::fs::replace(&path, 0o600, &text).map_err(fail)?;
        self.record = record;
        Ok(())
    }
}

fn parse(path: &Path, text: &[u8]) -> Result<Record, StandaloneError> {
    let damaged = |problem: String| StandaloneError::Record {
        path: path.to_owned(),
        problem,
    };
    let value: serde_json::Value =
        serde_json::from_slice(text).map_err(|error| damaged(format!("it is damaged: {error}")))?;
    match value["version"].as_u64() {
        Some(VERSION) => {}
        Some(newer) if newer > VERSION => {
            return Err(damaged(format!(
                "it has version {newer}, but this dray knows only {VERSION}: it was written by a later dray"
            )));
        }
        _ => return Err(damaged("it is damaged: it has no version".to_owned())),
    }
    serde_json::from_value(value).map_err(|error| damaged(format!("it is damaged: {error}")))
}
