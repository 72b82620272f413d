//! Containers from `dray run` to `dray rm`, on the real kernel. What each option does is in `effects`.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use common::device::{Device, on_device};
use common::image::{Entry, Image, Layer};
use serde_json::json;

/// Pushes an image with a shell and the applets that the rows need.
fn push_tools(device: &Device) -> String {
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static");
    let mut entries = vec![
        Entry::dir("bin"),
        Entry::file("bin/busybox", busybox).mode(0o755),
        Entry::file("bin/not-executable", "x").mode(0o644),
        Entry::file("bin/not-a-program", "\0\0\0").mode(0o755),
        Entry::dir("etc"),
        Entry::file(
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n",
        ),
        Entry::file(
            "etc/group",
            "root:x:0:\nbob:x:1000:\naudio:x:63:bob\nvideo:x:44:\n",
        ),
        Entry::dir("tmp").mode(0o1777),
        Entry::dir("data"),
    ];
    let applets = [
        "sh", "sleep", "true", "false", "cat", "echo", "id", "ls", "env", "hostname", "pwd",
        "stat", "touch", "grep", "kill", "ps", "seq", "head", "wc", "mknod", "mount", "dd", "nc",
        "ln", "wget", "ulimit", "readlink", "test", "df", "cut", "tty",
    ];
    entries.extend(applets.map(|applet| Entry::symlink(format!("bin/{applet}"), "busybox")));
    let config = json!({ "Env": ["PATH=/bin"], "Cmd": ["/bin/sh"] });
    let image = Image::oci([Layer::of(&entries)]).config(config).build();
    device.registry.push("tools", "1", &image);
    device.registry.name("tools:1")
}

/// `dray run` of one shell line; its standard output.
fn shell(device: &Device, image: &str, options: &[&str], line: &str) -> String {
    let words = [&["run", "--rm"], options, &[image, "sh", "-c", line]].concat();
    let called = device.dray(&words);
    assert!(called.status.success(), "{words:?}: {called:?}");
    called.stdout.trim_end().to_owned()
}

/// One file of a group of container `id`, on either kind of hierarchy.
fn limit(id: &str, controller: &str, v1: &str, v2: &str) -> String {
    let unified = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let path = match unified {
        true => format!("/sys/fs/cgroup/dray/{id}/{v2}"),
        false => format!("/sys/fs/cgroup/{controller}/dray/{id}/{v1}"),
    };
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{path}: {error}"))
        .trim()
        .to_owned()
}

