//! The two ways in which an install ends, `commit` and `rollback`, and the way back that every failure takes.

use super::Context;
use super::desk::Desk;
use super::error::StandaloneError;
use super::record::{Pending, Stage};
use super::watched::Course;
use crate::deploy;
use crate::deploy::journal::Generation;

/// Keeps what was installed. Returns the artifact's name.
pub fn commit(context: &Context<'_>) -> Result<String, StandaloneError> {
    let mut desk = Desk::open(context, "commit")?;
    let word = "commit";
    desk.end_what_is_over()?;
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
    desk.end_what_is_over()?;
    let Some(pending) = desk.pending().cloned() else {
        return Err(StandaloneError::Nothing(word));
    };
    desk.be_the_last(word)?;
    match desk.go_back()? {
        true => Ok(pending.artifact),
        false => Err(StandaloneError::NotRestored),
    }
}

/// Goes back because of `error`; what came of it is in the error that is returned.
pub fn back(desk: &mut Desk<'_>, error: StandaloneError) -> StandaloneError {
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

    /// Ends what was cut where nothing is left to decide. Says whether there was such.
    pub fn end_what_is_over(&mut self) -> Result<bool, StandaloneError> {
        let stages = [Stage::Download, Stage::Committed, Stage::Cleanup];
        let over = |pending: &&Pending| stages.contains(&pending.stage);
        let Some(pending) = self.pending().filter(over) else {
            return Ok(false);
        };
        let (line, stage) = (pending.to_string(), pending.stage);
        self.say(&line);
        match stage {
            // It does not keep the next one from its own work.
            Stage::Committed => match self.leave_commit() {
                Err(error @ StandaloneError::Incomplete(_)) => self.say(&error.to_string()),
                left => left?,
            },
            _ => self.clean_up()?,
        }
        Ok(true)
    }

    /// Refuses where somebody else's deployment came after ours: what is on trial now is not ours to decide about.
    fn be_the_last(&mut self, word: &'static str) -> Result<(), StandaloneError> {
        let Some(pending) = self.pending() else {
            return Ok(());
        };
        let there = deploy::undecided(self.context.host, &pending.scope)?;
        let is_theirs = |there: &Generation| !there.is_of(Some(pending.request));
        let Some(theirs) = there.map(|(_, there)| there).filter(is_theirs) else {
            return Ok(());
        };
        let ours = pending.artifact.clone();
        self.store.update(|record| record.pending = None)?;
        self.clear()?;
        let theirs = theirs.artifact;
        Err(StandaloneError::Superseded { word, ours, theirs })
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
