//! What containers write: every driver's line, `dray logs` with docker's options, and a monitor that stays small and alive
//! whatever is written to it.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::device::{Device, on_device, run};
use common::docker_registry::make_certificates;
use dray::sys::changes::Changes;
use dray::sys::process::{self, PollFd};
use serde_json::{Value, json};

/// Longest wait for what is expected to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pushes an image with a shell; its name.
fn push(device: &Device) -> String {
    device.push("box", "true", json!({}));
    device.registry.name("shop/box:1")
}

/// Starts a container of this shell line; its id.
fn start(device: &Device, image: &str, options: &[&str], line: &str) -> String {
    let words = [
        &["run", "-d", "--network", "none"][..],
        options,
        &[image, "/bin/sh", "-c", line],
    ];
    let called = device.dray(&words.concat());
    assert!(called.status.success(), "{words:?}: {called:?}");
    called.stdout.trim().to_owned()
}

fn log_folder(device: &Device, id: &str) -> PathBuf {
    device.host.state.join("containers").join(id).join("logs")
}

/// Waits until the newest log file of container `id` ends with `text`.
fn wait_for_log(device: &Device, id: &str, text: &str) {
    let folder = log_folder(device, id);
    let changes = Changes::of_folder(&folder).unwrap();
    let begun = Instant::now();
    let file = ["json.log", "local.log"];
    while !file
        .iter()
        .filter_map(|name| std::fs::read(folder.join(name)).ok())
        .any(|log| String::from_utf8_lossy(&log).contains(text))
    {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        assert!(!left.is_zero(), "no {text:?} in the log of {id} in time");
        process::poll(&mut [PollFd::read(changes.as_fd())], Some(left)).unwrap();
        changes.drain();
    }
}

fn remove(device: &Device, name: &str) {
    let removed = device.dray(&["rm", "-f", name]);
    assert!(removed.status.success(), "{removed:?}");
}

#[test]
fn logs_has_docker_s_options() {
    on_device("logs-options", |device| {
        let image = push(device);
        let options = [
            "--name=talker",
            "--label=colour=dark red",
            "--label=other=x",
            "--env=SITE=a&b",
            "--log-opt=labels=colour,absent",
            "--log-opt=env-regex=^S.T",
            "--log-opt=tag={{.Name}}/{{.ID}}",
        ];
        let line = "echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three; exec sleep 100000";
        let id = start(device, &image, &options, line);
        wait_for_log(device, &id, "three");
        let stored = std::fs::read_to_string(log_folder(device, &id).join("json.log")).unwrap();
        let lines: Vec<Value> = stored
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let tag = format!("talker/{}", &id[..12]);
        assert_eq!(
            lines[0]["attrs"],
            json!({"SITE": "a&b", "colour": "dark red", "tag": tag})
        );
        let times: Vec<&str> = lines.iter().map(|l| l["time"].as_str().unwrap()).collect();

        let details = format!("SITE=a%26b,colour=dark+red,tag=talker%2F{} ", &id[..12]);
        let unix: f64 = dray::engine::parse_time(times[1])
            .unwrap()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        let half_way = format!("{:.6}", unix - 0.1);
        let out = |text: &str| (text.to_owned(), String::new());
        let all = ("one\nthree\n".to_owned(), "two\n".to_owned());
        for (words, expected) in [
            (vec![], all.clone()),
            (vec!["--tail", "all"], all.clone()),
            (vec!["--tail", "-1"], all.clone()),
            (vec!["--tail", "0"], out("")),
            (vec!["-n", "1"], out("three\n")),
            (vec!["-n", "2"], (out("three\n").0, "two\n".to_owned())),
            (vec!["-t", "-n1"], out(&format!("{} three\n", times[2]))),
            (vec!["--details", "-n1"], out(&format!("{details}three\n"))),
            (
                vec!["--details", "-t", "-n1"],
                out(&format!("{} {details}three\n", times[2])),
            ),
            (vec!["--since", times[2]], out("three\n")),
            (vec!["--until", times[0]], out("one\n")),
            (
                vec!["--since", &half_way],
                ("three\n".to_owned(), "two\n".to_owned()),
            ),
            (vec!["--until", &half_way], out("one\n")),
            (vec!["--since", "1h"], all.clone()),
            (vec!["--since=-1h"], out("")),
            (vec!["--until", "1h"], out("")),
            (vec!["-f", "--until", times[0]], out("one\n")),
            // Ends by itself once the time has come, though the container runs.
            (vec!["-f", "--until=-300ms", "-n1"], out("three\n")),
        ] {
            let words = [&["logs"], &words[..], &["talker"]].concat();
            let called = device.dray(&words);
            assert!(called.status.success(), "{words:?}: {called:?}");
            assert_eq!((called.stdout, called.stderr), expected, "{words:?}");
        }
        for (words, said) in [
            (["--tail", "few"], "neither a number nor"),
            (["--since", "yesterday"], "is no time"),
            (["--until", "2026-02-30"], "is no time"),
        ] {
            let called = device.dray(&[&["logs"], &words[..], &["talker"]].concat());
            assert!(
                !called.status.success() && called.stderr.contains(said),
                "{words:?}: {called:?}"
            );
        }
        remove(device, "talker");
    });
}

