//! What every word works at: the lock, the record and the tree, and the states that end an install one way or the other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Context;
use super::call::{self, Call, CallError, Course};
use super::error::StandaloneError;
use super::provides::Provides;
use super::record::{Pending, Stage, Store};
use crate::deploy;
use crate::deploy::journal::Generation;
use crate::sys::fs::{create_dirs, remove_tree, replace_volatile, sweep_scratch};
use crate::sys::lock::Exclusive;
use crate::sys::process::ProcessId;
use crate::sys::terminate;

/// Who has the lock.
#[derive(Serialize, Deserialize)]
struct Holder {
    process: ProcessId,
    word: String,
}

/// One word at work.
pub struct Desk<'a> {
    pub context: Context<'a>,
    _lock: Exclusive,
    pub store: Store,
    pub tree: PathBuf,
}

impl<'a> Desk<'a> {
    /// Takes the lock, unless another word has it, and reads the record. From then on a signal asks the state at hand to end.
    pub fn open(context: &Context<'a>, word: &str) -> Result<Desk<'a>, StandaloneError> {
        let lock = lock(context, word)?;
        let store = Store::load(context.host)?;
        if store.folder().is_dir() {
            // What is not removed now is in nobody's way.
            let _ = sweep_scratch(store.folder());
        }
        terminate::pass_on().map_err(|error| {
            StandaloneError::io("catch signals in", "/proc/self".as_ref(), error)
        })?;
        Ok(Desk {
            context: *context,
            _lock: lock,
            tree: store.folder().join("tree"),
            store,
        })
    }

    pub fn say(&self, line: &str) {
        (self.context.say)(line);
    }

    pub fn pending(&self) -> Option<&Pending> {
        self.store.record().pending.as_ref()
    }

    /// Records that a stage of the open install begins.
    pub fn enter(&mut self, stage: Stage) -> Result<(), StandaloneError> {
        self.store.update(|record| {
            if let Some(pending) = &mut record.pending {
                pending.stage = stage;
            }
        })
    }

    /// Starts a state.
    pub fn start(&self, state: &'static str, course: Course) -> Result<Call, CallError> {
        Call::start(self.context.module, state, course, &self.tree)
    }

    /// Runs a state to its end.
    pub fn run(&self, state: &'static str, course: Course) -> Result<(), CallError> {
        self.start(state, course)?.finish()
    }

    /// Asks a query, which this module has one answer to.
    pub fn ask(&self, state: &'static str, wanted: &str) -> Result<(), CallError> {
        let answer = call::ask(self.context.module, state, &self.tree)?;
        match answer == wanted {
            true => Ok(()),
            false => Err(CallError::Answer { state, answer }),
        }
    }

    /// The way back: every state of it is run, whatever became of the one before. Says whether it came through.
    pub fn go_back(&mut self) -> Result<bool, StandaloneError> {
        let mut restored = match self.ask("SupportsRollback", "Yes") {
            Ok(()) => self.step(Stage::ArtifactRollback, "ArtifactRollback"),
            Err(error) => {
                self.say(&error.to_string());
                false
            }
        };
        restored &= self.step(Stage::ArtifactFailure, "ArtifactFailure");
        let inconsistent = match self.pending() {
            Some(pending) if !restored => Some(pending.provides.clone().inconsistent()),
            _ => None,
        };
        self.close(inconsistent)?;
        Ok(restored)
    }

    /// A state of the way back. A disk that takes no record must not keep a device from it.
    fn step(&mut self, stage: Stage, state: &'static str) -> bool {
        if let Err(error) = self.enter(stage) {
            self.say(&error.to_string());
        }
        match self.run(state, Course::Back) {
            Ok(()) => true,
            Err(error) => {
                self.say(&error.to_string());
                false
            }
        }
    }

    /// The end of an install: what the device provides from now on is recorded first, if that changes.
    pub fn close(&mut self, provides: Option<Provides>) -> Result<(), StandaloneError> {
        self.store.update(|record| {
            if provides.is_some() {
                record.provides = provides;
            }
            if let Some(pending) = &mut record.pending {
                pending.stage = Stage::Cleanup;
            }
        })?;
        self.clean_up()
    }

    /// The last state, and the end of the record. What could not be removed goes with the next install.
    pub fn clean_up(&mut self) -> Result<(), StandaloneError> {
        if let Err(error) = self.run("Cleanup", Course::Back) {
            self.say(&error.to_string());
        }
        self.store.update(|record| record.pending = None)?;
        self.remove_tree()
    }

    /// Nothing was switched: the module drops what it brought, if it was ever asked for something.
    pub fn drop_what_came(&mut self) -> Result<(), StandaloneError> {
        match self.pending() {
            Some(_) => self.clean_up(),
            None => self.remove_tree(),
        }
    }

    fn remove_tree(&self) -> Result<(), StandaloneError> {
        remove_tree(&self.tree).map_err(|error| StandaloneError::io("remove", &self.tree, error))
    }

    /// Ends what was cut where nothing is left to decide. Says whether there was such.
    pub fn end_what_is_over(&mut self) -> Result<bool, StandaloneError> {
        let over = |pending: &&Pending| matches!(pending.stage, Stage::Download | Stage::Cleanup);
        let Some(pending) = self.pending().filter(over) else {
            return Ok(false);
        };
        let line = pending.to_string();
        self.say(&line);
        self.clean_up()?;
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
        remove_tree(&self.tree)
            .map_err(|error| StandaloneError::io("remove", &self.tree, error))?;
        let theirs = theirs.artifact;
        Err(StandaloneError::Superseded { word, ours, theirs })
    }
}

fn lock(context: &Context<'_>, word: &str) -> Result<Exclusive, StandaloneError> {
    let run = &context.host.run;
    let fail = |error| StandaloneError::io("lock", &run.join("standalone.lock"), error);
    create_dirs(run).map_err(fail)?;
    let note = run.join("standalone.holder");
    let Some(lock) = Exclusive::attempt(&run.join("standalone.lock")).map_err(fail)? else {
        let holder = std::fs::read(&note).ok();
        let holder: Option<Holder> = holder.and_then(|text| serde_json::from_slice(&text).ok());
        return Err(match holder.filter(|holder| holder.process.is_alive()) {
            Some(Holder { process, word }) => StandaloneError::Busy {
                word,
                pid: process.pid,
            },
            None => StandaloneError::BusyNow,
        });
    };
    let process = ProcessId::own().map_err(fail)?;
    let word = word.to_owned();
    let text = serde_json::to_vec(&Holder { process, word }).map_err(|error| fail(error.into()))?;
    replace_volatile(&note, 0o600, &text).map_err(fail)?;
    Ok(lock)
}

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
    match desk.run("ArtifactCommit", Course::Forward) {
        Ok(()) => {
            desk.close(Some(pending.provides))?;
            Ok(pending.artifact)
        }
        Err(error) => Err(back(&mut desk, error.into())),
    }
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
