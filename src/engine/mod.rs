//! The engine: containers, from a record to a running process and back. No process of it stays but one monitor per
//! container.
//!
//! ```text
//!   create ──► prepare ──────────────► start ──────────► (exits) ──► policy: again, or stay
//!   record     monitor starts:         go: ports move,   monitor records how it ended,
//!   and pin    namespaces, root,       program executes  takes network and groups down
//!              network, all blocked
//! ```
//!
//! A command changes a container under its lock; the monitor alone writes what is going on ([`record::State`]). Whoever
//! opens the engine to change something first puts right what a killed monitor left ([`Engine::open`]).

mod attach;
mod boot;
mod connect;
pub mod copy;
mod create;
mod error;
pub mod exec;
mod files;
mod foresee;
mod groups;
mod halt;
mod health;
mod inspect;
mod lifecycle;
mod limits;
mod links;
pub mod logs;
pub mod monitor;
mod names;
pub mod network;
mod networks;
mod pause;
mod propagation;
pub mod record;
mod remove;
mod restart;
mod rootfs;
pub mod runtime;
mod settle;
mod share;
pub mod spec;
mod teardown;
mod time;
pub mod tree;
pub mod volumes;
mod watch;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use crate::config::Settings;
use crate::host::Host;
use crate::images::Images;
use crate::oci::Digest;
use crate::sys::lock::Exclusive;
use crate::sys::{freezer, fs};

pub use attach::{Attached, Session};
pub use boot::Started;
pub use create::CreateRequest;
pub use error::EngineError;
pub use exec::{ExecRequest, Executed};
pub use lifecycle::Prepared;
pub use links::Together;
pub use network::Network;
pub use record::{Folders, Health, Intent, MountPoint, Outcome, Owner, Record, State, Status};
pub use remove::Remove;
pub use time::{parse as parse_time, rfc3339 as format_time};
pub use volumes::{Volume, VolumeUsers};
pub use watch::{Event, Watch};

/// All containers of this device.
#[derive(Debug)]
pub struct Engine {
    host: Host,
    settings: Settings,
    images: Images,
    network: Network,
    repaired: Option<String>,
    looks_only: bool,
}

/// One container: what was asked for and what is going on.
#[derive(Debug, Clone)]
pub struct Container {
    /// What was asked for.
    pub record: Record,
    /// Whether it is meant to run.
    pub intent: Intent,
    /// What it is doing.
    pub status: Status,
    /// Details of this boot, if it was started in it.
    pub now: Option<State>,
    /// How it ended last, or when it was started.
    pub outcome: Outcome,
}

impl Container {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Its first process, if there is one.
    pub fn pid(&self) -> Option<i32> {
        self.now
            .as_ref()
            .and_then(|now| now.init.as_ref())
            .map(|init| init.pid)
    }

    /// Whether it is started after a boot: its restart policy's word, and whether anybody stopped it. As with Docker not if it
    /// was never started, unless a deployment wants it.
    pub fn starts_at_boot(&self) -> bool {
        let is_known = self.status != Status::Created || self.record.owner.is_some();
        let policy = &self.record.body.host_config.restart_policy;
        is_known && restart::at_boot(policy, self.intent.running)
    }

    /// State of its health check; `None` without one or when it does not run.
    pub fn health(&self) -> Option<&Health> {
        self.now.as_ref().and_then(|now| now.health.as_ref())
    }

    /// The same, or what it was when the container ended last.
    pub fn last_health(&self) -> Option<&Health> {
        self.health().or(self.outcome.last_health.as_ref())
    }
}

/// A container whose files cannot be read.
#[derive(Debug)]
pub struct Damaged {
    /// Its id.
    pub id: String,
    /// What is wrong with it.
    pub error: EngineError,
}

/// What is wrong, and what helps.
impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, error) = (&self.id[..12], &self.error);
        write!(
            f,
            "container {id} is damaged: {error}; `dray rm -f {id}` removes it"
        )
    }
}

impl Engine {
    /// Opens the engine of this device and puts right what killed monitors left: their containers count as dead, and are
    /// started again where their policy says so.
    pub fn open(host: &Host, settings: &Settings) -> Result<Engine, EngineError> {
        let mut engine = Engine::open_as_is(host, settings)?;
        engine.images.note_use()?;
        engine.repaired = engine.images.repair()?;
        engine.images.sweep()?;
        engine.settle()?;
        Ok(engine)
    }

