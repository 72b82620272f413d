//! Starting: the commands' side. The monitors' side is in [`super::monitor`].

use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;

use super::monitor::{self, Report};
use super::{Container, Engine, EngineError, Intent, Record, Remove, Status, runtime};
use crate::sys::cgroup;
use crate::sys::lock::Exclusive;
use crate::sys::process::{self, Pidfd, PollFd};
use crate::sys::program::{self, Spawn};
use crate::sys::socket;

/// Containers whose namespaces, root and network are up and whose processes wait for the word to go. Dropping this
/// without [`Prepared::start`] takes everything down again, and so does the death of the process that holds it.
#[derive(Debug)]
pub struct Prepared<'a> {
    engine: &'a Engine,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    id: String,
    name: String,
    auto_remove: bool,
    control: OwnedFd,
    monitor: Child,
    _lock: Exclusive,
}

impl Engine {
    /// Brings containers up to the point where only the word to go is missing.
    pub fn prepare(&self, ids: &[&str]) -> Result<Prepared<'_>, EngineError> {
        cgroup::warm_up();
        let mut prepared = Prepared {
            engine: self,
            waiting: Vec::new(),
        };
        match prepared.bring_up(ids) {
            Ok(()) => Ok(prepared),
            Err(error) => {
                drop(prepared);
                ids.iter().for_each(|id| self.keep_meaning(id));
                Err(error)
            }
        }
    }

    /// Starts a container; one that runs already is left alone, and a --rm one that cannot be started is removed, as Docker does.
    pub fn start(&self, id: &str) -> Result<(), EngineError> {
        let container = self.load(id)?;
        match container.status {
            Status::Paused => Err(EngineError::Paused {
                name: container.record.name,
            }),
            status if status.is_attended() => Ok(()),
            _ => match self.prepare(&[id]).and_then(Prepared::start) {
                // Somebody else has started it meanwhile.
                Err(EngineError::Running { .. }) => Ok(()),
                started => started.inspect_err(|_| self.remove_unstarted(&container.record)),
            },
        }
    }

    /// Removes a --rm container that could not be started; one that somebody else runs stays.
    pub fn remove_unstarted(&self, record: &Record) {
        let all = Remove {
            force: false,
            volumes: true,
        };
        if record.goes_with_boot() {
            // The failure to start is what has to be said.
            let _ = self.remove(&record.id, all);
        }
    }

    /// Notes durably that a container that could not be started is meant to run: its policy may start it at the next boot.
    pub fn intend(&self, id: &str) -> Result<(), EngineError> {
        let _lock = self.lock(id)?;
        self.folders(id).write_intent(Intent::RUN)
    }

    /// Docker's: a container that ran before is meant to run although this start of it failed, and the next boot tries again. A
    /// deployment says so itself ([`Engine::intend`]).
    fn keep_meaning(&self, id: &str) {
        let ran = |container: Container| {
            let record = &container.record;
            let is_by_hand = record.owner.is_none() && !record.goes_with_boot();
            is_by_hand && container.status == Status::Exited
        };
        if self.load(id).is_ok_and(ran) {
            // The failure to start is what has to be said.
            let _ = self.intend(id);
        }
    }

    fn spawn_monitor(&self, id: &str) -> Result<Waiting, EngineError> {
        // A monitor that could not take everything down when it gave up left its state for whoever comes next.
        self.settle_one(id)?;
        let lock = self.lock(id)?;
        let container = self.load(id)?;
        let name = container.record.name.clone();
        if container.status.is_attended() {
            return Err(EngineError::Running { name });
        }
        let start = |source| EngineError::System {
            action: format!("start the monitor of {name}"),
            source,
        };
        let (control, theirs) = socket::packet_pair().map_err(start)?;
        let program = program::protected_self().map_err(start)?;
        let monitor = program::spawn(&Spawn {
            program: program.as_fd(),
            args: monitor::arguments(id),
            env: self.monitor_environment(),
            // With the lock, so that a monitor whose command was killed is alone with the container until it has given up or
            // become the attendant.
            fds: vec![theirs.as_fd(), lock.as_fd()],
            stdio: [None, None, None],
            detach: true,
        });
        let monitor = monitor.map_err(start)?;
        Ok(Waiting {
            id: id.to_owned(),
            name,
            auto_remove: container.record.goes_with_boot(),
            control,
            monitor,
            _lock: lock,
        })
    }

    /// What a process of our own needs to find the same state again; nothing else of the caller's environment reaches it.
    pub(super) fn monitor_environment(&self) -> Vec<(String, String)> {
        let mut env = vec![(
            "DRAY_CONFIG".to_owned(),
            self.host.config.display().to_string(),
        )];
        env.extend(
            ["DRAY_BREAK"]
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), self.host.var(name)?.to_owned()))),
        );
        env
    }
}

