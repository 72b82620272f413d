//! What goes when a container has ended, in one order for all who end one: its attendant, a start that failed, and settling.

use super::monitor::bundle_of;
use super::pause::group_of;
use super::{Engine, EngineError, Record, rootfs, runtime, volumes};
use crate::sys::cgroup;

/// Takes down everything of container `id` that runs or is mounted, except its network, which each caller leaves in its own
/// way. Of one whose record cannot be read, what is known without.
///
/// Each step on its own: what one cannot remove must not keep the others from being removed. The first error is returned;
/// what stays is found by the next settling through the state file.
pub(super) fn take_down(
    engine: &Engine,
    id: &str,
    record: Option<&Record>,
) -> Result<(), EngineError> {
    let group = group_of(id, record);
    let steps = [
        // The processes first: children of the container's first one may have outlived it where it had no process namespace
        // of its own.
        cgroup::remove(id, &group).map_err(EngineError::system(format!(
            "remove the control groups of {id}"
        ))),
        // These two go with the mount namespace of a monitor that was killed; then there is nothing mounted, only places.
        rootfs::unmount(&engine.folders(id)),
        record.map_or(Ok(()), |record| volumes::unmount_all(engine, record)),
        runtime::forget(&bundle_of(engine, id).borrow()).map_err(|reason| EngineError::Runtime {
            action: "forget",
            name: record.map_or(id, |record| &record.name).to_owned(),
            reason,
        }),
    ];
    steps.into_iter().collect()
}
