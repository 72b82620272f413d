//! Terminals, `attach` and `exec`: input, size, signals, the keys that detach, and exit codes.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::device::{Device, on_device};
use dray::sys::process::{self, PollFd};
use dray::sys::terminal;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

/// Longest wait for what is expected to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pushes an image with a shell; its name.
fn push(device: &Device) -> String {
    device.push("box", "true", json!({}));
    device.registry.name("shop/box:1")
}

/// `dray` with a terminal of ours as its controlling one.
struct Session {
    terminal: File,
    child: Child,
    seen: String,
}

impl Session {
    fn start(device: &Device, words: &[&str]) -> Session {
        let ends = nix::pty::openpty(None, None).unwrap();
        let terminal = File::from(ends.master);
        terminal::set_size(terminal.as_fd(), 24, 80).unwrap();
        let end = || Stdio::from(ends.slave.try_clone().unwrap());
        let child = Command::new("setsid")
            .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_dray")])
            .args(words)
            .env("DRAY_CONFIG", &device.host.config)
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        Session {
            terminal,
            child,
            seen: String::new(),
        }
    }

    fn keys(&mut self, keys: &[u8]) {
        self.terminal.write_all(keys).unwrap();
    }

    /// Reads until `text` has come, and forgets all up to it.
    fn until(&mut self, text: &str) {
        let begun = Instant::now();
        while !self.seen.contains(text) {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let mut set = [PollFd::read(self.terminal.as_fd())];
            let ready = process::poll(&mut set, Some(left)).unwrap();
            assert!(ready > 0, "no {text:?} in time: {:?}", self.seen);
            let mut buffer = [0; 4096];
            // An error is the end: nobody has the other side any more.
            let read = self.terminal.read(&mut buffer).unwrap_or(0);
            assert!(read > 0, "ended without {text:?}: {:?}", self.seen);
            self.seen += &String::from_utf8_lossy(&buffer[..read]);
        }
        let end = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..end);
    }

    /// Its exit code.
    fn end(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

fn run_detached(device: &Device, words: &[&str]) {
    let called = device.dray(&[&["run", "-d", "--network", "none"], words].concat());
    assert!(called.status.success(), "{words:?}: {called:?}");
}

#[test]
fn a_terminal_is_left_and_taken_up_again() {
    on_device("terminal", |device| {
        let image = push(device);
        let words = [
            "run",
            "-it",
            "--name=term",
            "--network=none",
            &image,
            "/bin/sh",
        ];
        let mut session = Session::start(device, &words);
        session.keys(b"echo $((40+2)); busybox stty size\n");
        session.until("42\r\n24 80\r\n");
        terminal::set_size(session.terminal.as_fd(), 30, 100).unwrap();
        // The size arrives a moment after the keys may.
        session.keys(b"while [ \"$(busybox stty size)\" != '30 100' ]; do sleep 0.01; done; echo is-$((30*100))\n");
        session.until("is-3000\r\n");
        session.keys(b"\x10\x11");
        assert_eq!(session.end(), Some(0), "run -it");
        assert_eq!(device.inspect("term")["State"]["Running"], true);

        let mut session = Session::start(device, &["attach", "--detach-keys=ctrl-x,x", "term"]);
        session.keys(b"echo a-$((1+1))\n");
        session.until("a-2\r\n");
        // The usual keys are nothing special now.
        session.keys(b"\x10\x11\x15echo b-$((1+2))\n");
        session.until("b-3\r\n");
        session.keys(b"\x18x");
        session.until("read escape sequence");
        assert_eq!(session.end(), Some(1), "attach");

        let mut session = Session::start(device, &["attach", "term"]);
        session.keys(b"exit 7\n");
        assert_eq!(session.end(), Some(7));

        // Started again, attached with other keys.
        let words = ["start", "-ai", "--detach-keys", "Q", "term"];
        let mut session = Session::start(device, &words);
        session.keys(b"echo c-$((2+2))\n");
        session.until("c-4\r\n");
        session.keys(b"Q");
        assert_eq!(session.end(), Some(0), "start -ai");
        for (words, said) in [
            (
                vec!["attach", "--detach-keys", "ctrl-A", "term"],
                "invalid detach keys (ctrl-A)",
            ),
            (
                vec!["start", "--detach-keys", "ab", "term"],
                "invalid detach keys (ab)",
            ),
            (
                vec!["exec", "--detach-keys", "ab", "term", "true"],
                "invalid detach keys (ab)",
            ),
            (vec!["attach", "term"], "the input device is not a TTY"),
            (
                vec!["exec", "-it", "term", "true"],
                "the input device is not a TTY",
            ),
            (vec!["run", "-it", &image], "the input device is not a TTY"),
        ] {
            let called = device.dray(&words);
            assert_eq!(called.status.code(), Some(1), "{words:?}: {called:?}");
            assert!(called.stderr.contains(said), "{words:?}: {called:?}");
        }
        assert!(device.dray(&["rm", "-f", "term"]).status.success());
        let stopped = device.dray(&["attach", "term"]);
        assert_eq!(stopped.status.code(), Some(1), "{stopped:?}");
        assert_eq!(device.containers().len(), 0);
    });
}

#[test]
fn attach_passes_signals_and_input_as_it_is_told() {
    on_device("attach", |device| {
        let image = push(device);
        let line = "trap 'echo usr' USR1; trap 'echo term; exit 5' TERM; echo up; \
                    read word; echo got $word; while :; do sleep 0.05; done";
        let container = ["-i", "--name=sig", &image, "/bin/sh", "-c", line];
        run_detached(device, &container);
        let attach = |words: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_dray"));
            command
                .arg("attach")
                .args(words)
                .arg("sig")
                .env("DRAY_CONFIG", &device.host.config)
                .stdin(Stdio::piped())
                .stdout(Stdio::null());
            command.spawn().unwrap()
        };
        let send = |child: &Child, signal| kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        // A process that has its signal descriptor is past all set-up that a signal could kill it in.
        let settled = |pid: u32| {
            let begun = Instant::now();
            let has = || {
                let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
                entries
                    .filter_map(|e| std::fs::read_link(e.unwrap().path()).ok())
                    .any(|path| path.to_string_lossy().contains("signalfd"))
            };
            while !has() {
                assert!(begun.elapsed() < PATIENCE);
                std::thread::yield_now();
            }
        };
        for (options, signal, code) in [
            (
                vec!["--no-stdin", "--sig-proxy=false"],
                Signal::SIGTERM,
                143,
            ),
            (vec!["--no-stdin", "--sig-proxy=false"], Signal::SIGINT, 130),
        ] {
            let mut child = attach(&options);
            settled(child.id());
            send(&child, signal);
            assert_eq!(child.wait().unwrap().code(), Some(code), "{options:?}");
            assert_eq!(device.inspect("sig")["State"]["Running"], true);
        }
        let mut child = attach(&[]);
        settled(child.id());
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"word\n").unwrap();
        let log = || device.dray(&["logs", "sig"]).stdout;
        let begun = Instant::now();
        while !log().contains("got word") {
            assert!(begun.elapsed() < PATIENCE, "{:?}", log());
        }
        send(&child, Signal::SIGUSR1);
        while !log().contains("usr") {
            assert!(begun.elapsed() < PATIENCE, "{:?}", log());
        }
        send(&child, Signal::SIGTERM);
        assert_eq!(child.wait().unwrap().code(), Some(5));
        assert_eq!(log(), "up\ngot word\nusr\nterm\n");
        assert!(device.dray(&["rm", "sig"]).status.success());
    });
}

