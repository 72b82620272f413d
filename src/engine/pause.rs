//! Pausing: a container's processes stand still until they are let go on. The kernel's freezer is the only record of it.

use std::io::ErrorKind;

use super::{Engine, EngineError, Record, Status};
use crate::sys::{cgroup, freezer};

impl Engine {
    /// Has the processes of a running container stand still.
    pub fn pause(&self, id: &str) -> Result<(), EngineError> {
        let _lock = self.lock(id)?;
        let container = self.load(id)?;
        let group = container.record.group();
        let name = container.record.name;
        match container.status {
            Status::Running => {}
            Status::Paused => return Err(EngineError::AlreadyPaused { name }),
            _ => return Err(EngineError::NotRunning { name }),
        }
        match freezer::freeze(&group) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(EngineError::system(format!("pause container {name}"))(
                    error,
                ));
            }
            Ok(()) if self.is_alive(id)? => return Ok(()),
            // A group without processes stands still too, and nothing must be started in that.
            Ok(()) => self.thaw(id)?,
            Err(_) => {}
        }
        // It ended meanwhile.
        Err(EngineError::NotRunning { name })
    }

    /// Whether the process of a container that runs is still there.
    fn is_alive(&self, id: &str) -> Result<bool, EngineError> {
        let init = self.load(id)?.now.and_then(|now| now.init);
        Ok(init.is_some_and(|init| init.is_alive()))
    }

    /// Lets the processes of a paused container go on.
    pub fn unpause(&self, id: &str) -> Result<(), EngineError> {
        let _lock = self.lock(id)?;
        let container = self.load(id)?;
        let name = container.record.name;
        match container.status {
            Status::Paused => self.thaw(id),
            _ => Err(EngineError::NotPaused { name }),
        }
    }

    /// The control group of a container; one whose record cannot be read is where all are.
    pub(super) fn group(&self, id: &str) -> String {
        group_of(id, self.folders(id).record().ok().as_ref())
    }

    /// Lets processes go on that have been sent a signal: standing still they would not hear it.
    pub(super) fn thaw(&self, id: &str) -> Result<(), EngineError> {
        freezer::thaw(&self.group(id))
            .map_err(EngineError::system(format!("unpause container {id}")))
    }
}

/// The control group of container `id`; of one whose record cannot be read, where all are.
pub(super) fn group_of(id: &str, record: Option<&Record>) -> String {
    record.map_or_else(|| cgroup::group_of("", id), Record::group)
}
