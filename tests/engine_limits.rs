//! Options that bound a container or say how it is made, each observed in the kernel's own files or from inside.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use common::device::{Device, on_device, run};
use dray::engine::Folders;
use serde_json::Value;

fn unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// One file of the group of container `id`.
fn setting(id: &str, controller: &str, file: &str) -> String {
    let path = match unified() {
        true => format!("/sys/fs/cgroup/dray/{id}/{file}"),
        false => format!("/sys/fs/cgroup/{controller}/dray/{id}/{file}"),
    };
    let text = std::fs::read_to_string(&path);
    text.unwrap_or_else(|error| panic!("{path}: {error}"))
        .trim()
        .to_owned()
}

fn image(device: &Device) -> String {
    device.registry.name("shop/v1:1")
}

/// Starts a container that stays, and returns its id.
fn start(device: &Device, options: &[&str]) -> String {
    let image = image(device);
    let base = &["run", "-d", "--network", "none", "--name", "bounded"][..];
    let called = device.dray(&[base, options, &[&image, "sleep", "1000"]].concat());
    assert!(called.status.success(), "{options:?}: {called:?}");
    called.stdout.trim().to_owned()
}

fn remove(device: &Device) {
    let removed = device.dray(&["rm", "-f", "bounded"]);
    assert!(removed.status.success(), "{removed:?}");
}

/// A block device of this machine: its node, and its numbers.
fn disk() -> (String, String) {
    let mut disks: Vec<_> = std::fs::read_dir("/sys/block")
        .unwrap()
        .map(|entry| Path::new("/dev").join(entry.unwrap().file_name()))
        .filter(|node| {
            std::fs::metadata(node).is_ok_and(|found| found.file_type().is_block_device())
        })
        .collect();
    disks.sort();
    let disk = disks.pop().expect("a block device");
    let (major, minor) =
        dray::sys::process::device_numbers(std::fs::metadata(&disk).unwrap().rdev());
    (disk.display().to_string(), format!("{major}:{minor}"))
}

#[test]
fn every_limit_is_in_the_kernel() {
    on_device("every-limit", |device| {
        let mega = |number: u64| (number << 20).to_string();
        // Options; controller, file and content on version 1; file and content on version 2.
        for (options, v1, v2) in [
            (
                &["-m", "64m", "--memory-swap", "96m"][..],
                ("memory", "memory.memsw.limit_in_bytes", mega(96)),
                ("memory.swap.max", mega(32)),
            ),
            (
                &["-m", "64m", "--memory-swap", "64m"],
                ("memory", "memory.memsw.limit_in_bytes", mega(64)),
                ("memory.swap.max", "0".into()),
            ),
            (
                &["-m", "64m", "--memory-swap", "-1"],
                ("memory", "memory.limit_in_bytes", mega(64)),
                ("memory.swap.max", "max".into()),
            ),
            (
                &["--memory-reservation", "32m"],
                ("memory", "memory.soft_limit_in_bytes", mega(32)),
                ("memory.low", mega(32)),
            ),
            (
                &["--cpu-period", "50000", "--cpu-quota", "20000"],
                ("cpu", "cpu.cfs_quota_us", "20000".into()),
                ("cpu.max", "20000 50000".into()),
            ),
            (
                &["--cpu-period", "50000"],
                ("cpu", "cpu.cfs_period_us", "50000".into()),
                ("cpu.max", "max 50000".into()),
            ),
            (
                &["-c", "2048"],
                ("cpu", "cpu.shares", "2048".into()),
                // Of 1024 shares it is 100, what a group has anyway.
                ("cpu.weight", "174".into()),
            ),
            (
                &["--cpuset-mems", "0"],
                ("cpuset", "cpuset.mems", "0".into()),
                ("cpuset.mems", "0".into()),
            ),
        ] {
            let id = start(device, options);
            let (found, expected) = match unified() {
                true => (setting(&id, "", v2.0), v2.1),
                false => (setting(&id, v1.0, v1.1), v1.2),
            };
            assert_eq!(found, expected, "{options:?}");
            remove(device);
        }
    });
}

