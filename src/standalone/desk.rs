//! What every word works at: the lock, the record, the tree and the scripts, and the calls that are made from there.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Context;
use super::call::{self, Call, CallError};
use super::device::Mender;
use super::error::StandaloneError;
use super::provides::Provides;
use super::record::{Pending, Stage, Store};
use super::scripts::{Scripts, Times, When};
use super::watched::Course;
use crate::deploy::own::Own;
use crate::host::Host;
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
    /// Whether a trial that somebody else made may be replaced.
    pub replaces_trial: bool,
    scripts: Scripts,
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
        let times = Mender::load(context.host).and_then(|mender| Times::of(&mender));
        let times = match times {
            Ok(times) => times,
            Err(error) if word == "install" => return Err(error),
            // What is installed can be kept or taken back, whatever became of Mender's settings.
            Err(error) => {
                (context.say)(&error.to_string());
                Times::default()
            }
        };
        let scripts = Scripts {
            artifact: store.folder().join("scripts"),
            device: context.host.mender.join("scripts"),
            times,
            note: context.host.run.join("standalone.script"),
        };
        let ended = scripts.end_left();
        ended.map_err(|error| StandaloneError::io("end what is left of", &scripts.note, error))?;
        Ok(Desk {
            context: *context,
            _lock: lock,
            tree: store.folder().join("tree"),
            replaces_trial: false,
            scripts,
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

    /// What the module is told that its states are about.
    pub fn own(&self) -> Option<Own> {
        self.pending().map(|pending| Own {
            artifact: pending.artifact.clone(),
            scope: pending.scope.clone(),
            request: pending.request,
            caller: std::process::id(),
            replaces_trial: self.replaces_trial,
        })
    }

    /// Starts a state.
    pub fn start(&self, state: &'static str, course: Course) -> Result<Call, CallError> {
        let own = self.own();
        Call::start(self.context.module, state, course, &self.tree, own.as_ref())
    }

    /// Runs a state to its end.
    pub fn run(&self, state: &'static str, course: Course) -> Result<(), CallError> {
        let told = || {
            self.say(&format!(
                "a signal asked for the end: {state} comes to its own first"
            ))
        };
        self.start(state, course)?.finish(&told)
    }

    /// Keeps a state script of the artifact that is being read.
    pub fn add_script(&self, name: &str, content: &[u8]) -> Result<(), StandaloneError> {
        let path = &self.scripts.artifact;
        let added = self.scripts.add(name, content);
        added.map_err(|error| StandaloneError::io("write", &path.join(name), error))
    }

    /// Runs the state scripts that have to come through.
    pub fn scripts(&self, when: When) -> Result<(), StandaloneError> {
        self.scripts.run(when, self.context.say)
    }

    /// Runs the state scripts that nothing waits for; says whether all came through.
    pub fn all_scripts(&self, when: When) -> bool {
        self.scripts.run_all(when, self.context.say)
    }

    /// Asks a query, which this module has one answer to.
    pub fn ask(&self, state: &'static str, wanted: &str) -> Result<(), CallError> {
        let answer = call::ask(self.context.module, state, &self.tree)?;
        match answer == wanted {
            true => Ok(()),
            false => Err(CallError::Answer { state, answer }),
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
        if let Err(error) = self.clear() {
            self.say(&error.to_string());
        }
        Ok(())
    }

    /// Nothing was switched: the module drops what it brought, if it was ever asked for something.
    pub fn drop_what_came(&mut self) -> Result<(), StandaloneError> {
        match self.pending() {
            Some(_) => self.clean_up(),
            None => self.clear(),
        }
    }

    /// Removes what only an open install needs.
    pub fn clear(&self) -> Result<(), StandaloneError> {
        for folder in [&self.tree, &self.scripts.artifact] {
            remove_tree(folder).map_err(|error| StandaloneError::io("remove", folder, error))?;
        }
        Ok(())
    }
}

/// Whether a word is at work now.
pub fn is_at_work(host: &Host) -> bool {
    holder(host).is_some()
}

fn note_of_holder(host: &Host) -> PathBuf {
    host.run.join("standalone.holder")
}

/// Who has the lock, if the note is there and he lives.
fn holder(host: &Host) -> Option<Holder> {
    let text = std::fs::read(note_of_holder(host)).ok()?;
    let holder: Holder = serde_json::from_slice(&text).ok()?;
    holder.process.is_alive().then_some(holder)
}

fn lock(context: &Context<'_>, word: &str) -> Result<Exclusive, StandaloneError> {
    let run = &context.host.run;
    let fail = |error| StandaloneError::io("lock", &run.join("standalone.lock"), error);
    create_dirs(run).map_err(fail)?;
    let Some(lock) = Exclusive::attempt(&run.join("standalone.lock")).map_err(fail)? else {
        return Err(match holder(context.host) {
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
    replace_volatile(&note_of_holder(context.host), 0o600, &text).map_err(fail)?;
    Ok(lock)
}
