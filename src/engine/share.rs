//! `container:NAME` of `--network` and `--pid`: containers that live in another one's network, with its name files, or see
//! its processes.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use super::{Container, Engine, EngineError, Owner, Record};
use crate::api::HostConfig;
use crate::sys::netns::Netns;

const PREFIX: &str = "container:";

/// The network that a container is about to join.
#[derive(Debug)]
pub(super) struct Shared {
    /// The container that has it.
    pub(super) owner: Record,
    /// Held until the container is in it: a process id alone could be another's by then.
    pub(super) netns: Netns,
}

impl Shared {
    /// The network that `record` shares, if it shares one; its owner has to run.
    pub(super) fn find(engine: &Engine, record: &Record) -> Result<Option<Shared>, EngineError> {
        let Some(mut id) = shared_with(record) else {
            return Ok(None);
        };
        let mut owner = engine.load(&id)?;
        // Ids are resolved when a container is made, so each one in this chain is older than the one before.
        while let Some(next) = shared_with(&owner.record) {
            id = next;
            owner = engine.load(&id)?;
        }
        let netns = held(&owner, "network", Netns::of_process)?;
        let owner = owner.record;
        Ok(Some(Shared { owner, netns }))
    }
}

/// The process ids that a container is about to see.
#[derive(Debug)]
pub(super) struct SharedPids(File);

impl SharedPids {
    /// The process ids that `record` shares, if it shares some; the container that has them has to run.
    pub(super) fn find(
        engine: &Engine,
        record: &Record,
    ) -> Result<Option<SharedPids>, EngineError> {
        let mode = &record.body.host_config.pid_mode;
        let Some(id) = mode.strip_prefix(PREFIX) else {
            return Ok(None);
        };
        let open = |pid| File::open(format!("/proc/{pid}/ns/pid"));
        held(&engine.load(id)?, "process namespace", open).map(|file| Some(SharedPids(file)))
    }

    /// Where the runtime finds them as long as this is held.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.0.as_raw_fd()
        ))
    }
}

/// A handle on a namespace of a running container: its process id alone could be another's by the time it is used.
fn held<T>(
    owner: &Container,
    what: &'static str,
    open: impl FnOnce(i32) -> std::io::Result<T>,
) -> Result<T, EngineError> {
    let gone = || EngineError::OwnerNotRunning {
        owner: owner.record.name.clone(),
        what,
    };
    let init = owner.now.as_ref().and_then(|now| now.init.as_ref());
    let init = init.ok_or_else(gone)?;
    let opened = open(init.pid).map_err(|_| gone())?;
    match init.is_alive() {
        true => Ok(opened),
        false => Err(gone()),
    }
}

fn shared_with(record: &Record) -> Option<String> {
    let mode = &record.body.host_config.network_mode;
    mode.strip_prefix(PREFIX).map(str::to_owned)
}

/// Writes ids of containers in the place of their names, which may be others' tomorrow.
pub(super) fn resolve(
    engine: &Engine,
    config: &mut HostConfig,
    owner: Option<&Owner>,
) -> Result<(), EngineError> {
    for (option, mode, instead) in [
        (
            "--network",
            &mut config.network_mode,
            "use a network or --network host",
        ),
        ("--pid", &mut config.pid_mode, "use --pid host"),
    ] {
        let Some(name) = mode.strip_prefix(PREFIX) else {
            continue;
        };
        let found = engine.find(name)?.record;
        let scope = |owner: &Owner| owner.scope.clone();
        if owner.is_some() && found.owner.as_ref().map(scope) == owner.map(scope) {
            return Err(EngineError::Unsupported {
                option: format!("{option} {mode}"),
                reason: format!(
                    "a deployment replaces its containers, so none of them can share what another has; {instead}"
                ),
            });
        }
        *mode = format!("{PREFIX}{}", found.id);
    }
    Ok(())
}