#[test]
fn settings_of_version_1_are_set_there_and_said_to_be_left_out_elsewhere() {
    on_device("version-1", |device| {
        for (options, file, expected, left_out) in [
            (
                &["--memory-swappiness", "30"][..],
                "memory.swappiness",
                "30",
                "--memory-swappiness has no effect",
            ),
            (
                &["-m", "64m", "--oom-kill-disable"],
                "memory.oom_control",
                "oom_kill_disable 1",
                "--oom-kill-disable has no effect",
            ),
        ] {
            if unified() {
                let image = image(device);
                let made =
                    device.dray(&[&["create", "--name", "bounded"], options, &[&image]].concat());
                assert!(made.stderr.contains(left_out), "{made:?}");
            } else {
                let id = start(device, options);
                let found = setting(&id, "memory", file);
                assert_eq!(found.lines().next(), Some(expected), "{options:?}");
            }
            remove(device);
        }
    });
}

#[test]
fn real_time_budgets_are_given_and_come_back() {
    on_device("real-time", |device| {
        let image = image(device);
        let root = Path::new("/sys/fs/cgroup/cpu");
        let options = ["--cpu-rt-period", "500000", "--cpu-rt-runtime", "20000"];
        if !root.join("cpu.rt_runtime_us").exists() {
            let refused = device.dray(&[&["create"], &options[..], &[&image]].concat());
            let said = "your kernel does not support CPU real-time runtime";
            assert!(refused.stderr.contains(said), "{refused:?}");
            return;
        }
        let id = start(device, &options);
        assert_eq!(setting(&id, "cpu", "cpu.rt_period_us"), "500000");
        assert_eq!(setting(&id, "cpu", "cpu.rt_runtime_us"), "20000");
        let run = |name: &str, options: &[&str]| {
            let base = ["run", "-d", "--network=none", "--name", name];
            device.dray(&[&base, options, &[&image, "sleep", "1000"]].concat())
        };
        // A second one beside it has its own; without one there is no real time.
        assert!(
            run("second", &["--cpu-rt-runtime", "10000"])
                .status
                .success()
        );
        assert!(run("without", &[]).status.success());
        for (name, real_time) in [("bounded", true), ("second", true), ("without", false)] {
            let pid = device.inspect(name)["State"]["Pid"].to_string();
            let set = Command::new("chrt").args(["-f", "-p", "10", &pid]).output();
            assert_eq!(set.unwrap().status.success(), real_time, "{name}");
        }
        // More than there is.
        let refused = run("third", &["--cpu-rt-runtime", "1000000"]);
        let said = "the kernel has not so much real-time CPU time left";
        assert!(refused.stderr.contains(said), "{refused:?}");
        assert_eq!(refused.status.code(), Some(125), "{refused:?}");
        device.done(&["rm", "-f", "second", "without", "third"]);
        device.done(&["restart", "-t", "0", "bounded"]);
        assert_eq!(setting(&id, "cpu", "cpu.rt_runtime_us"), "20000");
        remove(device);
        assert!(!root.join("dray").join(&id).exists());
    });
}