    /// Opens the engine for whoever only looks: containers stay as they are, those of killed monitors too
    /// ([`Engine::left_alone`]).
    pub fn open_to_look(host: &Host, settings: &Settings) -> Result<Engine, EngineError> {
        let mut engine = Engine::open_as_is(host, settings)?;
        engine.repaired = engine.images.repair()?;
        engine.looks_only = true;
        Ok(engine)
    }

    /// Opens the engine without putting anything right, and without a thread: for the processes that an opened engine has
    /// started for itself, in which the runtime splits the process.
    pub fn open_as_is(host: &Host, settings: &Settings) -> Result<Engine, EngineError> {
        let engine = Engine {
            host: host.clone(),
            settings: settings.clone(),
            images: Images::open(host, settings)?.asking(|host, settings| {
                let engine = Engine::open_as_is(host, settings).ok()?;
                engine.layers_in_use().ok()
            }),
            network: Network::open(host, settings)?,
            repaired: None,
            looks_only: false,
        };
        for folder in [engine.containers(), host.run.join("containers")] {
            fs::create_dirs(&folder).map_err(|source| EngineError::write(&folder, source))?;
        }
        Ok(engine)
    }

    /// What of the store was damaged and put right when the engine was opened, to be said to whoever opened it.
    pub fn repaired(&self) -> Option<&str> {
        self.repaired.as_deref()
    }

    /// The images that containers are made from.
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// The networks.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The host this engine was opened on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The folders of container `id`.
    pub fn folders(&self, id: &str) -> Folders {
        Folders::new(&self.host, id)
    }

    /// Bytes that a container has written outside of volumes.
    pub fn written(&self, id: &str) -> u64 {
        volumes::size(&self.folders(id).state.join("upper"))
    }

    /// Every container, the newest first, without the damaged ones.
    pub fn list(&self) -> Result<Vec<Container>, EngineError> {
        Ok(self.survey()?.0)
    }

    /// Diff ids of the layers that running containers stand on, and of those that a container whose files cannot be read may
    /// stand on.
    pub fn layers_in_use(&self) -> Result<BTreeSet<Digest>, EngineError> {
        let (sound, damaged) = self.survey()?;
        let alive = sound.into_iter().filter(|c| c.status.is_attended());
        let layers = alive.flat_map(|container| container.record.layers);
        let mut layers: BTreeSet<Digest> = layers.collect();
        for Damaged { id, .. } in damaged {
            layers.extend(self.images.may_be_under(&create::pin_name(&id))?);
        }
        Ok(layers)
    }

    /// Containers whose files cannot be read, and why. They are nobody else's obstacle; [`Engine::remove`] takes them away.
    pub fn damaged(&self) -> Result<Vec<Damaged>, EngineError> {
        Ok(self.survey()?.1)
    }

    /// [`Engine::list`] and [`Engine::damaged`] in one look.
    pub fn survey(&self) -> Result<(Vec<Container>, Vec<Damaged>), EngineError> {
        let (mut sound, mut damaged) = (Vec::new(), Vec::new());
        for id in self.ids()? {
            match self.load(&id) {
                Ok(container) => sound.push(container),
                Err(error) if !error.is_about_files() => return Err(error),
                // One that is being removed right now is not damaged.
                Err(error) if self.folders(&id).state.exists() => {
                    damaged.push(Damaged { id, error });
                }
                Err(_) => {}
            }
        }
        sound.sort_by(|a, b| b.record.created.cmp(&a.record.created));
        Ok((sound, damaged))
    }

    /// The container with this name, id or unique beginning of an id.
    pub fn find(&self, word: &str) -> Result<Container, EngineError> {
        let container = self.look_up(word)?;
        if fs::broken("removed-once-found") {
            let how = Remove {
                force: true,
                volumes: false,
            };
            self.remove(container.id(), how)?;
        }
        Ok(container)
    }

    fn look_up(&self, word: &str) -> Result<Container, EngineError> {
        // Docker's inspect shows names with a slash before them, and so does ours.
        let bare = word.strip_prefix('/').unwrap_or(word);
        let mut matches = Vec::new();
        for id in self.ids()? {
            let container = match self.load(&id) {
                Ok(container) => container,
                Err(error) if error.is_about_files() && id != word => continue,
                Err(error) => return Err(error),
            };
            if id == word || container.record.name == bare {
                return Ok(container);
            }
            if !word.is_empty() && id.starts_with(word) {
                matches.push(container);
            }
        }
        match matches.len() {
            0 => Err(EngineError::NotFound(word.to_owned())),
            1 => Ok(matches.remove(0)),
            _ => Err(EngineError::Ambiguous(word.to_owned())),
        }
    }