#[test]
fn exec_has_docker_s_options_and_exit_codes() {
    on_device("exec", |device| {
        let image = push(device);
        let line = "trap 'exit 0' TERM; echo x >/file; busybox chmod 755 /file; echo y >/plain; \
                    while :; do sleep 0.05; done";
        let words = [
            "--name=host",
            "-e",
            "KEPT=1",
            "-e",
            "GONE=2",
            &image,
            "/bin/sh",
            "-c",
            line,
        ];
        run_detached(device, &words);
        let file = device.join("variables");
        std::fs::write(&file, "# none\nFROM_FILE=a b\nBOTH=file\n").unwrap();
        let file = file.to_str().unwrap();
        let show = "echo $KEPT-$GONE-$FROM_FILE-$BOTH";
        for (options, command, code, out) in [
            (vec![], vec!["sh", "-c", "exit 3"], 3, ""),
            (vec![], vec!["sh", "-c", "kill -9 $$"], 137, ""),
            (vec![], vec!["sh", "-c", show], 0, "1-2--\n"),
            (
                vec!["--env-file", file, "-e", "BOTH=option", "-e", "GONE"],
                vec!["sh", "-c", show],
                0,
                "1--a b-option\n",
            ),
            (
                vec!["-u", "7:8"],
                vec!["sh", "-c", "id -u; id -g"],
                0,
                "7\n8\n",
            ),
            (vec!["-w", "/bin"], vec!["busybox", "pwd"], 0, "/bin\n"),
            (
                vec![],
                vec!["grep", "CapEff", "/proc/self/status"],
                0,
                "CapEff:\t00000000a80425fb\n",
            ),
            (
                vec!["--privileged"],
                vec!["sh", "-c", "grep CapEff /proc/self/status | grep a80425fb"],
                1,
                "",
            ),
            (vec!["-t"], vec!["busybox", "tty"], 0, "/dev/pts/0\r\n"),
            (vec![], vec!["absent"], 127, ""),
            (vec![], vec!["/bin/absent"], 127, ""),
            (vec![], vec!["/plain"], 126, ""),
            (vec![], vec!["/bin"], 126, ""),
            (vec!["-d"], vec!["absent"], 127, ""),
            (vec!["-d"], vec!["/plain"], 126, ""),
        ] {
            let words = [&["exec"], &options[..], &["host"], &command].concat();
            let called = device.dray(&words);
            assert_eq!(called.status.code(), Some(code), "{words:?}: {called:?}");
            assert_eq!(called.stdout, out, "{words:?}");
            assert_eq!(
                called.stderr.is_empty(),
                !(126..=127).contains(&code),
                "{words:?}: {called:?}"
            );
        }
        let missing = device.dray(&["exec", "--env-file", "/nowhere/x", "host", "true"]);
        assert!(
            !missing.status.success() && missing.stderr.contains("/nowhere/x"),
            "{missing:?}"
        );

        // Detached, with and without a terminal: it outlives the call, and its output goes nowhere.
        for options in [vec!["-d"], vec!["-dt"]] {
            let line = "echo noise; echo noise >&2; cat /proc/self/cgroup >/mark; read x </pipe; echo more; echo done >/mark";
            assert!(
                device
                    .dray(&["exec", "host", "busybox", "mkfifo", "/pipe"])
                    .status
                    .success()
            );
            let words = [&["exec"], &options[..], &["host", "sh", "-c", line]].concat();
            let called = device.dray(&words);
            assert_eq!(
                (
                    called.status.code(),
                    called.stdout.as_str(),
                    called.stderr.as_str()
                ),
                (Some(0), "", ""),
                "{options:?}"
            );
            let line = "echo go >/pipe; while [ \"$(cat /mark)\" != done ]; do sleep 0.01; done; busybox rm /pipe /mark";
            let waited = device.dray(&["exec", "host", "sh", "-c", line]);
            assert!(waited.status.success(), "{waited:?}");
        }
        assert_eq!(device.dray(&["logs", "host"]).stdout, "");
        assert!(device.dray(&["stop", "host"]).status.success());
        let stopped = device.dray(&["exec", "host", "true"]);
        assert_eq!(stopped.status.code(), Some(1), "{stopped:?}");
        assert!(stopped.stderr.contains("is not running"), "{stopped:?}");
        assert!(device.dray(&["rm", "host"]).status.success());
    });
}