#[test]
fn a_container_is_below_the_group_that_it_is_told() {
    on_device("group-parent", |device| {
        let image = image(device);
        let tops: Vec<_> = match unified() {
            true => vec![Path::new("/sys/fs/cgroup").to_owned()],
            false => ["memory", "cpu", "pids", "devices", "freezer"]
                .map(|name| Path::new("/sys/fs/cgroup").join(name))
                .to_vec(),
        };
        // One that somebody else made stays, what we make goes.
        let theirs = format!("theirs-{}", std::process::id());
        for top in &tops {
            std::fs::create_dir(top.join(&theirs)).unwrap();
        }
        for (parent, restart) in [
            (format!("/{theirs}/deep/er"), "no"),
            (format!("ours-{}/x", std::process::id()), "always"),
        ] {
            let options = [
                "--cgroup-parent",
                &parent,
                "-m",
                "64m",
                "--pids-limit",
                "77",
                "--restart",
                restart,
                "--health-cmd",
                "true",
            ];
            let id = start(device, &options);
            let group = |top: &Path| top.join(parent.trim_matches('/')).join(&id);
            let pid = device.inspect("bounded")["State"]["Pid"].to_string();
            for top in &tops {
                let procs = std::fs::read_to_string(group(top).join("cgroup.procs")).unwrap();
                assert!(procs.lines().any(|line| line == pid), "{}", top.display());
                assert!(!top.join("dray").join(&id).exists());
            }
            let limit = tops.iter().find_map(|top| {
                let files = ["memory.max", "memory.limit_in_bytes"];
                let mut found = files
                    .iter()
                    .map(|file| std::fs::read_to_string(group(top).join(file)));
                found.find_map(Result::ok)
            });
            assert_eq!(limit.unwrap().trim(), (64 << 20).to_string());
            // What looks at groups finds it.
            let denied = device.dray(&[
                "exec",
                "bounded",
                "sh",
                "-c",
                "busybox mknod /tmp/x b 7 0; cat /tmp/x",
            ]);
            assert!(!denied.status.success(), "{denied:?}");
            assert!(device.done(&["top", "bounded"]).stdout.contains("sleep"));
            device.done(&["pause", "bounded"]);
            assert_eq!(device.inspect("bounded")["State"]["Status"], "paused");
            device.done(&["unpause", "bounded"]);
            // A second one in the same group keeps it.
            let beside = [
                "run",
                "-d",
                "--network=none",
                "--name=beside",
                "--cgroup-parent",
                &parent,
            ];
            device.done(&[&beside[..], &[&image, "sleep", "1000"]].concat());
            device.done(&["restart", "-t", "0", "bounded"]);
            device.done(&["kill", "bounded"]);
            device.done(&["rm", "-f", "bounded"]);
            for top in &tops {
                assert!(group(top).parent().unwrap().exists() && !group(top).exists());
            }
            device.done(&["rm", "-f", "beside"]);
            for top in &tops {
                let first = parent.trim_matches('/').split('/').next().unwrap();
                assert_eq!(
                    top.join(first).exists(),
                    first == theirs,
                    "{}",
                    top.display()
                );
                let left = std::fs::read_dir(top.join(first))
                    .into_iter()
                    .flatten()
                    .flatten();
                assert_eq!(left.filter(|entry| entry.path().is_dir()).count(), 0);
            }
        }
        for top in &tops {
            std::fs::remove_dir(top.join(&theirs)).unwrap();
        }
    });
}

