//! Restart policies and health checks, on real containers: back-off, boots, start period, verdicts and the health log.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::device::{Device, on_device};
use serde_json::{Value, json};

/// Longest wait for what is expected to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pushes an image with a shell, and this configuration; its name.
fn push(device: &Device, config: Value) -> String {
    device.push("box", "true", config);
    device.registry.name("shop/box:1")
}

fn run(device: &Device, name: &str, options: &[&str], image: &str, line: &str) {
    let words = [
        &["run", "-d", "--network=none", "--name", name][..],
        options,
        &[image, "/bin/sh", "-c", line],
    ];
    let called = device.dray(&words.concat());
    assert!(called.status.success(), "{words:?}: {called:?}");
}

/// Looks at a container until it is as wanted.
fn until(device: &Device, name: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let info = device.inspect(name);
        if wanted(&info) {
            return info;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", info["State"]);
    }
}

/// Waits until it has printed this.
fn logged(device: &Device, name: &str, text: &str) {
    let begun = Instant::now();
    while !device.done(&["logs", name]).stdout.contains(text) {
        assert!(begun.elapsed() < PATIENCE, "{name} does not print {text:?}");
    }
}

const FOREVER: &str = "trap 'exit 0' TERM; while :; do sleep 0.05; done";

#[test]
fn the_pause_before_a_restart_doubles() {
    on_device("backoff", |device| {
        let image = push(device, json!({}));
        let line = "read up _ </proc/uptime; echo $up >>/times; exit 3";
        run(device, "loop", &["--restart", "on-failure:4"], &image, line);
        // The end of a life is what is waited for.
        assert_eq!(device.dray(&["wait", "loop"]).stdout, "3\n");
        let has_given_up = |info: &Value| info["State"]["Status"] == "exited";
        let mut said = std::collections::BTreeSet::new();
        let info = until(device, "loop", |info| {
            let state = &info["State"];
            said.insert(state["Status"].as_str().unwrap().to_owned());
            assert_eq!(state["Restarting"], state["Status"] == "restarting");
            assert_eq!(state["Running"], state["Status"] != "exited", "{state}");
            has_given_up(info)
        });
        let flags = |flag: &str| info["State"][flag].clone();
        assert_eq!(
            (flags("Running"), flags("Restarting")),
            (json!(false), json!(false))
        );
        // Not what it was before its first start.
        assert!(!said.contains("created"), "{said:?}");
        assert_eq!(info["RestartCount"], 4);
        assert_eq!(info["State"]["ExitCode"], 3);
        let file = device
            .host
            .state
            .join("containers")
            .join(info["Id"].as_str().unwrap())
            .join("upper/times");
        let times: Vec<f64> = std::fs::read_to_string(&file)
            .unwrap()
            .lines()
            .map(|line| line.parse().unwrap())
            .collect();
        assert_eq!(times.len(), 5);
        for (index, pair) in times.windows(2).enumerate() {
            // Hundredths of a second is all that the clock shows.
            let least = 0.1 * f64::from(1 << index) - 0.01;
            assert!(pair[1] - pair[0] >= least, "{index}: {times:?}");
        }
        // Started by hand it counts anew.
        let words = ["start", "loop"];
        assert!(device.dray(&words).status.success());
        let info = until(device, "loop", has_given_up);
        assert_eq!(info["RestartCount"], 4);
    });
}

#[test]
fn a_boot_starts_what_its_policy_wants() {
    on_device("boots", |device| {
        let image = push(device, json!({}));
        let fails = "exit 3";
        for (name, policy, line, stop) in [
            ("no-running", "no", FOREVER, false),
            ("always-running", "always", FOREVER, false),
            ("always-stopped", "always", FOREVER, true),
            ("unless-running", "unless-stopped", FOREVER, false),
            ("unless-stopped", "unless-stopped", FOREVER, true),
            ("failure-running", "on-failure", FOREVER, false),
            ("failure-stopped", "on-failure", FOREVER, true),
            ("failure-done", "on-failure", "exit 0", false),
            ("failure-gave-up", "on-failure:1", fails, false),
        ] {
            run(device, name, &["--restart", policy], &image, line);
            if stop {
                assert!(device.dray(&["stop", name]).status.success());
            } else if line != FOREVER {
                // For good: a wait ends with each life.
                until(device, name, |info| info["State"]["Status"] == "exited");
            }
        }
        // Ended well once, and runs at the time of the cut.
        let again = "if [ -e /again ]; then exec sleep 100000; fi; touch /again";
        run(
            device,
            "failure-again",
            &["--restart", "on-failure"],
            &image,
            again,
        );
        assert!(device.dray(&["wait", "failure-again"]).status.success());
        assert!(device.dray(&["start", "failure-again"]).status.success());
        for boot in 0..2 {
            device.lose_power();
            let booted = device.dray(&["boot"]);
            assert!(booted.status.success(), "{booted:?}");
            let mut running: Vec<String> = device
                .containers()
                .into_iter()
                .filter(|(_, now)| now.as_ref().is_some_and(|now| now.status.is_attended()))
                .map(|(record, _)| record.name)
                .collect();
            running.sort();
            let expected = [
                "always-running",
                "always-stopped",
                "failure-again",
                "failure-running",
                "unless-running",
            ];
            assert_eq!(running, expected, "boot {boot}");
        }
    });
}

