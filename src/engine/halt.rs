//! Stopping and signals: the commands' side. The monitors' side is in [`super::monitor`].

use std::time::Duration;

use super::{Container, Engine, EngineError, Intent, Record, Status, attach};
use crate::sys::process::Pidfd;

pub(super) const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGCONT: i32 = 18;

/// Docker's grace between the stop signal and the kill.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a killed process may take to go; longer means that the kernel holds it, for example in dead storage.
const KILL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a monitor may take for its last work.
const MONITOR_TIMEOUT: Duration = Duration::from_secs(30);

impl Engine {
    /// Asks a container to stop, kills it after `timeout` (its own, or 10 s), and waits until all of it is gone.
    pub fn stop(&self, id: &str, timeout: Option<Duration>) -> Result<(), EngineError> {
        self.stop_all(&[id], timeout)
    }

    /// As [`Engine::stop`], with `signal` in place of the container's own.
    pub fn stop_by(
        &self,
        id: &str,
        signal: Option<i32>,
        timeout: Option<Duration>,
    ) -> Result<(), EngineError> {
        self.halt_by(&[id], signal, timeout, Intent::STOP)?;
        self.wait_monitor(id)
    }

    /// Stops a container as [`Engine::stop_by`] and starts it again; with --rm too it is the same one afterwards.
    pub fn restart(
        &self,
        id: &str,
        signal: Option<i32>,
        timeout: Option<Duration>,
    ) -> Result<(), EngineError> {
        self.halt_by(&[id], signal, timeout, Intent::RETURN)?;
        self.wait_monitor(id)?;
        self.start(id)
    }

    /// As [`Engine::stop`] for several containers at once.
    pub fn stop_all(&self, ids: &[&str], timeout: Option<Duration>) -> Result<(), EngineError> {
        self.halt(ids, timeout)?;
        ids.iter().try_for_each(|id| self.wait_monitor(id))
    }

    /// Ends the processes of containers but does not wait until their monitors have tidied up; the fast half of
    /// [`Engine::stop_all`].
    pub fn halt(&self, ids: &[&str], timeout: Option<Duration>) -> Result<(), EngineError> {
        self.halt_by(ids, None, timeout, Intent::STOP)
    }

    fn halt_by(
        &self,
        ids: &[&str],
        signal: Option<i32>,
        timeout: Option<Duration>,
        intent: Intent,
    ) -> Result<(), EngineError> {
        let mut ending = Vec::new();
        for id in ids {
            let _lock = self.lock(id)?;
            self.folders(id).write_intent(intent)?;
            let container = self.load(id)?;
            let grace = timeout.unwrap_or_else(|| own_timeout(&container));
            if let Some(process) = self.ask_to_stop(&container, signal, grace)? {
                ending.push((container.record, process, grace));
            }
        }
        let started = self.host.instant();
        for (Record { id, name, .. }, process, grace) in ending {
            let left = grace.saturating_sub(started.elapsed());
            let failed = |source| EngineError::System {
                action: format!("stop container {name}"),
                source,
            };
            if process.wait(Some(left)).map_err(failed)? {
                continue;
            }
            process.signal(SIGKILL).map_err(failed)?;
            // It may have been paused meanwhile.
            self.thaw(&id)?;
            wait_for_the_killed(&process, name)?;
        }
        Ok(())
    }

    /// Sends the stop signal, or the one given; the process to wait for, if there is one. Its monitor knows of the grace too, should
    /// this process not live to see its end.
    fn ask_to_stop(
        &self,
        container: &Container,
        signal: Option<i32>,
        grace: Duration,
    ) -> Result<Option<Pidfd>, EngineError> {
        let failed = |source| EngineError::System {
            action: format!("stop container {}", container.name()),
            source,
        };
        let init = container
            .now
            .as_ref()
            .filter(|now| now.status.is_attended())
            .and_then(|now| now.init.clone());
        // A monitor that pauses before a restart looks at the intent again.
        self.rouse(container.id())?;
        attach::nudge(&self.folders(container.id()), Some(grace));
        let Some(process) = init
            .map(|init| init.open())
            .transpose()
            .map_err(failed)?
            .flatten()
        else {
            return Ok(None);
        };
        let signal = signal.map_or_else(|| stop_signal(container), Ok)?;
        process.signal(signal).map_err(failed)?;
        self.thaw(container.id())?;
        Ok(Some(process))
    }