#[test]
fn block_devices_are_limited() {
    on_device("block", |device| {
        let (disk, numbers) = disk();
        let limit = |rate: &str| format!("{disk}:{rate}");
        let options = [
            "--device-read-bps",
            &limit("1mb"),
            "--device-write-bps",
            &limit("2m"),
            "--device-read-iops",
            &limit("300"),
            "--device-write-iops",
            &limit("400"),
            "--blkio-weight",
            "300",
        ];
        let id = start(device, &options);
        if unified() {
            let expected = format!("{numbers} rbps=1048576 wbps=2097152 riops=300 wiops=400");
            assert_eq!(setting(&id, "", "io.max"), expected);
        } else {
            for (file, rate) in [
                ("read_bps", "1048576"),
                ("write_bps", "2097152"),
                ("read_iops", "300"),
                ("write_iops", "400"),
            ] {
                let found = setting(&id, "blkio", &format!("blkio.throttle.{file}_device"));
                assert_eq!(found, format!("{numbers} {rate}"), "{file}");
            }
            let weight = format!("/sys/fs/cgroup/blkio/dray/{id}/blkio.bfq.weight");
            if Path::new(&weight).exists() {
                let found = std::fs::read_to_string(weight).unwrap();
                assert_eq!(found.trim().trim_start_matches("default "), "300");
            }
        }
        let info: Value =
            serde_json::from_str(&device.dray(&["inspect", "bounded"]).stdout).unwrap();
        let config = &info[0]["HostConfig"];
        assert_eq!(config["BlkioDeviceReadBps"][0]["Rate"], 1 << 20);
        assert_eq!(config["BlkioDeviceWriteIOps"][0]["Path"], disk);
        remove(device);

        let image = image(device);
        for (option, value, said) in [
            (
                "--device-read-bps",
                "/dev/none:1m",
                "--device-read-bps /dev/none is not supported: No such file",
            ),
            (
                "--device-write-iops",
                "/dev/null:1",
                "/dev/null is not supported: not a block device",
            ),
            (
                "--cpuset-cpus",
                "0,4095",
                "--cpuset-cpus 0,4095 is not supported: those CPUs are not available",
            ),
            (
                "--cpus",
                "1000.5",
                "--cpus 1000.5 is not supported: range of CPUs is from 0.01 to ",
            ),
            (
                "--cpuset-mems",
                "63",
                "those memory nodes are not available",
            ),
            (
                "--blkio-weight-device",
                "/dev/null:300",
                "not a block device",
            ),
            (
                "--blkio-weight",
                "5",
                "range of blkio weight is from 10 to 1000",
            ),
        ] {
            let refused = device.dray(&["run", option, value, &image]);
            assert_eq!(refused.status.code(), Some(125), "{refused:?}");
            assert!(refused.stderr.contains(said), "{option}: {refused:?}");
        }
        assert_eq!(device.containers().len(), 0, "nothing half made");
    });
}

/// A block device whose scheduler knows weights, for as long as it is there.
struct Weighted {
    scheduler: String,
    before: String,
}

impl Weighted {
    fn of(node: &str) -> Weighted {
        let scheduler = format!("/sys/block/{node}/queue/scheduler");
        let all = std::fs::read_to_string(&scheduler).unwrap();
        let chosen = all.split(['[', ']']).nth(1);
        let before = chosen.expect("a scheduler in brackets").to_owned();
        std::fs::write(&scheduler, "bfq").expect("the scheduler bfq");
        Weighted { scheduler, before }
    }
}

impl Drop for Weighted {
    fn drop(&mut self) {
        std::fs::write(&self.scheduler, &self.before).unwrap();
    }
}

#[test]
fn one_block_device_gets_a_weight_of_its_own() {
    on_device("weight", |device| {
        // Nobody's on most machines.
        let _weighted = Weighted::of("loop7");
        let id = start(
            device,
            &["--blkio-weight=300", "--blkio-weight-device=/dev/loop7:500"],
        );
        let (of_device, all) = match unified() {
            true => ("io.bfq.weight", "io.bfq.weight"),
            false => ("blkio.bfq.weight_device", "blkio.bfq.weight"),
        };
        let node = std::fs::metadata("/dev/loop7").unwrap().rdev();
        let (major, minor) = dray::sys::process::device_numbers(node);
        for (file, line) in [
            (of_device, format!("{major}:{minor} 500")),
            (all, "default 300".to_owned()),
        ] {
            let found = setting(&id, "blkio", file);
            let same = |found: &str| found == line || format!("default {found}") == line;
            assert!(found.lines().any(same), "{file}: {found}");
        }
        remove(device);
    });
}

