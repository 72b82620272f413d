//! `container:NAME` of `--network`, `--pid` and `--ipc`: containers that live in another one's network, with its name files,
//! see its processes, or use its shared memory.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use super::{Container, Engine, EngineError, Owner, Record};
use crate::api::HostConfig;
use crate::sys::netns::Netns;
use crate::sys::{fs, mount};

const PREFIX: &str = "container:";

/// What is shared, in Docker's words.
const NETWORK: &str = "network";
const PIDS: &str = "PID namespace";
const IPC: &str = "IPC namespace";

/// Where a container keeps its shared memory.
const SHM: &str = "/dev/shm";

/// What of other containers a container is about to join, all of it held until it is in it.
#[derive(Debug)]
pub(super) struct Joined {
    /// A network.
    pub(super) network: Option<Shared>,
    /// Process ids.
    pub(super) pids: Option<SharedPids>,
    /// Shared memory and message queues.
    pub(super) ipc: Option<SharedIpc>,
}

impl Joined {
    /// All that `record` shares; whoever has it needs to run. What is mounted for it is mounted below `run`, in the mount
    /// namespace of the calling process.
    pub(super) fn find(
        engine: &Engine,
        record: &Record,
        run: &Path,
    ) -> Result<Joined, EngineError> {
        Ok(Joined {
            network: Shared::find(engine, record)?,
            pids: SharedPids::find(engine, record)?,
            ipc: SharedIpc::find(engine, record, run)?,
        })
    }
}

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
    fn find(engine: &Engine, record: &Record) -> Result<Option<Shared>, EngineError> {
        let Some(mut id) = shared_with(record) else {
            return Ok(None);
        };
        let mut owner = owner(engine, record, &id, NETWORK)?;
        // Ids are resolved when a container is made, so each one in this chain is older than the one before.
        while let Some(next) = shared_with(&owner.record) {
            id = next;
            owner = self::owner(engine, record, &id, NETWORK)?;
        }
        let netns = held(&owner, NETWORK, Netns::of_process)?;
        let owner = owner.record;
        Ok(Some(Shared { owner, netns }))
    }
}

/// The process ids that a container is about to see.
#[derive(Debug)]
pub(super) struct SharedPids(File);

impl SharedPids {
    /// The process ids that `record` shares, if it shares some; the container that has them has to run.
    fn find(engine: &Engine, record: &Record) -> Result<Option<SharedPids>, EngineError> {
        let mode = &record.body.host_config.pid_mode;
        let Some(id) = mode.strip_prefix(PREFIX) else {
            return Ok(None);
        };
        let open = |pid| File::open(format!("/proc/{pid}/ns/pid"));
        let owner = owner(engine, record, id, PIDS)?;
        held(&owner, PIDS, open).map(|file| Some(SharedPids(file)))
    }

    /// Where the runtime finds them as long as this is held.
    pub(super) fn path(&self) -> PathBuf {
        path_of(&self.0)
    }
}

/// The shared memory that a container is about to use.
#[derive(Debug)]
pub(super) struct SharedIpc {
    namespace: File,
    /// A mount of the other container's `/dev/shm`, ours for as long as the runtime needs it.
    shm: PathBuf,
}

impl SharedIpc {
    /// The shared memory that `record` shares, if it shares some; the container that has it has to run, and to let others in.
    fn find(
        engine: &Engine,
        record: &Record,
        run: &Path,
    ) -> Result<Option<SharedIpc>, EngineError> {
        let mode = &record.body.host_config.ipc_mode;
        let Some(id) = mode.strip_prefix(PREFIX) else {
            return Ok(None);
        };
        let owner = owner(engine, record, id, IPC)?;
        check_shareable(&owner.record)?;
        let open = |pid| {
            let open = |kind| File::open(format!("/proc/{pid}/ns/{kind}"));
            Ok((open("ipc")?, open("mnt")?))
        };
        let (namespace, mounts) = held(&owner, IPC, open)?;
        let failed =
            || EngineError::system(format!("mount the shared memory of {}", owner.record.name));
        let tree = mount::copy_from(mounts.as_fd(), Path::new(SHM), false).map_err(failed())?;
        let shm = run.join("shm");
        fs::create_dirs(&shm).map_err(failed())?;
        mount::attach(tree.as_fd(), &shm).map_err(failed())?;
        Ok(Some(SharedIpc { namespace, shm }))
    }

    /// Where the runtime finds its namespace as long as this is held.
    pub(super) fn path(&self) -> PathBuf {
        path_of(&self.namespace)
    }

    /// Where the runtime finds its `/dev/shm` as long as this is held.
    pub(super) fn shm(&self) -> &Path {
        &self.shm
    }
}

impl Drop for SharedIpc {
    fn drop(&mut self) {
        // Nobody looks for it any more, and it ends with this mount namespace at the latest.
        let _ = mount::unmount(&self.shm);
        let _ = std::fs::remove_dir(&self.shm);
    }
}

/// Docker's rule: only who said so lets others use its memory. One that uses somebody else's passes that on.
fn check_shareable(owner: &Record) -> Result<(), EngineError> {
    match owner.body.host_config.ipc_mode.as_str() {
        "shareable" | "host" => Ok(()),
        mode if mode.starts_with(PREFIX) => Ok(()),
        _ => Err(EngineError::NotShareable(owner.name.clone())),
    }
}

/// A path of an open file for other processes of this host.
fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        file.as_raw_fd()
    ))
}

/// The container `id`, which has what `record` shares.
fn owner(
    engine: &Engine,
    record: &Record,
    id: &str,
    what: &'static str,
) -> Result<Container, EngineError> {
    engine.load(id).map_err(|error| match error {
        EngineError::RecordMissing { .. } | EngineError::Gone(_) => EngineError::OwnerGone {
            name: record.name.clone(),
            id: id.to_owned(),
            what,
        },
        other => other,
    })
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

/// The container whose network and name files `record` shares, whether it runs or not; `None` if it has its own, or that one
/// is gone.
pub(super) fn network_owner(engine: &Engine, record: &Record) -> Option<Record> {
    let mut owner = engine.folders(&shared_with(record)?).record().ok()?;
    while let Some(next) = shared_with(&owner) {
        owner = engine.folders(&next).record().ok()?;
    }
    Some(owner)
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
        (
            "--ipc",
            &mut config.ipc_mode,
            "use --ipc host, or a volume of type tmpfs",
        ),
    ] {
        let Some(name) = mode.strip_prefix(PREFIX) else {
            continue;
        };
        let found = engine.find(name)?.record;
        if option == "--ipc" {
            check_shareable(&found)?;
        }
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
