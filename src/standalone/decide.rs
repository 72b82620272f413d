//! The two ways in which an install ends, `commit` and `rollback`, and the way back that every failure takes.

use super::Context;
use super::desk::Desk;
use super::error::StandaloneError;
use super::record::{Pending, Stage};
use super::watched::Course;
use crate::deploy;

/// What an install was that had been cut in its end.
#[derive(Debug)]
pub enum Over {
    /// Nothing was switched.
    NotInstalled,
    /// This artifact was kept.
    Committed(String),
    /// This artifact was taken back.
    RolledBack(String),
}

/// Keeps what was installed. Returns the artifact's name.
pub fn commit(context: &Context<'_>) -> Result<String, StandaloneError> {
    let mut desk = Desk::open(context, "commit")?;
    let word = "commit";
    if let Some(Over::Committed(artifact)) = desk.end_what_is_over()? {
        return Ok(artifact);
    }
    let Some(pending) = desk.pending().cloned() else {
        return Err(StandaloneError::Nothing(word));
    };
    if !matches!(pending.stage, Stage::Installed | Stage::ArtifactCommit) {
        let why = pending.to_string();
        return Err(StandaloneError::NotNow { word, why });
    }
    desk.be_the_last(word)?;
    desk.enter(Stage::ArtifactCommit)?;
    let committed = desk
        .scripts("ArtifactCommit_Enter")
        .and_then(|()| Ok(desk.run("ArtifactCommit", Course::Forward)?));
    if let Err(error) = committed {
        desk.all_scripts("ArtifactCommit_Error");
        return Err(back(&mut desk, error));
    }
    desk.store.update(|record| {
        record.provides = Some(pending.provides.clone());
        if let Some(pending) = &mut record.pending {
            pending.stage = Stage::Committed;
        }
    })?;
    desk.leave_commit()?;
    Ok(pending.artifact)
}

/// Goes back to what was installed before. Returns the name of the artifact that was taken back.
pub fn rollback(context: &Context<'_>) -> Result<String, StandaloneError> {
    let mut desk = Desk::open(context, "rollback")?;
    let word = "roll back";
    if let Some(Over::RolledBack(artifact)) = desk.end_what_is_over()? {
        return Ok(artifact);
    }
    let Some(pending) = desk.pending().cloned() else {
        return Err(StandaloneError::Nothing(word));
    };
    desk.be_the_last(word)?;
    desk.be_on_trial(&pending)?;
    match desk.go_back()? {
        true => Ok(pending.artifact),
        false => Err(StandaloneError::NotRestored(pending.artifact)),
    }
}

/// Goes back because of `error`; what came of it is in the error that is returned.
pub fn back(desk: &mut Desk<'_>, error: StandaloneError) -> StandaloneError {
    if let Err(superseded) = desk.be_the_last("decide about") {
        desk.say(&superseded.to_string());
        return error;
    }
    match desk.go_back() {
        Ok(true) => StandaloneError::TakenBack(Box::new(error)),
        Ok(false) => StandaloneError::Inconsistent(Box::new(error)),
        // The next word goes on with it.
        Err(further) => {
            desk.say(&further.to_string());
            error
        }
    }
}

