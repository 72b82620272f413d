//! What Docker's client takes and its daemon refuses: here it is refused before anything is downloaded or stopped.

use std::collections::BTreeSet;

use super::{
    RunArgs, RunArgsError, block, bounds, capability, port, restart, signal, sysctl, tmpfs, volume,
};
use crate::api::HostConfig;
use crate::oci::Platform;

/// Smallest memory limit, bytes.
const MIN_MEMORY: i64 = 6 << 20;

/// Range of a CFS period and smallest quota, microseconds.
const CPU_PERIOD: std::ops::RangeInclusive<i64> = 1_000..=1_000_000;

/// The kernel cuts what is more.
const MAX_CPU_SHARES: i64 = 1 << 18;

type Check = Result<(), String>;

/// Refuses impossible values and notes what Docker would have warned about.
pub(super) fn check(args: &mut RunArgs) -> Result<(), RunArgsError> {
    identity(args)?;
    modes(args)?;
    let host = &args.body.host_config;
    memory(host)?;
    cpu(host)?;
    block_io(host)?;
    mounts(host)?;
    protection(host)?;
    restart::check(&host.restart_policy)?;
    if host.auto_remove && !matches!(host.restart_policy.name.as_str(), "" | "no") {
        return Err(
            "conflicting options: cannot specify both --restart and --rm"
                .to_owned()
                .into(),
        );
    }
    args.warnings = warnings(host);
    Ok(())
}

/// A letter or digit, then letters, digits, `_`, `.` and `-`.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn identity(args: &RunArgs) -> Result<(), RunArgsError> {
    let config = &args.body.config;
    if let Some(name) = &args.name
        && !(is_name(name) && name.len() > 1)
    {
        return Err(format!(
            "invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, two characters at least"
        )
        .into());
    }
    bounds::name("hostname", &config.hostname)?;
    bounds::name("domainname", &config.domainname)?;
    bounds::strings(config)?;
    bounds::path(&config.working_dir)?;
    config
        .volumes
        .keys()
        .try_for_each(|path| bounds::path(path))?;
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return Err(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.working_dir
        )
        .into());
    }
    if let Some(name) = &config.stop_signal
        && signal::number(name).is_none()
    {
        return Err(format!("invalid signal: {name}").into());
    }
    if let Some(platform) = &args.platform {
        platform
            .parse::<Platform>()
            .map_err(|error| format!("error parsing specified platform: {error}"))?;
    }
    Ok(())
}

/// The words of which only some are built.
fn modes(args: &RunArgs) -> Result<(), RunArgsError> {
    let host = &args.body.host_config;
    namespaces(host)?;
    cgroup_parent(host)?;
    if host.uts_mode == "host" && !args.body.config.hostname.is_empty() {
        return Err("conflicting options: hostname and the UTS mode"
            .to_owned()
            .into());
    }
    if !matches!(host.isolation.to_lowercase().as_str(), "" | "default") {
        return Err(unsupported("isolation", "Linux has only \"default\""));
    }
    if !matches!(host.runtime.as_str(), "" | "runc" | "io.containerd.runc.v2") {
        return Err(unsupported("runtime", "dray is the runtime; leave it out"));
    }
    if !matches!(host.volume_driver.as_str(), "" | "local") {
        return Err(unsupported(
            "volume-driver",
            "there is local only; leave it out",
        ));
    }
    let mut addresses = host.port_bindings.values().flatten();
    let refused = addresses.find_map(|binding| port::unpublishable(binding.host_ip.parse().ok()?));
    match refused {
        Some(reason) => Err(unsupported("publish", reason)),
        None => Ok(()),
    }
}

fn unsupported(option: &str, reason: &str) -> RunArgsError {
    RunArgsError::Unsupported {
        option: option.to_owned(),
        reason: reason.to_owned(),
    }
}

fn namespaces(host: &HostConfig) -> Check {
    let invalid_ipc = format!("invalid IPC mode: {}", host.ipc_mode);
    let some = ["", "host"];
    for (mode, allowed, joins, invalid) in [
        (&host.pid_mode, &some[..], true, "--pid: invalid PID mode"),
        (&host.uts_mode, &some, false, "--uts: invalid UTS mode"),
        (
            &host.userns_mode,
            &some,
            false,
            "--userns: invalid USER mode",
        ),
        (
            &host.cgroupns_mode,
            &["", "host", "private"],
            false,
            "--cgroupns: invalid CGROUP mode",
        ),
        (
            &host.ipc_mode,
            &["", "none", "private", "shareable", "host"],
            true,
            &invalid_ipc,
        ),
    ] {
        let name = mode.strip_prefix("container:").filter(|_| joins);
        let is_joined = name.is_some_and(|name| !name.is_empty());
        if !is_joined && !allowed.contains(&mode.as_str()) {
            return Err(invalid.to_owned());
        }
    }
    Ok(())
}

