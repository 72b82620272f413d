//! `HostConfig` of Docker's create call.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{is_false, is_zero};

/// The part of the configuration that belongs to this host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    /// `source:target[:options]` of `--volume`; a source without a slash is a named volume.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub binds: Vec<String>,
    /// File that receives the container's id.
    #[serde(rename = "ContainerIDFile", skip_serializing_if = "String::is_empty")]
    pub container_id_file: String,
    /// Log driver and its options.
    pub log_config: LogConfig,
    /// `bridge`, `host`, `none`, `container:NAME` or a network's name; `default` means `bridge`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub network_mode: String,
    /// Published ports by container port: `80/tcp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub port_bindings: BTreeMap<String, Vec<PortBinding>>,
    /// What happens when the container exits.
    pub restart_policy: RestartPolicy,
    /// Remove the container when it exits.
    #[serde(skip_serializing_if = "is_false")]
    pub auto_remove: bool,
    /// `--mount` and `--tmpfs` in its long form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Containers whose volumes are taken over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes_from: Vec<String>,
    /// Capabilities beyond the default; `ALL` too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Capabilities taken from the default; `ALL` too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// `host` or `private`; empty means private.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cgroupns_mode: String,
    /// Name servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// Resolver options.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_options: Vec<String>,
    /// Search domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// `name:address` lines for `/etc/hosts`; the address may be `host-gateway`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<String>,
    /// Supplementary groups, names or numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_add: Vec<String>,
    /// IPC namespace: empty or `private`, `host`, `none`, `shareable`, `container:NAME`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ipc_mode: String,
    /// OOM score adjustment of the container's processes, -1000 to 1000.
    #[serde(skip_serializing_if = "is_zero")]
    pub oom_score_adj: i64,
    /// PID namespace: empty, `host` or `container:NAME`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pid_mode: String,
    /// UTS namespace: empty or `host`.
    #[serde(rename = "UTSMode", skip_serializing_if = "String::is_empty")]
    pub uts_mode: String,
    /// User namespace: empty or `host`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub userns_mode: String,
    /// All capabilities and devices, no seccomp, no masked paths.
    #[serde(skip_serializing_if = "is_false")]
    pub privileged: bool,
    /// Publish all exposed ports on free host ports.
    #[serde(skip_serializing_if = "is_false")]
    pub publish_all_ports: bool,
    /// The root filesystem is mounted read-only.
    #[serde(skip_serializing_if = "is_false")]
    pub readonly_rootfs: bool,
    /// `no-new-privileges`, `seccomp=unconfined|<profile JSON>`, `apparmor=unconfined`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_opt: Vec<String>,
    /// Paths hidden from the container; absent means the default ones, empty (`systempaths=unconfined`) none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked_paths: Option<Vec<String>>,
    /// Paths that the container can only read; absent means the default ones, empty none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readonly_paths: Option<Vec<String>>,
    /// tmpfs mounts: options by mount point.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tmpfs: BTreeMap<String, String>,
    /// Size of `/dev/shm`, bytes; 0 means 64 MiB.
    #[serde(skip_serializing_if = "is_zero")]
    pub shm_size: i64,
    /// Kernel parameters of the container's namespaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// A small init as process 1 that reaps and forwards signals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Memory limit, bytes; 0 means none.
    #[serde(skip_serializing_if = "is_zero")]
    pub memory: i64,
    /// Soft memory limit, bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub memory_reservation: i64,
    /// Memory plus swap, bytes; -1 means unlimited swap, 0 twice the memory.
    #[serde(skip_serializing_if = "is_zero")]
    pub memory_swap: i64,
    /// 0 to 100; absent means the kernel's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swappiness: Option<i64>,
    /// The kernel does not kill the container when it is out of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kill_disable: Option<bool>,
    /// CPU limit in billionths of a CPU.
    #[serde(skip_serializing_if = "is_zero")]
    pub nano_cpus: i64,
    /// Relative CPU weight, 2 to 262144.
    #[serde(skip_serializing_if = "is_zero")]
    pub cpu_shares: i64,
    /// CFS period, microseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub cpu_period: i64,
    /// CFS quota, microseconds a period.
    #[serde(skip_serializing_if = "is_zero")]
    pub cpu_quota: i64,
    /// Real-time period, microseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub cpu_realtime_period: i64,
    /// Real-time runtime, microseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub cpu_realtime_runtime: i64,
    /// CPUs the container may use: `0-2,4`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cpuset_cpus: String,
    /// Memory nodes the container may use.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cpuset_mems: String,
    /// Relative block I/O weight, 10 to 1000.
    #[serde(skip_serializing_if = "is_zero")]
    pub blkio_weight: i64,
    /// Relative weight for one device each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blkio_weight_device: Vec<WeightDevice>,
    /// Bytes a second that are read from a device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blkio_device_read_bps: Vec<ThrottleDevice>,
    /// Bytes a second that are written to a device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blkio_device_write_bps: Vec<ThrottleDevice>,
    /// Read operations a second.
    #[serde(rename = "BlkioDeviceReadIOps", skip_serializing_if = "Vec::is_empty")]
    pub blkio_device_read_iops: Vec<ThrottleDevice>,
    /// Write operations a second.
    #[serde(rename = "BlkioDeviceWriteIOps", skip_serializing_if = "Vec::is_empty")]
    pub blkio_device_write_iops: Vec<ThrottleDevice>,
    /// Host devices inside the container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceMapping>,
    /// Device cgroup rules: `c 1:3 rwm`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_cgroup_rules: Vec<String>,
    /// Process limit; absent, 0 or -1 means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<i64>,
    /// Resource limits of processes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ulimits: Vec<Ulimit>,
    /// OCI runtime; empty means the built-in one, which is the only one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime: String,
    /// Parent cgroup.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cgroup_parent: String,
    /// Default driver of volumes; only `local` exists.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub volume_driver: String,
    /// Other containers on the default network, each as `name:alias`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// Annotations for the runtime.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Options of the storage driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storage_opt: BTreeMap<String, String>,
    /// Isolation technology (Windows).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub isolation: String,
}