    /// Waits until the monitor of a stopped container has done its last work; one that hangs is killed, and its work done here.
    pub fn wait_monitor(&self, id: &str) -> Result<(), EngineError> {
        let failed = || EngineError::system(format!("wait for the monitor of {id}"));
        let Some(monitor) = self.rouse(id)? else {
            return Ok(());
        };
        if monitor.wait(Some(MONITOR_TIMEOUT)).map_err(failed())? {
            return Ok(());
        }
        monitor.signal(SIGKILL).map_err(failed())?;
        if !monitor.wait(Some(KILL_TIMEOUT)).map_err(failed())? {
            return Err(EngineError::Unkillable {
                name: self.folders(id).record()?.name,
                seconds: KILL_TIMEOUT.as_secs(),
            });
        }
        self.settle_one(id).map(drop)
    }

    /// Lets a monitor go on that somebody has stopped by a signal: it would neither hear of its container's end nor let go of
    /// a lock. `None` if there is none.
    pub(super) fn rouse(&self, id: &str) -> Result<Option<Pidfd>, EngineError> {
        let failed = || EngineError::system(format!("wake the monitor of {id}"));
        let Some(now) = self.folders(id).now(&self.host.boot_id)? else {
            return Ok(None);
        };
        let monitor = now.monitor.open().map_err(failed())?;
        if let Some(monitor) = &monitor {
            monitor.signal(SIGCONT).map_err(failed())?;
        }
        Ok(monitor)
    }

    /// Sends a signal to a container's first process. One that pauses before a restart has none and stays as it is, whatever
    /// the signal: Docker's meaning of it.
    pub fn kill(&self, id: &str, signal: i32) -> Result<(), EngineError> {
        let lock = self.lock(id)?;
        let container = self.load(id)?;
        let ends = ends(&container, signal);
        if container.status == Status::Restarting {
            self.folders(id).write_intent(Intent::STOP)?;
            self.rouse(id)?;
            attach::nudge(&self.folders(id), None);
            return Ok(());
        }
        let name = container.record.name;
        let init = container
            .now
            .filter(|now| now.status == Status::Running)
            .and_then(|now| now.init);
        let failed = |source| EngineError::System {
            action: format!("signal container {name}"),
            source,
        };
        match init
            .map(|init| init.open())
            .transpose()
            .map_err(failed)?
            .flatten()
        {
            Some(process) => {
                if ends {
                    // Docker's: a container that was ended by hand is not started again by its policy.
                    self.folders(id).write_intent(Intent::STOP)?;
                }
                process.signal(signal).map_err(failed)?;
                // As Docker: what is to end it also lets it go on.
                if ends {
                    self.thaw(id)?;
                }
                self.rouse(id)?;
                if signal != SIGKILL {
                    return Ok(());
                }
                // Docker's: what comes next, a start or a removal, finds it ended.
                drop(lock);
                wait_for_the_killed(&process, name)?;
                self.wait_monitor(id)
            }
            None => Err(EngineError::NotRunning { name }),
        }
    }
}

/// Whether a signal is meant to end the container. To Docker any signal is, where the image or its maker named none; but a HUP
/// or USR1 has a server read its settings again, and must not take its restart policy away.
fn ends(container: &Container, signal: i32) -> bool {
    /// INT, QUIT and TERM.
    const ENDING: [i32; 3] = [2, 3, SIGTERM];
    signal == SIGKILL
        || match container.record.body.config.stop_signal {
            None => ENDING.contains(&signal),
            Some(_) => stop_signal(container).is_ok_and(|stop| stop == signal),
        }
}

fn own_timeout(container: &Container) -> Duration {
    match container.record.body.config.stop_timeout {
        Some(seconds) if seconds < 0 => Duration::MAX,
        Some(seconds) => Duration::from_secs(seconds.unsigned_abs()),
        None => STOP_TIMEOUT,
    }
}

fn stop_signal(container: &Container) -> Result<i32, EngineError> {
    let Some(text) = &container.record.body.config.stop_signal else {
        return Ok(SIGTERM);
    };
    crate::runargs::signal::number(text).ok_or_else(|| EngineError::Unsupported {
        option: format!("stop signal {text}"),
        reason: "not a signal of this system".into(),
    })
}

/// Waits for the end of a container's first process that was sent SIGKILL.
fn wait_for_the_killed(process: &Pidfd, name: String) -> Result<(), EngineError> {
    let ended = process.wait(Some(KILL_TIMEOUT));
    match ended.map_err(EngineError::system(format!("wait for the end of {name}")))? {
        true => Ok(()),
        false => Err(EngineError::Unkillable {
            name,
            seconds: KILL_TIMEOUT.as_secs(),
        }),
    }
}