#[test]
fn namespaces_and_what_belongs_to_them() {
    on_device("belongs", |device| {
        let image = image(device);
        let own = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        let shell = |options: &[&str], line: &str| {
            let base = &["run", "--rm", "--network", "none"][..];
            let called = device.dray(&[base, options, &[&image, "sh", "-c", line]].concat());
            assert!(called.status.success(), "{options:?}: {called:?}");
            called.stdout.trim_end().to_owned()
        };
        let user = "busybox readlink /proc/self/ns/user";
        assert_eq!(Path::new(&shell(&["--userns", "host"], user)), own("user"));
        let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        for (options, line, expected) in [
            (&["--uts", "host"][..], "busybox hostname", host_name.trim()),
            (
                &["--ipc", "none"],
                "echo x > /dev/shm/x 2>/dev/null || echo none",
                "none",
            ),
            (
                &["--ipc", "private"],
                "echo x > /dev/shm/x && cat /dev/shm/x",
                "x",
            ),
            (
                &["--ipc", "shareable"],
                "echo x > /dev/shm/x && cat /dev/shm/x",
                "x",
            ),
            (
                &["--cgroupns", "private"],
                "cat /proc/self/cgroup | busybox grep -c dray || true",
                "0",
            ),
            (
                &["--sysctl", "kernel.msgmax=9000"],
                "cat /proc/sys/kernel/msgmax",
                "9000",
            ),
            (
                &["--sysctl", "fs.mqueue.msg_max=20"],
                "cat /proc/sys/fs/mqueue/msg_max",
                "20",
            ),
            (
                &["--oom-score-adj", "500"],
                "cat /proc/1/oom_score_adj",
                "500",
            ),
            (&["--runtime", "runc"], "echo ran", "ran"),
        ] {
            assert_eq!(shell(options, line), expected, "{options:?}");
        }
        for (option, value, said) in [
            ("--sysctl", "kernel.panic=1", "kernel.panic"),
            ("--runtime", "nvidia", "option --runtime is not supported"),
            ("--gpus", "all", "option --gpus is not supported"),
            (
                "--storage-opt",
                "size=1g",
                "option --storage-opt is not supported",
            ),
        ] {
            let refused = device.dray(&["create", option, value, &image]);
            assert_eq!(refused.status.code(), Some(125), "{refused:?}");
            assert!(refused.stderr.contains(said), "{option}: {refused:?}");
        }
    });
}

#[test]
fn processes_of_another_container_are_seen() {
    on_device("shared-pids", |device| {
        let image = image(device);
        let run = |words: &[&str]| device.dray(&[&["run", "--network", "none"], words].concat());
        start(device, &[]);
        let look = ["cat", "/proc/1/cmdline"];
        let alone = run(&[&["--rm", &image][..], &look].concat());
        assert_eq!(alone.stdout, "cat\0/proc/1/cmdline\0", "{alone:?}");
        let shared = ["--rm", "--pid", "container:bounded", &image];
        let beside = run(&[&shared[..], &look].concat());
        assert_eq!(beside.stdout, "sleep\x001000\0", "{beside:?}");

        // It ends with the one that it looks at, and does not start without it.
        let side = [
            "-d",
            "--name",
            "side",
            "--pid",
            "container:bounded",
            &image,
            "sleep",
            "1000",
        ];
        assert!(run(&side).status.success());
        assert!(device.dray(&["kill", "bounded"]).status.success());
        assert_eq!(device.dray(&["wait", "side"]).stdout, "137\n");
        let refused = device.dray(&["start", "side"]);
        let said = "cannot join PID namespace of a non running container: bounded; start it first";
        assert!(refused.stderr.contains(said), "{refused:?}");
        let missing = run(&["--pid", "container:nobody", &image]);
        assert!(
            missing.stderr.contains("no such container: nobody"),
            "{missing:?}"
        );
        assert!(device.dray(&["rm", "side", "bounded"]).status.success());
    });
}

#[test]
fn the_oom_score_is_the_container_s_and_not_its_monitor_s() {
    on_device("oom-score", |device| {
        let score = |pid: &str| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
            text.trim().to_owned()
        };
        start(device, &["--init", "--oom-score-adj", "500"]);
        let now = device.containers().remove(0).1.unwrap();
        assert_eq!(score(&now.init.unwrap().pid.to_string()), "500");
        // Without the right to, nobody is protected.
        let may_raise = dray::sys::process::system().unwrap().capabilities & 1 << 24 != 0;
        let monitor = score(&now.monitor.pid.to_string());
        assert_eq!(monitor, if may_raise { "-999" } else { "0" });
        let inside = device.dray(&["exec", "bounded", "cat", "/proc/self/oom_score_adj"]);
        assert_eq!(inside.stdout.trim(), "500", "{inside:?}");
        remove(device);
    });
}

