//! A disk that fails at every single call of a pull: whatever call it is, the pull says so or does without it, and what was
//! there before stays whole, runs on, and is all that is left.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use common::device::{Called, Device, on_device};
use common::image::{Built, Entry, Image, Layer, Packing};

/// What a full disk makes fail: whatever takes room.
const ROOM: [&str; 15] = [
    "write",
    "pwrite64",
    "writev",
    "fallocate",
    "copy_file_range",
    "mkdir",
    "mkdirat",
    "mknodat",
    "linkat",
    "symlinkat",
    "rename",
    "renameat",
    "renameat2",
    "fsetxattr",
    "syncfs",
];
/// What a broken disk makes fail: whatever waits for it.
const SYNC: [&str; 3] = ["fsync", "fdatasync", "syncfs"];

/// Small, with one of each that takes room.
fn image() -> Built {
    let low = Layer::of(&[
        Entry::dir("etc"),
        Entry::file("etc/motd", "hello\n").xattr("user.a", "b"),
        Entry::symlink("etc/link", "motd"),
        Entry::hardlink("etc/hard", "etc/motd"),
        Entry::fifo("etc/pipe"),
    ]);
    // Enough for what comes of it to be kept for another pull.
    let noise: Vec<u8> = (0..600_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let high = Layer::of(&[Entry::file("big", noise)]).packed(Packing::Plain);
    Image::oci([low, high]).build()
}

/// A device with a running container, whose disk fails on demand.
struct Bench<'a> {
    device: &'a Device,
    name: String,
    before: Vec<String>,
}

/// How a call went, and on what it failed.
struct Failed {
    called: Called,
    /// What the system was asked when it refused; empty if it never was.
    refused: Vec<String>,
}

impl<'a> Bench<'a> {
    fn new(device: &'a Device) -> Bench<'a> {
        let resident = device.pinned("v1");
        device.done(&["run", "-d", "--network=none", "--name=web", &resident]);
        device.registry.push("shop/new", "1", &image());
        let mut bench = Bench {
            device,
            name: device.registry.name("shop/new:1"),
            before: Vec::new(),
        };
        // Folders are made once.
        bench.device.done(&["pull", "-q", &bench.name]);
        bench.device.done(&["verify", "--full"]);
        bench.device.done(&["rmi", &bench.name]);
        bench.device.done(&["gc"]);
        bench.before = bench.store();
        bench
    }

    /// Everything in the store's folders, and what is being written beside them.
    fn store(&self) -> Vec<String> {
        let mut found = Vec::new();
        for folder in [
            "layers/sha256",
            "blobs/sha256",
            "names",
            "pins",
            "partial",
            "verified",
            ".",
        ] {
            let dir = self.device.host.state.join(folder);
            for entry in fs::read_dir(dir).into_iter().flatten() {
                let name = entry.unwrap().file_name().display().to_string();
                if folder != "." || name.starts_with(".tmp") {
                    found.push(format!("{folder}/{name}"));
                }
            }
        }
        found.sort();
        found
    }

    /// A pull whose system calls are watched; `inject` makes some of them fail.
    fn pull(&self, inject: &[String]) -> (Called, String) {
        let log = self.device.join("strace.log");
        let all: Vec<&str> = ROOM.into_iter().chain(SYNC).chain(["openat"]).collect();
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-y", "-o"]).arg(&log);
        command.args(["-e", &format!("trace={}", all.join(","))]);
        for inject in inject {
            command.args(["-e", &format!("inject={inject}")]);
        }
        command
            .arg(env!("CARGO_BIN_EXE_dray"))
            .args(["pull", "-q", &self.name])
            .env("DRAY_CONFIG", &self.device.host.config)
            .stdin(Stdio::null());
        let output = command.output().expect("strace");
        let called = Called {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        (called, fs::read_to_string(log).unwrap())
    }

    /// How often each call is made on the device's disk, by the thread that makes it most often.
    fn points(&self, calls: &[&str]) -> Vec<(String, usize)> {
        let (called, log) = self.pull(&[]);
        assert!(called.status.success(), "{called:?}");
        self.device.done(&["rmi", &self.name]);
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for line in log.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(thread), Some(rest)) = (words.next(), words.next()) else {
                continue;
            };
            let Some((call, _)) = rest.split_once('(') else {
                continue;
            };
            if calls.contains(&call) {
                *counts.entry((call, thread)).or_default() += 1;
            }
        }
        let mut most: BTreeMap<String, usize> = BTreeMap::new();
        for ((call, _), count) in counts {
            let most = most.entry(call.to_owned()).or_default();
            *most = count.max(*most);
        }
        most.into_iter()
            .flat_map(|(call, count)| (1..=count).map(move |n| (call.clone(), n)))
            .collect()
    }

    /// A pull in which a call fails.
    fn fail(&self, inject: &str) -> Failed {
        let (called, log) = self.pull(&[inject.to_owned()]);
        let refused = log.lines().filter(|line| line.ends_with("(INJECTED)"));
        Failed {
            called,
            refused: refused.map(str::to_owned).collect(),
        }
    }

    /// What was there is as it was, nothing else is, and what could not come comes now.
    fn is_as_before(&self, case: &str) {
        let device = self.device;
        assert_eq!(device.running(), ["v1"], "{case}");
        device.done(&["verify", "--full"]);
        // With a name it is whole, as has just been found.
        let _ = device.dray(&["rmi", &self.name]);
        device.done(&["gc"]);
        assert_eq!(self.store(), self.before, "{case}: something is left");
        device.done(&["pull", "-q", &self.name]);
        let said = device.done(&["verify", "--full", &self.name]);
        assert_eq!(said.stderr, "", "{case}");
        device.done(&["rmi", &self.name]);
        device.done(&["gc"]);
        assert_eq!(
            self.store(),
            self.before,
            "{case}: something is left at the end"
        );
    }
}