    /// The container that a new one of `owner` means by `word`: one of the same generation first, which has the name only
    /// after the switch.
    fn find_beside(&self, word: &str, owner: Option<&Owner>) -> Result<Container, EngineError> {
        for id in self.ids()?.iter().filter(|_| owner.is_some()) {
            let container = match self.load(id) {
                Err(error) if error.is_about_files() => continue,
                other => other?,
            };
            let record = &container.record;
            if record.owner.as_ref() == owner
                && (record.name == word || record.wanted_name.as_deref() == Some(word))
            {
                return Ok(container);
            }
        }
        self.find(word)
    }

    /// Gives a container another name.
    pub fn rename(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let _names = self.lock_names()?;
        self.check_name(name, id)?;
        let folders = self.folders(id);
        let mut record = folders.record()?;
        if record.name == name {
            return Err(EngineError::SameName(record.name));
        }
        let old = std::mem::replace(&mut record.name, name.to_owned());
        folders.write_record(&record)?;
        Ok(self.network.rename(id, &old, name)?)
    }

    /// The container with exactly this id.
    fn load(&self, id: &str) -> Result<Container, EngineError> {
        let folders = self.folders(id);
        let record = folders.record()?;
        let mut now = folders.now(&self.host.boot_id)?;
        if self.looks_only && now.as_ref().is_some_and(State::is_left_alone) {
            now = settle::as_it_is(folders.now(&self.host.boot_id)?);
        }
        let last = folders.outcome()?;
        let intent = folders.intent()?;
        let status = match (&now, &last) {
            (Some(now), _)
                if now.status == Status::Running && freezer::is_frozen(&record.group()) =>
            {
                Status::Paused
            }
            (Some(now), _) if now.is_again() => Status::Restarting,
            (Some(now), _) => now.status,
            (None, Some(last)) if last.never_started => Status::Created,
            (None, Some(_)) => Status::Exited,
            // Meant to run and never ended: the power went away under it.
            (None, None) if intent.running => Status::Exited,
            (None, None) => Status::Created,
        };
        let outcome = match &now {
            Some(now) => now.outcome.clone(),
            None => last.unwrap_or_default(),
        };
        Ok(Container {
            intent,
            record,
            status,
            now,
            outcome,
        })
    }

    fn ids(&self) -> Result<Vec<String>, EngineError> {
        let dir = self.containers();
        let entries = std::fs::read_dir(&dir).map_err(|source| EngineError::Read {
            path: dir.clone(),
            source,
        })?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| name.len() == 64).collect())
    }

    fn containers(&self) -> PathBuf {
        self.host.state.join("containers")
    }

    /// Held while names are looked at and given.
    fn lock_names(&self) -> Result<Exclusive, EngineError> {
        Exclusive::wait(&self.host.run.join("containers.lock"))
            .map_err(EngineError::system("lock container names"))
    }

    /// Held while a container is changed or brought up.
    fn lock(&self, id: &str) -> Result<Exclusive, EngineError> {
        let run = self.folders(id).run;
        fs::create_dirs(&run).map_err(|source| EngineError::write(&run, source))?;
        let path = run.join("lock");
        let failed = || EngineError::system(format!("lock container {id}"));
        if let Some(lock) = Exclusive::attempt(&path).map_err(failed())? {
            return Ok(lock);
        }
        // Its monitor may hold it, and somebody may have stopped that.
        self.rouse(id)?;
        Exclusive::wait(&path).map_err(failed())
    }

    fn check_name(&self, name: &str, id: &str) -> Result<(), EngineError> {
        if !names::is_valid(name) {
            return Err(EngineError::Name(name.to_owned()));
        }
        for other in self.ids()? {
            // Damaged containers have no name, and one that has just been removed has none any more.
            let taken = |record: Record| record.name == name;
            if other != id && self.folders(&other).record().is_ok_and(taken) {
                return Err(EngineError::NameInUse {
                    name: name.to_owned(),
                    id: other[..12].to_owned(),
                });
            }
        }
        Ok(())
    }
}
