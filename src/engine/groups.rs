//! What a container sees of its control groups where each controller has a hierarchy of its own (version 1): its own group of
//! each that tells about limits, as with Docker. In the unified hierarchy the runtime mounts what there is.
//!
//! ```text
//! <run>/cgroup/<controller>   empty, the same for all containers: where a container's groups are mounted in it
//! ```

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::{Engine, EngineError};
use crate::sys::{cgroup, fs};

/// Where programs look for control groups.
const PLACE: &str = "/sys/fs/cgroup";

/// What is to be mounted where in a container, the folder of all groups first; nothing in the unified hierarchy. The runtime
/// makes the groups before it mounts anything.
pub(super) fn mounts(engine: &Engine, group: &str) -> Result<Vec<(PathBuf, String)>, EngineError> {
    let groups = cgroup::separate(group).map_err(EngineError::system("find the control groups"))?;
    let all = engine.host().run.join("cgroup");
    let mut mounts = Vec::new();
    if !groups.is_empty() {
        mounts.push((all.clone(), PLACE.to_owned()));
    }
    for (name, group) in groups {
        let place = all.join(&name);
        fs::create_dirs(&place).map_err(|source| EngineError::write(&place, source))?;
        // As the host has them: `cpu` is a link to `cpu,cpuacct`.
        for controller in name.split(',').filter(|controller| *controller != name) {
            let link = all.join(controller);
            match std::os::unix::fs::symlink(&name, &link) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(EngineError::write(&link, error));
                }
                _ => {}
            }
        }
        mounts.push((group, format!("{PLACE}/{name}")));
    }
    if !mounts.is_empty() {
        // Containers see this folder, and their programs need not run as root.
        std::fs::set_permissions(&all, Permissions::from_mode(0o755))
            .map_err(|source| EngineError::write(&all, source))?;
    }
    Ok(mounts)
}
