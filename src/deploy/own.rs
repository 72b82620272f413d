//! Verbs that are about one artifact and no other.
//!
//! A Mender client is alone on its device, and each of its verbs means whatever deployment is open. `dray install` may share
//! a device with such a client, which can begin a deployment between any two of its verbs. So it says in the environment of
//! each call which artifact it means; a verb that finds another one open leaves it alone.

use serde::{Deserialize, Serialize};

use super::error::DeployError;
use super::journal::{Generation, Record};
use super::state::{State, Verb};
use crate::host::Host;
use crate::oci::Digest;

/// The environment variable. Its value is an [`Own`] as JSON.
pub const VARIABLE: &str = "DRAY_INSTALL";

/// The one artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// Its name.
    pub artifact: String,
    /// Whose containers it replaces.
    pub scope: String,
    /// Digest of its meta-data as it lies in the work tree.
    pub request: Digest,
    /// The process that calls, by which an orphan knows that it is one from its first instruction on.
    pub caller: u32,
    /// Whether it may take the place of a trial that somebody else made.
    pub replaces_trial: bool,
}

/// What becomes of a verb that finds somebody else's deployment.
#[derive(Debug)]
pub enum Finding {
    /// It is done: there is nothing of its own to take back.
    LeftAlone(String),
    /// It is not done.
    Refused(DeployError),
}

impl Own {
    /// What the caller's environment says; nothing of the kind comes from a Mender client.
    pub fn of(host: &Host) -> Result<Option<Own>, DeployError> {
        let Some(text) = host.var(VARIABLE) else {
            return Ok(None);
        };
        let own = serde_json::from_str(text).map_err(|error| DeployError::Own(error.to_string()));
        own.map(Some)
    }

    /// As the variable's value.
    pub fn to_value(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Whether a generation is of this artifact.
    pub fn is(&self, generation: &Generation) -> bool {
        generation.is_of(Some(self.request)) && generation.artifact == self.artifact
    }

    /// Looks whether `verb` would act on somebody else's deployment; `client` is a living one that was the last to ask for a
    /// verb.
    pub fn finding(&self, verb: Verb, record: &Record, client: Option<u32>) -> Option<Finding> {
        if record.open().any(|open| self.is(open)) {
            return None;
        }
        let artifact = record.open().next()?.artifact.clone();
        match verb {
            Verb::Download | Verb::DownloadWithFileSizes => {
                let other = client.filter(|client| *client != self.caller);
                let refused = match (record.on_trial(), other) {
                    _ if self.replaces_trial => return None,
                    (Some(_), _) => DeployError::ForeignTrial(artifact),
                    (None, Some(pid)) if record.state != State::Committed => {
                        DeployError::ForeignDownload { artifact, pid }
                    }
                    _ => return None,
                };
                Some(Finding::Refused(refused))
            }
            Verb::ArtifactRollback | Verb::ArtifactFailure | Verb::Cleanup => {
                Some(Finding::LeftAlone(format!(
                    "{verb} of artifact {:?} leaves artifact {artifact:?} alone, which came in its place",
                    self.artifact
                )))
            }
            Verb::ArtifactCommit => Some(Finding::Refused(DeployError::OtherArtifact {
                verb,
                there: artifact,
                what: "there now",
            })),
            // Whoever asks installs nothing but what he prepared; queries have one answer.
            _ => None,
        }
    }
}