#[test]
fn follow_ends_with_the_container() {
    on_device("logs-follow", |device| {
        let image = push(device);
        let line = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done";
        for driver in ["json-file", "local"] {
            let id = start(
                device,
                &image,
                &["--name=ends", "--log-driver", driver],
                line,
            );
            wait_for_log(device, &id, "up");
            let follower = Command::new(env!("CARGO_BIN_EXE_dray"))
                .args(["logs", "-f", "--since", "1h", "ends"])
                .env("DRAY_CONFIG", &device.host.config)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            assert!(device.dray(&["stop", "ends"]).status.success());
            let output = follower.wait_with_output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), "up\nbye\n");
            remove(device, "ends");
        }
    });
}

/// Most memory that the monitor of container `id` has had since it attends it, in kB.
fn peak(device: &Device, id: &str) -> u64 {
    let containers = device.containers();
    let (_, now) = containers
        .iter()
        .find(|(record, _)| record.id == id)
        .unwrap();
    let monitor = &now.as_ref().unwrap().monitor;
    assert!(monitor.is_alive(), "the monitor of {id} is gone");
    let status = std::fs::read_to_string(format!("/proc/{}/status", monitor.pid)).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.unwrap().split_ascii_whitespace().next().unwrap();
    number.parse().unwrap()
}

/// What a monitor may need in addition, however much is written to it, in kB; most of it are pages of its program.
const SLACK: u64 = 2048;

/// Writes so many bytes without a newline, then a line, and stays.
fn flood(bytes: u32) -> String {
    format!(
        "busybox yes | busybox tr -d '\\n' | head -c {bytes}; echo; echo the-end; exec sleep 100000"
    )
    .replace("head", "busybox head")
}

#[test]
fn output_without_newlines_does_not_grow_the_monitor() {
    on_device("logs-flood", |device| {
        let image = push(device);
        for driver in ["json-file", "local"] {
            let measured = |bytes| {
                let options = [
                    "--name=flood",
                    "--log-driver",
                    driver,
                    "--log-opt=max-size=1m",
                ];
                let id = start(device, &image, &options, &flood(bytes));
                wait_for_log(device, &id, "the-end");
                let peak = peak(device, &id);
                let kept: u64 = std::fs::read_dir(log_folder(device, &id))
                    .unwrap()
                    .map(|entry| entry.unwrap().metadata().unwrap().len())
                    .sum();
                assert!(kept <= 5 << 20, "{driver}: {kept} bytes of logs");
                assert_eq!(device.inspect("flood")["State"]["Running"], true);
                remove(device, "flood");
                peak
            };
            let (little, much) = (measured(1 << 20), measured(24 << 20));
            assert!(
                much <= little + SLACK,
                "{driver}: {much} kB after 24 MiB, {little} kB after 1 MiB"
            );
        }
    });
}

/// Unmounts a folder when dropped.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &["-l", self.0.to_str().unwrap()]);
    }
}