#[test]
fn limits_are_set_in_the_kernel() {
    on_device("limits", |device| {
        let image = push_tools(device);
        let limits = [
            "-m",
            "64m",
            "--pids-limit",
            "50",
            "--cpus",
            "0.5",
            "--cpu-shares",
            "512",
            "--cpuset-cpus",
            "0",
        ];
        let words = [
            &["run", "-d", "--network", "none", "--name", "limited"][..],
            &limits,
            &[&image, "sleep", "1000"],
        ];
        let called = device.dray(&words.concat());
        assert!(called.status.success(), "{called:?}");
        let id = called.stdout.trim();
        assert_eq!(
            limit(id, "memory", "memory.limit_in_bytes", "memory.max"),
            (64 << 20).to_string()
        );
        assert_eq!(limit(id, "pids", "pids.max", "pids.max"), "50");
        assert_eq!(limit(id, "cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
        assert!(limit(id, "cpu", "cpu.cfs_quota_us", "cpu.max").starts_with("50000"));
        let info = device.inspect("limited");
        assert_eq!(info["HostConfig"]["Memory"], json!(64 << 20));
        assert!(device.dray(&["rm", "-f", "limited"]).status.success());
        for folder in ["/sys/fs/cgroup/dray", "/sys/fs/cgroup/memory/dray"] {
            assert!(
                !std::path::Path::new(folder).join(id).exists(),
                "{folder}/{id}"
            );
        }
    });
}

#[test]
fn exit_codes_are_docker_s() {
    on_device("codes", |device| {
        let image = push_tools(device);
        for (command, code, said) in [
            (vec!["true"], 0, ""),
            (vec!["sh", "-c", "exit 42"], 42, ""),
            (vec!["sh", "-c", "kill -9 $$; sleep 9"], 137, ""),
            (vec!["nothing-there"], 127, "nothing-there"),
            (
                vec![""],
                127,
                "exec: \"\": executable file not found in $PATH",
            ),
            (vec!["/bin/nothing-there"], 127, "nothing-there"),
            (vec!["/bin/not-executable"], 126, "permission denied"),
            (vec!["/bin/not-a-program"], 126, "exec format error"),
            (vec!["/data"], 126, "permission denied"),
        ] {
            let init = if command[0] == "sh" {
                &["--init"][..]
            } else {
                &[]
            };
            let words = [
                &["run", "--rm", "--network", "none"],
                init,
                &[&image],
                &command,
            ]
            .concat();
            let called = device.dray(&words);
            assert_eq!(called.status.code(), Some(code), "{words:?}: {called:?}");
            assert!(called.stderr.contains(said), "{words:?}: {called:?}");
            assert_eq!(
                called.stderr.is_empty(),
                said.is_empty(),
                "{words:?}: {called:?}"
            );
        }
        let unknown = device.dray(&["run", "--no-such-option", &image]);
        assert_eq!(unknown.status.code(), Some(125), "{unknown:?}");
        assert!(unknown.stderr.contains("--no-such-option"), "{unknown:?}");
        assert_eq!(device.containers().len(), 0);
    });
}

#[test]
fn what_cannot_run_says_what_and_why() {
    on_device("reasons", |device| {
        let image = push_tools(device);
        let folder = device.join("folder");
        std::fs::create_dir_all(&folder).unwrap();
        let over = |target: &str| format!("--volume={}:{target}", folder.display());
        let profile = device.join("no-exec.json");
        let rules = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ERRNO"}]});
        std::fs::write(&profile, rules.to_string()).unwrap();
        let seccomp = format!("--security-opt=seccomp={}", profile.display());
        device.done(&[
            "run",
            "-d",
            "--name=up",
            "--network=none",
            &image,
            "sleep",
            "1000",
        ]);
        device.done(&["exec", "up", "ln", "-s", "/nowhere", "/dangling"]);
        let not_found = "no such file or directory";
        let misfit = "not a directory: a folder can only be mounted over a folder";
        for (words, code, said) in [
            (
                &["exec", "-w", "/nowhere", "up", "true"][..],
                127,
                "chdir to \"/nowhere\": no such file",
            ),
            (
                &["exec", "-w", "/dangling", "up", "true"],
                127,
                "chdir to \"/dangling\": no such file",
            ),
            (
                &["exec", "-w", "/etc/passwd", "up", "true"],
                126,
                "chdir to \"/etc/passwd\": not a dir",
            ),
            (
                &["exec", "-u", "nemo", "up", "true"],
                126,
                "unable to find user \"nemo\"",
            ),
            (
                &["exec", "up", "nothing-there"],
                127,
                "executable file not found in $PATH",
            ),
            (&["exec", "up", "/bin/nothing-there"], 127, not_found),
            (
                &["exec", "up", "/bin/not-executable"],
                126,
                "permission denied",
            ),
            (
                &["exec", "up", "/bin/not-a-program"],
                126,
                "exec format error",
            ),
            (&["exec", "up", "/data"], 126, "permission denied"),
            (&["exec", "up", "sh", "-c", "exit 42"], 42, ""),
            (&["exec", "up", "sh", "-c", "kill -TERM $$"], 143, ""),
            (
                &["--sysctl=net.unknown=1"],
                125,
                "--sysctl net.unknown is not supported: this kernel has no such setting",
            ),
            (
                &["--sysctl=net.ipv4.ip_forward=x"],
                125,
                "failed to set sysctl: net.ipv4.ip_forward=x",
            ),
            (&[&over("/etc/hosts")], 125, misfit),
            (&[&over("/etc/passwd")], 125, misfit),
            (&["--volume=/etc/hostname:/data"], 125, misfit),
            (&["--tmpfs=/etc/passwd"], 125, misfit),
            (
                &[&over("/proc")],
                125,
                "\"/proc\" cannot be mounted because it is inside /proc",
            ),
            (
                &[&over("/proc/sys")],
                125,
                "\"/proc/sys\" cannot be mounted because",
            ),
            (
                &["--tmpfs=/proc/scsi"],
                125,
                "\"/proc/scsi\" cannot be mounted because",
            ),
            (
                &["--workdir=/etc/passwd"],
                125,
                "working directory /etc/passwd: Not a directory",
            ),
            (&[&seccomp], 126, "exec true: operation not permitted"),
            (
                &["--ulimit=nofile=2000000000"],
                125,
                "ulimit nofile=2000000000:2000000000 is more than",
            ),
            // As they are meant.
            (&["--volume=/etc/hostname:/etc/hosts"], 0, ""),
            (&["--volume=/etc/hostname:/proc/uptime"], 0, ""),
        ] {
            let run = ["run", "--rm", "--network=none"];
            let called = match words[0] {
                "exec" => device.dray(words),
                _ => device.dray(&[&run[..], words, &[&image, "true"]].concat()),
            };
            assert_eq!(called.status.code(), Some(code), "{words:?}: {called:?}");
            assert!(called.stderr.contains(said), "{words:?}: {called:?}");
            assert_eq!(
                called.stderr.is_empty(),
                said.is_empty(),
                "{words:?}: {called:?}"
            );
        }
        device.done(&["rm", "-f", "up"]);
        assert_eq!(device.containers().len(), 0);
    });
}

#[test]
fn a_container_s_life() {
    on_device("life", |device| {
        let image = push_tools(device);
        let line =
            "echo out; echo err >&2; trap 'echo bye; exit 7' TERM; while :; do sleep 0.05; done";
        let made = device.dray(&[
            "create",
            "--name",
            "one",
            "--network",
            "none",
            &image,
            "sh",
            "-c",
            line,
        ]);
        assert!(made.status.success(), "{made:?}");
        assert_eq!(device.inspect("one")["State"]["Status"], "created");
        let taken = device.dray(&["create", "--name", "one", &image]);
        assert!(
            taken.stderr.contains("in use") && !taken.status.success(),
            "{taken:?}"
        );

        assert!(device.dray(&["start", "one"]).status.success());
        assert_eq!(device.inspect(&made.stdout[..9])["State"]["Running"], true);
        let exec = device.dray(&["exec", "-e", "X=y", "one", "sh", "-c", "echo $X $$; exit 3"]);
        assert_eq!(exec.status.code(), Some(3), "{exec:?}");
        assert!(exec.stdout.starts_with("y "), "{exec:?}");
        let refused = device.dray(&["rm", "one"]);
        assert!(refused.stderr.contains("is running"), "{refused:?}");

        assert!(device.dray(&["stop", "one"]).status.success());
        let state = &device.inspect("one")["State"];
        assert_eq!(
            (&state["Status"], &state["ExitCode"]),
            (&json!("exited"), &json!(7))
        );
        let logs = device.dray(&["logs", "one"]);
        assert_eq!(
            (logs.stdout.as_str(), logs.stderr.as_str()),
            ("out\nbye\n", "err\n")
        );
        assert_eq!(device.dray(&["logs", "--tail", "1", "one"]).stdout, "bye\n");

        let finished = state["FinishedAt"].clone();

        // What it wrote survives a stop, and goes with the container.
        assert!(device.dray(&["start", "one"]).status.success());
        let state = &device.inspect("one")["State"];
        assert_eq!(
            (&state["Running"], &state["FinishedAt"]),
            (&json!(true), &finished)
        );
        let init = [
            "--init",
            &image,
            "sh",
            "-c",
            "cat /proc/1/comm; head -c 20 /proc/1/cmdline",
        ];
        let shown = device.done(&[&["run", "--rm", "--network=none"], &init[..]].concat());
        assert_eq!(shown.stdout, "docker-init\n/sbin/docker-init\0--");
        assert!(
            device
                .dray(&["exec", "one", "touch", "/kept"])
                .status
                .success()
        );
        assert!(device.dray(&["restart", "-t", "0", "one"]).status.success());
        assert!(
            device
                .dray(&["exec", "one", "test", "-e", "/kept"])
                .status
                .success()
        );
        assert!(device.dray(&["kill", "one"]).status.success());
        assert_eq!(device.dray(&["wait", "one"]).stdout, "137\n");
        assert!(device.dray(&["rename", "one", "two"]).status.success());
        let same = device.dray(&["rename", "two", "two"]);
        assert!(
            same.stderr.contains("the same name as its current name") && !same.status.success(),
            "{same:?}"
        );
        assert!(device.dray(&["rm", "two"]).status.success());
        assert_eq!(device.containers().len(), 0);
        assert_eq!(device.pins(), [] as [&str; 0]);
    });
}

#[test]
fn input_and_terminal() {
    on_device("input", |device| {
        let image = push_tools(device);
        let mut cat = Command::new(env!("CARGO_BIN_EXE_dray"))
            .args(["run", "--rm", "-i", "--network", "none", &image, "cat"])
            .env("DRAY_CONFIG", &device.host.config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let text = "line\n".repeat(50_000);
        let mut input = cat.stdin.take().unwrap();
        let sent = text.clone();
        let writer = std::thread::spawn(move || {
            std::io::Write::write_all(&mut input, sent.as_bytes()).unwrap()
        });
        let output = cat.wait_with_output().unwrap();
        writer.join().unwrap();
        assert_eq!(output.stdout.len(), text.len());
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(
            shell(
                device,
                &image,
                &["-t", "--network", "none"],
                "tty; echo $TERM"
            ),
            "/dev/pts/0\r\nxterm"
        );
    });
}

#[test]
fn logs_are_bounded_and_drivers_differ() {
    on_device("logs", |device| {
        let image = push_tools(device);
        let bounded = ["--log-opt", "max-size=20k", "--log-opt", "max-file=2"];
        for (driver, file) in [("json-file", "json.log"), ("local", "local.log")] {
            let words = [
                &[
                    "run",
                    "-d",
                    "--network",
                    "none",
                    "--name",
                    driver,
                    "--log-driver",
                    driver,
                ][..],
                &bounded,
            ];
            let line = [
                &image,
                "sh",
                "-c",
                "seq 20000; head -c 100000 /dev/zero; echo end",
            ];
            let made = device.dray(&[&words.concat()[..], &line].concat());
            assert!(made.status.success(), "{made:?}");
            assert_eq!(device.dray(&["wait", driver]).stdout, "0\n");
            let logs = device
                .host
                .state
                .join("containers")
                .join(made.stdout.trim())
                .join("logs");
            let size: u64 = std::fs::read_dir(&logs)
                .unwrap()
                .map(|e| e.unwrap().metadata().unwrap().len())
                .sum();
            // A single line of zeros, escaped, may exceed the bound by itself.
            assert!(
                logs.join(file).exists() && size < 300_000,
                "{driver}: {size}"
            );
            assert!(
                device
                    .dray(&["logs", "--tail", "1", driver])
                    .stdout
                    .ends_with("end\n")
            );
        }
        let none = [
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            "silent",
            "--log-driver",
            "none",
            &image,
            "echo",
            "x",
        ];
        assert!(device.dray(&none).status.success());
        assert_eq!(device.dray(&["wait", "silent"]).stdout, "0\n");
        assert!(
            device
                .dray(&["logs", "silent"])
                .stderr
                .contains("keeps no logs")
        );
    });
}

#[test]
fn a_killed_monitor_is_noticed() {
    on_device("monitor", |device| {
        let image = push_tools(device);
        for (policy, runs) in [("no", false), ("always", true)] {
            let words = [
                "run",
                "-d",
                "--network",
                "none",
                "--restart",
                policy,
                "--name",
                policy,
                &image,
                "sleep",
                "1000",
            ];
            let made = device.dray(&words);
            assert!(made.status.success(), "{made:?}");
            let find = || {
                device
                    .containers()
                    .into_iter()
                    .find(|(record, _)| record.name == policy)
                    .unwrap()
            };
            let before = find().1.unwrap();
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(before.monitor.pid),
                nix::sys::signal::SIGKILL,
            )
            .unwrap();
            let monitor = dray::sys::process::Pidfd::open(before.monitor.pid);
            if let Ok(monitor) = monitor {
                monitor.wait(None).unwrap();
            }
            // Who only looks changes nothing.
            let old = before.init.unwrap();
            let said = format!("the monitor of container {policy} was killed");
            for words in [
                &["ps", "-a"][..],
                &["inspect", policy],
                &["logs", policy],
                &["images"],
                &["network", "ls"],
                &["volume", "ls"],
            ] {
                let looked = device.done(words);
                assert!(looked.stderr.contains(&said), "{words:?}: {looked:?}");
            }
            // They could never tell how it ended.
            for word in ["wait", "attach"] {
                let refused = device.dray(&[word, policy]);
                let text = refused.stderr;
                assert!(!refused.status.success(), "{word}");
                assert!(
                    text.contains(
                        "its monitor was killed and it runs on; `dray boot` puts it right"
                    ),
                    "{word}: {text}"
                );
            }
            let state = device.inspect(policy)["State"].clone();
            assert_eq!(
                (&state["Status"], &state["Pid"]),
                (&json!("running"), &json!(old.pid))
            );
            assert!(old.is_alive());
            if !runs {
                common::device::end(&old);
                let state = device.inspect(policy)["State"].clone();
                assert_eq!(
                    (&state["Status"], &state["Pid"]),
                    (&json!("exited"), &json!(0))
                );
                assert_eq!(
                    (&state["ExitCode"], &state["Error"]),
                    (&json!(137), &json!("its monitor was killed"))
                );
            }
            device.done(&["boot"]);
            assert!(
                !old.is_alive(),
                "the container of a killed monitor goes on unattended"
            );
            assert_eq!(
                device.inspect(policy)["State"]["Running"],
                json!(runs),
                "{policy}"
            );
            assert!(device.dray(&["rm", "-f", policy]).status.success());
        }
    });
}

#[test]
fn a_stopped_monitor_holds_nobody_up() {
    on_device("asleep", |device| {
        let image = push_tools(device);
        for (word, policy, line, code) in [
            (&["stop", "-t", "0"][..], "no", "sleep 1000", "137\n"),
            (&["kill"], "no", "sleep 1000", "137\n"),
            (&["rm", "-f"], "no", "sleep 1000", ""),
            // In the pause before a restart, which grows.
            (&["stop"], "always", "exit 3", "3\n"),
            (&["kill", "-s", "HUP"], "always", "exit 3", "3\n"),
            (&["rm", "-f"], "always", "exit 3", ""),
        ] {
            let options = [
                "run",
                "-d",
                "--name=one",
                "--network=none",
                "--restart",
                policy,
            ];
            device.done(&[&options[..], &[&image, "sh", "-c", line]].concat());
            let pauses = |info: serde_json::Value| {
                info["RestartCount"].as_u64() >= Some(4) && info["State"]["Restarting"] == true
            };
            while policy == "always" && !pauses(device.inspect("one")) {}
            let monitor = device.containers()[0].1.as_ref().unwrap().monitor.pid;
            // Not on its way there, when it opens the store as everybody does.
            let wchan = format!("/proc/{monitor}/wchan");
            while !std::fs::read_to_string(&wchan).unwrap().contains("poll") {}
            let monitor = nix::unistd::Pid::from_raw(monitor);
            nix::sys::signal::kill(monitor, nix::sys::signal::Signal::SIGSTOP).unwrap();
            let begun = std::time::Instant::now();
            device.done(&[word, &["one"]].concat());
            // Less than what anybody waits for a process that was killed.
            assert!(begun.elapsed().as_secs() < 20, "{word:?}");
            if !code.is_empty() {
                assert_eq!(device.done(&["wait", "one"]).stdout, code, "{word:?}");
                device.done(&["rm", "one"]);
            }
            assert_eq!(device.containers().len(), 0, "{word:?}");
        }
    });
}

#[test]
fn who_takes_no_output_holds_nobody_up() {
    on_device("slow", |device| {
        let image = push_tools(device);
        let mut slow = Command::new(env!("CARGO_BIN_EXE_dray"))
            .args(["run", "--name=talks", "--network=none", &image])
            .args(["cat", "/dev/zero"])
            .env("DRAY_CONFIG", &device.host.config)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = slow.stdout.take().unwrap();
        let mut first = [0; 1];
        std::io::Read::read_exact(&mut output, &mut first).unwrap();
        let now = device.containers().remove(0).1.unwrap();
        let sleeps_in = |pid: i32, place: &str| {
            let wchan = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap();
            wchan.contains(place)
        };
        // Until it is held back: its pipe is full, and nobody empties it.
        let init = now.init.unwrap().pid;
        while !sleeps_in(init, "pipe_w") || !sleeps_in(now.monitor.pid, "poll") {}
        let begun = std::time::Instant::now();
        device.done(&["stop", "-t", "0", "talks"]);
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
        assert_eq!(device.inspect("talks")["State"]["ExitCode"], 137);
        std::io::copy(&mut output, &mut std::io::sink()).unwrap();
        assert_eq!(slow.wait().unwrap().code(), Some(137));
        device.done(&["rm", "talks"]);
    });
}

#[test]
fn policies_restart_and_stop_ends_them() {
    on_device("policies", |device| {
        let image = push_tools(device);
        let run = |name: &str, policy: &str, line: &str| {
            let words = [
                "run",
                "-d",
                "--network",
                "none",
                "--restart",
                policy,
                "--name",
                name,
                &image,
                "sh",
                "-c",
                line,
            ];
            let made = device.dray(&words);
            assert!(made.status.success(), "{made:?}");
        };
        run("twice", "on-failure:2", "exit 4");
        let info = device.ended("twice", 4);
        assert_eq!(
            (&info["RestartCount"], &info["State"]["ExitCode"]),
            (&json!(2), &json!(4))
        );
        run("loop", "always", "exit 0");
        assert!(device.dray(&["stop", "loop"]).status.success());
        assert_eq!(device.inspect("loop")["State"]["Status"], "exited");
        run("good", "on-failure", "exit 0");
        assert_eq!(device.dray(&["wait", "good"]).stdout, "0\n");
        assert_eq!(device.inspect("good")["RestartCount"], 0);
    });
}

#[test]
fn nothing_of_the_caller_reaches_a_container() {
    on_device("inherit", |device| {
        let image = push_tools(device);
        let secret = std::fs::File::open("/etc/hostname").unwrap();
        // Without close-on-exec, as Debian's client leaks its store.
        nix::fcntl::fcntl(
            std::os::fd::AsRawFd::as_raw_fd(&secret),
            nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
        )
        .unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_dray"))
            .args([
                "run",
                "-d",
                "--network",
                "none",
                "--name",
                "alone",
                &image,
                "sleep",
                "1000",
            ])
            .env("DRAY_CONFIG", &device.host.config)
            .env("SECRET", "x")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let (record, now) = device.containers().remove(0);
        let now = now.unwrap();
        let descriptors = |pid: i32| {
            let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
            entries
                .filter_map(|e| std::fs::read_link(e.unwrap().path()).ok())
                .collect::<Vec<_>>()
        };
        let init = now.init.unwrap().pid;
        for pid in [init, now.monitor.pid] {
            assert!(
                !descriptors(pid)
                    .iter()
                    .any(|path| path == std::path::Path::new("/etc/hostname")),
                "{pid}"
            );
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
            assert!(
                !String::from_utf8_lossy(&environ).contains("SECRET"),
                "{pid}"
            );
        }
        assert_eq!(descriptors(init).len(), 3);
        let session = |pid: i32| {
            nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid)))
                .unwrap()
                .as_raw()
        };
        assert_eq!(session(now.monitor.pid), now.monitor.pid);
        assert!(device.dray(&["rm", "-f", &record.name]).status.success());
    });
}

