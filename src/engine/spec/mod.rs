//! Container configuration to the OCI runtime's `config.json`; pure: everything about the host arrives in [`SpecInput`].

mod error;
pub mod user;

use std::path::{Path, PathBuf};

use crate::api::CreateBody;

pub use error::SpecError;
pub use user::Account;

/// Everything that [`build`] needs.
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
    /// Binds and volumes, sources resolved. Not the tmpfs mounts: they need no host path and are built from `body`.
    pub mounts: &'a [ResolvedMount],
    /// Files that the engine keeps for the container.
    pub files: Files<'a>,
    /// Who the first process runs as ([`user::resolve`]).
    pub account: &'a Account,
    /// Namespaces of its own, or whose it joins.
    pub namespaces: &'a Namespaces,
    /// Host devices: those of `--device`, or all of them for a privileged container.
    pub devices: &'a [Device],
    /// The small init on the host, if `--init` asks for it.
    pub init: Option<&'a Path>,
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
    /// `private`, `rprivate`, `shared`, `rshared`, `slave`, `rslave`; empty means `rprivate`, as in Docker.
    pub propagation: String,
    /// With the mounts below the source.
    pub recursive: bool,
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
    /// `/proc/sys/kernel/cap_last_cap`.
    pub last_capability: u8,
    /// Release, major and minor; some seccomp rules depend on it.
    pub release: (u32, u32),
    /// Machine as `uname -m` says it: `x86_64`, `aarch64`, `armv7l`, …
    pub machine: String,
    /// System call filters are available.
    pub seccomp: bool,
}

/// The runtime's `config.json` for one container.
pub fn build(_input: &SpecInput<'_>) -> Result<serde_json::Value, SpecError> {
    Err(SpecError::Unbuilt)
}
