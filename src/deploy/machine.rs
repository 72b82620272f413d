//! The whole flow: one match over Mender's verb and the recorded state.

use std::path::Path;

use super::Context;
use super::error::DeployError;
use super::hold::{Claimant, Hold};
use super::inbox::Inbox;
use super::own::{Finding, Own};
use super::site::Site;
use super::state::{
    Action,
    State::{self, *},
    Verb::{self, *},
};
use super::{prepare, recover, streams, switch};

/// What `verb` does in `state`. Every verb may come in every state: after a kill of the module, of the client or of the
/// power at any instruction, and from two generations of clients that disagree about the order.
pub fn decide(verb: Verb, state: State) -> Action {
    match (verb, state) {
        // A query is answered without looking at the state (`Verb::answer`).
        (ProvidePayloadFileSizes | NeedsArtifactReboot | SupportsRollback, _) => Action::Nothing,

        // A new deployment begins, whatever became of the one before; nobody can ask for that one any more.
        (Download | DownloadWithFileSizes, _) => Action::Prepare,

        // The switch, or the switch again after it was cut.
        (ArtifactInstall, Prepared | Switching) => Action::Switch,
        // It was switched to already, and its verb killed before the client heard of it.
        (ArtifactInstall, Trial) => Action::ConfirmTrial,
        // Nothing complete to switch to: what runs goes on running.
        (ArtifactInstall, Idle | Downloading | Committed | RollingBack) => Action::Refuse,

        // A candidate above the trial is left over from a download whose client died; the client means the trial.
        (ArtifactCommit, Trial | Prepared | Downloading) => Action::Commit,
        // Again, because its client died before it heard of it.
        (ArtifactCommit, Committed) => Action::Nothing,
        // The same after a cleanup; or a lie, if the install was rolled back meanwhile.
        (ArtifactCommit, Idle) => Action::ConfirmCommitted,
        // Half an install cannot be committed.
        (ArtifactCommit, Switching | RollingBack) => Action::Refuse,

        // Nothing is open, so this is already the committed generation.
        (ArtifactRollback | ArtifactFailure, Idle) => Action::Nothing,
        // Back to the committed generation; after a commit whose client died, to the one before it. A failure that finds
        // any of this open comes after a rollback that was killed before it recorded anything: no client asks again.
        (ArtifactRollback | ArtifactFailure, _) => Action::RollBack,

        // The end of every deployment, good or bad.
        (Cleanup, _) => Action::CleanUp,
    }
}

/// Does what `verb` asks for with the file tree that the client made, and returns the line to answer with, if it is a
/// query. A verb that may not fail has said what failed.
pub fn run(
    context: &Context<'_>,
    verb: Verb,
    tree: &Path,
) -> Result<Option<&'static str>, DeployError> {
    if let Some(answer) = verb.answer() {
        return Ok(Some(answer));
    }
    match perform(context, verb, tree) {
        Err(error) if verb.always_succeeds() => {
            (context.say)(&format!("{verb} failed: {error}"));
            Ok(None)
        }
        done => done.map(|()| None),
    }
}

fn perform(context: &Context<'_>, verb: Verb, tree: &Path) -> Result<(), DeployError> {
    let own = Own::of(context.host)?;
    streams::note_client(own.as_ref().map(|own| own.caller));
    let inbox = Inbox::read(tree);
    // Whose tree was lost knows the scope all the same.
    let scope = own.as_ref().map_or(inbox.scope(), |own| &own.scope);
    let scope = scope.to_owned();
    let client = Hold::client(context.host, &scope);
    let mut site = Site::open(context, &scope, Claimant::Verb(verb))?;
    let action = decide(verb, site.journal.record().state);
    let finding = own.and_then(|own| own.finding(verb, site.journal.record(), client));
    let done = match finding {
        Some(Finding::LeftAlone(line)) => {
            site.say(&line);
            return Ok(site.hold.give_back()?);
        }
        Some(Finding::Refused(error)) => {
            site.hold.give_back()?;
            return Err(error);
        }
        None => act(&mut site, verb, action, inbox, tree),
    };
    let failure = done.as_ref().err().map(ToString::to_string);
    // The verbs that end a deployment come after the one that failed: its reason is the one to keep.
    let forward = matches!(
        verb,
        Download | DownloadWithFileSizes | ArtifactInstall | ArtifactCommit
    );
    if forward || failure.is_some() {
        let noted = site.journal.note(verb, failure);
        // Where the note is lost as well, the verb's own failure is the one to report.
        if done.is_ok() {
            noted?;
        }
    }
    done
}

fn act(
    site: &mut Site<'_>,
    verb: Verb,
    action: Action,
    inbox: Inbox,
    tree: &Path,
) -> Result<(), DeployError> {
    match action {
        Action::Prepare => prepare::prepare(site, inbox, tree),
        Action::Switch => switch::switch(site, &inbox),
        Action::ConfirmTrial => switch::confirm_trial(site, &inbox),
        Action::Commit => switch::commit(site),
        Action::ConfirmCommitted => switch::confirm_committed(site, &inbox),
        Action::RollBack => recover::roll_back(site),
        Action::CleanUp => recover::clean_up(site),
        Action::Nothing => Ok(()),
        Action::Refuse => Err(DeployError::Refused {
            verb,
            state: site.journal.record().state,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One letter per action, one column per state, in the order of `State::ALL`.
    const TABLE: [(Verb, &str); 10] = [
        //                         Idle Downloading Prepared Switching Trial Committed RollingBack
        (ProvidePayloadFileSizes, "-------"),
        (Download, "PPPPPPP"),
        (DownloadWithFileSizes, "PPPPPPP"),
        (ArtifactInstall, "xxSStxx"),
        (NeedsArtifactReboot, "-------"),
        (SupportsRollback, "-------"),
        (ArtifactCommit, "cCCxC-x"),
        (ArtifactRollback, "-RRRRRR"),
        (ArtifactFailure, "-RRRRRR"),
        (Cleanup, "UUUUUUU"),
    ];

    fn letter(action: Action) -> char {
        match action {
            Action::Prepare => 'P',
            Action::Switch => 'S',
            Action::ConfirmTrial => 't',
            Action::Commit => 'C',
            Action::ConfirmCommitted => 'c',
            Action::RollBack => 'R',
            Action::CleanUp => 'U',
            Action::Nothing => '-',
            Action::Refuse => 'x',
        }
    }

    #[test]
    fn every_verb_in_every_state() {
        assert_eq!(TABLE.map(|(verb, _)| verb), Verb::ALL);
        for (verb, row) in TABLE {
            let decided: String = State::ALL
                .into_iter()
                .map(|state| letter(decide(verb, state)))
                .collect();
            assert_eq!(decided, row, "{verb}");
        }
    }

    #[test]
    fn what_a_client_calls_after_a_failure_is_never_refused() {
        for verb in [
            Download,
            DownloadWithFileSizes,
            ArtifactRollback,
            ArtifactFailure,
            Cleanup,
        ] {
            for state in State::ALL {
                assert_ne!(decide(verb, state), Action::Refuse, "{verb} when {state}");
            }
        }
    }
}