impl Desk<'_> {
    /// The way back: every state of it is run, whatever became of the one before. Says whether it came through.
    pub fn go_back(&mut self) -> Result<bool, StandaloneError> {
        let mut restored = match self.ask("SupportsRollback", "Yes") {
            Ok(()) => self.step(
                Stage::ArtifactRollback,
                [
                    "ArtifactRollback_Enter",
                    "ArtifactRollback",
                    "ArtifactRollback_Leave",
                ],
            ),
            Err(error) => {
                self.say(&error.to_string());
                false
            }
        };
        restored &= self.step(
            Stage::ArtifactFailure,
            [
                "ArtifactFailure_Enter",
                "ArtifactFailure",
                "ArtifactFailure_Leave",
            ],
        );
        let inconsistent = match self.pending() {
            Some(pending) if !restored => Some(pending.provides.clone().inconsistent()),
            _ => None,
        };
        self.close(inconsistent)?;
        Ok(restored)
    }

    /// A state of the way back, with the scripts before and behind it. A disk that takes no record must not keep a device
    /// from it. The client does not ask how the scripts behind it went.
    fn step(&mut self, stage: Stage, [enter, state, leave]: [&'static str; 3]) -> bool {
        if let Err(error) = self.enter(stage) {
            self.say(&error.to_string());
        }
        let entered = self.all_scripts(enter);
        let done = self.run(state, Course::Back);
        if let Err(error) = &done {
            self.say(&error.to_string());
        }
        self.all_scripts(leave);
        entered && done.is_ok()
    }

    /// Ends what was cut where nothing is left to decide, and says what it came to.
    pub fn end_what_is_over(&mut self) -> Result<Option<Over>, StandaloneError> {
        let Some(pending) = self.pending().cloned() else {
            return Ok(None);
        };
        let provides = self.store.record().provides.as_ref();
        let is_installed = provides.is_some_and(|there| there.name() == pending.artifact);
        let over = match pending.stage {
            Stage::Download => Over::NotInstalled,
            Stage::Committed => Over::Committed(pending.artifact.clone()),
            Stage::Cleanup if is_installed => Over::Committed(pending.artifact.clone()),
            Stage::Cleanup => Over::RolledBack(pending.artifact.clone()),
            _ => return Ok(None),
        };
        self.say(&pending.to_string());
        match pending.stage {
            Stage::Committed => self.leave_commit()?,
            _ => self.clean_up()?,
        }
        Ok(Some(over))
    }

    /// Refuses where somebody else's deployment came after ours: what is there now is not ours to decide about.
    pub fn be_the_last(&mut self, word: &'static str) -> Result<(), StandaloneError> {
        let Some(own) = self.own() else {
            return Ok(());
        };
        let Some(record) = deploy::recorded(self.context.host, &own.scope)? else {
            return Ok(());
        };
        let mut open = record.open().peekable();
        let theirs = match open.peek() {
            Some(first) => {
                let first = *first;
                (!open.any(|open| own.is(open))).then_some(first)
            }
            // Nothing is open: then it is over, and not by a word of ours unless it is what is committed.
            None => match self.pending().map(|pending| pending.stage) {
                Some(Stage::Installed | Stage::ArtifactCommit) => {
                    record.committed.as_ref().filter(|there| !own.is(there))
                }
                _ => None,
            },
        };
        let Some(theirs) = theirs.map(|theirs| theirs.artifact.clone()) else {
            return Ok(());
        };
        self.store.update(|record| record.pending = None)?;
        self.clear()?;
        let ours = own.artifact;
        Err(StandaloneError::Superseded { word, ours, theirs })
    }

    /// Refuses to take back what somebody else has committed.
    fn be_on_trial(&mut self, pending: &Pending) -> Result<(), StandaloneError> {
        let own = self.own();
        let record = deploy::recorded(self.context.host, &pending.scope)?;
        let (Some(own), Some(record)) = (own, record) else {
            return Ok(());
        };
        let is_over = pending.stage == Stage::Installed && record.open().next().is_none();
        if !is_over || !record.committed.is_some_and(|there| own.is(&there)) {
            return Ok(());
        }
        let artifact = own.artifact;
        self.close(Some(pending.provides.clone()))?;
        Err(StandaloneError::CommittedMeanwhile(artifact))
    }

    /// What follows a commit that is recorded. Nothing of it takes the commit back; where a script fails, the name that the
    /// device provides says so, as it does with both clients.
    fn leave_commit(&mut self) -> Result<(), StandaloneError> {
        let complete = self.all_scripts("ArtifactCommit_Leave");
        let incomplete = self.pending().filter(|_| !complete).cloned();
        let provides = incomplete
            .as_ref()
            .map(|p| p.provides.clone().inconsistent());
        self.close(provides)?;
        match incomplete {
            Some(pending) => Err(StandaloneError::Incomplete(pending.artifact)),
            None => Ok(()),
        }
    }
}