#[test]
fn a_full_disk_loses_lines_but_neither_container_nor_monitor() {
    on_device("logs-full", |device| {
        let image = push(device);
        let line = "busybox yes 0123456789 | busybox head -c 4m; cat /wait; echo; echo after; exec sleep 100000";
        let fifo = device.join("wait");
        run("mkfifo", &[fifo.to_str().unwrap()]);
        let bind = format!("{}:/wait", fifo.display());
        let words = [
            "create",
            "--name=full",
            "--network=none",
            "-v",
            &bind,
            &image,
            "/bin/sh",
            "-c",
            line,
        ];
        let made = device.dray(&words);
        assert!(made.status.success(), "{made:?}");
        let id = made.stdout.trim();
        let logs = log_folder(device, id);
        let folder = logs.to_str().unwrap();
        run(
            "mount",
            &["-t", "tmpfs", "-o", "size=128k", "tmpfs", folder],
        );
        let mounted = Mounted(logs.clone());
        assert!(device.dray(&["start", "full"]).status.success());
        // The container has written everything when it opens the pipe; then there is room again.
        let pipe = std::fs::OpenOptions::new().write(true).open(&fifo).unwrap();
        let state = device.inspect("full")["State"].clone();
        assert_eq!(state["Running"], true);
        let error = state["Error"].as_str().unwrap();
        assert!(error.contains("failed to write the log"), "{state}");
        let little = peak(device, id);
        run("mount", &["-o", "remount,size=64m", folder]);
        drop(pipe);
        wait_for_log(device, id, "after");
        let text = device.dray(&["logs", "full"]).stdout;
        assert!(text.ends_with("\nafter\n"), "{:?}", text.len());
        assert!(peak(device, id) <= little + SLACK);
        drop(mounted);
        remove(device, "full");
    });
}

