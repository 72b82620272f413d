//! The files that the runtime and the container find below the run folder: bundle, hosts, resolv.conf, hostname.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::network::names::{self, HostFiles, HostsInput};
use super::network::{Attachment, NetworkError};
use super::networks;
use super::record::{Folders, Record};
use super::runtime::{self, Confinement};
use super::share::{Joined, SharedIpc};
use super::spec::user::MAX_ACCOUNT_FILE;
use super::spec::{
    self, CgroupVersion, Device, Kernel, Namespace, Namespaces, ResolvedMount, SpecInput,
};
use super::{Engine, EngineError, groups, monitor, rootfs, volumes};
use crate::api::{CreateBody, HostConfig};
use crate::runargs::volume::clean;
use crate::sys::{bpf, cgroup, fs};

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
        NetworkMode::of_config(&record.body.host_config)
    }

    /// The mode that a configuration asks for.
    pub fn of_config(config: &HostConfig) -> NetworkMode {
        match config.network_mode.as_str() {
            "host" => NetworkMode::Host,
            "none" => NetworkMode::None,
            mode if mode.starts_with("container:") => NetworkMode::Container,
            _ => NetworkMode::Bridge,
        }
    }
}

/// The container's host name.
pub fn hostname(engine: &Engine, record: &Record) -> String {
    let config = &record.body.config;
    match NetworkMode::of(record) {
        _ if !config.hostname.is_empty() => config.hostname.clone(),
        NetworkMode::Host => {
            crate::sys::process::hostname().unwrap_or_else(|_| engine.host().boot_id.clone())
        }
        _ => record.id[..12].to_owned(),
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

/// The files by which a container knows names: its own, or those of the container whose network it shares.
struct NameFiles {
    hostname: String,
    paths: [PathBuf; 3],
}

impl NameFiles {
    fn of(engine: &Engine, record: &Record, folders: &Folders) -> NameFiles {
        NameFiles {
            hostname: hostname(engine, record),
            paths: ["hosts", "resolv.conf", "hostname"].map(|name| folders.run.join(name)),
        }
    }
}

fn write_names(engine: &Engine, record: &Record, folders: &Folders) -> Result<(), EngineError> {
    let hostname = names::hostname(&hostname(engine, record));
    write(&folders.run.join("hostname"), &hostname)?;
    write_hosts(engine, record, folders, None)?;
    let host_files = host_files(engine)?;
    let config = &record.body.host_config;
    let resolv_conf = match NetworkMode::of(record) {
        NetworkMode::Host => names::resolv_conf_of_host(&host_files, config),
        _ => names::resolv_conf(&host_files, config, networks::have_v6(engine, record)?),
    };
    write(&folders.run.join("resolv.conf"), &resolv_conf)
}

/// Writes `/etc/hosts` anew, in place: the container holds the file by a mount.
pub fn write_hosts(
    engine: &Engine,
    record: &Record,
    folders: &Folders,
    attachment: Option<&Attachment>,
) -> Result<(), EngineError> {
    let config = &record.body.host_config;
    let hosts = match NetworkMode::of(record) {
        NetworkMode::Host => names::hosts_of_host(&host_files(engine)?, &config.extra_hosts),
        _ => names::hosts(&HostsInput {
            hostname: &hostname(engine, record),
            domainname: &record.body.config.domainname,
            addresses: &attachment.map_or_else(Vec::new, |all| all.addresses().collect()),
            extra_hosts: &config.extra_hosts,
            host_gateway: match attachment {
                Some(attachment) => attachment.gateway,
                None => engine.network().gateway()?,
            },
        }),
    };
    let hosts = hosts.map_err(|error| EngineError::Unsupported {
        option: "--add-host".into(),
        reason: error.to_string(),
    })?;
    write(&folders.run.join("hosts"), &hosts)
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

/// The host's devices that a container gets: those named, or all of them if it is privileged.
fn devices(host_config: &HostConfig) -> Result<Vec<Device>, EngineError> {
    let mut devices = Vec::new();
    if host_config.privileged {
        all_devices(Path::new("/dev"), &mut devices).map_err(|source| EngineError::Read {
            path: PathBuf::from("/dev"),
            source,
        })?;
    }
    devices.extend(named_devices(host_config)?);
    Ok(devices)
}

/// The devices of `--device`, folders with all that is in them.
fn named_devices(host_config: &HostConfig) -> Result<Vec<Device>, EngineError> {
    let mut devices = Vec::new();
    for mapping in &host_config.devices {
        let path = Path::new(&mapping.path_on_host);
        let failed = |source| EngineError::Read {
            path: path.to_owned(),
            source,
        };
        let device = device(
            path,
            Path::new(&mapping.path_in_container),
            &mapping.cgroup_permissions,
        );
        match device.map_err(failed)? {
            Some(device) => devices.push(device),
            None if path.is_dir() => {
                let mut below = Vec::new();
                all_devices(path, &mut below).map_err(failed)?;
                if below.is_empty() {
                    return Err(failed(io::Error::new(
                        io::ErrorKind::InvalidInput,
                        "not a device node, nor is there one in it",
                    )));
                }
                let inside = |device: &Device| {
                    let rest = device.path.strip_prefix(path).unwrap_or(&device.path);
                    Path::new(&mapping.path_in_container).join(rest)
                };
                devices.extend(below.into_iter().map(|device| Device {
                    path: inside(&device),
                    ..device
                }));
            }
            None => {
                return Err(failed(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "not a device node",
                )));
            }
        }
    }
    Ok(devices)
}

fn all_devices(folder: &Path, devices: &mut Vec<Device>) -> io::Result<()> {
    /// Made by the runtime for each container.
    const OWN: [&str; 6] = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts"];
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && !OWN.iter().any(|name| entry.file_name() == *name) {
            all_devices(&entry.path(), devices)?;
        } else if (kind.is_char_device() || kind.is_block_device())
            && entry.file_name() != "console"
        {
            devices.extend(device(&entry.path(), &entry.path(), "rwm")?);
        }
    }
    Ok(())
}

/// `None` for something that is no device.
fn device(path: &Path, inside: &Path, permissions: &str) -> io::Result<Option<Device>> {
    let meta = std::fs::metadata(path)?;
    let kind = match meta.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => return Ok(None),
    };
    let (major, minor) = crate::sys::process::device_numbers(meta.rdev());
    Ok(Some(Device {
        path: inside.to_owned(),
        kind,
        major,
        minor,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        permissions: permissions.to_owned(),
    }))
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

/// Truncates and writes in place, so that a mount of the file sees the new content.
fn write(path: &Path, content: &str) -> Result<(), EngineError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(path);
    file.and_then(|mut file| io::Write::write_all(&mut file, content.as_bytes()))
        .map_err(|source| EngineError::write(path, source))
}

/// The host's own name files.
fn host_files(engine: &Engine) -> Result<HostFiles, EngineError> {
    HostFiles::read(engine.host()).map_err(|error| NetworkError::from(error).into())
}