fn cgroup_parent(host: &HostConfig) -> Result<(), RunArgsError> {
    let parent = host.cgroup_parent.trim_matches('/');
    let is_odd = |part: &str| matches!(part, "" | "." | "..");
    if !parent.is_empty() && parent.split('/').any(is_odd) {
        return Err(format!(
            "invalid cgroup parent {:?}: it has to be a path such as /machines/web, without empty, . and .. parts",
            host.cgroup_parent
        )
        .into());
    }
    match parent.ends_with(".slice") {
        true => Err(unsupported(
            "cgroup-parent",
            "slices are systemd's, which dray does not ask; give a path such as /machines/web",
        )),
        false => Ok(()),
    }
}

fn block_io(host: &HostConfig) -> Check {
    match host.blkio_weight == 0 || block::WEIGHTS.contains(&host.blkio_weight) {
        true => Ok(()),
        false => Err("range of blkio weight is from 10 to 1000".to_owned()),
    }
}

fn memory(host: &HostConfig) -> Check {
    let refuse = |text: &str| Err(text.to_owned());
    let swappiness = host.memory_swappiness.unwrap_or(-1);
    if !(-1..=100).contains(&swappiness) {
        return Err(format!(
            "invalid value: {swappiness}. Valid memory swappiness range is 0-100"
        ));
    }
    let HostConfig {
        memory,
        memory_swap: swap,
        memory_reservation: reservation,
        ..
    } = *host;
    if memory != 0 && memory < MIN_MEMORY {
        return refuse("Minimum memory limit allowed is 6MB");
    }
    if memory > 0 && swap > 0 && swap < memory {
        return refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if memory == 0 && swap > 0 {
        return refuse(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        );
    }
    if reservation > 0 && reservation < MIN_MEMORY {
        return refuse("Minimum memory reservation allowed is 6MB");
    }
    if memory > 0 && reservation > memory {
        return refuse(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        ));
    }
    Ok(())
}