#[test]
fn the_last_container_takes_nothing_away_from_the_next() {
    const RUNS: usize = 20;
    on_device("beside", |device| {
        let image = push_tools(device);
        device.done(&["pull", &image]);
        // What the end of the last container removes, again and again: the control group that all of them have in common.
        let parents: Vec<PathBuf> = std::fs::read_dir("/sys/fs/cgroup")
            .unwrap()
            .map(|hierarchy| hierarchy.unwrap().path().join("dray"))
            .chain(["/sys/fs/cgroup/dray".into()])
            .collect();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut removed = 0;
                while !done.load(Ordering::Relaxed) {
                    let gone = |parent: &&PathBuf| std::fs::remove_dir(parent).is_ok();
                    removed += parents.iter().filter(gone).count();
                }
                // In the unified hierarchy the monitor's own group keeps it.
                assert!(
                    removed > RUNS || dray::sys::cgroup::is_unified(),
                    "only {removed} groups were removed: do other containers of dray run on this machine?"
                );
            });
            let runs = std::panic::catch_unwind(AssertUnwindSafe(|| {
                for run in 0..RUNS {
                    let said = shell(device, &image, &["--network", "none"], "echo here");
                    assert_eq!(said, "here", "{run}");
                }
            }));
            done.store(true, Ordering::Relaxed);
            runs.unwrap();
        });
    });
}

