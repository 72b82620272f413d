//! Why an artifact was not installed, committed or taken back.

use std::io;
use std::path::{Path, PathBuf};

use super::call::CallError;
use super::provides::Unmet;
use crate::artifact::reader::ReadError;
use crate::deploy::JournalError;

/// What is in the way, or what failed.
#[derive(Debug, thiserror::Error)]
pub enum StandaloneError {
    /// A file or folder of ours or of Mender's.
    #[error("failed to {act} {}: {source}", path.display())]
    Io {
        /// Read, write.
        act: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The record cannot be understood. It says what is installed, so nothing is done without it.
    #[error("failed to read {}: {problem}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// One of Mender's files, or of the keys.
    #[error("{}: {problem}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody says what kind of device this is.
    #[error(
        "what kind of device this is, is not known: {} has no line device_type=…, and the ini file has no device_type in [artifact]",
        path.display()
    )]
    NoDeviceType {
        /// Mender's file.
        path: PathBuf,
    },
    /// Another word is at work.
    #[error("`dray {word}` is at work in process {pid}: wait for its end")]
    Busy {
        /// Which.
        word: String,
        /// Its process.
        pid: i32,
    },
    /// The same, and it has not said yet who it is.
    #[error("another `dray install`, `commit` or `rollback` is at work: wait for its end")]
    BusyNow,
    /// There is one already.
    #[error("update already in progress: {0}")]
    InProgress(String),
    /// A word that comes at the wrong time.
    #[error("cannot {word} now: {why}")]
    NotNow {
        /// What was asked for.
        word: &'static str,
        /// What there is instead.
        why: String,
    },
    /// Nothing is installed that could be committed or taken back.
    #[error("there is nothing to {0}: no install is open")]
    Nothing(&'static str),
    /// Somebody else's deployment came after this one.
    #[error(
        "artifact {ours:?} is no longer what is on trial: artifact {theirs:?} came in its place, and who brought that has to {word} it; the install of {ours:?} is forgotten"
    )]
    Superseded {
        /// What was asked for.
        word: &'static str,
        /// What was installed here.
        ours: String,
        /// What is there.
        theirs: String,
    },
    /// What runs is somebody else's to commit.
    #[error(
        "artifact {artifact:?} of scope {scope:?} is on trial, and dray install did not make it: commit or roll it back with the Mender client that did; if that one has forgotten it, --replace-trial goes on, and a rollback then leads to what was committed before it"
    )]
    ForeignTrial {
        /// What runs.
        artifact: String,
        /// Whose containers.
        scope: String,
    },
    /// Not a sound artifact, or not signed by who may.
    #[error("the artifact is refused: {0}")]
    Artifact(ReadError),
    /// Not one that can be installed here.
    #[error("artifact {artifact:?} is refused: {problem}")]
    Kind {
        /// Its name.
        artifact: String,
        /// What it is instead.
        problem: String,
    },
    /// Not for this device.
    #[error("artifact {artifact:?} is refused: {unmet}")]
    Unmet {
        /// Its name.
        artifact: String,
        /// What is missing.
        unmet: Unmet,
    },
    /// A state failed.
    #[error("{0}")]
    Call(#[from] CallError),
    /// A program that runs before or behind a state.
    #[error("state script {name} {problem}")]
    Script {
        /// Its file's name.
        name: String,
        /// What became of it.
        problem: String,
    },
    /// What the scope's journal says is not known.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Asked to end.
    #[error("aborted: a signal asked for the end")]
    Aborted,
    /// It failed, and that is all: the way back came through.
    #[error("{0}; what was installed before runs again")]
    TakenBack(Box<StandaloneError>),
    /// The way back failed as well.
    #[error("{0}; the way back failed too, and the device is neither here nor there")]
    Inconsistent(Box<StandaloneError>),
    /// Too late for a rollback.
    #[error("artifact {0:?} is no longer on trial: a Mender client committed it")]
    CommittedMeanwhile(String),
    /// Nothing was taken back.
    #[error(
        "artifact {0:?} is committed, but a state script behind the commit failed, as said above: what the device provides is called {0}_INCONSISTENT"
    )]
    Incomplete(String),
    /// A rollback that a person asked for.
    #[error(
        "the way back did not come through whole, as said above: what the device provides is called {0}_INCONSISTENT"
    )]
    NotRestored(String),
}

impl StandaloneError {
    pub(super) fn io(act: &'static str, path: &Path, source: io::Error) -> StandaloneError {
        StandaloneError::Io {
            act,
            path: path.to_owned(),
            source,
        }
    }
}