#[test]
fn a_signal_that_ends_a_container_keeps_its_policy_away() {
    on_device("signals", |device| {
        let image = push(device, json!({}));
        // It says that it is ready, and ends with the next signal.
        let line = "trap 'exit 3' HUP INT QUIT TERM USR1; echo ready; while :; do sleep 0.05; done";
        for (number, (options, signal, is_down)) in [
            (&[][..], "KILL", true),
            (&[], "TERM", true),
            (&[], "INT", true),
            (&[], "QUIT", true),
            (&["--stop-signal=USR1"], "USR1", true),
            // Of a server that reads its settings again on HUP the policy stays.
            (&[], "HUP", false),
            (&[], "USR1", false),
            (&["--stop-signal=USR1"], "TERM", false),
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("signal{number}");
            let options = [&["--restart=always"], options].concat();
            run(device, &name, &options, &image, line);
            logged(device, &name, "ready");
            assert!(device.dray(&["kill", "-s", signal, &name]).status.success());
            let info = until(device, &name, |info| match is_down {
                true => info["State"]["Status"] == "exited",
                false => info["RestartCount"] == 1,
            });
            if is_down {
                let code = if signal == "KILL" { 137 } else { 3 };
                assert_eq!(info["State"]["ExitCode"], code, "{name}");
            }
            device.done(&["rm", "-f", &name]);
        }
    });
}

#[test]
fn a_restart_keeps_what_goes_with_its_end() {
    on_device("returns", |device| {
        let image = push(device, json!({}));
        let options = ["--rm", "-v", "/kept"];
        let line = "echo x >>/kept/lines; trap 'exit 0' TERM; while :; do sleep 0.05; done";
        run(device, "short", &options, &image, line);
        let before = device.inspect("short");
        let kept = before["Mounts"][0]["Source"].as_str().unwrap().to_owned() + "/lines";
        for times in 2..4 {
            device.done(&["restart", "short"]);
            let now = device.inspect("short");
            assert_eq!(
                (&now["Id"], &now["State"]["Status"]),
                (&before["Id"], &json!("running"))
            );
            let lines = || std::fs::read_to_string(&kept).unwrap_or_default();
            let begun = Instant::now();
            while lines() != "x\n".repeat(times) {
                assert!(begun.elapsed() < PATIENCE, "{}", lines());
            }
        }
        // Its next end is one.
        device.done(&["stop", "short"]);
        assert_eq!(device.done(&["ps", "-aq"]).stdout, "");
        assert!(!std::path::Path::new(&kept).exists());
    });
}

#[test]
fn a_stop_whose_command_is_killed_is_brought_to_its_end() {
    on_device("half-stopped", |device| {
        let image = push(device, json!({}));
        let line = "trap 'echo asked' TERM; while :; do sleep 0.05; done";
        for word in ["stop", "restart"] {
            run(device, word, &["--restart=always"], &image, line);
            let mut stopping = Command::new(env!("CARGO_BIN_EXE_dray"))
                .args([word, "-t", "1", word])
                .env("DRAY_CONFIG", &device.host.config)
                .spawn()
                .unwrap();
            logged(device, word, "asked");
            stopping.kill().unwrap();
            stopping.wait().unwrap();
            let info = until(device, word, |info| info["State"]["Status"] == "exited");
            assert_eq!(info["State"]["ExitCode"], 137);
            device.done(&["rm", word]);
        }
    });
}

