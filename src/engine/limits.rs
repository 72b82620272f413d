//! Limits that the runtime gets wrong. We set them ourselves, between making the container and its start: on control groups
//! of version 1 it leaves out a block device's own weight and --oom-kill-disable, on version 2 most weights overflow in it. The OOM score it would give to the monitor too, which inherits nothing this way.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::{Engine, EngineError};
use crate::api::{HostConfig, ThrottleDevice};
use crate::sys::{cgroup, process};

const CPU: &str = "cpu";
const RT_RUNTIME: &str = "--cpu-rt-runtime";
const WEIGHT: &str = "--blkio-weight";
const WEIGHT_DEVICE: &str = "--blkio-weight-device";
/// The kernel's period for real-time budgets, microseconds.
const RT_PERIOD: i64 = 1_000_000;

/// One line for one file of the group; of several names for the file, the first one that there is.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    option: &'static str,
    /// What a kernel lacks is left out with a warning, as Docker does it; everything else is refused.
    optional: bool,
    controller: &'static str,
    files: &'static [&'static str],
    text: String,
}

/// The processors that the machine has.
const CPUS: &str = "/sys/devices/system/cpu/online";
/// `--cpus` in the API's unit, for one of them.
const NANO: i64 = 1_000_000_000;

/// Refuses a device that is none, processors that are not there, and a limit for which this kernel has no control group.
pub(super) fn check(host: &HostConfig) -> Result<(), EngineError> {
    let cpus = numbers_of(online(CPUS).trim()).len();
    let least = NANO / 100;
    if host.nano_cpus > NANO.saturating_mul(cpus as i64) || (1..least).contains(&host.nano_cpus) {
        return Err(EngineError::Unsupported {
            option: format!("--cpus {}", host.nano_cpus as f64 / NANO as f64),
            reason: format!(
                "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
            ),
        });
    }
    for (option, wanted, what, file) in [
        ("--cpuset-cpus", &host.cpuset_cpus, "CPUs", CPUS),
        (
            "--cpuset-mems",
            &host.cpuset_mems,
            "memory nodes",
            "/sys/devices/system/node/online",
        ),
    ] {
        let there = online(file);
        if !numbers_of(wanted).is_subset(&numbers_of(there.trim())) {
            return Err(EngineError::Unsupported {
                option: format!("{option} {wanted}"),
                reason: format!(
                    "those {what} are not available; available: {}",
                    there.trim()
                ),
            });
        }
    }
    if let Some((_, option, controller)) = wanted(host)
        .into_iter()
        .find(|(given, _, controller)| *given && !cgroup::has(controller))
    {
        return Err(EngineError::Unsupported {
            option: option.to_owned(),
            reason: format!("this kernel has no control groups of {controller}; leave it out"),
        });
    }
    let lines = lines(host, cgroup::is_unified())?;
    let absent = |line: &&Line| match line.controller == CPU {
        true => !cgroup::has_realtime(),
        false => !cgroup::has(line.controller),
    };
    match lines.iter().filter(|line| !line.optional).find(absent) {
        Some(line) => Err(missing(line)),
        None => Ok(()),
    }
}

/// Whether an option is given that the runtime sets, and the controller that it needs.
fn wanted(host: &HostConfig) -> [(bool, &'static str, &'static str); 10] {
    let swappiness = host.memory_swappiness.is_some_and(|value| value >= 0);
    [
        (host.memory > 0, "--memory", "memory"),
        (
            host.memory_reservation > 0,
            "--memory-reservation",
            "memory",
        ),
        (
            swappiness && !cgroup::is_unified(),
            "--memory-swappiness",
            "memory",
        ),
        (
            host.pids_limit.is_some_and(|limit| limit > 0),
            "--pids-limit",
            "pids",
        ),
        (host.nano_cpus > 0, "--cpus", CPU),
        (host.cpu_period != 0, "--cpu-period", CPU),
        (host.cpu_quota > 0, "--cpu-quota", CPU),
        (host.cpu_shares != 0, "--cpu-shares", CPU),
        (!host.cpuset_cpus.is_empty(), "--cpuset-cpus", "cpuset"),
        (!host.cpuset_mems.is_empty(), "--cpuset-mems", "cpuset"),
    ]
}

