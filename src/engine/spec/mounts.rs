//! What is mounted where, and which kernel files stay hidden.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::{CgroupVersion, Namespace, ResolvedMount, SpecError, SpecInput, path_text};
use crate::api::{HostConfig, Mount, TmpfsOptions};
use crate::runargs::{security::Security, tmpfs, volume::clean};

/// Docker's size of `/dev/shm`.
const SHM_SIZE: i64 = 64 << 20;

const CGROUPS: &str = "/sys/fs/cgroup";

const DEV: &str = "/dev";

/// Mounts that stay writable although the root filesystem is read-only.
const ALWAYS_WRITABLE: [&str; 5] = ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"];

/// Docker's masked paths.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Docker's read-only paths.
const READONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

struct Entry {
    target: String,
    kind: &'static str,
    source: String,
    options: Vec<String>,
}

impl Entry {
    fn new(target: &str, kind: &'static str, source: &str, options: &[&str]) -> Entry {
        Entry {
            target: target.to_owned(),
            kind,
            source: source.to_owned(),
            options: options.iter().map(|o| (*o).to_owned()).collect(),
        }
    }

    /// Read-only together with the root filesystem.
    fn protect(&mut self) {
        let writable = ALWAYS_WRITABLE.contains(&self.target.as_str());
        if !writable && !self.options.iter().any(|option| option == "ro") {
            self.options.push("ro".to_owned());
        }
    }

    fn json(self) -> Value {
        json!({ "destination": self.target, "type": self.kind, "source": self.source, "options": self.options })
    }
}

/// `mounts`: the kernel's filesystems, then the engine's files and what the user asked for, from the shortest path down.
pub(super) fn mounts(input: &SpecInput<'_>, security: &Security) -> Result<Vec<Value>, SpecError> {
    let mut user = user_mounts(input)?;
    let targets: BTreeSet<String> = user.iter().map(|entry| entry.target.clone()).collect();
    user.retain(|entry| entry.kind != "bind" || !is_late(&entry.target));
    let covered = |target: &str| {
        let below = |folder: &str| targets.contains(folder) && target.starts_with(folder);
        // The runtime has to find a /dev of its own to make its nodes in, whatever hides it afterwards.
        match is_late(target) {
            true => target != DEV && targets.contains(target),
            false => targets.contains(target) || below(CGROUPS),
        }
    };
    let mut list = defaults(input, security)?;
    let mut rest = engine_files(input)?;
    for own in [&mut list, &mut rest] {
        own.retain(|entry| !covered(&entry.target));
        if input.body.host_config.readonly_rootfs {
            own.iter_mut().for_each(Entry::protect);
        }
    }
    rest.extend(user);
    // A mount below another one has to come after it.
    rest.sort_by_key(|entry| {
        entry
            .target
            .split('/')
            .filter(|part| !part.is_empty())
            .count()
    });
    list.extend(rest);
    Ok(list.into_iter().map(Entry::json).collect())
}

