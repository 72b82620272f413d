//! Container configuration to the OCI runtime's `config.json`; pure: everything about the host arrives in [`SpecInput`].

mod capabilities;
mod device_program;
mod devices;
mod error;
mod merge;
mod mounts;
mod namespaces;
mod process;
mod resources;
mod seccomp;
pub mod user;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::api::CreateBody;
use crate::runargs::{bounds, security};

pub use device_program::device_program;
pub use error::SpecError;
pub use merge::merge;
pub use mounts::{is_late, masked_paths, readonly_paths};
pub use process::{environment, user_json};
pub use resources::{discarded, swaps_without_limit};
pub use user::Account;

/// Version of the runtime specification that the output follows.
const OCI_VERSION: &str = "1.0.2";

/// From here on network namespaces have `net.ipv4.ip_unprivileged_port_start`.
const UNPRIVILEGED_PORTS_SINCE: (u32, u32) = (4, 11);

/// Everything that [`build`] needs.
///
/// The caller makes the working directory inside the root filesystem, as Docker does; the runtime only enters it.
#[derive(Debug, Clone, Copy)]
pub struct SpecInput<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Its configuration, already merged with the image's defaults ([`merge`]).
    pub body: &'a CreateBody,
    /// Root filesystem, absolute.
    pub rootfs: &'a Path,
    /// Host name inside; ignored when the UTS namespace is the host's.
    pub hostname: &'a str,
    /// Value of `linux.cgroupsPath`.
    pub cgroups_path: &'a str,
    /// Its groups, and their places in it, where each controller has its own hierarchy.
    pub cgroups: &'a [(PathBuf, String)],
    /// Binds and volumes, sources resolved. Not the tmpfs mounts: they need no host path and are built from `body`.
    pub mounts: &'a [ResolvedMount],
    /// Permission bits of the root filesystem's folders that a tmpfs is mounted over: it takes them on.
    pub tmpfs_modes: &'a BTreeMap<String, u32>,
    /// Files that the engine keeps for the container.
    pub files: Files<'a>,
    /// Who the first process runs as ([`user::resolve`]).
    pub account: &'a Account,
    /// Namespaces of its own, or whose it joins.
    pub namespaces: &'a Namespaces,
    /// `/dev/shm` of the container whose shared memory this one uses.
    pub shm: Option<&'a Path>,
    /// Host devices: those of `--device`, and before them all of the host's for a privileged container.
    pub devices: &'a [Device],
    /// What the kernel can do.
    pub kernel: &'a Kernel,
}

/// Files that the engine keeps for the container, bound over the image's; `None` leaves the image's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Files<'a> {
    /// `/etc/hosts`.
    pub hosts: Option<&'a Path>,
    /// `/etc/resolv.conf`.
    pub resolv_conf: Option<&'a Path>,
    /// `/etc/hostname`.
    pub hostname: Option<&'a Path>,
}

/// A bind mount whose source exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedMount {
    /// Host path, absolute.
    pub source: PathBuf,
    /// Path in the container, absolute.
    pub target: PathBuf,
    /// Mounted read-only.
    pub readonly: bool,
    /// `private`, `rprivate`, `slave`, `rslave`; empty means `rprivate`, as in Docker.
    pub propagation: String,
    /// With the mounts below the source.
    pub recursive: bool,
    /// Of a read-only mount, the mounts below the source stay writable.
    pub writable_below: bool,
}

/// A host device, looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Path in the container.
    pub path: PathBuf,
    /// `c` or `b`.
    pub kind: char,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits of the host's node.
    pub mode: u32,
    /// Owner of the host's node.
    pub uid: u32,
    /// Group of the host's node.
    pub gid: u32,
    /// Letters of `rwm`.
    pub permissions: String,
}

/// Where one namespace comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Namespace {
    /// A new one.
    #[default]
    New,
    /// The host's.
    Host,
    /// An existing one: `/proc/<pid>/ns/net` or a bound file.
    Join(PathBuf),
}

/// Where each namespace comes from; the mount namespace is always new.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Network.
    pub network: Namespace,
    /// Process ids.
    pub pid: Namespace,
    /// System V IPC and message queues.
    pub ipc: Namespace,
    /// Host name.
    pub uts: Namespace,
    /// Control groups.
    pub cgroup: Namespace,
}

/// Which control group interface manages resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupVersion {
    /// One hierarchy per controller, also where an unused v2 one lies beside them.
    V1,
    /// The unified hierarchy.
    V2,
}

/// What the kernel can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Control groups.
    pub cgroup: CgroupVersion,
    /// Capabilities that a container can be given, one bit each: those of the engine itself.
    pub capabilities: u64,
    /// Release, major and minor; some seccomp rules depend on it.
    pub release: (u32, u32),
    /// Machine as `uname -m` says it: `x86_64`, `aarch64`, `armv7l`, …
    pub machine: String,
    /// System call filters are available.
    pub seccomp: bool,
    /// Swap is accounted: `memory.memsw.limit_in_bytes` or `memory.swap.max` exists.
    pub swap_limit: bool,
    /// Something enforces the device rules on unified control groups, which have no files for them.
    pub device_filter: bool,
    /// How many CPUs the machine can have (`/sys/devices/system/cpu/possible`).
    pub possible_cpus: u32,
}

