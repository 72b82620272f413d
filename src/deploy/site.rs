//! What every action of a verb has in its hands: the scope, held, with its journal, and the engine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Context;
use super::error::DeployError;
use super::hold::{Claimant, Hold};
use super::journal::{Generation, Journal, JournalError, Record, RecordError};
use super::plan::Present;
use super::recover;
use crate::config::Settings;
use crate::engine::{Container, Engine, Status};
use crate::host::Host;
use crate::images::Images;

/// A monitor whose command was killed sees that at once; it then has some namespaces and mounts to take down.
const PREPARED_PATIENCE: Duration = Duration::from_secs(30);

/// Time between two looks at such a container when no event comes.
const PREPARED_LOOK: Duration = Duration::from_millis(100);

/// A scope at work.
pub(super) struct Site<'a> {
    pub host: &'a Host,
    pub settings: &'a Settings,
    /// Where lines for the operator go.
    pub say: &'a (dyn Fn(&str) + Sync),
    pub scope: &'a str,
    pub hold: Hold,
    pub engine: Engine,
    pub journal: Journal,
}

impl<'a> Site<'a> {
    /// Takes the scope and reads its journal; without a usable one, what is there is taken over.
    pub fn open(
        context: &Context<'a>,
        scope: &'a str,
        claimant: Claimant,
    ) -> Result<Site<'a>, DeployError> {
        let hold = Hold::take(context.host, scope, claimant, context.say)?;
        let journal = load(context, &folder(context.host, scope))?;
        let engine = Engine::open(context.host, context.settings)?;
        if let Some(repaired) = engine.repaired() {
            (context.say)(repaired);
        }
        let mut site = Site {
            host: context.host,
            settings: context.settings,
            say: context.say,
            scope,
            hold,
            engine,
            journal,
        };
        if !site.journal.exists() {
            recover::adopt(&mut site)?;
        }
        Ok(site)
    }

    /// The images, through the engine.
    pub fn images(&self) -> &Images {
        self.engine.images()
    }

    /// Says one line.
    pub fn say(&self, line: &str) {
        (self.say)(line);
    }

    /// The containers that the scope owns.
    pub fn containers(&self) -> Result<Vec<Container>, DeployError> {
        let mut all = self.engine.list()?;
        all.retain(|c| {
            c.record
                .owner
                .as_ref()
                .is_some_and(|owner| owner.scope == self.scope)
        });
        Ok(all)
    }

    /// The same, as the planner wants them: running or not, and nothing in between. One that a killed verb had prepared gives
    /// up by itself, or runs if the word to go came before the kill, and which of the two is waited for. One that a killed
    /// verb had asked to stop still runs for a while: it is stopped now.
    pub fn present(&self) -> Result<Vec<Present>, DeployError> {
        let mut present = Vec::new();
        for mut container in self.containers()? {
            let generation = container
                .record
                .owner
                .as_ref()
                .map_or(0, |owner| owner.generation);
            let begun = self.host.instant();
            while container.status == Status::Prepared && begun.elapsed() < PREPARED_PATIENCE {
                self.engine
                    .watch(&[container.id()])?
                    .next(Some(PREPARED_LOOK))?;
                // Its monitor may have been killed together with the verb.
                self.engine.settle_one(container.id())?;
                container = self.engine.find(container.id())?;
            }
            if container.status.is_attended() && !container.intent.running {
                self.engine.stop(container.id(), None)?;
                container = self.engine.find(container.id())?;
            }
            present.push(Present {
                generation,
                running: container.status.is_attended(),
                id: container.record.id,
                name: container.record.name,
            });
        }
        Ok(present)
    }

    /// Who holds the images of a generation.
    pub fn pin(&self, number: u64) -> String {
        format!("{}{number}", self.pin_prefix())
    }

    /// Who holds the images of the deployment before the committed one.
    pub fn previous_pin(&self) -> String {
        format!("previous-{}", self.scope)
    }

    /// How the names of all holders of this scope begin.
    pub fn pin_prefix(&self) -> String {
        format!("deploy-{}-", self.scope)
    }

    /// Numbers of the generations that have to stay.
    pub fn kept(&self) -> Vec<u64> {
        self.journal
            .record()
            .kept()
            .map(|g: &Generation| g.number)
            .collect()
    }
}

/// A journal that a later dray wrote is left alone; a damaged one must not keep a device from being updated.
fn load(context: &Context<'_>, dir: &Path) -> Result<Journal, JournalError> {
    match Journal::load(dir) {
        Err(
            error @ JournalError::Parse {
                source: RecordError::Json(_),
                ..
            },
        ) => {
            (context.say)(&format!("{error}; it was set aside"));
            Journal::set_aside(dir)
        }
        loaded => loaded,
    }
}

/// What a scope's journal says, for who only wants to know. One that cannot be read says nothing: the next verb sets it
/// aside.
pub fn recorded(host: &Host, scope: &str) -> Result<Option<Record>, JournalError> {
    match Journal::look(&folder(host, scope)) {
        Err(JournalError::Parse {
            source: RecordError::Json(_),
            ..
        }) => Ok(None),
        looked => looked,
    }
}

/// The scope's folder.
pub(super) fn folder(host: &Host, scope: &str) -> PathBuf {
    folders(host).join(scope)
}

/// The folder of all scopes.
pub(super) fn folders(host: &Host) -> PathBuf {
    host.state.join("deployments")
}