/// What came of a sweep.
#[derive(Debug, Default)]
struct Tally {
    points: usize,
    refused: usize,
    done_without: usize,
    elsewhere: usize,
}

/// How long a call goes on failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasts {
    /// Once; the message gets through.
    Once,
    /// From then on, and so does what says so.
    OnAndOn,
}

/// Lets each call fail at each of its times, and looks at what came of it.
fn sweep(bench: &Bench, calls: &[&str], error: (&str, &str), lasts: Lasts) -> Tally {
    let [state, run] =
        [&bench.device.host.state, &bench.device.host.run].map(|path| path.display().to_string());
    let (error, words) = error;
    let mut tally = Tally::default();
    // One that fails once tells more.
    let step = match (lasts, std::env::var_os("DRAY_LONG")) {
        (Lasts::OnAndOn, None) => 4,
        _ => 1,
    };
    for (call, n) in bench.points(calls).into_iter().step_by(step) {
        let more = if lasts == Lasts::OnAndOn { "+" } else { "" };
        let case = format!("{call}:error={error}:when={n}{more}");
        let failed = bench.fail(&case);
        let (called, stderr) = (&failed.called, &failed.called.stderr);
        // Standard output is refused too, and so are the locks of this boot.
        let on_disk = failed.refused.iter().any(|line| line.contains(&state));
        tally.points += 1;
        match (on_disk, called.status.success()) {
            (false, _) => tally.elsewhere += 1,
            (true, true) => tally.done_without += 1,
            (true, false) => tally.refused += 1,
        }
        if on_disk && !called.status.success() {
            assert_eq!(called.stdout, "", "{case}");
            // A lock may be what is refused first.
            let is_named = stderr.contains(&state) || stderr.contains(&run);
            let is_told = stderr.contains(words) && is_named;
            // Each thread's calls are counted on their own, those that tell it too.
            let is_dumb = failed.refused.iter().any(|line| line.contains("write(2<"));
            assert!(is_told || is_dumb, "{case}: {stderr}");
            assert!(!stderr.contains("panicked"), "{case}: {stderr}");
        }
        // What waits for the disk is never done without.
        let is_believed = on_disk && called.status.success() && calls == SYNC;
        assert!(!is_believed, "{case}: {:?}", failed.refused);
        bench.is_as_before(&case);
    }
    println!("{error} {lasts:?}: {tally:?}");
    tally
}

const FULL: (&str, &str) = ("ENOSPC", "No space left on device (os error 28)");
const BROKEN: (&str, &str) = ("EIO", "Input/output error (os error 5)");

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_disk_that_is_full_at_any_call_is_named_and_nothing_is_left() {
    on_device("full", |device| {
        let bench = Bench::new(device);
        // Opening is making too, and each of its many calls may be.
        let long = std::env::var_os("DRAY_LONG").is_some();
        let calls: Vec<&str> = ROOM.into_iter().chain(long.then_some("openat")).collect();
        for lasts in [Lasts::Once, Lasts::OnAndOn] {
            let tally = sweep(&bench, &calls, FULL, lasts);
            assert!(tally.refused >= 10, "{tally:?}");
        }
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_disk_that_fails_at_any_sync_is_never_believed() {
    on_device("broken", |device| {
        let bench = Bench::new(device);
        for lasts in [Lasts::Once, Lasts::OnAndOn] {
            let tally = sweep(&bench, &SYNC, BROKEN, lasts);
            assert!(tally.refused >= 2, "{tally:?}");
        }
    });
}

/// What is to mend a layer is not thrown away because there is no room to do it.
#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_full_disk_costs_no_kept_blob() {
    on_device("kept", |device| {
        device.configure("[store]\nkeep_blobs = yes\n");
        let built = image();
        device.registry.push("shop/new", "1", &built);
        let bench = Bench {
            device,
            name: device.registry.name("shop/new:1"),
            before: Vec::new(),
        };
        device.done(&["pull", "-q", &bench.name]);
        let kept = bench.store();
        let high = built.diff_ids.last().unwrap().hex();
        let tree = device.host.state.join("layers/sha256").join(high);
        let damaged = tree.join("tree/big");
        fs::write(&damaged, "damaged").unwrap();
        assert!(!device.dray(&["verify", "--full"]).status.success());
        device.registry.reset_counts();
        let mut refused = 0;
        for n in 1..=4 {
            let failed = bench.fail(&format!("write:error=ENOSPC:when={n}"));
            // That the layer is damaged is said first, to whoever can hear it.
            if failed.refused.iter().all(|line| line.contains("write(2<")) {
                assert!(failed.called.status.success());
                fs::write(&damaged, "damaged").unwrap();
                assert!(!device.dray(&["verify", "--full"]).status.success());
                continue;
            }
            refused += 1;
            let said = &failed.called.stderr;
            assert!(!failed.called.status.success(), "{n}: {said}");
            assert!(said.contains(FULL.1), "{n}: {said}");
            let left = bench.store();
            let lost = kept.iter().find(|name| !left.contains(name));
            assert_eq!(lost, None, "{n}: {said}");
        }
        assert!(refused >= 2, "{refused}");
        device.done(&["pull", "-q", &bench.name]);
        assert_eq!(device.registry.count("GET", "/blobs/"), 0);
        device.done(&["verify", "--full"]);
    });
}
