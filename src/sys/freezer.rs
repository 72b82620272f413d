//! Freezing the processes of a container: control groups' freezer, of version 1 and of version 2.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{cgroup, process};

/// How long processes may take to stand still; longer means that the kernel holds one, for example in dead storage.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(1);

/// What switches the freezer of a container.
fn switch(group: &str) -> Option<PathBuf> {
    cgroup::file(group, "freezer", &["cgroup.freeze", "freezer.state"])
}

/// Whether the kernel has a freezer at all.
fn is_there() -> bool {
    match cgroup::is_unified() {
        true => cgroup::in_groups("freezer", &["cgroup.freeze"]).is_some(),
        false => cgroup::has("freezer"),
    }
}

/// Whether the processes of a container stand still, or are to.
pub fn is_frozen(group: &str) -> bool {
    let state = switch(group).and_then(|file| fs::read_to_string(file).ok());
    state.is_some_and(|state| !matches!(state.trim(), "0" | "THAWED"))
}

/// Freezes the processes of a container; when this returns they all stand still, or none is to. A group that is gone, or goes
/// meanwhile, is not found.
pub fn freeze(group: &str) -> io::Result<()> {
    stand_still(group).map_err(|error| match error.raw_os_error() {
        // Of a file that was open when its group went.
        Some(libc::ENODEV) => io::ErrorKind::NotFound.into(),
        _ => error,
    })
}

fn stand_still(group: &str) -> io::Result<()> {
    let file = match switch(group) {
        Some(file) => file,
        None if is_there() => return Err(io::ErrorKind::NotFound.into()),
        None => {
            let missing = "the kernel has no freezer for control groups";
            return Err(io::Error::other(missing));
        }
    };
    let unified = file.ends_with("cgroup.freeze");
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Version 1 forgets those that were forking unless it is told again.
        cgroup::set(&file, if unified { "1" } else { "FROZEN" })?;
        let state = match unified {
            true => fs::read_to_string(file.with_file_name("cgroup.events"))?,
            false => fs::read_to_string(&file)?,
        };
        if state.contains("frozen 1") || state.trim() == "FROZEN" {
            return Ok(());
        }
        if Instant::now() > deadline {
            thaw(group)?;
            return Err(io::ErrorKind::TimedOut.into());
        }
        process::poll(&mut [], Some(LOOK))?;
    }
}

/// Lets the processes of a container go on, if they do not; no container is fine.
pub fn thaw(group: &str) -> io::Result<()> {
    match switch(group) {
        Some(file) if is_frozen(group) => {
            let unified = file.ends_with("cgroup.freeze");
            cgroup::set(&file, if unified { "0" } else { "THAWED" })
        }
        _ => Ok(()),
    }
}
