//! Waiting for what happens to containers, without looking again and again.

use std::os::fd::AsFd;
use std::time::Duration;

use super::attach::{Attached, Session, WATCH};
use super::{Engine, EngineError, Folders, Status};
use crate::sys::process::{self, PollFd};

/// Something that happened to a watched container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It runs; also the first event about one that runs already.
    Running {
        /// Container id.
        id: String,
        /// `starting`, `healthy`, `unhealthy`; `None` without a check.
        health: Option<String>,
        /// Restarts by policy since it was last started.
        restarts: u32,
    },
    /// It ended; its policy may start it again.
    Exited {
        /// Container id.
        id: String,
        /// As a shell reports it.
        code: i32,
        /// Killed by the kernel for lack of memory.
        oom_killed: bool,
    },
}

/// Events of several containers.
#[derive(Debug)]
pub struct Watch {
    sessions: Vec<Watched>,
    ready: Vec<Event>,
}

#[derive(Debug)]
struct Watched {
    id: String,
    folders: Folders,
    session: Session,
    status: Status,
}

impl Engine {
    /// Watches containers. About one that does not run (any more) there is an `Exited` event at once.
    pub fn watch(&self, ids: &[&str]) -> Result<Watch, EngineError> {
        let mut watch = Watch {
            sessions: Vec::new(),
            ready: Vec::new(),
        };
        for id in ids {
            match self.attach(id, false)? {
                Some(session) => watch.sessions.push(Watched {
                    id: (*id).to_owned(),
                    folders: self.folders(id),
                    session,
                    status: Status::Created,
                }),
                None => {
                    let outcome = self.load(id)?.outcome;
                    watch
                        .ready
                        .push(exited(id, outcome.exit_code, outcome.oom_killed));
                }
            }
        }
        Ok(watch)
    }

    /// Waits until a container ends, be it that its policy starts it again; its exit code. One that pauses before it is started
    /// again counts as running, as with Docker.
    pub fn wait(&self, id: &str) -> Result<i32, EngineError> {
        let failed = || EngineError::system(format!("wait for container {id}"));
        // A monitor that starts its container again closes its connections but goes on listening.
        let mut pausing = None;
        let mut is_first = true;
        while let Some(mut session) = self.attach(id, false)? {
            let mut last = None;
            loop {
                match session.next(None).map_err(failed())? {
                    Some(Attached::State(state)) => {
                        let life = Some(state.outcome.restart_count);
                        let is_pausing = state.status == Status::Restarting;
                        if std::mem::take(&mut is_first) && is_pausing {
                            pausing = life;
                        }
                        if is_pausing && pausing != life {
                            return Ok(state.outcome.exit_code);
                        }
                        last = Some(state);
                    }
                    Some(Attached::Closed) => break,
                    Some(Attached::Output(..)) | None => {}
                }
            }
            // With --rm there is no record to look at any more.
            if let Some(state) = last.filter(|state| state.status == Status::Exited) {
                return Ok(state.outcome.exit_code);
            }
        }
        self.ended(id)
    }

    /// The exit code of a container that nobody attends to; if it runs all the same, nobody will ever know it.
    pub fn ended(&self, id: &str) -> Result<i32, EngineError> {
        let container = self.load(id)?;
        match container.status {
            Status::Running | Status::Paused => Err(EngineError::System {
                action: format!("wait for container {}", container.name()),
                source: std::io::Error::other(
                    "its monitor was killed and it runs on; `dray boot` puts it right",
                ),
            }),
            _ => Ok(container.outcome.exit_code),
        }
    }
}

impl Watch {
    /// The next event; `None` if the time is over first or nothing is left to watch.
    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Option<Event>, EngineError> {
        let started = std::time::Instant::now();
        while self.ready.is_empty() {
            if self.sessions.is_empty() {
                return Ok(None);
            }
            let left = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
            let mut set: Vec<PollFd> = self
                .sessions
                .iter()
                .map(|watched| PollFd::read(watched.session.as_fd()))
                .collect();
            if process::poll(&mut set, left).map_err(EngineError::system("watch containers"))? == 0
            {
                return Ok(None);
            }
            for index in (0..set.len()).rev().filter(|index| set[*index].is_ready()) {
                self.receive(index)
                    .map_err(EngineError::system("watch containers"))?;
            }
        }
        Ok(Some(self.ready.remove(0)))
    }

    fn receive(&mut self, index: usize) -> std::io::Result<()> {
        let Watched {
            id,
            folders,
            session,
            status,
        } = &mut self.sessions[index];
        match session.take()? {
            Some(Attached::State(state)) => {
                let health = state.health.as_ref().map(|health| health.status.clone());
                let outcome = &state.outcome;
                match state.status {
                    Status::Running => self.ready.push(Event::Running {
                        id: id.clone(),
                        health,
                        restarts: outcome.restart_count,
                    }),
                    Status::Restarting | Status::Exited => {
                        self.ready
                            .push(exited(id, outcome.exit_code, outcome.oom_killed));
                    }
                    Status::Created | Status::Prepared | Status::Paused => {}
                }
                *status = state.status;
            }
            Some(Attached::Closed) => {
                // A monitor that starts its container again closes its connections but goes on listening.
                if *status == Status::Restarting
                    && let Some(again) = Session::connect(folders, WATCH)
                {
                    *session = again;
                    return Ok(());
                }
                if !matches!(status, Status::Exited) {
                    // A monitor that was killed: its container counts as killed too.
                    self.ready.push(exited(id, 137, false));
                }
                self.sessions.remove(index);
            }
            Some(Attached::Output(..)) | None => {}
        }
        Ok(())
    }
}

fn exited(id: &str, code: i32, oom_killed: bool) -> Event {
    Event::Exited {
        id: id.to_owned(),
        code,
        oom_killed,
    }
}
