//! What is started after a boot, beside deployments: by policy, in the order in which it was made.
//!
//! A volume that is mounted from somewhere else may keep its container waiting, a server that is away for a minute
//! ([`crate::sys::mount::filesystem_in_time`]). So those come last, all at once, and after them who shares something of theirs.

use std::collections::BTreeSet;
use std::thread;

use super::{Container, Engine, EngineError, Remove, rootfs};

/// A container that was to be started at boot.
#[derive(Debug)]
pub struct Started {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub result: Result<(), EngineError>,
}

impl Engine {
    /// Refuses a disk that is read-only, from which nothing can be started.
    pub fn check_disk(&self) -> Result<(), EngineError> {
        rootfs::check_writable(&self.host.state.join("containers"))
    }

    /// Starts what is to run after a boot: by policy, and only containers that no deployment owns; those are `deploy`'s. Removes
    /// those with `--rm` that the power went away under. Each is told to `started` when that is known.
    pub fn start_at_boot(&self, mut started: impl FnMut(Started)) -> Result<(), EngineError> {
        let (mut waiting, mut after) = (Vec::new(), Vec::new());
        let mut held_up = BTreeSet::new();
        for container in self.list()?.into_iter().rev() {
            if container.status.is_attended() {
                continue;
            }
            if container.record.goes_with_boot() {
                if let Err(error) = self.remove_left(container.id()) {
                    // Nothing that others have to wait for.
                    started(Started {
                        name: container.record.name,
                        result: Err(error),
                    });
                }
            } else if container.record.owner.is_none() && container.starts_at_boot() {
                if waits(&container) {
                    held_up.insert(container.record.id.clone());
                    waiting.push(container);
                } else if shares(&container).any(|id| held_up.contains(id)) {
                    held_up.insert(container.record.id.clone());
                    after.push(container);
                } else {
                    started(self.start_one(&container));
                }
            }
        }
        thread::scope(|scope| {
            let start = |container| {
                let own = thread::Builder::new();
                (
                    own.spawn_scoped(scope, move || self.start_one(container)),
                    container,
                )
            };
            let all: Vec<_> = waiting.iter().map(start).collect();
            for (one, container) in all {
                started(match one {
                    Ok(one) => one
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                    // Where no thread can be had they come up one after the other.
                    Err(_) => self.start_one(container),
                });
            }
        });
        after
            .iter()
            .for_each(|container| started(self.start_one(container)));
        Ok(())
    }

    fn start_one(&self, container: &Container) -> Started {
        Started {
            result: self.start(container.id()),
            name: container.record.name.clone(),
        }
    }

    fn remove_left(&self, id: &str) -> Result<(), EngineError> {
        let gone = Remove {
            force: false,
            volumes: true,
        };
        match self.remove(id, gone) {
            Err(EngineError::Gone(_)) => Ok(()),
            removed => removed,
        }
    }
}

/// Whether a container has a volume that is mounted while it runs.
fn waits(container: &Container) -> bool {
    container.record.mounts.iter().any(|mount| mount.mounted)
}

/// Ids of the containers whose namespaces a container shares.
fn shares(container: &Container) -> impl Iterator<Item = &str> {
    let host = &container.record.body.host_config;
    let modes = [&host.network_mode, &host.pid_mode, &host.ipc_mode];
    modes
        .into_iter()
        .filter_map(|mode| mode.strip_prefix("container:"))
}
