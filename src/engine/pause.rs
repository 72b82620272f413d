//! Pausing: a container's processes stand still until they are let go on. The kernel's freezer is the only record of it.

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
            Status::Running => freezer::freeze(&group)
                .map_err(EngineError::system(format!("pause container {name}"))),
            Status::Paused => Err(EngineError::AlreadyPaused { name }),
            _ => Err(EngineError::NotRunning { name }),
        }
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
