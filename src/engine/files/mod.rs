//! The files that the runtime and the container find below the run folder: bundle, hosts, resolv.conf, hostname.

mod devices;
mod names;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::network::NONE;
use super::record::{Folders, Record};
use super::runtime::{self, Confinement};
use super::share::{Joined, SharedIpc};
use super::spec::user::MAX_ACCOUNT_FILE;
use super::spec::{self, CgroupVersion, Kernel, Namespace, Namespaces, ResolvedMount, SpecInput};
use super::{Engine, EngineError, groups, monitor, rootfs, volumes};
use crate::api::{CreateBody, HostConfig};
use crate::runargs::volume::clean;
use crate::sys::{bpf, cgroup, fs};

use devices::{devices, named_devices};
use names::{NameFiles, write_names};
pub use names::{hostname, write_hosts};

/// The network modes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkMode {
    /// A namespace of its own, on bridges of ours.
    Bridge,
    /// The host's namespace.
    Host,
    /// A namespace of its own with loopback only.
    None,
    /// Another container's namespace, see [`super::share`].
    Container,
}

impl NetworkMode {
    /// The mode of a container; others are refused when it is made.
    pub fn of(record: &Record) -> NetworkMode {
        let mode = NetworkMode::of_config(&record.body.host_config);
        match (mode, &record.networks) {
            // What it was made with has been changed since.
            (NetworkMode::Bridge | NetworkMode::None, Some(now)) => {
                match now.endpoints_config.contains_key(NONE) {
                    true => NetworkMode::None,
                    false => NetworkMode::Bridge,
                }
            }
            _ => mode,
        }
    }

    /// The mode that a configuration asks for.
    pub fn of_config(config: &HostConfig) -> NetworkMode {
        match config.network_mode.as_str() {
            "host" => NetworkMode::Host,
            NONE => NetworkMode::None,
            mode if mode.starts_with("container:") => NetworkMode::Container,
            _ => NetworkMode::Bridge,
        }
    }
}

/// Decides which devices the container may open, where its control group has no files for that.
pub type DeviceProgram = Vec<bpf::Instruction>;

/// Writes everything that must lie there before the runtime is called, and says what has to guard its devices afterwards; `root` is the mounted root filesystem.
pub fn write_all(
    engine: &Engine,
    record: &Record,
    folders: &Folders,
    root: &Path,
    joined: &Joined,
) -> Result<Option<DeviceProgram>, EngineError> {
    let names = match &joined.network {
        Some(shared) => NameFiles::of(engine, &shared.owner, &engine.folders(&shared.owner.id)),
        None => {
            write_names(engine, record, folders)?;
            NameFiles::of(engine, record, folders)
        }
    };
    let bundle = folders.run.join("bundle");
    fs::create_dirs(&bundle).map_err(|source| EngineError::write(&bundle, source))?;
    let mut config = runtime_config(engine, record, root, &names, joined)?;
    if monitor::foreign_terminals(&engine.host().run, record).is_some() {
        // It is given one with its streams.
        config["process"]["terminal"] = false.into();
    }
    let confinement =
        Confinement::take_from(&mut config).map_err(|error| EngineError::Runtime {
            action: "create",
            name: record.name.clone(),
            reason: format!("seccomp profile: {error}"),
        })?;
    confinement
        .write(&bundle)
        .map_err(|source| EngineError::write(&bundle, source))?;
    write(&bundle.join("config.json"), &config.to_string())?;
    let guarded = cgroup::is_unified() && bpf::can_filter_devices();
    Ok(guarded.then(|| spec::device_program(&config)).flatten())
}

fn runtime_config(
    engine: &Engine,
    record: &Record,
    root: &Path,
    names: &NameFiles,
    joined: &Joined,
) -> Result<serde_json::Value, EngineError> {
    let host_config = &record.body.host_config;
    let account_file = |path| {
        rootfs::read(root, path, MAX_ACCOUNT_FILE + 1).map_err(|source| EngineError::Read {
            path: PathBuf::from(path),
            source,
        })
    };
    let (passwd, group) = (account_file("/etc/passwd")?, account_file("/etc/group")?);
    let account = spec::user::resolve(
        &record.body.config.user,
        &host_config.group_add,
        &passwd,
        &group,
    )?;
    let run = &engine.host().run;
    let mounts: Vec<ResolvedMount> = (0..record.mounts.len())
        .map(|number| resolved(run, record, number))
        .collect();
    let [hosts, resolv_conf, hostname] = &names.paths;
    let input = SpecInput {
        id: &record.id,
        body: &record.body,
        rootfs: root,
        hostname: &names.hostname,
        cgroups_path: &format!("/{}", record.group()),
        cgroups: &groups::mounts(engine, &record.group())?,
        mounts: &mounts,
        tmpfs_modes: &tmpfs_modes(root, host_config),
        files: spec::Files {
            hosts: Some(hosts),
            resolv_conf: Some(resolv_conf),
            hostname: Some(hostname),
        },
        account: &account,
        namespaces: &namespaces(record, joined),
        shm: joined.ipc.as_ref().map(SharedIpc::shm),
        devices: &devices(host_config)?,
        kernel: &kernel()?,
    };
    Ok(spec::build(&input)?)
}

