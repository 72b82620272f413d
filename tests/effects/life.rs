//! How a container is made, watched, stopped and taken away.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::common::device::{Device, on_device};
use super::common::image::{Flavour, index};
use super::{Row, check, push};

/// Longest wait for what is expected to happen.
const PATIENCE: Duration = Duration::from_secs(60);

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    ("tty", "-t", "test -t 0 && test -t 1 && test -t 2 && echo $TERM; ls /dev/console", "xterm\n/dev/console"),
    ("tty", "--tty=false", "test -t 1 || echo none; ls /dev/console",
        "none\nls: /dev/console: No such file or directory"),
];

/// Names of all containers there are, running or not.
fn names(device: &Device) -> String {
    device
        .done(&["ps", "-a", "--format", "{{.Names}} {{.State}}"])
        .stdout
}

/// Waits for what is expected to happen.
pub fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
    }
}

#[test]
fn a_container_is_left_or_kept_or_removed_as_asked() {
    on_device("life", |device| {
        let image = push(device, "tools", json!({}));
        check(device, &image, ROWS);
        let run = |words: &[&str]| {
            device
                .done(&[&["run", "--network=none"], words].concat())
                .stdout
        };
        assert_eq!(run(&["--name", "kept", &image, "echo", "here"]), "here\n");
        assert_eq!(names(device), "kept exited\n");
        run(&["--rm", "--name", "gone", "-v", "/data", &image, "true"]);
        assert_eq!(names(device), "kept exited\n");
        assert_eq!(device.done(&["volume", "ls", "-q"]).stdout, "");
        device.done(&["rm", "kept"]);
        let id = run(&[
            "--detach", "--rm", "--name", "apart", &image, "sleep", "1000",
        ]);
        assert_eq!(device.inspect("apart")["Id"], id.trim());
        assert_eq!(names(device), "apart running\n");
        device.done(&["kill", "apart"]);
        until("--rm of a detached one", || names(device).is_empty());
    });
}

#[test]
fn quiet_says_nothing_of_the_pull() {
    on_device("quiet", |device| {
        for (option, name, shown) in [
            ("--quiet", "one", false),
            ("-q", "two", false),
            ("--quiet=false", "three", true),
        ] {
            let image = push(device, name, json!({"Cmd": ["true"]}));
            // Only a terminal is shown progress.
            let ends = nix::pty::openpty(None, None).unwrap();
            let status = Command::new(env!("CARGO_BIN_EXE_dray"))
                .args(["run", "--rm", "--network=none", option, &image])
                .env("DRAY_CONFIG", &device.host.config)
                .stdin(Stdio::null())
                .stderr(ends.slave)
                .status()
                .unwrap();
            assert!(status.success(), "{option}");
            let mut said = Vec::new();
            // An error is the end: nobody has the other side any more.
            let _ = File::from(ends.master).read_to_end(&mut said);
            let said = String::from_utf8(said).unwrap();
            assert_eq!(said.contains("1 of 1 layers"), shown, "{option}: {said}");
            assert_eq!(said.is_empty(), !shown, "{option}: {said}");
        }
    });
}

#[test]
fn a_terminal_is_left_with_the_keys_of_one_s_choice() {
    on_device("detach-keys", |device| {
        let image = push(device, "tools", json!({}));
        let ends = nix::pty::openpty(None, None).unwrap();
        let end = || Stdio::from(ends.slave.try_clone().unwrap());
        let mut client = Command::new("setsid")
            .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_dray")])
            .args([
                "run",
                "-it",
                "--detach-keys",
                "ctrl-x,y",
                "--name=left",
                "--network=none",
            ])
            .args([&image, "cat"])
            .env("DRAY_CONFIG", &device.host.config)
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let mut terminal = File::from(ends.master);
        until("the container", || names(device) == "left running\n");
        // The usual keys first, which are nothing special now and end no line.
        terminal.write_all(b"\x10\x11\x18y").unwrap();
        assert_eq!(client.wait().unwrap().code(), Some(0));
        assert_eq!(names(device), "left running\n");
        device.done(&["rm", "-f", "left"]);
    });
}

#[test]
fn a_platform_chooses_among_an_index_s_images() {
    on_device("platform", |device| {
        let native = device.push("native", "true", json!({}));
        let other = super::common::image::Image::oci([])
            .platform("linux/s390x")
            .build();
        device
            .registry
            .push("both", "1", &index(Flavour::Oci, &[&native, &other]));
        let image = device.registry.name("both:1");
        for (option, chosen) in [
            ("linux/s390x", &other),
            ("linux/amd64", &native),
            ("", &native),
        ] {
            device.done(&["create", "--name=one", "--platform", option, &image, "true"]);
            assert_eq!(
                device.inspect("one")["Image"],
                chosen.config.to_string(),
                "{option}"
            );
            device.done(&["rm", "one"]);
        }
    });
}

