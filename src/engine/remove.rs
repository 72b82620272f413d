//! Removing containers: the record first, then what it held.

use super::create::pin_name;
use super::halt::SIGKILL;
use super::{Engine, EngineError, Record, Status};
use crate::sys::fs;

/// How a container is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remove {
    /// Kill it first if it runs.
    pub force: bool,
    /// Its anonymous volumes too; named ones always stay.
    pub volumes: bool,
}

impl Engine {
    /// Removes a container with everything it wrote outside of volumes.
    ///
    /// One whose files are damaged goes only by force; which anonymous volumes it had, nobody knows any more, so they stay.
    /// [`EngineError::Gone`] if somebody else was faster.
    pub fn remove(&self, id: &str, how: Remove) -> Result<(), EngineError> {
        let mut is_stopped = false;
        loop {
            let lock = self.lock(id)?;
            // Under the lock nobody is bringing it up.
            let container = match self.load(id) {
                Err(EngineError::Gone(id)) => {
                    self.sweep_run(&id)?;
                    return match is_stopped {
                        // Its monitor removed it: it was a --rm one.
                        true => Ok(()),
                        false => Err(EngineError::Gone(id)),
                    };
                }
                Err(error) if error.is_about_files() && how.force => {
                    return self.remove_damaged(id);
                }
                other => other?,
            };
            if !container.status.is_attended() {
                return self.remove_stopped(&container.record, how.volumes);
            }
            if !how.force {
                let name = container.record.name;
                return Err(match container.status {
                    Status::Paused => EngineError::PausedToRemove { name },
                    _ => EngineError::Running { name },
                });
            }
            drop(lock);
            is_stopped = true;
            // Killed at once, as by docker: it is not asked to stop, and tidies nothing up.
            match self.stop_by(id, Some(SIGKILL), Some(std::time::Duration::ZERO)) {
                Err(EngineError::Gone(_)) => continue,
                stopped => stopped?,
            }
            // Where the monitor was killed as well, nobody but us says that it ended.
            self.settle_one(id)?;
        }
    }

    /// Whether somebody has removed a container that was there; a lock that was taken on it leaves nothing either.
    pub fn is_gone(&self, id: &str) -> bool {
        let is_gone = !self.folders(id).state.exists();
        if is_gone {
            // The next start sweeps what cannot be removed now.
            let _ = self.sweep_run(id);
        }
        is_gone
    }

    /// Ends whatever runs of a container that cannot be read, and removes it.
    fn remove_damaged(&self, id: &str) -> Result<(), EngineError> {
        self.take_down(id, None)?;
        self.erase(id, false)?;
        self.sweep_run(id)
    }

    /// Removes what the disk has of a container, then what that held; durably unless the container goes with this boot.
    fn erase(&self, id: &str, goes_with_boot: bool) -> Result<(), EngineError> {
        let state = self.folders(id).state;
        let failed = |source| EngineError::write(&state, source);
        let pin = pin_name(id);
        if goes_with_boot {
            fs::remove_tree_volatile(&state).map_err(failed)?;
            Ok(self.images.unpin_until_boot(&pin)?)
        } else {
            fs::remove_tree(&state).map_err(failed)?;
            Ok(self.images.unpin(&pin)?)
        }
    }

    /// Removes the run folder of a container that is no more.
    fn sweep_run(&self, id: &str) -> Result<(), EngineError> {
        let run = self.folders(id).run;
        match std::fs::remove_dir_all(&run) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(EngineError::write(&run, error))
            }
            _ => Ok(()),
        }
    }

    /// Removes a container that does not run. Called by commands under its lock, and by its own monitor for `--rm`.
    pub(super) fn remove_stopped(
        &self,
        record: &Record,
        with_volumes: bool,
    ) -> Result<(), EngineError> {
        self.erase(&record.id, record.goes_with_boot())?;
        if with_volumes && record.mounts.iter().any(|mount| mount.anonymous) {
            self.remove_anonymous(record, &self.lock_names()?)?;
        }
        self.sweep_run(&record.id)
    }
}
