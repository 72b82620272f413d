//! `--network container:NAME`: containers that live in another one's network, with its name files.

use super::{Engine, EngineError, Owner, Record};
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
        let gone = || EngineError::OwnerNotRunning {
            owner: owner.record.name.clone(),
        };
        let init = owner.now.and_then(|now| now.init).ok_or_else(gone)?;
        let netns = Netns::of_process(init.pid).map_err(|_| gone())?;
        if !init.is_alive() {
            return Err(gone());
        }
        let owner = owner.record;
        Ok(Some(Shared { owner, netns }))
    }
}

fn shared_with(record: &Record) -> Option<String> {
    let mode = &record.body.host_config.network_mode;
    mode.strip_prefix(PREFIX).map(str::to_owned)
}

/// Writes the id of the container whose network is shared in the place of its name, which may be another's tomorrow.
pub(super) fn resolve(
    engine: &Engine,
    config: &mut HostConfig,
    owner: Option<&Owner>,
) -> Result<(), EngineError> {
    let Some(name) = config.network_mode.strip_prefix(PREFIX) else {
        return Ok(());
    };
    let found = engine.find(name)?.record;
    let scope = |owner: &Owner| owner.scope.clone();
    if owner.is_some() && found.owner.as_ref().map(scope) == owner.map(scope) {
        return Err(EngineError::Unsupported {
            option: format!("--network {}", config.network_mode),
            reason: "a deployment replaces its containers, so none of them can share its network with another; use a \
                     network or --network host"
                .to_owned(),
        });
    }
    config.network_mode = format!("{PREFIX}{}", found.id);
    Ok(())
}
