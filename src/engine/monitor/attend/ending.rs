//! The end of a container: what is recorded, taken down and left, and whether it is started again.

use std::time::{Duration, Instant};

use super::{Attendant, state_packet};
use crate::engine::files::NetworkMode;
use crate::engine::monitor::attempt::Attempt;
use crate::engine::monitor::clients::PATIENCE;
use crate::engine::monitor::launch;
use crate::engine::record::{Intent, Status};
use crate::engine::{EngineError, attach, restart, teardown, time};
use crate::sys::{cgroup, process, program};

/// How long the network stays when its last container has ended.
const LINGER: Duration = Duration::from_secs(1);

impl Attendant<'_> {
    /// The container has ended: records it, takes it down, and asks the policy.
    pub(super) fn end(mut self, code: i32) -> Result<(), EngineError> {
        let outcome = &mut self.state.outcome;
        outcome.exit_code = code;
        outcome.oom_killed = cgroup::oom_kills(&self.record.group()) > 0;
        outcome.finished_at = time::rfc3339(self.engine.host().now());
        let end = restart::End {
            exit_code: code,
            ran: self.started.elapsed(),
            paused: self.paused,
            restarts: outcome.restart_count,
            stopped: !self.folders.intent()?.running,
        };
        outcome.last_health = self.state.health.take();
        self.state.init = None;
        self.take_down()?;
        let policy = &self.record.body.host_config.restart_policy;
        match restart::decide(policy, &end) {
            restart::Next::Stay => {
                if policy.name == "on-failure" && !end.stopped {
                    // The next boot must not start what ended well or has failed often enough.
                    self.folders.write_intent(Intent::STOP)?;
                }
                self.stay()
            }
            restart::Next::Restart(pause) => self.again(pause),
        }
    }

    fn take_down(&mut self) -> Result<(), EngineError> {
        let id = &self.record.id;
        teardown::take_down(self.engine, id, Some(&self.record))?;
        // One without a network may have been put on one meanwhile.
        if let NetworkMode::Bridge | NetworkMode::None = NetworkMode::of(&self.record) {
            self.engine.network().release(id)?;
        }
        Ok(())
    }

    /// Removes a container with `--rm` unless it is about to be started again. Where the disk takes nothing any more it stays,
    /// ended, as any other one.
    fn is_removed(&self) -> Result<bool, EngineError> {
        if !self.record.goes_with_boot() || self.folders.intent()?.returns {
            return Ok(false);
        }
        match self.engine.remove_stopped(&self.record, true) {
            Err(error) if error.is_read_only() => Ok(false),
            removed => removed.map(|()| true),
        }
    }

    /// Ended for good.
    fn stay(mut self) -> Result<(), EngineError> {
        self.state.status = Status::Exited;
        if !self.is_removed()? {
            self.folders.write_outcome(&self.state.outcome)?;
            // From here on the outcome on disk speaks: without a monitor there is nothing going on.
            let _ = std::fs::remove_file(self.folders.run.join("state.json"));
            let _ = std::fs::remove_file(self.folders.run.join(attach::SOCKET));
        }
        self.clients.tell(&state_packet(&self.state));
        if self.clients.is_owed() {
            // They may let it wait for ever, stopped as they are: in a process of its own too.
            let failed = || EngineError::system("leave slow clients behind");
            if program::go_on_in_background().map_err(failed())? {
                self.clients.close(PATIENCE);
                return Ok(());
            }
        }
        drop(self.clients);
        if NetworkMode::of(&self.record) == NetworkMode::Bridge {
            // Whoever comes next finds bridge and rules there, which the kernel takes tens of milliseconds to remove and to
            // make again. In a process of its own: whoever waits for this one waits for its container.
            let _network = self.engine.network().keep()?;
            let failed = || EngineError::system("leave the network behind");
            if !program::go_on_in_background().map_err(failed())? {
                return Ok(());
            }
            process::poll(&mut [], Some(LINGER)).map_err(failed())?;
        }
        // Bridge or not: what an earlier monitor was killed before tidying goes too.
        self.engine.network().tidy()?;
        Ok(())
    }

    /// Pauses, then becomes the first life again, unless somebody stops the container meanwhile.
    fn again(mut self, pause: Duration) -> Result<(), EngineError> {
        self.state.status = Status::Restarting;
        self.tell_state();
        let id = self.record.id.clone();
        let failed = || EngineError::system(format!("pause before restarting {id}"));
        let deadline = Instant::now() + pause;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut set = self.clients.poll_fds();
            if process::poll(&mut set, Some(left)).map_err(failed())? == 0 {
                break;
            }
            self.hear_clients(&set);
            if !self.folders.intent()?.running {
                return self.stay();
            }
        }
        let lock = self.engine.lock(&id)?;
        if !self.folders.intent()?.running {
            drop(lock);
            return self.stay();
        }
        let restarts = self.state.outcome.restart_count + 1;
        let listener = self.clients.into_listener();
        let attempt = Attempt::again((listener, lock), self.outside, restarts, pause);
        launch::run(self.engine, &id, attempt)
    }
}
