//! What bounds a container, seen at work. `engine_limits.rs` compares the kernel's files.

use serde_json::json;

use super::common::device::on_device;
use super::{Row, check, dray, push};

/// Works until the kernel has held it back once.
const THROTTLED: &str = "stat=/sys/fs/cgroup/cpu.stat; test -e $stat || stat=/sys/fs/cgroup/cpu/cpu.stat; \
    until grep -q 'nr_throttled [1-9]' $stat; do :; done; echo throttled";

const ALLOWED: &str = "grep -E '^(Cpus|Mems)_allowed_list' /proc/self/status | awk '{ print $2 }'";

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    ("cpus", "--cpus 0.5", THROTTLED, "throttled"),
    ("cpu-quota", "--cpu-quota 50000", THROTTLED, "throttled"),
    ("cpu-period", "--cpu-period 200000 --cpu-quota 100000", THROTTLED, "throttled"),
    ("cpuset-cpus", "--cpuset-cpus 0 --cpuset-mems 0", ALLOWED, "0\n0"),
    ("cpuset-mems", "--cpuset-mems 0 --cpuset-cpus 1", ALLOWED, "1\n0"),
    ("pids-limit", "--pids-limit 4", "(for one in 1 2 3 4 5; do sleep 9 >/dev/null 2>&1 & done) 2>&1 | tail -n 1",
        "sh: can't fork: Resource temporarily unavailable"),
    ("pids-limit", "--pids-limit -1", "for one in 1 2 3 4 5; do sleep 0 & done; wait; echo all", "all"),
];

#[test]
fn a_container_is_held_within_its_bounds() {
    on_device("bounds", |device| {
        let image = push(device, "tools", json!({}));
        check(device, &image, ROWS);
    });
}

#[test]
fn memory_that_is_not_there_ends_the_container_and_is_said() {
    on_device("memory", |device| {
        let image = push(device, "tools", json!({}));
        // tail keeps the last line, which never ends.
        let line = "head -c 100000000 /dev/zero | tail -n 1 | wc -c";
        let run = |limits: &[&str], command: &[&str]| {
            let words = [
                &["run", "--name=held", "--network=none"],
                limits,
                &[&image],
                command,
            ]
            .concat();
            let called = dray(device, &words);
            let state = device.inspect("held")["State"].clone();
            device.done(&["rm", "-f", "held"]);
            (
                called.status.code(),
                called.stdout,
                state["OOMKilled"].clone(),
            )
        };
        let alone = ["tail", "-n", "1", "/dev/zero"];
        let killed = (Some(137), String::new(), json!(true));
        assert_eq!(run(&["-m", "16m", "--memory-swap", "16m"], &alone), killed);
        assert_eq!(run(&["--memory=16m", "--memory-swap=32m"], &alone), killed);
        // It is the container's own end that counts, not that of one of its processes.
        let child = run(&["-m", "16m", "--memory-swap", "16m"], &["sh", "-c", line]);
        assert_eq!((child.0, child.1.as_str()), (Some(0), "0\n"));
        let enough = run(&["-m", "400m"], &["sh", "-c", line]);
        assert_eq!(enough, (Some(0), "100000000\n".to_owned(), json!(false)));
    });
}
