//! Mender's words, the recorded states, and what each pair asks for. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A state call of Mender's update module interface that this module acts on, spelled as Mender spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// May the client announce sizes with the payload files?
    ProvidePayloadFileSizes,
    /// Fetch and check everything while the old containers run.
    Download,
    /// The same, for a client that announces sizes.
    DownloadWithFileSizes,
    /// Switch to the prepared containers.
    ArtifactInstall,
    /// Does the device have to reboot?
    NeedsArtifactReboot,
    /// Can the module go back?
    SupportsRollback,
    /// Make the trial permanent.
    ArtifactCommit,
    /// Go back to the committed containers.
    ArtifactRollback,
    /// The deployment failed; finish what is open.
    ArtifactFailure,
    /// The deployment is over; remove what nothing needs.
    Cleanup,
}

impl Verb {
    /// Every verb, in the order of a deployment.
    pub const ALL: [Verb; 10] = [
        Verb::ProvidePayloadFileSizes,
        Verb::Download,
        Verb::DownloadWithFileSizes,
        Verb::ArtifactInstall,
        Verb::NeedsArtifactReboot,
        Verb::SupportsRollback,
        Verb::ArtifactCommit,
        Verb::ArtifactRollback,
        Verb::ArtifactFailure,
        Verb::Cleanup,
    ];

    /// The verb that Mender means; `None` for states that ask nothing of this module, which answers them with silence.
    pub fn named(word: &str) -> Option<Verb> {
        Verb::ALL.into_iter().find(|verb| verb.name() == word)
    }

    /// Mender's word.
    pub fn name(self) -> &'static str {
        match self {
            Verb::ProvidePayloadFileSizes => "ProvidePayloadFileSizes",
            Verb::Download => "Download",
            Verb::DownloadWithFileSizes => "DownloadWithFileSizes",
            Verb::ArtifactInstall => "ArtifactInstall",
            Verb::NeedsArtifactReboot => "NeedsArtifactReboot",
            Verb::SupportsRollback => "SupportsRollback",
            Verb::ArtifactCommit => "ArtifactCommit",
            Verb::ArtifactRollback => "ArtifactRollback",
            Verb::ArtifactFailure => "ArtifactFailure",
            Verb::Cleanup => "Cleanup",
        }
    }

    /// The answer to a query. Queries look at nothing: clients ask them before, between and after everything else.
    pub fn answer(self) -> Option<&'static str> {
        match self {
            Verb::ProvidePayloadFileSizes | Verb::SupportsRollback => Some("Yes"),
            Verb::NeedsArtifactReboot => Some("No"),
            _ => None,
        }
    }

    /// Whether a failure is reported but not returned: these two end a deployment whatever happens, and a client marks
    /// the artifact inconsistent when they fail.
    pub fn always_succeeds(self) -> bool {
        matches!(self, Verb::ArtifactFailure | Verb::Cleanup)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the journal says about a scope. In every state the committed generation, if there is one, is the rollback target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// No deployment is open: the committed generation runs, or nothing was ever committed.
    Idle,
    /// A candidate is being fetched and created; what runs is the committed generation, or a trial that nobody committed.
    Downloading,
    /// The candidate is complete and has not run; the same runs as while downloading.
    Prepared,
    /// The switch has begun: any of the scope's containers may be up or down.
    Switching,
    /// The candidate runs and is good, but nobody committed it yet.
    Trial,
    /// The candidate became the committed generation; the one before it is kept for a client that still wants to go back.
    Committed,
    /// The way back to the committed generation has begun.
    RollingBack,
}

impl State {
    /// Every state.
    pub const ALL: [State; 7] = [
        State::Idle,
        State::Downloading,
        State::Prepared,
        State::Switching,
        State::Trial,
        State::Committed,
        State::RollingBack,
    ];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Idle => "no deployment is open",
            State::Downloading => "a download was not finished",
            State::Prepared => "a candidate is prepared",
            State::Switching => "an install was not finished",
            State::Trial => "a candidate is on trial",
            State::Committed => "the deployment is committed",
            State::RollingBack => "a rollback was not finished",
        })
    }
}

/// What a verb does in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Settle, then check, fetch and create a candidate.
    Prepare,
    /// Stop what runs, start the candidate, wait for its health.
    Switch,
    /// The candidate was switched to before: see that it is this artifact's.
    ConfirmTrial,
    /// Make the trial the committed generation.
    Commit,
    /// Nothing is on trial: see that this artifact is the committed one.
    ConfirmCommitted,
    /// Drop a candidate that never ran, and go back to the committed generation if anything else ran.
    RollBack,
    /// Settle and remove what nothing needs.
    CleanUp,
    /// Nothing.
    Nothing,
    /// Say why not.
    Refuse,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_menders_and_only_those() {
        for verb in Verb::ALL {
            assert_eq!(Verb::named(verb.name()), Some(verb));
        }
        for other in [
            "",
            "download",
            "Download ",
            "ArtifactReboot",
            "ArtifactVerifyReboot",
            "ArtifactRollbackReboot",
            "ArtifactVerifyRollbackReboot",
            "Idle",
            "Download\n",
        ] {
            assert_eq!(Verb::named(other), None, "{other:?}");
        }
    }

    #[test]
    fn queries_have_exactly_these_answers() {
        let answers: Vec<_> = Verb::ALL
            .into_iter()
            .filter_map(|verb| Some((verb.name(), verb.answer()?)))
            .collect();
        assert_eq!(
            answers,
            [
                ("ProvidePayloadFileSizes", "Yes"),
                ("NeedsArtifactReboot", "No"),
                ("SupportsRollback", "Yes"),
            ]
        );
    }
}
