//! Limits of the container's control group.

use serde_json::{Map, Value, json};

use super::{CgroupVersion, Kernel, SpecError};
use crate::api::HostConfig;

/// Period in which `--cpus` is shared out, microseconds; Docker's and the kernel's default.
const CPU_PERIOD: i64 = 100_000;

/// Smallest process limit under which the runtime can set a container up (youki issue 3644).
const MIN_PIDS: i64 = 2;

/// `linux.resources` without `devices`, and without what the engine sets itself: block devices, real-time budgets,
/// --oom-kill-disable.
pub(super) fn resources(
    host: &HostConfig,
    kernel: &Kernel,
) -> Result<Map<String, Value>, SpecError> {
    let mut resources = Map::new();
    insert(&mut resources, "memory", memory(host, kernel));
    insert(&mut resources, "cpu", cpu(host));
    if let Some(limit) = host.pids_limit.filter(|limit| *limit > 0) {
        if limit < MIN_PIDS {
            return Err(SpecError::PidsLimit(limit));
        }
        resources.insert("pids".to_owned(), json!({ "limit": limit }));
    }
    Ok(resources)
}

/// What this kernel makes the engine leave out, one line each; Docker warns about the same things.
pub fn discarded(host: &HostConfig, kernel: &Kernel) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |condition: bool, line: &str| {
        if condition {
            lines.push(line.to_owned());
        }
    };
    say(
        swaps_without_limit(host, kernel.swap_limit),
        "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
    );
    let v2 = kernel.cgroup == CgroupVersion::V2;
    say(
        v2 && host.memory_swappiness.is_some_and(|value| value >= 0),
        "unified control groups have no swappiness: --memory-swappiness has no effect",
    );
    say(
        v2 && host.oom_kill_disable == Some(true),
        "unified control groups cannot disable the OOM killer: --oom-kill-disable has no effect",
    );
    lines
}

/// Whether memory is limited and swap cannot be, although nobody said that it is not to be.
pub fn swaps_without_limit(host: &HostConfig, swap_limit: bool) -> bool {
    host.memory > 0 && host.memory_swap != -1 && !swap_limit
}

fn insert(into: &mut Map<String, Value>, key: &str, part: Map<String, Value>) {
    if !part.is_empty() {
        into.insert(key.to_owned(), Value::Object(part));
    }
}

fn memory(host: &HostConfig, kernel: &Kernel) -> Map<String, Value> {
    let mut memory = Map::new();
    let mut set = |key: &str, value: Value| memory.insert(key.to_owned(), value);
    if host.memory > 0 {
        set("limit", json!(host.memory));
        // Docker's rule: without --memory-swap, as much swap again as memory.
        let swap = match host.memory_swap {
            0 => host.memory.saturating_mul(2),
            given => given,
        };
        if kernel.swap_limit {
            set("swap", json!(swap));
        }
    }
    if host.memory_reservation > 0 {
        set("reservation", json!(host.memory_reservation));
    }
    let swappiness = host.memory_swappiness.filter(|value| *value >= 0);
    if let Some(swappiness) = swappiness.filter(|_| kernel.cgroup == CgroupVersion::V1) {
        set("swappiness", json!(swappiness));
    }
    memory
}

fn cpu(host: &HostConfig) -> Map<String, Value> {
    let mut cpu = Map::new();
    if host.nano_cpus > 0 {
        cpu.insert("period".to_owned(), json!(CPU_PERIOD));
        // Wider than 64 bits in between: 2^63 nanoseconds times the period.
        let quota = i128::from(host.nano_cpus) * i128::from(CPU_PERIOD) / 1_000_000_000;
        let quota = i64::try_from(quota).unwrap_or(i64::MAX);
        cpu.insert("quota".to_owned(), json!(quota));
    }
    for (key, value) in [
        ("shares", host.cpu_shares),
        ("period", host.cpu_period),
        ("quota", host.cpu_quota),
    ] {
        if value != 0 {
            cpu.insert(key.to_owned(), json!(value));
        }
    }
    for (key, value) in [("cpus", &host.cpuset_cpus), ("mems", &host.cpuset_mems)] {
        if !value.is_empty() {
            cpu.insert(key.to_owned(), json!(value));
        }
    }
    cpu
}

#[cfg(test)]
mod tests {
    use super::super::tests::kernel;
    use super::*;

    #[test]
    fn translates_dockers_numbers() {
        let v1 = kernel(CgroupVersion::V1);
        let base = HostConfig::default;
        for (host, expected) in [
            (base(), json!({})),
            (
                HostConfig {
                    memory: 100,
                    ..base()
                },
                json!({ "memory": { "limit": 100, "swap": 200 } }),
            ),
            (
                HostConfig {
                    memory: 100,
                    memory_swap: -1,
                    memory_swappiness: Some(0),
                    ..base()
                },
                json!({ "memory": { "limit": 100, "swap": -1, "swappiness": 0 } }),
            ),
            (
                HostConfig {
                    memory: i64::MAX,
                    memory_swappiness: Some(-1),
                    ..base()
                },
                json!({ "memory": { "limit": i64::MAX, "swap": i64::MAX } }),
            ),
            (
                HostConfig {
                    nano_cpus: 1_500_000_000,
                    cpu_shares: 512,
                    ..base()
                },
                json!({ "cpu": { "period": 100_000, "quota": 150_000, "shares": 512 } }),
            ),
            (
                HostConfig {
                    cpuset_cpus: "0-1".to_owned(),
                    pids_limit: Some(64),
                    ..base()
                },
                json!({ "cpu": { "cpus": "0-1" }, "pids": { "limit": 64 } }),
            ),
            (
                HostConfig {
                    pids_limit: Some(-1),
                    oom_kill_disable: Some(true),
                    ..base()
                },
                json!({}),
            ),
        ] {
            assert_eq!(Value::Object(resources(&host, &v1).unwrap()), expected);
        }
        let host = HostConfig {
            pids_limit: Some(1),
            ..base()
        };
        assert_eq!(
            resources(&host, &v1).unwrap_err().to_string(),
            "pids limit 1 is too small: setting the container up takes 2 processes"
        );
    }

    #[test]
    fn leaves_out_what_the_kernel_cannot_do_and_says_so() {
        let v2 = Kernel {
            swap_limit: false,
            ..kernel(CgroupVersion::V2)
        };
        let host = HostConfig {
            memory: 100,
            memory_swap: 200,
            memory_swappiness: Some(10),
            oom_kill_disable: Some(true),
            ..Default::default()
        };
        assert_eq!(
            Value::Object(resources(&host, &v2).unwrap()),
            json!({ "memory": { "limit": 100 } })
        );
        assert_eq!(discarded(&host, &v2).len(), 3);
        for (swap, lines) in [(0, 1), (100, 1), (-1, 0)] {
            let host = HostConfig {
                memory: 100,
                memory_swap: swap,
                ..Default::default()
            };
            assert_eq!(discarded(&host, &v2).len(), lines, "{swap}");
        }
    }
}