#[test]
fn health_is_judged_as_docker_does() {
    on_device("health", |device| {
        let image = push(device, json!({}));
        let check = [
            "--health-cmd=cat /ok",
            "--health-interval=50ms",
            "--health-retries=3",
            "--health-timeout=5s",
        ];
        run(device, "well", &check, &image, FOREVER);
        let health = |info: &Value| info["State"]["Health"].clone();
        let sick = until(device, "well", |info| health(info)["Status"] == "unhealthy");
        let log = health(&sick)["Log"].as_array().unwrap().clone();
        assert!(log.len() >= 3, "{log:?}");
        assert_eq!(log[0]["ExitCode"], 1);
        let output = log[0]["Output"].as_str().unwrap();
        assert!(output.contains("/ok"), "{output:?}");
        assert!(log[0]["Start"].as_str() < log[0]["End"].as_str(), "{log:?}");
        // Only the last five are kept, the oldest first.
        let many = until(device, "well", |info| {
            health(info)["FailingStreak"].as_i64() >= Some(8)
        });
        let log = health(&many)["Log"].as_array().unwrap().clone();
        assert_eq!(log.len(), 5);
        assert!(
            log.windows(2)
                .all(|pair| pair[0]["Start"].as_str() < pair[1]["Start"].as_str())
        );
        // One success is enough.
        let touched = device.dray(&["exec", "well", "sh", "-c", "echo fine >/ok"]);
        assert!(touched.status.success(), "{touched:?}");
        let well = until(device, "well", |info| health(info)["Status"] == "healthy");
        assert_eq!(health(&well)["FailingStreak"], 0);
        let last = health(&well)["Log"][4].clone();
        assert_eq!(
            (&last["ExitCode"], &last["Output"]),
            (&json!(0), &json!("fine\n"))
        );
        // It stays what it was until the next start.
        device.done(&["stop", "-t", "0", "well"]);
        let stopped = device.inspect("well");
        assert_eq!(health(&stopped)["Status"], "healthy");
        assert_eq!(health(&stopped)["Log"].as_array().unwrap().len(), 5);
        let filter = ["ps", "-aq", "-f", "health=healthy"];
        assert_eq!(device.done(&filter).stdout.lines().count(), 1);
        device.done(&["start", "well"]);
        assert_ne!(
            health(&device.inspect("well"))["Log"],
            health(&stopped)["Log"]
        );
        device.done(&["rm", "-f", "well"]);
    });
}

#[test]
fn failures_do_not_count_in_the_start_period() {
    on_device("health-start", |device| {
        // Its line runs in the image's own shell.
        let image = push(
            device,
            json!({"Shell": ["/bin/busybox", "env", "SHELL_OF=image", "/bin/sh", "-c"]}),
        );
        let check = [
            "--health-cmd=echo $SHELL_OF; test -e /ok",
            "--health-interval=1h",
            "--health-start-period=1h",
            "--health-start-interval=50ms",
            "--health-retries=1",
        ];
        run(device, "slow", &check, &image, FOREVER);
        let health = |info: &Value| info["State"]["Health"].clone();
        let starting = until(device, "slow", |info| {
            health(info)["Log"]
                .as_array()
                .is_some_and(|log| log.len() == 5)
        });
        assert_eq!(health(&starting)["Status"], "starting");
        assert_eq!(health(&starting)["FailingStreak"], 0);
        assert_eq!(health(&starting)["Log"][0]["ExitCode"], 1);
        assert_eq!(health(&starting)["Log"][0]["Output"], "image\n");
        let touched = device.dray(&["exec", "slow", "sh", "-c", ": >/ok"]);
        assert!(touched.status.success(), "{touched:?}");
        until(device, "slow", |info| health(info)["Status"] == "healthy");
        assert!(device.dray(&["rm", "-f", "slow"]).status.success());

        // A probe that does not end in time is ended, and counts.
        let check = [
            "--health-cmd=exec sleep 100000",
            "--health-interval=50ms",
            "--health-timeout=100ms",
            "--health-retries=2",
        ];
        run(device, "hangs", &check, &image, FOREVER);
        let sick = until(device, "hangs", |info| {
            health(info)["Status"] == "unhealthy"
        });
        let probe = health(&sick)["Log"][0].clone();
        assert_eq!(probe["ExitCode"], -1);
        assert_eq!(probe["Output"], "Health check exceeded timeout (100ms)");
        let (record, _) = device.containers().remove(0);
        let left = dray::sys::cgroup::pids(&record.group());
        assert!(left.len() <= 4, "probes are left: {left:?}");
        assert!(device.dray(&["rm", "-f", "hangs"]).status.success());
    });
}

/// Status, exit code and error of a container, whether it ever ran, and whether it ever ended.
fn state(device: &Device, name: &str) -> (String, i64, String, [bool; 2]) {
    let state = &device.inspect(name)["State"];
    let text = |name: &str| state[name].as_str().unwrap().to_owned();
    let was = |name: &str| text(name) != "0001-01-01T00:00:00Z";
    let code = state["ExitCode"].as_i64().unwrap();
    let times = ["StartedAt", "FinishedAt"].map(was);
    (text("Status"), code, text("Error"), times)
}