#[test]
fn how_a_container_is_made() {
    on_device("made", |device| {
        let image = image(device);
        let manifests = || {
            device.registry.count("GET", "/manifests/")
                + device.registry.count("HEAD", "/manifests/")
        };
        let create = |options: &[&str]| device.dray(&[&["create"], options, &[&image]].concat());

        let never = create(&["--pull", "never"]);
        assert_eq!(never.status.code(), Some(1), "{never:?}");
        assert_eq!(manifests(), 0);
        let other = create(&["--platform", "linux/s390x"]);
        assert_eq!(other.status.code(), Some(1), "{other:?}");
        assert!(other.stderr.contains("s390x"), "{other:?}");
        assert!(create(&["--pull", "missing", "-q"]).status.success());
        device.registry.reset_counts();
        for (pull, asks) in [("missing", false), ("never", false), ("always", true)] {
            assert!(create(&["--pull", pull]).status.success(), "{pull}");
            assert_eq!(manifests() > 0, asks, "{pull}");
        }

        let file = device.join("cid");
        let path = file.to_str().unwrap();
        let made = create(&["--cidfile", path, "--name", "bounded"]);
        let id = made.stdout.trim();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), id);
        // A bare name is one in the current folder.
        let bare = Command::new(env!("CARGO_BIN_EXE_dray"))
            .args(["create", "--cidfile", "bare", "--name", "bare"])
            .arg(device.registry.name("shop/v1:1"))
            .env("DRAY_CONFIG", &device.host.config)
            .current_dir(device.join(""))
            .output()
            .unwrap();
        assert!(bare.status.success(), "{bare:?}");
        let written = std::fs::read_to_string(device.join("bare")).unwrap();
        assert_eq!(written, String::from_utf8(bare.stdout).unwrap().trim_end());
        let again = create(&["--cidfile", path]);
        assert!(!again.status.success());
        assert!(again.stderr.contains("container id file"), "{again:?}");
        remove(device);

        let id = start(
            device,
            &[
                "--annotation",
                "org.example.key=value",
                "--annotation",
                "bare",
            ],
        );
        let bundle = Folders::new(&device.host, &id)
            .run
            .join("bundle/config.json");
        let config: Value = serde_json::from_slice(&std::fs::read(bundle).unwrap()).unwrap();
        assert_eq!(config["annotations"]["org.example.key"], "value");
        assert_eq!(config["annotations"]["bare"], "");
        remove(device);
    });
}

#[cfg(feature = "failpoints")]
#[test]
fn memory_is_limited_where_swap_is_not() {
    on_device("no-swap", |device| {
        let image = image(device);
        let warning = "dray: warning: Your kernel does not support swap limit capabilities or the cgroup is not \
                       mounted. Memory limited without swap.\n";
        for (options, said, swap) in [
            (&["--memory=64m"][..], warning, -1),
            (&["--memory=64m", "--memory-swap=64m"], warning, -1),
            (&["--memory=64m", "--memory-swap=128m"], warning, -1),
            (&["--memory=64m", "--memory-swap=-1"], "", -1),
            (&[], "", 0),
        ] {
            let words = [&["run", "-d", "--network=none", "--name=one"], options];
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_dray"))
                .args(words.concat())
                .args([&image, "sleep", "1000"])
                .env("DRAY_CONFIG", &device.host.config)
                .env("DRAY_BREAK", "no-swap-accounting")
                .output()
                .unwrap();
            assert!(output.status.success(), "{options:?}: {output:?}");
            assert_eq!(
                String::from_utf8(output.stderr).unwrap(),
                said,
                "{options:?}"
            );
            let info = device.inspect("one");
            let shown = info["HostConfig"]["MemorySwap"].as_i64();
            assert_eq!(shown.unwrap_or(0), swap, "{options:?}");
            let id = info["Id"].as_str().unwrap();
            let file = match unified() {
                true => "memory.max",
                false => "memory.limit_in_bytes",
            };
            let is_limited = setting(id, "memory", file) == "67108864";
            assert_eq!(is_limited, !options.is_empty(), "{options:?}");
            device.done(&["rm", "-f", "one"]);
        }
    });
}