/// Sets the limits of a container, whose group is there and whose first process `pid` does not run its program yet.
pub(super) fn apply(group: &str, pid: i32, host: &HostConfig) -> Result<(), EngineError> {
    // Always: its own monitor is protected, and it is a child of that.
    process::set_oom_score(pid, host.oom_score_adj).map_err(|error| EngineError::Unsupported {
        option: format!("--oom-score-adj {}", host.oom_score_adj),
        reason: format!("the kernel refuses it: {error}"),
    })?;
    for line in lines(host, cgroup::is_unified())? {
        let file = match cgroup::file(group, line.controller, line.files) {
            None if line.optional => continue,
            file => file.ok_or_else(|| missing(&line))?,
        };
        if line.option == RT_RUNTIME {
            // The group of all containers has to have as much as they have together.
            cgroup::share_realtime(group, host.cpu_realtime_runtime, period_of(host))
                .map_err(|error| no_budget(&line, &error))?;
        }
        let text = match file.ends_with("io.weight") {
            true => rescaled(&line.text),
            false => line.text.clone(),
        };
        match cgroup::set(&file, &text) {
            Err(error) if line.optional && error.kind() == ErrorKind::Unsupported => {}
            Err(error) if line.controller == CPU => return Err(no_budget(&line, &error)),
            set => set.map_err(|source| EngineError::write(&file, source))?,
        }
    }
    Ok(())
}

/// A weight of 10 to 1000 at the end of `text` as one of 1 to 10000, the way runc does it.
fn rescaled(text: &str) -> String {
    let (before, weight) = text.rsplit_once(' ').unwrap_or(("", text));
    let weight: u32 = weight.parse().unwrap_or(100);
    let weight = 1 + weight.saturating_sub(10) * 9999 / 990;
    format!("{before} {weight}").trim_start().to_owned()
}

fn missing(line: &Line) -> EngineError {
    EngineError::Unsupported {
        option: line.option.to_owned(),
        reason: match line.controller == CPU {
            true => "your kernel does not support CPU real-time runtime: it has no real-time group scheduling, or unified \
                     control groups; leave it out"
                .to_owned(),
            false => in_groups(line),
        },
    }
}

/// Real-time time that is not there to be given.
fn no_budget(line: &Line, error: &std::io::Error) -> EngineError {
    EngineError::Unsupported {
        option: format!("{} {}", line.option, line.text),
        reason: format!(
            "the kernel has not so much real-time CPU time left ({error}); all groups together get \
             /proc/sys/kernel/sched_rt_runtime_us in a second"
        ),
    }
}

fn period_of(host: &HostConfig) -> i64 {
    match host.cpu_realtime_period {
        0 => RT_PERIOD,
        period => period,
    }
}

fn in_groups(line: &Line) -> String {
    format!(
        "this kernel's control groups have no {}; leave it out",
        line.files.join(" or ")
    )
}

fn lines(host: &HostConfig, unified: bool) -> Result<Vec<Line>, EngineError> {
    let mut lines = memory(host, unified);
    lines.extend(realtime(host));
    lines.extend(weights(host, unified)?);
    lines.extend(throttles(host, unified)?);
    Ok(lines)
}

fn memory(host: &HostConfig, unified: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    if host.oom_kill_disable == Some(true) && !unified {
        lines.push(Line {
            option: "--oom-kill-disable",
            optional: false,
            controller: "memory",
            files: &["memory.oom_control"],
            text: "1".to_owned(),
        });
    }
    // No swap at all is a limit of nothing, which the runtime takes for no limit.
    let no_swap = host.memory > 0 && host.memory_swap == host.memory;
    if unified && no_swap && cgroup::limits_swap() {
        lines.push(Line {
            option: "--memory-swap",
            optional: false,
            controller: "memory",
            files: &["memory.swap.max"],
            text: "0".to_owned(),
        });
    }
    lines
}

/// The period first: no budget is longer than that.
fn realtime(host: &HostConfig) -> impl Iterator<Item = Line> {
    let (period, runtime) = (host.cpu_realtime_period, host.cpu_realtime_runtime);
    let all: [(_, &'static [_], _); 2] = [
        ("--cpu-rt-period", &["cpu.rt_period_us"], period),
        (RT_RUNTIME, &["cpu.rt_runtime_us"], runtime),
    ];
    let given = all.into_iter().filter(|(_, _, wanted)| *wanted != 0);
    given.map(|(option, files, wanted)| Line {
        option,
        optional: false,
        controller: CPU,
        files,
        text: wanted.to_string(),
    })
}

/// The controller of block devices.
fn io(unified: bool) -> &'static str {
    match unified {
        true => "io",
        false => "blkio",
    }
}

fn weights(host: &HostConfig, unified: bool) -> Result<Vec<Line>, EngineError> {
    let mut lines = Vec::new();
    let (files, of_devices) = weight_files(unified);
    if host.blkio_weight != 0 {
        lines.push(Line {
            option: WEIGHT,
            optional: true,
            controller: io(unified),
            files,
            text: host.blkio_weight.to_string(),
        });
    }
    for device in host.blkio_weight_device.iter().filter(|d| d.weight != 0) {
        lines.push(Line {
            option: WEIGHT_DEVICE,
            optional: true,
            controller: io(unified),
            files: of_devices,
            text: format!(
                "{} {}",
                numbers(WEIGHT_DEVICE, &device.path)?,
                device.weight
            ),
        });
    }
    Ok(lines)
}

