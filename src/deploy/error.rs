//! Why a verb failed. One line each, naming the thing; the deployment's log is all that its operator gets to see.

use super::hold::HoldError;
use super::inbox::InboxError;
use super::journal::JournalError;
use super::request::RequestError;
use super::state::{State, Verb};
use crate::engine::EngineError;
use crate::engine::network::NetworkError;
use crate::images::ImagesError;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The scope is somebody else's, or was taken away.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The tree holds no request.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// The request cannot be fulfilled by any device like this.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// An image could not be fetched or kept.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// The settings allow no more.
    #[error(
        "the deployment has fetched {fetched} bytes in all its tries, of the {limit} that it may ([download] budget): allow more, or make an artifact with less that is new"
    )]
    Budget {
        /// What came.
        fetched: u64,
        /// What may.
        limit: u64,
    },
    /// A port is somebody else's.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A container could not be handled.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A container's name belongs to one that the scope does not own.
    #[error(
        "container name {name:?} is in use by container {holder}, which is not of scope {scope:?}: rename or remove it"
    )]
    ForeignName {
        /// The name.
        name: String,
        /// Id of the container that has it.
        holder: String,
        /// The scope that wants it.
        scope: String,
    },
    /// What `--mount type=bind` names has to be there, other than with `--volume`.
    #[error(
        "bind source {source_path} of {label} does not exist: create it, or use --volume, which does"
    )]
    BindSource {
        /// The path.
        source_path: String,
        /// Which container.
        label: String,
    },
    /// The verb makes no sense now.
    #[error("{verb} refused: {state}")]
    Refused {
        /// What was asked for.
        verb: Verb,
        /// Why not.
        state: State,
    },
    /// What is prepared or on trial was asked for by another artifact.
    #[error("{verb} refused: artifact {there:?} is {what}, not the one that this call is about")]
    OtherArtifact {
        /// What was asked for.
        verb: Verb,
        /// The artifact that is there.
        there: String,
        /// Prepared, on trial.
        what: &'static str,
    },
    /// Somebody else has a trial.
    #[error(
        "Download refused: artifact {0:?} is on trial, which another client has to decide about"
    )]
    ForeignTrial(String),
    /// Somebody else is about to switch.
    #[error(
        "Download refused: artifact {artifact:?} is being installed by process {pid}; wait for its end"
    )]
    ForeignDownload {
        /// What comes next.
        artifact: String,
        /// The client.
        pid: u32,
    },
    /// Not from `dray install`.
    #[error("the environment variable DRAY_INSTALL is not what `dray install` sets: {0}")]
    Own(String),
    /// Nothing is on trial, and this artifact is not the committed one.
    #[error(
        "ArtifactCommit refused: nothing is on trial; the install was rolled back or never finished"
    )]
    NothingOnTrial,
    /// A container of the candidate ended before it counted as good.
    #[error("container {name} exited with status {status}{why}")]
    Exited {
        /// Its name.
        name: String,
        /// As a shell reports it.
        status: i32,
        /// What more is known, after a colon.
        why: String,
    },
    /// It ended and its policy was faster than our look.
    #[error(
        "container {name} exited with status {status} and was started again by its restart policy{why}"
    )]
    Restarted {
        /// Its name.
        name: String,
        /// As a shell reports it.
        status: i32,
        /// What more is known, after a colon.
        why: String,
    },
    /// Its health check says so.
    #[error("container {name} is unhealthy: {reason}")]
    Unhealthy {
        /// Its name.
        name: String,
        /// Exit status and output of the last probe.
        reason: String,
    },
    /// It got no verdict in time.
    #[error("container {name} is not healthy after {seconds} s")]
    NotHealthyInTime {
        /// Its name.
        name: String,
        /// The time it had.
        seconds: u64,
    },
    /// Several steps of a way back failed; each was said when it happened.
    #[error("failed to restore the committed containers: {first}{}", more(*.others))]
    Restore {
        /// The first failure.
        first: Box<DeployError>,
        /// How many more there were.
        others: usize,
    },
}

impl DeployError {
    /// Whether a download failed for reasons that have nothing to do with what has come of it: the next one goes on with that.
    pub(super) fn is_broken_off(&self) -> bool {
        match self {
            DeployError::Hold(_) | DeployError::Budget { .. } => true,
            DeployError::Images(error) => error.is_of_network(),
            _ => false,
        }
    }
}

fn more(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => ", and one more failure".to_owned(),
        n => format!(", and {n} more failures"),
    }
}