/// Groups of containers that are no more, in every hierarchy; they go with this.
struct Strays(Vec<std::path::PathBuf>);

impl Strays {
    fn make(names: &[&str]) -> Strays {
        let tops: Vec<_> = match unified() {
            true => vec![Path::new("/sys/fs/cgroup").to_owned()],
            false => ["memory", "devices", "unified"]
                .map(|name| Path::new("/sys/fs/cgroup").join(name))
                .to_vec(),
        };
        let below = |top: &std::path::PathBuf| {
            let top = top.join("dray");
            names
                .iter()
                .map(move |name| top.join(name))
                .collect::<Vec<_>>()
        };
        let all = Strays(tops.iter().flat_map(below).collect());
        all.0
            .iter()
            .for_each(|group| std::fs::create_dir_all(group).unwrap());
        all
    }

    fn left(&self) -> Vec<&str> {
        let there = self.0.iter().filter(|group| group.exists());
        let mut names: Vec<_> = there
            .map(|group| group.file_name().unwrap().to_str().unwrap())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

impl Drop for Strays {
    fn drop(&mut self) {
        for group in &self.0 {
            let _ = std::fs::remove_dir(group.join("below"));
            let _ = std::fs::remove_dir(group);
            let _ = std::fs::remove_dir(group.parent().unwrap());
        }
    }
}

#[test]
fn empty_groups_of_containers_that_are_no_more_are_swept() {
    on_device("strays", |device| {
        let image = image(device);
        device.done(&[
            "run",
            "-d",
            "--network=none",
            "--name=one",
            &image,
            "sleep",
            "1000",
        ]);
        let own = device.inspect("one")["Id"].as_str().unwrap().to_owned();
        let [first, second, fresh, used] = ["a1", "b2", "c3", "d4"].map(|two| two.repeat(32));
        let monitor = format!("{first}.monitor");
        let other = "somebody-else-s";
        let strays = Strays::make(&[&first, &monitor, &second, &fresh, &used, other]);
        let is = |group: &Path, names: &[&str]| names.iter().any(|name| group.ends_with(name));
        let mut sleeper = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        for group in &strays.0 {
            if is(group, &[&second]) {
                std::fs::create_dir(group.join("below")).unwrap();
            }
            if is(group, &[&used]) {
                std::fs::write(group.join("cgroup.procs"), sleeper.id().to_string()).unwrap();
            }
            if !is(group, &[&fresh]) {
                run("touch", &["-d", "2 minutes ago", group.to_str().unwrap()]);
            }
        }
        let swept = device.dray(&["unpause", "absent"]);
        let left: Vec<String> = strays
            .left()
            .iter()
            .map(|name| (*name).to_owned())
            .collect();
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert_eq!(swept.stderr, "dray: no such container: absent\n");
        assert_eq!(left, [&fresh, &used, other]);
        assert_eq!(device.inspect("one")["Id"], *own);
        device.done(&["exec", "one", "true"]);
        device.done(&["rm", "-f", "one"]);
    });
}

#[test]
fn a_sweep_is_in_no_start_s_way() {
    on_device("sweeps", |device| {
        let image = image(device);
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sweeper = scope.spawn(|| {
                let mut sweeps = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let swept = device.dray(&["unpause", "absent"]);
                    assert_eq!(swept.stderr, "dray: no such container: absent\n");
                    sweeps += 1;
                }
                sweeps
            });
            let starts = [(); 3].map(|()| {
                scope.spawn(|| {
                    let run = ["run", "--rm", "--network=none", &image, "true"];
                    (0..10).for_each(|_| drop(device.done(&run)));
                })
            });
            let ended = starts.map(|start| start.join());
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(ended.iter().all(Result::is_ok));
            assert!(sweeper.join().unwrap() > 0);
        });
    });
}
