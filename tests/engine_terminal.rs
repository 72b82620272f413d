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
use common::fed;
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
        let dray = env!("CARGO_BIN_EXE_dray");
        Session::of(device, &[&[dray], words].concat())
    }

    /// A program, and what it starts, with such a terminal.
    fn of(device: &Device, words: &[&str]) -> Session {
        let ends = nix::pty::openpty(None, None).unwrap();
        let terminal = File::from(ends.master);
        terminal::set_size(terminal.as_fd(), 24, 80).unwrap();
        let end = || Stdio::from(ends.slave.try_clone().unwrap());
        let child = Command::new("setsid")
            .args(["--ctty", "--wait"])
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
fn the_foreground_shows_what_is_attached() {
    on_device("attached", |device| {
        let image = push(device);
        let run = |options: &[&str], line: &str| {
            let base = ["run", "--network=none", "--name=some"];
            let mut command = Command::new(env!("CARGO_BIN_EXE_dray"));
            command
                .args([&base, options, &[&image, "/bin/sh", "-c", line]].concat())
                .env("DRAY_CONFIG", &device.host.config);
            let output = fed(&mut command, b"word\n");
            let text = |bytes| String::from_utf8(bytes).unwrap();
            let said = (text(output.stdout), text(output.stderr));
            (said.0, said.1, output.status.code().unwrap())
        };
        let remove = || device.done(&["rm", "some"]);
        for (options, out, err) in [
            (&[][..], "out\n", "err\n"),
            (&["-a", "stdout"], "out\n", ""),
            (&["-a", "STDERR"], "", "err\n"),
            (&["-a", "stdout", "-a", "stderr"], "out\n", "err\n"),
            (&["-i", "-a", "stdout"], "word\nout\n", ""),
            (&["-ia", "stderr"], "", "err\n"),
            (&["-a", "stdin", "-a", "stdout"], "out\n", ""),
        ] {
            let (said, complained, code) = run(options, "cat; echo out; echo err >&2; exit 3");
            let got = (said.as_str(), complained.as_str(), code);
            assert_eq!(got, (out, err, 3), "{options:?}");
            // The log has all of it.
            let log = device.done(&["logs", "some"]);
            assert!(
                log.stdout.ends_with("out\n") && log.stderr == "err\n",
                "{log:?}"
            );
            remove();
        }
        // Input alone: nobody waits for what it does with it.
        let (id, complained, code) = run(&["-ia", "stdin"], "cat; exit 4");
        assert_eq!((complained.as_str(), code), ("", 0));
        assert_eq!(device.done(&["wait", "some"]).stdout, "4\n");
        assert_eq!(device.done(&["logs", "some"]).stdout, "word\n");
        let made = device.inspect("some");
        assert_eq!(made["Id"], id.trim_end());
        assert_eq!(made["Config"]["AttachStdin"], true);
        assert_eq!(made["Config"]["AttachStdout"], false);
        remove();
        let refused = run(&["-d", "-a", "stdout"], "true");
        assert_eq!(refused.2, 125, "{refused:?}");
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
            // The caller's own files stay outside, and who is not root opens the pipes by their names.
            (
                vec!["-u", "7:8"],
                vec![
                    "sh",
                    "-c",
                    "busybox readlink /proc/self/fd/1 | busybox cut -c1-5 >/dev/stdout; : >/dev/stderr",
                ],
                0,
                "pipe:\n",
            ),
            // What goes on in the background holds nobody up.
            (
                vec![],
                vec!["sh", "-c", "sleep 1000 & echo started"],
                0,
                "started\n",
            ),
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
fn exec_passes_all_its_input_and_output_on() {
    on_device("exec-streams", |device| {
        let image = push(device);
        run_detached(device, &["--name=host", &image, "sleep", "100000"]);
        let exec = |options: &[&str], line: &str, input: Vec<u8>| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_dray"));
            command
                .args([&["exec"], options, &["host", "sh", "-c", line]].concat())
                .env("DRAY_CONFIG", &device.host.config);
            let output = fed(&mut command, &input);
            assert!(output.status.success(), "{line}: {output:?}");
            (output.stdout, output.stderr)
        };
        // More than any pipe holds, both ways at once.
        let much: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let (out, err) = exec(&["-i"], "busybox tee /dev/stderr", much.clone());
        assert!(out == much && err == much, "{} {}", out.len(), err.len());
        assert_eq!(exec(&["-i"], "exec <&-; echo closed", much).0, b"closed\n");
        assert_eq!(exec(&[], "cat; echo none", b"x".to_vec()).0, b"none\n");
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

/// Whoever calls blocks and ignores what can be: nohup ignores one signal, a service's parent perhaps others.
const HINDERED: [&str; 4] = [
    "env",
    "--block-signal",
    "--ignore-signal",
    env!("CARGO_BIN_EXE_dray"),
];
/// Prints what its own process has blocked and ignores; without a shell, which ignores signals of its own.
const SHOW: [&str; 4] = ["grep", "-hE", "^Sig(Blk|Ign)", "/proc/self/status"];
const CLEAN: &str = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";

/// What a hindered call printed, and its exit code.
fn hindered(device: &Device, words: &[&str]) -> (String, Option<i32>) {
    let mut command = Command::new(HINDERED[0]);
    command.args(&HINDERED[1..]).args(words);
    command.env("DRAY_CONFIG", &device.host.config);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    (printed, output.status.code())
}

/// The same on a terminal.
fn on_terminal(device: &Device, words: &[&str]) {
    let mut session = Session::of(device, &[&HINDERED, words].concat());
    session.until(&CLEAN.replace('\n', "\r\n"));
    assert_eq!(session.end(), Some(0), "{words:?}");
}

#[test]
fn a_container_starts_with_no_signal_blocked_or_ignored() {
    on_device("signals", |device| {
        let image = push(device);
        let clean = (CLEAN.to_owned(), Some(0));
        let run = ["run", "--rm", "--network=none"];
        for options in [&[][..], &["-i"], &["--init"]] {
            let words = [&run, options, &[&image], &SHOW].concat();
            assert_eq!(hindered(device, &words), clean, "{options:?}");
        }
        on_terminal(device, &[&run[..], &["-it", &image], &SHOW].concat());

        // Started again by the monitor, in its other life.
        let again = ["run", "--restart=on-failure:1", "--network=none"];
        let words = [&again, &["--name=again", &image][..], &SHOW, &["/absent"]].concat();
        assert_eq!(hindered(device, &words), (CLEAN.to_owned(), Some(2)));
        let begun = Instant::now();
        while device.inspect("again")["State"]["Status"] != "exited" {
            assert!(begun.elapsed() < PATIENCE);
        }
        assert_eq!(device.done(&["logs", "again"]).stdout, CLEAN.repeat(2));
        device.done(&["rm", "again"]);
    });
}

#[test]
fn exec_and_probes_start_with_no_signal_blocked_or_ignored() {
    on_device("exec-signals", |device| {
        let clean = (CLEAN.to_owned(), Some(0));
        let test = [&["CMD"], &SHOW[..]].concat();
        let check = json!({"Healthcheck": {"Test": test, "Interval": 100_000_000}});
        device.push("checked", "true", check);
        let image = device.registry.name("shop/checked:1");
        let sleeper = [
            "-d",
            "--network=none",
            "--name=host",
            &image,
            "sleep",
            "100000",
        ];
        let (_, code) = hindered(device, &[&["run"], &sleeper[..]].concat());
        assert_eq!(code, Some(0));

        for options in [&[][..], &["-i"]] {
            let words = [&["exec"], options, &["host"], &SHOW].concat();
            assert_eq!(hindered(device, &words), clean, "{options:?}");
        }
        on_terminal(device, &[&["exec", "-it", "host"], &SHOW[..]].concat());
        for options in ["-d", "-dt"] {
            let copy = ["busybox", "cp", "/proc/self/status", "/said"];
            let (_, code) = hindered(device, &[&["exec", options, "host"], &copy[..]].concat());
            assert_eq!(code, Some(0), "{options}");
            let wait = "while ! busybox grep -q ^nonvol /said; do sleep 0.01; done; \
                        grep -E '^Sig(Blk|Ign)' /said; busybox rm /said";
            let said = device.done(&["exec", "host", "sh", "-c", wait]);
            assert_eq!(said.stdout, CLEAN, "{options}");
        }

        let begun = Instant::now();
        let probe = || device.inspect("host")["State"]["Health"]["Log"][0].clone();
        while probe().is_null() {
            assert!(begun.elapsed() < PATIENCE);
        }
        assert_eq!(probe()["Output"], CLEAN);
        device.done(&["rm", "-f", "host"]);
    });
}

/// A group of ours in the hierarchies that need no settings, as a session of the init system has.
struct Caller(Vec<std::path::PathBuf>);

impl Caller {
    fn make() -> Caller {
        let mount = std::path::Path::new("/sys/fs/cgroup");
        let all = ["", "unified", "systemd"].map(|name| mount.join(name));
        let usable = all.iter().filter(|dir| dir.join("cgroup.procs").exists());
        let groups = usable.map(|dir| dir.join(format!("caller-{}", std::process::id())));
        let groups: Vec<_> = groups.collect();
        groups
            .iter()
            .for_each(|group| std::fs::create_dir(group).unwrap());
        Caller(groups)
    }

    /// A word called from there.
    fn dray(&self, device: &Device, words: &[&str]) -> std::process::Output {
        let files = self
            .0
            .iter()
            .map(|group| format!("{}/cgroup.procs", group.display()));
        let enter: String = files.map(|file| format!("echo $$ >{file}; ")).collect();
        Command::new("sh")
            .args([
                "-ec",
                &format!("{enter} exec \"$@\""),
                "sh",
                env!("CARGO_BIN_EXE_dray"),
            ])
            .args(words)
            .env("DRAY_CONFIG", &device.host.config)
            .output()
            .unwrap()
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        for group in &self.0 {
            let begun = Instant::now();
            // Whoever was in it is still going.
            while std::fs::remove_dir(group).is_err() && begun.elapsed() < PATIENCE {}
        }
    }
}

#[test]
fn what_is_executed_is_in_no_group_of_the_caller() {
    on_device("callers-group", |device| {
        let image = push(device);
        let caller = Caller::make();
        let run = [
            "run",
            "-dit",
            "--network=none",
            "--cgroupns=host",
            "--name=web",
            &image,
            "sh",
        ];
        for run_from_there in [false, true] {
            if run_from_there {
                let output = caller.dray(device, &run);
                assert!(output.status.success(), "{output:?}");
            } else {
                device.done(&run);
            }
            for words in [
                &["exec", "web"][..],
                &["exec", "-t", "web"],
                &["exec", "-d", "web"],
                &["exec", "-dt", "web"],
            ] {
                let line = "cat /proc/self/cgroup >/new; mv /new /groups; sleep 1000";
                let line = if words.contains(&"-d") || words.contains(&"-dt") {
                    line
                } else {
                    line.trim_end_matches("; sleep 1000")
                };
                let output = caller.dray(device, &[words, &["sh", "-c", line]].concat());
                assert!(output.status.success(), "{words:?}: {output:?}");
                let wait =
                    "until [ -e /groups ]; do sleep 0.01; done; cat /groups; busybox rm /groups";
                let groups = device.done(&["exec", "web", "sh", "-c", wait]).stdout;
                assert!(
                    groups.contains("/") && !groups.contains("caller-"),
                    "{words:?}: {groups}"
                );
            }
            // Nobody is left where its init system would end him.
            for group in &caller.0 {
                let procs = std::fs::read_to_string(group.join("cgroup.procs")).unwrap();
                assert_eq!(procs, "", "{}", group.display());
            }
            device.done(&["rm", "-f", "web"]);
        }
    });
}

#[test]
fn a_terminal_has_its_name_where_the_host_s_are_seen() {
    on_device("names-of-terminals", |device| {
        let image = device.registry.name("shop/v1:1");
        let console = || {
            std::fs::read_to_string("/proc/mounts")
                .unwrap()
                .contains("/dev/console")
        };
        assert!(!console());
        let line = "tty() { busybox tty; }; node() { busybox stat -c %t:%T \"$1\" 2>/dev/null; }; tty; echo heard >/dev/tty
                    [ \"$(node $(tty))\" = \"$(node /dev/console)\" ] && echo console; echo -n $TERM";
        let look = ["sh", "-c", line];
        // options, whether terminals are the host's
        for (options, foreign) in [
            (&[][..], false),
            (&["-v", "/dev:/dev"], true),
            (&["-v", "/dev:/dev", "--init"], true),
            (&["-v", "/dev:/dev", "-u", "1000"], true),
            (&["-v", "/dev:/dev", "--privileged"], true),
            (&["-v", "/dev/pts:/dev/pts"], true),
        ] {
            let check = |said: &str, console: &str| {
                let (name, rest) = said.split_once("\r\n").unwrap();
                let number = name
                    .strip_prefix("/dev/pts/")
                    .unwrap_or_else(|| panic!("{options:?}: {said}"));
                let number: u32 = number.parse().unwrap();
                assert!(foreign || number == 0, "{options:?}: {said}");
                assert_eq!(rest, format!("heard\r\n{console}xterm"), "{options:?}");
            };
            let run = ["run", "--rm", "-t", "--network=none"];
            let first = device.done(&[&run[..], options, &[&image], &look].concat());
            check(&first.stdout, "console\r\n");
            let run = ["run", "-d", "--name=one", "--network=none"];
            device.done(&[&run[..], options, &[&image]].concat());
            let further = device.dray(&[&["exec", "-t", "one"], &look[..]].concat());
            check(&further.stdout, "");
            device.done(&["rm", "-f", "one"]);
            assert!(!console());
        }
    });
}