/// A caller with nothing usual about it.
const UNUSUAL: &str = "umask 077; exec prlimit --fsize=9999999: --nofile=32: --stack=4194304: \
                       nice -n 7 taskset 1 choom -n 400 -- chrt -b 0 ionice -c 3 setarch -R \"$@\"";

#[test]
fn a_container_finds_the_same_whoever_calls() {
    on_device("callers", |device| {
        let image = push_tools(device);
        let look = "umask; cat /etc/hosts /etc/resolv.conf >/dev/null; \
                    ls -ld /made /made/data /sys/fs/cgroup /etc/hosts | cut -c1-10; \
                    cut -d' ' -f18,19,41 /proc/self/stat; cat /proc/self/oom_score_adj /proc/self/personality; \
                    grep Cpus_allowed_list /proc/self/status; cat /proc/self/limits";
        let options = ["--network=none", "-u=1000", "-v=data:/made/data"];
        let run = [&["run", "--rm"], &options[..], &[&image, "sh", "-c", look]].concat();
        let start = [
            &["run", "-d", "--name=up"],
            &options[..],
            &[&image, "sleep", "1000"],
        ]
        .concat();
        let exec = ["exec", "up", "sh", "-c", look];
        let called = |caller: &str, words: &[&str]| {
            let output = Command::new("sh")
                .args(["-c", caller, "sh", env!("CARGO_BIN_EXE_dray")])
                .args(words)
                .env("DRAY_CONFIG", &device.host.config)
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{words:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let usual = called("exec \"$@\"", &run);
        // Who may not raise what cannot be raised without a right keeps what there is.
        let may_raise = dray::sys::process::system().unwrap().capabilities & 1 << 24 != 0;
        let files = match may_raise {
            true => 524_288,
            false => nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
                .unwrap()
                .1
                .min(524_288),
        };
        for line in [
            "0022",
            "20 0 0",
            &format!("Max open files            1024                 {files:<21}files     "),
            "Max stack size            8388608              unlimited            bytes     ",
            "Max core file size        0                    unlimited            bytes     ",
        ] {
            assert!(usual.lines().any(|said| said == line), "{line}: {usual}");
        }
        let folder = "drwxr-xr-x\n";
        assert_eq!(usual.matches(folder).count(), 3, "{usual}");
        assert_eq!(usual.matches("-rw-r--r--\n").count(), 1, "{usual}");
        assert!(usual.contains("\n0\n00000000\n"), "{usual}");
        assert_eq!(called(UNUSUAL, &run), usual);
        called(UNUSUAL, &start);
        assert_eq!(called("exec \"$@\"", &exec), usual);
        assert_eq!(called(UNUSUAL, &exec), usual);
        if may_raise {
            // Less than dray itself lives on.
            for words in [&run[..], &exec] {
                assert_eq!(called("ulimit -s 128; exec \"$@\"", words), usual);
            }
        }
        // Nothing but the kernel's own end ends the monitor before its container.
        let monitor = device.containers()[0].1.as_ref().unwrap().monitor.pid;
        let score = std::fs::read_to_string(format!("/proc/{monitor}/oom_score_adj"));
        assert_eq!(score.unwrap(), if may_raise { "-999\n" } else { "0\n" });
        device.done(&["rm", "-f", "up"]);
    });
}

#[test]
fn stop_waits_for_ever_where_it_is_told_to() {
    on_device("patient", |device| {
        let image = push_tools(device);
        let line = "trap 'sleep 1; exit 7' TERM; echo ready; while :; do sleep 0.1; done";
        for (run, stop) in [
            (&["--stop-timeout", "-1"][..], &[][..]),
            (&[], &["-t", "-1"]),
        ] {
            let options = ["run", "-d", "--name=slow", "--network=none"];
            device.done(&[&options, run, &[&image, "sh", "-c", line]].concat());
            while device.done(&["logs", "slow"]).stdout != "ready\n" {}
            device.done(&[&["stop"], stop, &["slow"]].concat());
            assert_eq!(device.inspect("slow")["State"]["ExitCode"], 7);
            device.done(&["rm", "slow"]);
        }
    });
}

#[test]
fn what_cannot_be_made_as_asked_for_leaves_nothing() {
    on_device("asked", |device| {
        let image = push_tools(device);
        device.done(&["pull", &image]);
        for (options, said) in [
            (&["--platform", "nonsense/of/a/platform"][..], "nonsense"),
            (&["--platform", "linux/s390x"], "s390x"),
            (&["--platform", "linux/s390x", "--pull", "never"], "amd64"),
            (&["--cidfile", "/not/there/id"], "/not/there/id"),
        ] {
            let words = [
                &["run", "--rm", "--network=none"],
                options,
                &[&image, "true"],
            ]
            .concat();
            let called = device.dray(&words);
            assert_eq!(called.status.code(), Some(125), "{words:?}: {called:?}");
            assert!(called.stderr.contains(said), "{words:?}: {called:?}");
            assert_eq!(device.done(&["ps", "-a", "-q"]).stdout, "", "{words:?}");
        }
        // Of those who want to write the same file one does.
        let file = device.join("cid");
        let create = || {
            Command::new(env!("CARGO_BIN_EXE_dray"))
                .args(["create", "--cidfile", file.to_str().unwrap(), &image])
                .env("DRAY_CONFIG", &device.host.config)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let all: Vec<_> = std::iter::repeat_with(create).take(4).collect();
        let ended = all.into_iter().map(|one| one.wait_with_output().unwrap());
        let (made, refused): (Vec<_>, Vec<_>) = ended.partition(|one| one.status.success());
        assert_eq!((made.len(), refused.len()), (1, 3), "{refused:?}");
        for one in refused {
            assert_eq!(one.status.code(), Some(1), "{one:?}");
            assert!(
                String::from_utf8_lossy(&one.stderr).contains("cid exists"),
                "{one:?}"
            );
        }
        let id = std::fs::read_to_string(&file).unwrap();
        assert_eq!(device.done(&["ps", "-aq", "--no-trunc"]).stdout.trim(), id);
        device.done(&["rm", &id]);
        let native = ["run", "--rm", "--network=none", "--platform=linux/amd64"];
        device.done(&[&native[..], &[&image, "true"]].concat());
    });
}

#[test]
fn who_is_killed_has_ended_and_who_is_gone_need_not_be_removed() {
    on_device("killed", |device| {
        let image = device.registry.name("shop/v1:1");
        let run = [
            "run",
            "-d",
            "--network=none",
            "--name=victim",
            "--restart=always",
        ];
        device.done(&[&run[..], &[&image, "sleep", "1000"]].concat());
        for word in ["kill", "start", "kill", "rm"] {
            device.done(&[word, "victim"]);
        }
        let again = device.done(&["rm", "-f", "victim"]);
        assert_eq!(again.stderr, "dray: no such container: victim\n");
        let refused = device.dray(&["rm", "victim"]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    });
}

#[test]
fn a_tree_that_is_deeper_than_files_can_be_open_goes_too() {
    on_device("deep", |device| {
        let image = push_tools(device);
        let plain = device.join("plain");
        std::fs::create_dir(&plain).unwrap();
        // The mount point is made in the container's own layer.
        let bind = format!("{}:{}", plain.display(), "/y".repeat(1800));
        let words = ["run", "--rm", "--network=none", "-v", &bind, &image];
        device.done(&[&words[..], &["true"]].concat());
        let left = || {
            std::fs::read_dir(device.host.state.join("containers"))
                .unwrap()
                .count()
        };
        assert_eq!(left(), 0);
        // Deeper than a path is long, wide in between, and links that lead elsewhere.
        let line = "i=0; while [ $i -lt 1500 ]; do busybox mkdir dddd e; echo x >f; busybox ln -s / l; cd dddd; i=$((i+1)); done";
        let words = [
            "run",
            "--name=deep",
            "--network=none",
            &image,
            "sh",
            "-c",
            line,
        ];
        device.done(&words);
        let few = Command::new("sh")
            .args([
                "-c",
                "ulimit -n 200; exec \"$@\"",
                "sh",
                env!("CARGO_BIN_EXE_dray"),
                "rm",
                "deep",
            ])
            .env("DRAY_CONFIG", &device.host.config)
            .output()
            .unwrap();
        assert!(few.status.success(), "{few:?}");
        assert_eq!(left(), 0);
    });
}
