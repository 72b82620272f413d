//! Removing containers: the record first, then what it held.

use super::create::pin_name;
use super::{Engine, EngineError, Folders, Record};
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
    pub fn remove(&self, id: &str, how: Remove) -> Result<(), EngineError> {
        self.load(id)?;
        loop {
            let lock = self.lock(id)?;
            if !self.folders(id).state.exists() {
                // Its monitor removed it: it was a --rm one.
                return Ok(());
            }
            // Under the lock nobody is bringing it up.
            let container = self.load(id)?;
            if !container.status.is_attended() {
                return self.remove_stopped(&container.record, how.volumes);
            }
            if !how.force {
                return Err(EngineError::Running {
                    name: container.record.name,
                });
            }
            drop(lock);
            self.stop(id, Some(std::time::Duration::ZERO))?;
            // Where the monitor was killed as well, nobody but us says that it ended.
            self.settle_one(id)?;
        }
    }

    /// Removes a container that does not run. Called by commands under its lock, and by its own monitor for `--rm`.
    pub(super) fn remove_stopped(
        &self,
        record: &Record,
        with_volumes: bool,
    ) -> Result<(), EngineError> {
        let Folders { state, run } = self.folders(&record.id);
        fs::remove_tree(&state).map_err(|source| EngineError::write(&state, source))?;
        self.images.unpin(&pin_name(&record.id))?;
        if with_volumes && record.mounts.iter().any(|mount| mount.anonymous) {
            self.remove_anonymous(record, &self.lock_names()?)?;
        }
        match std::fs::remove_dir_all(&run) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(EngineError::write(&run, error))
            }
            _ => Ok(()),
        }
    }
}