#[test]
fn exec_s_terminal_is_resized_and_left() {
    on_device("exec-terminal", |device| {
        let image = push(device);
        let line = "trap 'exit 0' TERM; while :; do sleep 0.05; done";
        run_detached(device, &["--name=host", &image, "/bin/sh", "-c", line]);
        let mut session = Session::start(device, &["exec", "-it", "host", "sh"]);
        session.keys(b"echo $((40+2)); busybox stty size\n");
        session.until("42\r\n24 80\r\n");
        terminal::set_size(session.terminal.as_fd(), 30, 100).unwrap();
        session.keys(b"while [ \"$(busybox stty size)\" != '30 100' ]; do sleep 0.01; done; echo is-$((30*100))\n");
        session.until("is-3000\r\n");
        // Goes on, and its output holds nobody up, when it is left.
        session.keys(b"busybox seq 100000; echo $$ >/left; exec sleep 100000\n");
        session.until("100\r\n");
        session.keys(b"\x10\x11");
        session.until("read escape sequence");
        assert_eq!(session.end(), Some(1));
        let line = "while ! [ -s /left ]; do sleep 0.01; done; busybox kill -0 $(cat /left)";
        let lives = device.dray(&["exec", "host", "sh", "-c", line]);
        assert!(lives.status.success(), "{lives:?}");

        let mut session = Session::start(device, &["exec", "-it", "host", "sh"]);
        session.keys(b"exit 9\n");
        assert_eq!(session.end(), Some(9));
        assert!(device.dray(&["rm", "-f", "host"]).status.success());
    });
}