/// The runtime's `config.json` for one container.
pub fn build(input: &SpecInput<'_>) -> Result<Value, SpecError> {
    let host = &input.body.host_config;
    let security = security::parse(&host.security_opt).map_err(SpecError::Security)?;
    let capabilities = capabilities::kept(host, input.kernel)?;
    let mut process = process::process(input, &capabilities)?;
    // Left out when false: the runtime looks at the field's presence to decide when the filter is loaded.
    if security.no_new_privileges {
        process["noNewPrivileges"] = json!(true);
    }
    let mut spec = json!({
        "ociVersion": OCI_VERSION,
        "process": process,
        "root": { "path": path_text(input.rootfs)?, "readonly": host.readonly_rootfs },
        "mounts": mounts::mounts(input, &security)?,
        "linux": linux(input, &security, &capabilities)?,
    });
    if input.namespaces.uts == Namespace::New {
        spec["hostname"] = json!(input.hostname);
        if !input.body.config.domainname.is_empty() {
            spec["domainname"] = json!(input.body.config.domainname);
        }
    }
    if !host.annotations.is_empty() {
        spec["annotations"] = json!(host.annotations);
    }
    Ok(spec)
}

/// Refuses what [`build`] would refuse of the options alone, while there is no container yet. What comes back is the filter
/// of a profile that was given, for whoever can compile it.
pub fn check(
    body: &CreateBody,
    devices: &[Device],
    kernel: &Kernel,
) -> Result<Option<Value>, SpecError> {
    let host = &body.host_config;
    process::args(&body.config)?;
    bounds::strings(&body.config).map_err(SpecError::Text)?;
    devices::nodes(devices)?;
    devices::rules(host, devices)?;
    resources::resources(host, kernel)?;
    let capabilities = capabilities::kept(host, kernel)?;
    let wanted = security::parse(&host.security_opt).map_err(SpecError::Security)?;
    match wanted.seccomp {
        // The usual one is no different from container to container.
        security::Seccomp::Default | security::Seccomp::Unconfined => Ok(None),
        given => seccomp::filter(&given, host.privileged, kernel, &capabilities),
    }
}

fn linux(
    input: &SpecInput<'_>,
    security: &security::Security,
    capabilities: &[String],
) -> Result<Value, SpecError> {
    let host = &input.body.host_config;
    let mut resources = resources::resources(host, input.kernel)?;
    resources.insert(
        "devices".to_owned(),
        json!(devices::rules(host, input.devices)?),
    );
    let mut linux = json!({
        "cgroupsPath": input.cgroups_path,
        "namespaces": namespaces::list(input.namespaces)?,
        "devices": devices::nodes(input.devices)?,
        "resources": resources,
        "maskedPaths": mounts::masked_paths(&input.body.host_config, input.kernel.possible_cpus),
        "readonlyPaths": mounts::readonly_paths(&input.body.host_config),
        "sysctl": sysctls(input),
        "rootfsPropagation": mounts::propagation(input),
    });
    let filter = seccomp::filter(
        &security.seccomp,
        host.privileged,
        input.kernel,
        capabilities,
    )?;
    if let Some(filter) = filter {
        linux["seccomp"] = filter;
    }
    Ok(linux)
}

/// Docker's two network settings, then the user's. They belong to the network namespace, so only a new one gets them.
fn sysctls(input: &SpecInput<'_>) -> serde_json::Map<String, Value> {
    let mut sysctls = serde_json::Map::new();
    let host = &input.body.host_config;
    let own_network =
        input.namespaces.network != Namespace::Host && !host.network_mode.starts_with("container:");
    if own_network {
        // Ping without CAP_NET_RAW, low ports without CAP_NET_BIND_SERVICE.
        sysctls.insert(
            "net.ipv4.ping_group_range".to_owned(),
            json!("0 2147483647"),
        );
        if input.kernel.release >= UNPRIVILEGED_PORTS_SINCE {
            sysctls.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), json!("0"));
        }
    }
    for (name, value) in &host.sysctls {
        if !is_of_interface(name) {
            sysctls.insert(name.clone(), json!(value));
        }
    }
    sysctls
}

/// Whether a sysctl belongs to one interface, and is there only once that is.
pub(super) fn is_of_interface(name: &str) -> bool {
    let mut parts = name.split(['.', '/']);
    let is_net = parts.next() == Some("net");
    let kind = parts.nth(1);
    let interface = parts.next();
    is_net
        && matches!(kind, Some("conf" | "neigh"))
        && !matches!(interface, Some("all" | "default" | "lo") | None)
}

/// JSON holds text only.
fn path_text(path: &Path) -> Result<&str, SpecError> {
    path.to_str()
        .ok_or_else(|| SpecError::Path(path.to_owned()))
}

#[cfg(test)]
mod tests;