/// Log driver and options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    /// `json-file`, `local`, `none`, `syslog`, `journald`; empty means the ini's default.
    #[serde(rename = "Type", skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// Options by name, such as `max-size`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
}

/// One published address of a container port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortBinding {
    /// Host address; empty means all.
    #[serde(rename = "HostIp")]
    pub host_ip: String,
    /// Host port or range; empty means a free one.
    pub host_port: String,
}

/// What happens when the container exits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// Empty or `no`, `always`, `unless-stopped`, `on-failure`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Most restarts of `on-failure`; 0 means no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub maximum_retry_count: i64,
}

/// One `--mount`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mount {
    /// `bind`, `volume` or `tmpfs`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Host path or volume name; empty for tmpfs and anonymous volumes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Mount point.
    pub target: String,
    /// Mounted read-only.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// Legacy consistency hint; no effect on Linux.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub consistency: String,
    /// For `bind`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_options: Option<BindOptions>,
    /// For `volume`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_options: Option<VolumeOptions>,
    /// For `tmpfs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs_options: Option<TmpfsOptions>,
}

/// Options of a bind mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BindOptions {
    /// `private`, `rprivate`, `shared`, `rshared`, `slave`, `rslave`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub propagation: String,
    /// Without the mounts below the source.
    #[serde(skip_serializing_if = "is_false")]
    pub non_recursive: bool,
    /// Create the source if it is missing.
    #[serde(skip_serializing_if = "is_false")]
    pub create_mountpoint: bool,
    /// `ro` for the top mount only.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only_non_recursive: bool,
    /// Fail unless all mounts below become read-only.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only_force_recursive: bool,
}

/// Options of a volume mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeOptions {
    /// Do not copy the image's content into a new volume.
    #[serde(skip_serializing_if = "is_false")]
    pub no_copy: bool,
    /// Folder inside the volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subpath: String,
    /// Labels of a volume that this mount creates.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Driver of a volume that this mount creates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_config: Option<Driver>,
}

/// Driver of a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Driver {
    /// Only `local` exists.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `type`, `device` and `o`: what is mounted in the volume's place.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// Options of a tmpfs mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TmpfsOptions {
    /// Size, bytes; 0 means the kernel's default.
    #[serde(skip_serializing_if = "is_zero")]
    pub size_bytes: i64,
    /// Permission bits as a decimal number; 0 means 1777.
    #[serde(skip_serializing_if = "is_zero")]
    pub mode: i64,
}

/// A host device inside the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceMapping {
    /// Path on the host.
    pub path_on_host: String,
    /// Path in the container.
    pub path_in_container: String,
    /// Letters of `rwm`.
    pub cgroup_permissions: String,
}

/// Relative block I/O weight for one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WeightDevice {
    /// Path on the host.
    pub path: String,
    /// 10 to 1000, or 0 for none of its own.
    pub weight: u16,
}

/// Limit of what goes to or comes from one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ThrottleDevice {
    /// Path on the host.
    pub path: String,
    /// Bytes or operations a second.
    pub rate: u64,
}

/// A resource limit of processes; -1 means unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ulimit {
    /// `nofile`, `core` and so on.
    pub name: String,
    /// Soft limit.
    pub soft: i64,
    /// Hard limit.
    pub hard: i64,
}