#[test]
fn what_never_started_is_created_still() {
    on_device("created", |device| {
        let image = push(device, json!({}));
        let plain = device.join("plain");
        std::fs::write(&plain, "no program").unwrap();
        let over = format!("{}:/plain", plain.display());
        let misfit = format!("{}:/bin", plain.display());
        let run = ["run", "-d", "--network=none", "--restart=always", "--name"];
        // name, options, command, exit codes of `run` and of the container, what is said
        for (name, options, command, code, kept, said) in [
            (
                "absent",
                &[][..],
                "absent",
                127,
                127,
                "executable file not found",
            ),
            (
                "plain",
                &["-v", &over],
                "/plain",
                126,
                126,
                "permission denied",
            ),
            (
                "misfit",
                &["-v", &misfit],
                "true",
                125,
                127,
                "not a directory",
            ),
            (
                "sysctl",
                &["--sysctl=net.ipv4.ip_forward=x"],
                "true",
                125,
                128,
                "sysctl",
            ),
        ] {
            let failed = device.dray(&[&run[..], &[name], options, &[&image, command]].concat());
            assert_eq!(failed.status.code(), Some(code), "{failed:?}");
            let (status, exit_code, error, times) = state(device, name);
            assert_eq!(
                (&*status, exit_code, times),
                ("created", kept, [false; 2]),
                "{name}"
            );
            assert!(
                error.contains(said) && failed.stderr.contains(&error),
                "{name}: {error}"
            );
            for again in [&["start", name][..], &["start", "-a", name]] {
                let failed = device.dray(again);
                assert_eq!(failed.status.code(), Some(1), "{failed:?}");
                assert!(failed.stderr.contains(said), "{failed:?}");
            }
            assert_eq!(device.done(&["wait", name]).stdout, format!("{kept}\n"));
        }
        // One that goes with its end goes with its failure, however it is started.
        for start in [&["start", "brief"][..], &["start", "-a", "brief"]] {
            let brief = ["--network=none", "--rm", "--name=brief"];
            device.done(&[&["create"], &brief[..], &[&image, "absent"]].concat());
            let failed = device.dray(start);
            assert_eq!(failed.status.code(), Some(1), "{failed:?}");
            assert!(
                failed.stderr.contains("executable file not found"),
                "{failed:?}"
            );
            assert_eq!(device.dray(&["inspect", "brief"]).status.code(), Some(1));
        }
        device.done(&[
            "create",
            "--network=none",
            "--restart=always",
            "--name=made",
            &image,
        ]);
        let listed = |filter: &str| {
            let words = [
                "ps",
                "-a",
                "--filter",
                filter,
                "--format={{.Names}} {{.Status}}",
            ];
            device.done(&words).stdout
        };
        let all = "made Created\nsysctl Created\nmisfit Created\nplain Created\nabsent Created\n";
        for (filter, expected) in [
            ("status=created", all),
            ("status=exited", ""),
            ("exited=127", ""),
        ] {
            assert_eq!(listed(filter), expected, "{filter}");
        }
        device.lose_power();
        assert_eq!(device.done(&["boot"]).stderr, "");
        assert_eq!(listed("status=created"), all);
        // What is in its way is gone: it starts as if it had never failed.
        std::fs::copy("/bin/busybox", &plain).unwrap();
        device.done(&["start", "plain"]);
        device.done(&["rm", "-f", "plain"]);
        device.done(&["container", "prune", "-f"]);
        assert_eq!(listed("status=created"), "");
    });
}

#[test]
fn what_ran_before_has_exited_though_its_start_failed() {
    on_device("failed-again", |device| {
        let image = push(device, json!({}));
        let program = device.join("program");
        let script = "#!/bin/sh\ntrap 'exit 7' TERM; sleep 100000 & wait\n";
        let put = || {
            std::fs::write(&program, script).unwrap();
            common::device::run("chmod", &["+x", program.to_str().unwrap()]);
        };
        put();
        let at = format!("{}:/programs", device.join("").display());
        let options = [
            "--network=none",
            "--restart=unless-stopped",
            "--name=one",
            "-v",
            &at,
        ];
        device.done(&[&["run", "-d"], &options[..], &[&image, "/programs/program"]].concat());
        let status = || device.done(&["ps", "-a", "--format={{.Status}}"]).stdout;
        for by in ["boot", "stop"] {
            match by {
                "stop" => drop(device.done(&["stop", "one"])),
                _ => device.lose_power(),
            }
            std::fs::remove_file(&program).unwrap();
            let failed = match by {
                "stop" => device.dray(&["start", "one"]),
                _ => device.dray(&["boot"]),
            };
            assert_eq!(failed.status.code(), Some(1), "{by}: {failed:?}");
            let (found, code, error, times) = state(device, "one");
            assert_eq!((&*found, code), ("exited", 127), "{by}");
            assert!(error.contains("no such file or directory"), "{by}: {error}");
            assert_eq!(times, [by == "stop", true], "{by}");
            assert!(status().starts_with("Exited (127) "), "{by}: {}", status());
            // Nobody stopped it: the next boot tries again.
            put();
            device.lose_power();
            device.done(&["boot"]);
            assert_eq!(state(device, "one").0, "running", "{by}");
        }
        device.done(&["rm", "-f", "one"]);
    });
}