/// Where a group's weight is, and its weight for one device.
fn weight_files(unified: bool) -> (&'static [&'static str], &'static [&'static str]) {
    match unified {
        true => (
            &["io.bfq.weight", "io.weight"],
            &["io.bfq.weight", "io.weight"],
        ),
        false => (
            &["blkio.weight", "blkio.bfq.weight"],
            &["blkio.weight_device", "blkio.bfq.weight_device"],
        ),
    }
}

/// What of a container's weights this kernel does not have and the engine leaves out, in Docker's words.
pub(super) fn discarded(host: &HostConfig) -> Result<Vec<String>, EngineError> {
    let mut said = Vec::new();
    for line in weights(host, cgroup::is_unified())? {
        let (what, left_out) = match line.option {
            WEIGHT => ("weight", "Weight"),
            _ => ("weight_device", "Weight-device"),
        };
        if !is_there(&line) {
            said.push(format!(
                "Your kernel does not support Block I/O {what} or the cgroup is not mounted. {left_out} discarded."
            ));
        }
    }
    said.dedup();
    Ok(said)
}

/// Whether groups have what the line sets, as far as can be known before the container has one. Of a single device the
/// scheduler BFQ alone takes a weight, where the kernel has no other.
fn is_there(line: &Line) -> bool {
    if !cgroup::has(line.controller) {
        return false;
    }
    match cgroup::in_groups(line.controller, line.files) {
        Some(file) if file.contains("bfq") && line.option == WEIGHT_DEVICE => {
            let numbers = line.text.split(' ').next().unwrap_or_default();
            let schedulers = format!("/sys/dev/block/{numbers}/queue/scheduler");
            std::fs::read_to_string(schedulers).is_ok_and(|all| all.contains("[bfq]"))
        }
        found => found.is_some(),
    }
}

fn throttles(host: &HostConfig, unified: bool) -> Result<Vec<Line>, EngineError> {
    let mut lines = Vec::new();
    // Option, what was given for it, the file of version 1, the key in that of version 2.
    let all: [(_, &[ThrottleDevice], &'static [_], _); 4] = [
        (
            "--device-read-bps",
            &host.blkio_device_read_bps,
            &["blkio.throttle.read_bps_device"],
            "rbps",
        ),
        (
            "--device-write-bps",
            &host.blkio_device_write_bps,
            &["blkio.throttle.write_bps_device"],
            "wbps",
        ),
        (
            "--device-read-iops",
            &host.blkio_device_read_iops,
            &["blkio.throttle.read_iops_device"],
            "riops",
        ),
        (
            "--device-write-iops",
            &host.blkio_device_write_iops,
            &["blkio.throttle.write_iops_device"],
            "wiops",
        ),
    ];
    for (option, devices, file, key) in all {
        for device in devices.iter().filter(|device| device.rate != 0) {
            let numbers = numbers(option, &device.path)?;
            let (files, text): (&'static [_], _) = match unified {
                true => (&["io.max"], format!("{numbers} {key}={}", device.rate)),
                false => (file, format!("{numbers} {}", device.rate)),
            };
            lines.push(Line {
                option,
                optional: false,
                controller: io(unified),
                files,
                text,
            });
        }
    }
    Ok(lines)
}

/// What of its kind is there; a kernel without memory nodes has the one.
fn online(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|_| "0".to_owned())
}

/// `0-3,5`; what is no number was refused before.
fn numbers_of(list: &str) -> BTreeSet<u16> {
    let ranges = list.split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

/// `major:minor` of a block device.
fn numbers(option: &str, path: &str) -> Result<String, EngineError> {
    let refuse = |reason: String| EngineError::Unsupported {
        option: format!("{option} {path}"),
        reason,
    };
    let found = std::fs::metadata(Path::new(path)).map_err(|error| refuse(error.to_string()))?;
    if !found.file_type().is_block_device() {
        return Err(refuse("not a block device".to_owned()));
    }
    let (major, minor) = process::device_numbers(found.rdev());
    Ok(format!("{major}:{minor}"))
}

impl Engine {
    /// Whether this machine can give a container the resources that it asks for.
    pub fn check_limits(&self, host: &HostConfig) -> Result<(), EngineError> {
        check(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_own_words_and_lists_are_read() {
        let host = HostConfig {
            blkio_weight: 300,
            ..HostConfig::default()
        };
        for (unified, files) in [
            (false, ["blkio.weight", "blkio.bfq.weight"]),
            (true, ["io.bfq.weight", "io.weight"]),
        ] {
            let line = &lines(&host, unified).unwrap()[0];
            assert_eq!((line.files, line.text.as_str()), (&files[..], "300"));
        }
        let numbers: Vec<u16> = numbers_of("0-2,5").into_iter().collect();
        assert_eq!(numbers, [0, 1, 2, 5]);
        assert!(numbers_of("").is_empty());
        for (text, expected) in [("10", "1"), ("1000", "10000"), ("8:0 500", "8:0 4950")] {
            assert_eq!(rescaled(text), expected);
        }
    }
}