/// Where the image has nothing to go by, a tmpfs is everybody's, as the kernel makes it.
fn tmpfs_modes(root: &Path, config: &HostConfig) -> BTreeMap<String, u32> {
    let long = config.mounts.iter().filter(|mount| mount.kind == "tmpfs");
    let targets = config.tmpfs.keys().chain(long.map(|mount| &mount.target));
    targets
        .map(|target| clean(target))
        // There the runtime mounts one of its own first.
        .filter(|target| !spec::is_late(target))
        .filter_map(|target| Some((rootfs::mode(root, &target).ok()?, target)))
        .map(|(mode, target)| (target, mode))
        .collect()
}

fn namespaces(record: &Record, joined: &Joined) -> Namespaces {
    let mut namespaces = Namespaces::of(&record.body.host_config);
    if let Some(shared) = &joined.network {
        namespaces.network = Namespace::Join(shared.netns.path());
    }
    if let Some(pids) = &joined.pids {
        namespaces.pid = Namespace::Join(pids.path());
    }
    if let Some(ipc) = &joined.ipc {
        namespaces.ipc = Namespace::Join(ipc.path());
    }
    if NetworkMode::of(record) == NetworkMode::Host && record.body.host_config.uts_mode.is_empty() {
        // Docker keeps the UTS namespace separate, but with the host's name in it.
        namespaces.uts = Namespace::New;
    }
    namespaces
}

fn resolved(run: &Path, record: &Record, number: usize) -> ResolvedMount {
    let mount = &record.mounts[number];
    ResolvedMount {
        source: volumes::source_of(run, record, number),
        target: PathBuf::from(&mount.destination),
        readonly: !mount.rw,
        propagation: mount.propagation.clone(),
        recursive: mount.recursive,
        writable_below: mount.writable_below,
    }
}

/// Refuses what could only fail at the start, whatever the image holds.
pub(super) fn check(engine: &Engine, body: &CreateBody) -> Result<(), EngineError> {
    let devices = named_devices(&body.host_config)?;
    let unknown = |name: &&String| {
        let path = name.replace('.', "/");
        !spec::is_of_interface(name) && !Path::new("/proc/sys").join(path).exists()
    };
    if let Some(name) = body.host_config.sysctls.keys().find(unknown) {
        return Err(EngineError::Unsupported {
            option: format!("--sysctl {name}"),
            reason: "this kernel has no such setting".into(),
        });
    }
    let filter = spec::check(body, &devices, &kernel()?)?;
    let compiled = filter.map_or(Ok(()), |filter| {
        runtime::check_filter(filter, &monitor::filters(engine))
    });
    compiled.map_err(|reason| EngineError::Unsupported {
        option: "--security-opt seccomp".into(),
        reason,
    })
}

/// What the running kernel can do.
pub(super) fn kernel() -> Result<Kernel, EngineError> {
    let system = crate::sys::process::system()
        .map_err(EngineError::system("ask the kernel for its name"))?;
    let mut numbers = system
        .release
        .split(['.', '-'])
        .map(|number| number.parse().unwrap_or(0));
    Ok(Kernel {
        cgroup: if cgroup::is_unified() {
            CgroupVersion::V2
        } else {
            CgroupVersion::V1
        },
        capabilities: system.capabilities,
        release: (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)),
        machine: system.machine,
        seccomp: system.seccomp,
        swap_limit: cgroup::limits_swap(),
        device_filter: !cgroup::is_unified() || bpf::can_filter_devices(),
        possible_cpus: system.possible_cpus,
    })
}

/// Writes in place, so that a mount of the file sees the new content, and never an empty file.
fn write(path: &Path, content: &str) -> Result<(), EngineError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(path);
    let written = file.and_then(|mut file| {
        file.write_all(content.as_bytes())?;
        file.set_len(content.len() as u64)
    });
    written.map_err(|source| EngineError::write(path, source))
}