fn cpu(host: &HostConfig) -> Check {
    let refuse = |text: &str| Err(text.to_owned());
    if host.nano_cpus < 0 {
        return refuse("range of CPUs is from 0.01 up; --cpus cannot be negative");
    }
    if host.nano_cpus > 0 && host.cpu_period > 0 {
        return refuse("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    }
    if host.nano_cpus > 0 && host.cpu_quota > 0 {
        return refuse("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    }
    if host.cpu_realtime_period < 0 || host.cpu_realtime_runtime < 0 {
        return refuse("real-time period and runtime are microseconds; they cannot be negative");
    }
    if host.cpu_realtime_period != 0 && host.cpu_realtime_runtime > host.cpu_realtime_period {
        return refuse("cpu real-time runtime cannot be higher than cpu real-time period");
    }
    if host.cpu_shares < 0 {
        return Err(format!(
            "invalid CPU shares ({}): value must be a positive integer",
            host.cpu_shares
        ));
    }
    if host.cpu_shares == 1 {
        return refuse("the minimum allowed cpu-shares is 2");
    }
    if host.cpu_shares > MAX_CPU_SHARES {
        return Err(format!(
            "the maximum allowed cpu-shares is {MAX_CPU_SHARES}"
        ));
    }
    if host.cpu_period != 0 && !CPU_PERIOD.contains(&host.cpu_period) {
        return refuse(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if host.cpu_quota > 0 && host.cpu_quota < *CPU_PERIOD.start() {
        return refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    for (name, list) in [("cpus", &host.cpuset_cpus), ("mems", &host.cpuset_mems)] {
        if !is_number_list(list) {
            return Err(format!("Invalid value {list} for cpuset {name}"));
        }
    }
    Ok(())
}

/// `0-3,5`; empty is fine.
fn is_number_list(text: &str) -> bool {
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| !text.starts_with('+'));
    text.is_empty()
        || text.split(',').all(|part| match part.split_once('-') {
            Some((first, last)) => number(first).zip(number(last)).is_some_and(|(a, b)| a <= b),
            None => number(part).is_some(),
        })
}

/// Files of the kernel's own that something else may be mounted over: what lxcfs has in their place.
const OVER_PROC: [&str; 10] = [
    "cpuinfo",
    "diskstats",
    "meminfo",
    "stat",
    "swaps",
    "uptime",
    "loadavg",
    "slabinfo",
    "sys/kernel/ns_last_pid",
    "sys/crypto/fips_enabled",
];

/// Nothing may hide the kernel's word on processes, which the runtime itself trusts: runc's rule.
fn proc_stays(source: &str, target: &str) -> Check {
    let Some(below) = target.strip_prefix("/proc") else {
        return Ok(());
    };
    match below.strip_prefix('/') {
        Some(file) if OVER_PROC.contains(&file) => Ok(()),
        None if !below.is_empty() || source == "/proc" => Ok(()),
        _ => Err(format!(
            "{target:?} cannot be mounted because it is inside /proc"
        )),
    }
}

fn mounts(host: &HostConfig) -> Check {
    let mut bound = BTreeSet::new();
    let mut targets = BTreeSet::new();
    let mut once = |source: &str, target: String| {
        bounds::path(&target)?;
        proc_stays(source, &target)?;
        match targets.insert(target.clone()) {
            true => Ok(()),
            false => Err(format!("Duplicate mount point: {target}")),
        }
    };
    for bind in &host.binds {
        // One that starts with a dot is another machine's relative path.
        let mut words = bind.split(':');
        let source = words.next().unwrap_or_default();
        let target = volume::clean(words.next().unwrap_or_default());
        once(source, target.clone())?;
        bound.insert(target);
    }
    for mount in &host.mounts {
        let target = volume::clean(&mount.target);
        once(&mount.source, target.clone())?;
        if mount.kind != "tmpfs" {
            bound.insert(target);
        }
    }
    for taken in &host.volumes_from {
        volume::TakenOver::parse(taken)?;
    }
    for (target, options) in &host.tmpfs {
        once("", volume::target_path(target)?)?;
        tmpfs::merge(options).map_err(|option| format!("invalid tmpfs option {option:?}"))?;
    }
    let long = host.mounts.iter().filter(|mount| mount.kind == "tmpfs");
    let in_memory = host.tmpfs.keys().chain(long.map(|mount| &mount.target));
    let mut hidden = in_memory.map(|target| volume::clean(target));
    match hidden.find(|target| target.starts_with("/dev/")) {
        // A bind of /dev is mounted last, when the runtime has made its own.
        Some(target) if bound.contains("/dev") => Err(format!(
            "a tmpfs at {target} cannot be below a bind at /dev; bind {target} too"
        )),
        _ => Ok(()),
    }
}

fn protection(host: &HostConfig) -> Check {
    for (list, field) in [(&host.cap_add, "CapAdd"), (&host.cap_drop, "CapDrop")] {
        if let Some(word) = list.iter().find(|word| capability::parse(word).is_none()) {
            return Err(format!("invalid {field}: unknown capability: {word:?}"));
        }
    }
    if host.annotations.contains_key("") {
        return Err(
            "invalid Annotations: the empty string is not permitted as an annotation key"
                .to_owned(),
        );
    }
    for option in &host.dns_options {
        bounds::one_line("DNS option", option)?;
    }
    for name in &host.extra_hosts {
        bounds::one_line("extra host", name)?;
    }
    for name in host.sysctls.keys() {
        if sysctl::is_network(name) && host.network_mode == "host" {
            return Err(format!(
                "sysctl {name:?} is not allowed in the host's network namespace"
            ));
        }
        if sysctl::is_ipc(name) && host.ipc_mode == "host" {
            return Err(format!(
                "sysctl {name:?} is not allowed in the host's IPC namespace"
            ));
        }
    }
    Ok(())
}

fn warnings(host: &HostConfig) -> Vec<String> {
    let mut warnings = Vec::new();
    if host.network_mode == "host" && !host.port_bindings.is_empty() {
        warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    if host.oom_kill_disable == Some(true) && host.memory == 0 {
        warnings.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running \
             out of resources."
                .to_owned(),
        );
    }
    let loopback = |text: &&String| {
        text.parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
    };
    if let Some(server) = host.dns.iter().find(loopback) {
        warnings.push(format!("Localhost DNS ({server}) may fail in containers."));
    }
    warnings
}