fn defaults(input: &SpecInput<'_>, security: &Security) -> Result<Vec<Entry>, SpecError> {
    let host = &input.body.host_config;
    let mut list = vec![
        Entry::new("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        Entry::new(
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        Entry::new(
            "/dev/pts",
            "devpts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
    ];
    let readonly = |writable: bool| if writable { None } else { Some("ro") };
    let guarded = |writable: bool| -> Vec<&str> {
        ["nosuid", "noexec", "nodev"]
            .into_iter()
            .chain(readonly(writable))
            .collect()
    };
    list.push(Entry::new(
        "/sys",
        "sysfs",
        "sysfs",
        &guarded(host.privileged),
    ));
    let options = guarded(host.privileged || security.writable_cgroups);
    if input.kernel.cgroup == CgroupVersion::V2 {
        list.push(Entry::new(CGROUPS, "cgroup", "cgroup", &options));
    }
    // Asked for the separate hierarchies of version 1, the runtime would mount them writable, whatever is asked for.
    for (group, target) in input.cgroups {
        // The folder that holds them is nobody's to write: all containers have the same.
        let options = match target == CGROUPS {
            true => guarded(false),
            false => options.clone(),
        };
        let options = [&["bind"], &options[..]].concat();
        list.push(Entry::new(target, "bind", path_text(group)?, &options));
    }
    let guards = ["nosuid", "noexec", "nodev"];
    list.push(Entry::new("/dev/mqueue", "mqueue", "mqueue", &guards));
    if input.namespaces.ipc == Namespace::Host {
        list.push(Entry::new("/dev/shm", "bind", "/dev/shm", &["rbind"]));
    } else if let Some(shm) = input.shm {
        list.push(Entry::new("/dev/shm", "bind", path_text(shm)?, &["bind"]));
    } else if host.ipc_mode != "none" {
        let size = match host.shm_size {
            0 => SHM_SIZE,
            size => size,
        };
        let size = format!("size={size}");
        let options = ["nosuid", "noexec", "nodev", "mode=1777", &size];
        list.push(Entry::new("/dev/shm", "tmpfs", "shm", &options));
    }
    Ok(list)
}

fn engine_files(input: &SpecInput<'_>) -> Result<Vec<Entry>, SpecError> {
    let files = [
        ("/etc/resolv.conf", input.files.resolv_conf),
        ("/etc/hostname", input.files.hostname),
        ("/etc/hosts", input.files.hosts),
    ];
    let mut list = Vec::new();
    for (target, source) in files {
        if let Some(source) = source {
            list.push(Entry::new(target, "bind", path_text(source)?, &["rbind"]));
        }
    }
    Ok(list)
}

fn user_mounts(input: &SpecInput<'_>) -> Result<Vec<Entry>, SpecError> {
    let host = &input.body.host_config;
    let mut list = Vec::new();
    for mount in input.mounts {
        list.push(bind(mount)?);
    }
    for (target, options) in &host.tmpfs {
        list.push(tmpfs_entry(input, target, options)?);
    }
    for mount in host.mounts.iter().filter(|mount| mount.kind == "tmpfs") {
        list.push(tmpfs_entry(
            input,
            &mount.target,
            &long_tmpfs_options(mount),
        )?);
    }
    for entry in &mut list {
        entry.target = clean(&entry.target);
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = list.iter().find(|entry| !seen.insert(entry.target.clone())) {
        return Err(SpecError::DuplicateMount(twice.target.clone()));
    }
    Ok(list)
}

/// Whether a bind is mounted by the container's first process, after the runtime is done: the runtime makes nodes and links
/// in `/dev`, fails where there are some, and would exchange the host's own `/dev/ptmx`.
pub fn is_late(target: &str) -> bool {
    Path::new(&clean(target)).starts_with(DEV)
}

fn bind(mount: &ResolvedMount) -> Result<Entry, SpecError> {
    let mut options = vec![if mount.recursive { "rbind" } else { "bind" }];
    if mount.readonly {
        options.push(match mount.recursive && !mount.writable_below {
            true => "rro",
            false => "ro",
        });
    }
    if !mount.propagation.is_empty() {
        options.push(&mount.propagation);
    }
    Ok(Entry::new(
        path_text(&mount.target)?,
        "bind",
        path_text(&mount.source)?,
        &options,
    ))
}

fn tmpfs_entry(input: &SpecInput<'_>, target: &str, options: &str) -> Result<Entry, SpecError> {
    let mut merged = tmpfs::merge(options).map_err(|option| SpecError::TmpfsOption {
        option,
        target: target.to_owned(),
    })?;
    if let Some(mode) = input.tmpfs_modes.get(&clean(target))
        && !merged.iter().any(|option| option.starts_with("mode="))
    {
        merged.push(format!("mode={mode:o}"));
    }
    let options: Vec<&str> = merged.iter().map(String::as_str).collect();
    Ok(Entry::new(target, "tmpfs", "tmpfs", &options))
}

fn long_tmpfs_options(mount: &Mount) -> String {
    let TmpfsOptions { size_bytes, mode } = mount.tmpfs_options.clone().unwrap_or_default();
    let mut options = Vec::new();
    if mount.read_only {
        options.push("ro".to_owned());
    }
    if mode != 0 {
        options.push(format!("mode={mode:o}"));
    }
    if size_bytes != 0 {
        options.push(format!("size={size_bytes}"));
    }
    options.join(",")
}

/// `linux.rootfsPropagation`, which decides for all binds at first: the runtime ignores the mode that a mount asks for, and the
/// container's first process puts each right.
pub(super) fn propagation(input: &SpecInput<'_>) -> &'static str {
    match input
        .mounts
        .iter()
        .any(|mount| mount.propagation.ends_with("slave"))
    {
        true => "slave",
        false => "private",
    }
}

/// `linux.maskedPaths`.
pub fn masked_paths(host: &HostConfig, possible_cpus: u32) -> Vec<String> {
    match &host.masked_paths {
        Some(paths) => paths.clone(),
        None if host.privileged => Vec::new(),
        None => {
            let mut paths: Vec<String> = MASKED.iter().map(|path| (*path).to_owned()).collect();
            // The runtime skips those that do not exist.
            paths.extend(
                (0..possible_cpus)
                    .map(|cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle")),
            );
            paths
        }
    }
}

/// `linux.readonlyPaths`.
pub fn readonly_paths(host: &HostConfig) -> Vec<String> {
    match &host.readonly_paths {
        Some(paths) => paths.clone(),
        None if host.privileged => Vec::new(),
        None => READONLY.iter().map(|path| (*path).to_owned()).collect(),
    }
}