impl Prepared<'_> {
    fn bring_up(&mut self, ids: &[&str]) -> Result<(), EngineError> {
        for id in ids {
            let waiting = self.engine.spawn_monitor(id)?;
            self.waiting.push(waiting);
        }
        let mut waiting = self.waiting.iter();
        waiting.try_for_each(|waiting| waiting.expect(Report::Prepared))
    }

    /// Says go: the programs are executed, in the order in which they were prepared, each when the one before runs. If one
    /// cannot run, the others are stopped again.
    pub fn start(self) -> Result<(), EngineError> {
        self.go(&[], monitor::GO)
    }

    /// Ends the containers `old` and says go as soon as their processes are gone, before their monitors have tidied up:
    /// the switch of a deployment. Ports of the scope's other generations lead to the new containers from then on.
    pub fn start_after(self, old: &[&str]) -> Result<(), EngineError> {
        self.go(old, monitor::TAKE_OVER)
    }

    fn go(mut self, old: &[&str], word: &[u8]) -> Result<(), EngineError> {
        for waiting in &self.waiting {
            // Of a --rm container nothing outlives its end, whatever ended it.
            let intent = match waiting.auto_remove {
                true => Intent::STOP,
                false => Intent::RUN,
            };
            self.engine.folders(&waiting.id).write_intent(intent)?;
        }
        self.engine.halt(old, None)?;
        // In order, each when the one before runs: it may depend on it.
        let started = self.waiting.iter().try_for_each(|waiting| {
            // A monitor that has gone is reported right after.
            let _ = socket::send(waiting.control.as_fd(), word);
            waiting.expect(Report::Started)
        });
        // From here on they live their own lives: one that ended at once may be restarting for ever.
        let ids: Vec<String> = self.waiting.drain(..).map(|waiting| waiting.id).collect();
        let tidied = old.iter().try_for_each(|id| self.engine.wait_monitor(id));
        if let Err(error) = started {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            // The first failure is the one to report; whoever asked sees what still runs.
            let _ = self.engine.stop_all(&ids, None);
            ids.iter().for_each(|id| self.engine.keep_meaning(id));
            return Err(error);
        }
        tidied
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        for mut waiting in self.waiting.drain(..) {
            // The closed socket is the word to give up. Its work ends by itself; what is left of it here is a zombie.
            drop(waiting.control);
            let _ = waiting.monitor.wait();
        }
    }
}

impl Waiting {
    fn expect(&self, wanted: Report) -> Result<(), EngineError> {
        let mut buffer = [0; monitor::REPORT_LIMIT];
        let received = self
            .hear(&mut buffer)
            .map_err(|source| EngineError::System {
                action: format!("hear from the monitor of {}", self.name),
                source,
            })?;
        let report = Report::decode(&buffer[..received]);
        match report {
            Some(report) if report == wanted => Ok(()),
            Some(Report::Failed { reason, code }) => Err(EngineError::Start {
                name: self.name.clone(),
                reason,
                code,
            }),
            _ => Err(EngineError::Start {
                name: self.name.clone(),
                reason: "its monitor ended unexpectedly".into(),
                code: runtime::EXIT_ENGINE,
            }),
        }
    }

    /// The monitor's next word; nothing if it is gone. The end of the socket alone would not tell: until it executes its
    /// program, the container's first process is a copy of the monitor and holds the other end too.
    fn hear(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let monitor = Pidfd::open(self.monitor.id().cast_signed())?;
        let mut set = [
            PollFd::read(self.control.as_fd()),
            PollFd::read(monitor.as_fd()),
        ];
        process::poll(&mut set, None)?;
        if !set[0].is_ready() {
            return Ok(0);
        }
        Ok(socket::receive(self.control.as_fd(), buffer, true)?.unwrap_or(0))
    }
}