#[test]
fn signals_reach_the_container_through_run_unless_told_otherwise() {
    on_device("sig-proxy", |device| {
        let image = push(device, "tools", json!({}));
        let line = "trap 'echo usr' USR1; trap 'echo term; exit 5' TERM; echo up; while :; do sleep 0.05; done";
        let logs = || device.done(&["logs", "sig"]).stdout;
        for (option, code, running, said) in [
            ("--sig-proxy", 5, false, "up\nusr\nterm\n"),
            ("--sig-proxy=false", 143, true, "up\n"),
        ] {
            let mut client = Command::new(env!("CARGO_BIN_EXE_dray"))
                .args([
                    "run",
                    option,
                    "--name=sig",
                    "--network=none",
                    &image,
                    "sh",
                    "-c",
                    line,
                ])
                .env("DRAY_CONFIG", &device.host.config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let pid = Pid::from_raw(client.id() as i32);
            until("the container", || {
                device.dray(&["logs", "sig"]).stdout == "up\n"
            });
            if !running {
                kill(pid, Signal::SIGUSR1).unwrap();
                until("the signal", || logs() == "up\nusr\n");
            }
            kill(pid, Signal::SIGTERM).unwrap();
            let status = client.wait().unwrap();
            let ended =
                std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal);
            assert_eq!(status.code().or(ended), Some(code), "{option}");
            assert_eq!(
                device.inspect("sig")["State"]["Running"],
                running,
                "{option}"
            );
            assert_eq!(logs(), said, "{option}");
            device.done(&["rm", "-f", "sig"]);
        }
    });
}

#[test]
fn a_container_is_stopped_by_its_own_signal_and_in_its_own_time() {
    on_device("stop", |device| {
        let image = push(device, "tools", json!({"StopSignal": "SIGUSR2"}));
        let line = "for s in USR1 USR2 HUP QUIT; do trap \"echo $s; exit 7\" $s; done; trap '' TERM; echo up; \
                    while :; do sleep 0.05; done";
        for (options, said, code) in [
            (&["--stop-signal", "SIGUSR1"][..], "up\nUSR1\n", 7),
            (&["--stop-signal=hup"], "up\nHUP\n", 7),
            (&["--stop-signal", "3"], "up\nQUIT\n", 7),
            (&[], "up\nUSR2\n", 7),
            // The signal is ignored, so it takes the time there is, and then the end comes anyway.
            (&["--stop-signal=TERM", "--stop-timeout", "1"], "up\n", 137),
            (&["--stop-signal=TERM", "--stop-timeout=0"], "up\n", 137),
        ] {
            let words = [
                &["run", "-d", "--name=one", "--network=none"],
                options,
                &[&image, "sh", "-c", line],
            ];
            device.done(&words.concat());
            until("the container", || {
                device.done(&["logs", "one"]).stdout == "up\n"
            });
            let begun = Instant::now();
            device.done(&["stop", "one"]);
            let seconds = begun.elapsed().as_secs();
            assert_eq!(device.done(&["logs", "one"]).stdout, said, "{options:?}");
            assert_eq!(
                device.inspect("one")["State"]["ExitCode"],
                code,
                "{options:?}"
            );
            // Ten is the default.
            assert!(
                seconds < 9 && (seconds >= 1 || !options.contains(&"1")),
                "{options:?}: {seconds} s"
            );
            device.done(&["rm", "one"]);
        }
    });
}

#[test]
fn an_image_s_health_check_is_left_out_where_it_is_not_wanted() {
    on_device("no-healthcheck", |device| {
        let check = json!({"Healthcheck": {"Test": ["CMD", "true"], "Interval": 50_000_000}});
        let image = push(device, "tools", check);
        let health = |option: &str| {
            device.done(&[
                "run",
                "-d",
                "--name=one",
                "--network=none",
                option,
                &image,
                "sleep",
                "1000",
            ]);
            device.inspect("one")["State"]["Health"]["Status"].clone()
        };
        assert_eq!(health("--no-healthcheck"), json!(null));
        device.done(&["rm", "-f", "one"]);
        assert_ne!(health("--no-healthcheck=false"), json!(null));
        until("health", || {
            device.inspect("one")["State"]["Health"]["Status"] == "healthy"
        });
        device.done(&["rm", "-f", "one"]);
    });
}

#[test]
fn ports_are_published_one_by_one_or_all_together() {
    on_device("publish", |device| {
        let image = push(device, "tools", json!({"ExposedPorts": {"81/tcp": {}}}));
        let serve = "echo $HOSTNAME >/tmp/index.html; for port in 80 81 82 83; do httpd -p $port -h /tmp; done; \
                     sleep 1000";
        let run = [
            "run",
            "-d",
            "--name=web",
            "-h",
            "box",
            "--expose",
            "82-83",
            "-P",
            "--publish",
            "127.0.0.1:8080:80",
        ];
        device.done(&[&run[..], &[&image, "sh", "-c", serve]].concat());
        let info = device.inspect("web");
        let ports = info["NetworkSettings"]["Ports"].as_object().unwrap();
        let mut found: Vec<_> = ports.keys().map(String::as_str).collect();
        found.sort();
        assert_eq!(found, ["80/tcp", "81/tcp", "82/tcp", "83/tcp"]);
        assert_eq!(
            ports["80/tcp"],
            json!([{"HostIp": "127.0.0.1", "HostPort": "8080"}])
        );
        for (inside, bindings) in ports {
            let port = bindings[0]["HostPort"].as_str().unwrap();
            let url = format!("http://127.0.0.1:{port}/");
            let mut said = String::new();
            until(inside, || {
                let fetched = Command::new("busybox")
                    .args(["wget", "-qO-", &url])
                    .output()
                    .unwrap();
                said = String::from_utf8(fetched.stdout).unwrap();
                fetched.status.success()
            });
            assert_eq!(said, "box\n", "{inside}");
        }
        device.done(&["rm", "-f", "web"]);
    });
}