#[test]
fn a_client_that_does_not_read_holds_the_container_back_and_nothing_else() {
    on_device("logs-stalled", |device| {
        let image = push(device);
        let options = ["--name=fast", "--log-opt=max-size=1m"];
        let id = start(
            device,
            &image,
            &options,
            "cat /dev/zero | busybox tr '\\0' 'x'",
        );
        let mut stalled = Command::new(env!("CARGO_BIN_EXE_dray"))
            .args(["attach", "--no-stdin", "fast"])
            .env("DRAY_CONFIG", &device.host.config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Once the pipe to us is full and the monitor's patience with it, nothing is logged any more.
        let changes = Changes::of_folder(&log_folder(device, &id)).unwrap();
        let quiet = Duration::from_millis(500);
        let begun = Instant::now();
        while process::poll(&mut [PollFd::read(changes.as_fd())], Some(quiet)).unwrap() > 0 {
            changes.drain();
            assert!(begun.elapsed() < PATIENCE, "the container goes on writing");
        }
        let before = peak(device, &id);
        assert!(Path::new(&format!("/proc/{}", stalled.id())).exists());
        stalled.kill().unwrap();
        stalled.wait().unwrap();
        process::poll(&mut [PollFd::read(changes.as_fd())], Some(PATIENCE)).unwrap();
        assert!(peak(device, &id) <= before + SLACK);
        let stopped = device.dray(&["stop", "-t", "0", "fast"]);
        assert!(stopped.status.success(), "{stopped:?}");
        remove(device, "fast");
    });
}

/// Receives one message within the time that anything may take.
fn receive(socket: &UnixDatagram) -> Vec<u8> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = vec![0; 64 << 10];
    let length = socket.recv(&mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

#[test]
fn files_put_aside_are_compressed_and_read_as_before() {
    on_device("logs-packed", |device| {
        let image = push(device);
        for (driver, options, packed) in [
            ("json-file", &["--log-opt=compress=true"][..], true),
            ("json-file", &[], false),
            ("local", &[], true),
            ("local", &["--log-opt=compress=false"], false),
        ] {
            let base = [
                "--name=packed",
                "--log-driver",
                driver,
                "--log-opt=max-size=20k",
                "--log-opt=max-file=4",
            ];
            let line = "busybox seq 1 2000; echo the-end; exec sleep 100000";
            let id = start(device, &image, &[&base, options].concat(), line);
            wait_for_log(device, &id, "the-end");
            let mut names: Vec<String> = std::fs::read_dir(log_folder(device, &id))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            let file = if driver == "local" {
                "local.log"
            } else {
                "json.log"
            };
            let end = if packed { ".gz" } else { "" };
            let rotated = (1..4).map(|number| format!("{file}.{number}{end}"));
            let expected: Vec<String> = [file.to_owned()].into_iter().chain(rotated).collect();
            assert_eq!(names, expected, "{driver} {options:?}");
            if packed {
                // Any gzip reads them.
                let first = log_folder(device, &id).join(&names[1]);
                run("gzip", &["-t", first.to_str().unwrap()]);
            }
            let text = device.done(&["logs", "packed"]).stdout;
            let numbers: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
            let first = numbers[0];
            assert!(first < 1800, "{driver}: from {first} on");
            assert_eq!(
                numbers,
                (first..=2000).collect::<Vec<_>>(),
                "{driver} {options:?}"
            );
            remove(device, "packed");
        }
    });
}

#[test]
fn damaged_files_are_named_and_the_rest_is_shown() {
    on_device("logs-damaged", |device| {
        let image = push(device);
        let options = [
            "--name=packed",
            "--log-opt=compress=true",
            "--log-opt=max-size=20k",
            "--log-opt=max-file=4",
        ];
        let refused = device.dray(
            &[
                &["create"][..],
                &options,
                &["--log-opt=max-size=21m", &image, "true"],
            ]
            .concat(),
        );
        assert_eq!(refused.status.code(), Some(125), "{refused:?}");
        assert!(
            refused.stderr.contains("max-size is more than 20m"),
            "{refused:?}"
        );
        let line = "busybox seq 1 2000; echo the-end; exec sleep 100000";
        let id = start(device, &image, &options, line);
        wait_for_log(device, &id, "the-end");
        let numbers = |called: &str| -> Vec<u32> {
            let lines = called.lines();
            lines.filter_map(|line| line.parse().ok()).collect()
        };
        let whole = numbers(&device.done(&["logs", "packed"]).stdout);
        let packed = |number: u32| log_folder(device, &id).join(format!("json.log.{number}.gz"));
        for (number, left) in [(1, 0), (2, 400)] {
            let file = std::fs::OpenOptions::new()
                .write(true)
                .open(packed(number))
                .unwrap();
            file.set_len(left).unwrap();
        }
        let called = device.done(&["logs", "packed"]);
        let left = numbers(&called.stdout);
        assert_eq!((left[0], left.last()), (whole[0], Some(&2000)));
        assert!(left.is_sorted() && left.len() < whole.len(), "{left:?}");
        let warnings: Vec<&str> = called.stderr.lines().collect();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        for (said, number) in warnings.iter().zip([2, 1]) {
            let expected = format!(
                "dray: warning: log file {} is damaged: ",
                packed(number).display()
            );
            assert!(said.starts_with(&expected), "{said}");
        }
        remove(device, "packed");
    });
}

#[test]
fn a_receiver_that_takes_nothing_holds_nobody_up_who_need_not_wait() {
    on_device("logs-non-blocking", |device| {
        let image = push(device);
        let path = device.join("syslog");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let address = format!("--log-opt=syslog-address=unixgram://{}", path.display());
        let measured = |lines: u32| {
            let options = [
                "--name=free",
                "--log-driver=syslog",
                &address,
                "--log-opt=mode=non-blocking",
                "--log-opt=max-buffer-size=64k",
            ];
            // It comes to its end though nobody takes a line.
            let line = format!("busybox seq 1 {lines}; echo >/written; exec sleep 100000");
            let id = start(device, &image, &options, &line);
            let begun = Instant::now();
            let written = || device.dray(&["exec", "free", "cat", "/written"]).stdout;
            while written().is_empty() {
                assert!(begun.elapsed() < PATIENCE, "the container waits");
            }
            let peak = peak(device, &id);
            // What was kept is the newest of it, and what the socket had taken before.
            let mut numbers = Vec::new();
            while numbers.last() != Some(&lines) {
                let message = String::from_utf8(receive(&receiver)).unwrap();
                let said = message.trim_end().rsplit(' ').next().unwrap().to_owned();
                numbers.push(said.parse::<u32>().unwrap());
            }
            assert!(numbers.is_sorted() && numbers[0] == 1, "{numbers:?}");
            remove(device, "free");
            (peak, numbers.len())
        };
        let (little, all) = measured(100);
        assert_eq!(all, 100);
        let (much, kept) = measured(100_000);
        assert!((101..5000).contains(&kept), "{kept} lines");
        assert!(much <= little + SLACK, "{much} kB, {little} kB before");
    });
}

/// A receiver that shakes hands, and what it prints: all that it is sent.
struct Receiver {
    child: std::process::Child,
    output: BufReader<std::process::ChildStdout>,
    port: u16,
}

impl Receiver {
    /// With the certificate in `tls`; where asked for, senders have to show one of the authority there.
    fn start(tls: &Path, client: bool) -> Receiver {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let accept = format!("127.0.0.1:{port}");
        let mut words = vec!["s_server", "-quiet", "-accept", &accept];
        words.extend(["-cert", "server.crt", "-key", "server.key"]);
        if client {
            words.extend(["-CAfile", "ca.crt", "-Verify", "1", "-verify_return_error"]);
        }
        let mut child = Command::new("openssl")
            .args(words)
            .current_dir(tls)
            // Its end would end the connections.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(&accept).is_err() {
            assert!(begun.elapsed() < PATIENCE, "no receiver");
        }
        let output = BufReader::new(child.stdout.take().unwrap());
        Receiver {
            child,
            output,
            port,
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn syslog_is_encrypted_where_asked_for() {
    on_device("logs-tls", |device| {
        let image = push(device);
        let tls = device.join("tls");
        make_certificates(&tls, "IP:127.0.0.1");
        let other = device.join("other");
        make_certificates(&other, "DNS:elsewhere.example");
        let file = |option: &str, folder: &Path, name: &str| {
            format!(
                "--log-opt=syslog-tls-{option}={}",
                folder.join(name).display()
            )
        };
        let authority = file("ca-cert", &tls, "ca.crt");
        let own = [
            file("cert", &tls, "client.crt"),
            file("key", &tls, "client.key"),
        ];
        let skip = "--log-opt=syslog-tls-skip-verify=true".to_owned();
        let words = |receiver: &Receiver, options: &[&String]| -> Vec<String> {
            let address = format!("syslog-address=tcp+tls://127.0.0.1:{}", receiver.port);
            let base = [
                "--name=secret",
                "--log-driver=syslog",
                "--log-opt",
                &address,
                "--log-opt=syslog-format=rfc5424",
            ];
            let own = options.iter().map(|option| option.as_str());
            base.into_iter().chain(own).map(str::to_owned).collect()
        };
        let line = "echo one; busybox seq 1 3000; exec sleep 100000";
        for (client, options) in [
            (false, vec![&authority]),
            (false, vec![&skip]),
            (true, vec![&authority, &own[0], &own[1]]),
        ] {
            let mut receiver = Receiver::start(&tls, client);
            let words = words(&receiver, &options);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            start(device, &image, &words, line);
            let first = receiver.line();
            // Its own length goes before a message.
            let (length, message) = first.split_once(' ').unwrap();
            assert_eq!(length.parse::<usize>().unwrap(), message.len(), "{first}");
            assert!(
                message.starts_with("<30>1 ") && message.ends_with(" - one\n"),
                "{first}"
            );
            for number in 1..=3000 {
                let line = receiver.line();
                assert!(
                    line.ends_with(&format!(" - {number}\n")),
                    "{number}: {line}"
                );
            }
            remove(device, "secret");
        }
        // Somebody else, and nobody to vouch for him.
        let stranger = file("ca-cert", &other, "ca.crt");
        let missing = file("ca-cert", &other, "none.crt");
        for (options, said) in [
            (vec![&stranger], "UnknownIssuer"),
            (vec![&missing], "there is no such file"),
        ] {
            let receiver = Receiver::start(&tls, false);
            let mut words = words(&receiver, &options);
            words.insert(0, "run".to_owned());
            words.extend([image.clone(), "true".to_owned()]);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let mut command = Command::new(env!("CARGO_BIN_EXE_dray"));
            let refused = command
                .args(words)
                .env("DRAY_CONFIG", &device.host.config)
                .output()
                .unwrap();
            let complained = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(
                !refused.status.success() && complained.contains(said),
                "{complained}"
            );
            remove(device, "secret");
        }
    });
}

#[test]
fn syslog_takes_every_line() {
    on_device("logs-syslog", |device| {
        let image = push(device);
        let path = device.join("syslog");
        let local = UnixDatagram::bind(&path).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_read_timeout(Some(PATIENCE)).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let hostname = process::hostname().unwrap();
        let line = "echo one; sleep 0.2; echo two >&2; exec sleep 100000";
        for (address, facility) in [
            (format!("unix://{}", path.display()), "daemon"),
            (format!("unixgram://{}", path.display()), "local0"),
            (format!("udp://{}", udp.local_addr().unwrap()), "16"),
            (format!("tcp://{}", tcp.local_addr().unwrap()), "local0"),
        ] {
            let options = [
                "--name=sender".to_owned(),
                "--log-driver=syslog".to_owned(),
                format!("--log-opt=syslog-address={address}"),
                format!("--log-opt=syslog-facility={facility}"),
                "--log-opt=syslog-format=rfc5424".to_owned(),
                "--log-opt=tag={{.ImageName}}/{{.Name}}".to_owned(),
            ];
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            start(device, &image, &options, line);
            let messages: Vec<String> = match address.split_once(':').unwrap().0 {
                "udp" => (0..2)
                    .map(|_| {
                        let mut buffer = [0; 2048];
                        let length = udp.recv(&mut buffer).unwrap();
                        String::from_utf8(buffer[..length].to_vec()).unwrap()
                    })
                    .collect(),
                "tcp" => {
                    // The first connection only asks whether somebody is there.
                    let streams: Vec<_> = (0..2).map(|_| tcp.accept().unwrap().0).collect();
                    let mut reader = BufReader::new(&streams[1]);
                    let mut line = || {
                        let mut line = String::new();
                        reader.read_line(&mut line).unwrap();
                        line
                    };
                    vec![line(), line()]
                }
                _ => (0..2)
                    .map(|_| String::from_utf8(receive(&local)).unwrap())
                    .collect(),
            };
            let number = if facility == "daemon" { 3 } else { 16 };
            for (message, (severity, text)) in messages.iter().zip([(6, "one"), (3, "two")]) {
                let words: Vec<&str> = message.split(' ').collect();
                let [priority, time, host, app, pid, id, dash, said] = words[..] else {
                    panic!("{address}: {message:?}");
                };
                let tag = format!("{image}/sender");
                assert_eq!(
                    priority,
                    format!("<{}>1", number * 8 + severity),
                    "{address}"
                );
                assert!(dray::engine::parse_time(time).is_some(), "{message}");
                assert_eq!((host, app, id, dash), (&*hostname, &*tag, &*tag, "-"));
                assert!(pid.parse::<u32>().is_ok(), "{message}");
                assert_eq!(said, format!("{text}\n"));
            }
            assert_eq!(device.inspect("sender")["LogPath"], "");
            let logs = device.dray(&["logs", "sender"]);
            assert!(
                !logs.status.success() && logs.stderr.contains("go to syslog"),
                "{logs:?}"
            );
            remove(device, "sender");
        }
        // Nobody there: not started, nothing left.
        let absent = "--log-opt=syslog-address=unix:///nowhere/log";
        let words = [
            "run",
            "--rm",
            "--network=none",
            "--log-driver=syslog",
            absent,
            &image,
            "true",
        ];
        let called = device.dray(&words);
        assert_eq!(called.status.code(), Some(125), "{called:?}");
        assert!(called.stderr.contains("log driver syslog"), "{called:?}");
        assert_eq!(device.containers().len(), 0);
    });
}

#[test]
fn a_receiver_that_stalls_holds_the_container_back() {
    on_device("logs-slow", |device| {
        let image = push(device);
        let path = device.join("syslog");
        let socket = UnixDatagram::bind(&path).unwrap();
        let address = format!("--log-opt=syslog-address=unixgram://{}", path.display());
        let options = [
            "--name=slow",
            "--log-driver=syslog",
            &address,
            "--health-cmd=true",
            "--health-interval=50ms",
        ];
        let line = "busybox seq 20000; echo the-end; exec sleep 100000";
        let id = start(device, &image, &options, line);
        // The monitor does its other work meanwhile.
        let begun = Instant::now();
        while device.inspect("slow")["State"]["Health"]["Log"][4].is_null() {
            assert!(begun.elapsed() < PATIENCE, "no probes");
        }
        let before = peak(device, &id);
        let mut next = 1;
        loop {
            let message = String::from_utf8(receive(&socket)).unwrap();
            let (header, text) = message.split_once("]: ").unwrap();
            if text == "the-end\n" {
                break;
            }
            assert_eq!(text, format!("{next}\n"));
            assert!(header.starts_with("<30>"), "{header}");
            assert!(header.contains(&format!(" {}[", &id[..12])), "{header}");
            next += 1;
        }
        assert_eq!(next, 20_001);
        assert!(peak(device, &id) <= before + SLACK);
        remove(device, "slow");
    });
}

/// Removes what a test made in a folder of the host when dropped.
struct Removed(Vec<PathBuf>);

impl Drop for Removed {
    fn drop(&mut self) {
        for path in &self.0 {
            if path.is_dir() {
                std::fs::remove_dir(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

#[test]
fn journald_gets_docker_s_fields() {
    on_device("logs-journald", |device| {
        let image = push(device);
        let folder = Path::new("/run/systemd/journal");
        assert!(!folder.exists(), "this host has a journal of its own");
        let made = folder.ancestors().take(2).filter(|path| !path.exists());
        let mut made: Vec<PathBuf> = made.map(Path::to_owned).collect();
        std::fs::create_dir_all(folder).unwrap();
        let journal = UnixDatagram::bind(folder.join("socket")).unwrap();
        made.insert(0, folder.join("socket"));
        let _removed = Removed(made);
        let options = [
            "--name=diary",
            "--log-driver=journald",
            "--label=my.colour=red",
            "--env=LONG=a\nb",
            "--log-opt=labels-regex=colour$",
            "--log-opt=env=LONG",
            "--log-opt=tag=t-{{.Name}}",
        ];
        let line = "echo one; sleep 0.2; busybox printf two >&2";
        let id = start(device, &image, &options, line);
        for (priority, text, rest) in [
            ("6", "one", ""),
            ("3", "two", "CONTAINER_PARTIAL_MESSAGE=true\n"),
        ] {
            let entry = String::from_utf8(receive(&journal)).unwrap();
            let expected = format!(
                "CONTAINER_ID={}\nCONTAINER_ID_FULL={id}\nCONTAINER_NAME=diary\nIMAGE_NAME={image}\n\
                 CONTAINER_TAG=t-diary\nSYSLOG_IDENTIFIER=t-diary\n\
                 LONG\n\u{3}\0\0\0\0\0\0\0a\nb\nMY_COLOUR=red\nPRIORITY={priority}\nSYSLOG_TIMESTAMP=",
                &id[..12]
            );
            let rest = format!("\n{rest}MESSAGE={text}\n");
            assert!(
                entry.starts_with(&expected) && entry.ends_with(&rest),
                "{entry}"
            );
        }
        assert_eq!(device.dray(&["wait", "diary"]).stdout, "0\n");
        let logs = device.dray(&["logs", "diary"]);
        assert!(
            !logs.status.success() && logs.stderr.contains("journalctl"),
            "{logs:?}"
        );
        remove(device, "diary");
    });
}

/// What a line of these texts takes in a json-file.
fn stored(number: u32) -> u64 {
    let time = "2026-01-02T03:04:05.123456789Z";
    let line = format!("{{\"log\":\"{number}\\n\",\"stream\":\"stdout\",\"time\":\"{time}\"}}\n");
    line.len() as u64
}

#[test]
fn what_is_rotated_away_before_it_is_read_is_named() {
    const LINES: u32 = 20_000;
    on_device("logs-gap", |device| {
        let image = push(device);
        for (options, has_gap) in [
            (&["max-size=4k", "max-file=1"][..], true),
            (&["max-size=4k", "max-file=2"], true),
            (&["max-size=16k", "max-file=3", "compress=true"], true),
            (&["max-size=256k", "max-file=20"], false),
            (&["max-size=256k", "max-file=20", "compress=true"], false),
        ] {
            let options: Vec<String> = options.iter().map(|o| format!("--log-opt={o}")).collect();
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            // The reader is known to be there once it has the first line.
            let line = format!("echo 1; read go; busybox seq 2 {LINES}");
            start(
                device,
                &image,
                &[&["-i", "--name=fast"], &options[..]].concat(),
                &line,
            );
            let mut reader = Command::new(env!("CARGO_BIN_EXE_dray"))
                .args(["logs", "-f", "fast"])
                .env("DRAY_CONFIG", &device.host.config)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut printed = BufReader::new(reader.stdout.take().unwrap());
            let mut said = String::new();
            printed.read_line(&mut said).unwrap();
            assert_eq!(said, "1\n", "{options:?}");
            // Nobody reads what else it prints before all is written.
            let go = Command::new(env!("CARGO_BIN_EXE_dray"))
                .args(["attach", "fast"])
                .env("DRAY_CONFIG", &device.host.config)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let mut go = go;
            go.stdin.take().unwrap().write_all(b"go\n").unwrap();
            assert!(go.wait().unwrap().success());
            let stderr = reader.stderr.take().unwrap();
            let said_by = std::thread::spawn(move || std::io::read_to_string(stderr).unwrap());
            printed.read_to_string(&mut said).unwrap();
            assert!(reader.wait().unwrap().success());
            let warned = said_by.join().unwrap();
            let seen: Vec<u32> = said.lines().map(|line| line.parse().unwrap()).collect();
            assert!(seen.is_sorted_by(|a, b| a < b), "{options:?}");
            assert_eq!(seen.last(), Some(&LINES), "{options:?}");
            let all: u64 = (1..=LINES).map(stored).sum();
            let got: u64 = seen.iter().copied().map(stored).sum();
            let named: u64 = warned
                .lines()
                .map(|line| {
                    let rest = line.strip_prefix("dray: warning: ").unwrap();
                    let (bytes, rest) = rest.split_once(' ').unwrap();
                    assert!(
                        rest.starts_with("bytes of the log were rotated away"),
                        "{line}"
                    );
                    bytes.parse::<u64>().unwrap()
                })
                .sum();
            assert_eq!(named, all - got, "{options:?}: {warned}");
            assert_eq!(named > 0, has_gap, "{options:?}: {warned}");
            remove(device, "fast");
        }
    });
}

#[test]
fn a_receiver_that_comes_back_gets_what_was_written_meanwhile() {
    on_device("logs-away", |device| {
        let image = push(device);
        let shared = device.join("shared");
        std::fs::create_dir_all(&shared).unwrap();
        let volume = format!("--volume={}:/shared", shared.display());
        let written = |number: u32| {
            let changes = Changes::of_folder(&shared).unwrap();
            let begun = Instant::now();
            let now = || std::fs::read_to_string(shared.join("n")).unwrap_or_default();
            while now().trim().parse().unwrap_or(0) < number {
                let left = PATIENCE.saturating_sub(begun.elapsed());
                assert!(!left.is_zero(), "the container waits");
                process::poll(&mut [PollFd::read(changes.as_fd())], Some(left)).unwrap();
                changes.drain();
            }
            now().trim().parse::<u32>().unwrap()
        };
        let line =
            "i=0; while :; do i=$((i+1)); echo $i; echo $i >/shared/n; busybox usleep 10000; done";
        for (options, loses) in [
            (&[][..], false),
            (
                &[
                    "--log-opt=mode=non-blocking",
                    "--log-opt=max-buffer-size=1k",
                ],
                true,
            ),
        ] {
            let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = tcp.local_addr().unwrap();
            let to = format!("--log-opt=syslog-address=tcp://{address}");
            let given = ["--name=away", "--log-driver=syslog", &to, &volume];
            let _ = std::fs::remove_file(shared.join("n"));
            start(device, &image, &[&given, options].concat(), line);
            let numbers = |stream: std::net::TcpStream| {
                let lines = BufReader::new(stream).lines();
                lines.map(|line| {
                    let line = line.unwrap();
                    line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
                })
            };
            // The first connection only asks whether somebody is there.
            let streams: Vec<_> = (0..2).map(|_| tcp.accept().unwrap().0).collect();
            let last = streams
                .into_iter()
                .next_back()
                .map(numbers)
                .unwrap()
                .nth(4)
                .unwrap();
            assert_eq!(last, 5);
            drop(tcp);
            let away = written(written(1) + 60);
            let begun = Instant::now();
            let tcp = TcpListener::bind(address).unwrap();
            let mut after = numbers(tcp.accept().unwrap().0);
            let first = after.next().unwrap();
            // The longest pause so far is not as long as all of them were.
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "{:?}",
                begun.elapsed()
            );
            let mut seen = vec![first];
            seen.extend(after.by_ref().take_while(|number| *number < away + 20));
            let is_whole = seen.windows(2).all(|pair| pair[1] == pair[0] + 1);
            assert!(is_whole, "{seen:?}");
            let error = || {
                device.inspect("away")["State"]["Error"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            };
            if loses {
                assert!(first > 20, "{first}");
                assert!(
                    error().contains("lines were lost while its receiver"),
                    "{}",
                    error()
                );
            } else {
                // What the kernel had taken when the receiver went is gone.
                assert!(first < away - 20, "{first} of {away}");
                assert_eq!(error(), "");
            }
            remove(device, "away");
        }
    });
}
