//! `pause` and `unpause`, and everything else that can happen to a paused container, on control groups of both versions.

#![allow(
    clippy::unwrap_used,
    reason = "a broken set-up should panic; the helpers of a test program count as no test"
)]

mod common;

use std::time::{Duration, Instant};

use common::device::{Device, on_device, run};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

const BUSY: &str = "trap 'echo usr1' USR1; trap 'exit 5' TERM; echo up; while :; do :; done";

/// Waits until what `look` sees is as wanted.
fn until<T>(look: impl Fn() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let begun = Instant::now();
    loop {
        let seen = look();
        if wanted(&seen) {
            return seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it did not come");
    }
}

fn state(device: &Device, name: &str) -> Value {
    device.inspect(name)["State"].clone()
}

/// Starts a busy container and pauses it once it is up.
fn paused(device: &Device, name: &str, options: &[&str]) {
    let image = device.registry.name("shop/busy:1");
    let start = ["run", "-d", "--network=none", "--name", name];
    device.done(&[&start, options, &[&image]].concat());
    until(|| device.done(&["logs", name]).stdout, |log| log == "up\n");
    assert_eq!(device.done(&["pause", name]).stdout, format!("{name}\n"));
    assert_eq!(state(device, name)["Status"], "paused");
}

/// Time that the container's first process has had, in ticks.
fn spent(device: &Device, name: &str) -> u64 {
    let pid = state(device, name)["Pid"].to_string();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1;
    fields.split_whitespace().nth(11).unwrap().parse().unwrap()
}

fn check(device: &Device) {
    device.push("busy", BUSY, json!({}));
    check_words(device);
    check_ends(device);
    check_health(device);
    check_killed_monitor(device);
    check_ending(device);
}

fn check_words(device: &Device) {
    paused(device, "web", &["--stop-signal=TERM"]);
    let seen = state(device, "web");
    let flags = ["Running", "Paused", "Restarting"].map(|flag| seen[flag] == true);
    assert_eq!(flags, [true, true, false], "{seen}");
    let line = device.done(&[
        "ps",
        "-f",
        "status=paused",
        "--format={{.State}} {{.Status}}",
    ]);
    assert!(line.stdout.starts_with("paused Up "), "{line:?}");
    assert!(line.stdout.ends_with(" (Paused)\n"), "{line:?}");
    let before = spent(device, "web");
    device.done(&["container", "top", "web"]);
    assert_eq!(spent(device, "web"), before);
    for (words, said) in [
        (&["pause", "web"][..], "container web is already paused"),
        (
            &["exec", "web", "true"],
            "container web is paused: unpause it first",
        ),
        (
            &["start", "web"],
            "container web is paused: unpause it first",
        ),
        (
            &["attach", "web"],
            "container web is paused: unpause it first",
        ),
        (
            &["rm", "web"],
            "cannot remove container web: container is paused and must be unpaused first",
        ),
    ] {
        let refused = device.dray(words);
        assert_eq!(refused.status.code(), Some(1), "{words:?}: {refused:?}");
        assert!(refused.stderr.contains(said), "{words:?}: {refused:?}");
    }
    // Not the signal to stop with: it is heard later.
    device.done(&["kill", "-s", "USR1", "web"]);
    assert_eq!(state(device, "web")["Status"], "paused");
    assert_eq!(device.done(&["unpause", "web"]).stdout, "web\n");
    until(
        || device.done(&["logs", "web"]).stdout,
        |log| log == "up\nusr1\n",
    );
    until(|| spent(device, "web"), |now| *now > before);
    let refused = device.dray(&["unpause", "web"]);
    assert!(
        refused.stderr.contains("container web is not paused"),
        "{refused:?}"
    );
    device.done(&["rm", "-f", "web"]);
}

fn check_ends(device: &Device) {
    for (words, status, code) in [
        (&["stop"][..], "exited", 5),
        (&["kill"], "exited", 137),
        (&["kill", "-s", "TERM"], "exited", 5),
        (&["stop", "-t", "0"], "exited", 5),
        (&["restart"], "running", 0),
        (&["rm", "-f"], "", 0),
    ] {
        paused(device, "web", &[]);
        device.done(&[words, &["web"]].concat());
        if status.is_empty() {
            assert_eq!(device.done(&["ps", "-aq"]).stdout, "", "{words:?}");
            continue;
        }
        if code > 0 {
            device.done(&["wait", "web"]);
        }
        let seen = state(device, "web");
        assert_eq!(seen["Status"], status, "{words:?}");
        // With no time at all it may be killed before it has heard of the signal.
        let killed = words.contains(&"0") && seen["ExitCode"] == 137;
        assert!(seen["ExitCode"] == code || killed, "{words:?}: {seen}");
        if status == "exited" {
            let refused = device.dray(&["pause", "web"]);
            assert!(
                refused.stderr.contains("container web is not running"),
                "{refused:?}"
            );
        }
        device.done(&["rm", "-f", "web"]);
    }
}

fn check_health(device: &Device) {
    let health = [
        "--health-cmd=true",
        "--health-interval=100ms",
        "--health-retries=1",
    ];
    let image = device.registry.name("shop/busy:1");
    let start = ["run", "-d", "--network=none", "--name=web"];
    device.done(&[&start[..], &health, &[&image]].concat());
    let is_healthy = |seen: &Value| seen["Health"]["Status"] == "healthy";
    until(|| state(device, "web"), is_healthy);
    device.done(&["pause", "web"]);
    // One that runs already goes on standing still with it.
    let before = state(device, "web")["Health"]["Log"].clone();
    device.done(&["run", "--rm", "--network=none", &image, "sleep", "1"]);
    let seen = state(device, "web");
    assert_eq!(seen["Health"]["Status"], "healthy", "{seen}");
    device.done(&["unpause", "web"]);
    let probed = |seen: &Value| seen["Health"]["Log"] != before;
    assert!(is_healthy(&until(|| state(device, "web"), probed)));
    device.done(&["rm", "-f", "web"]);
}

fn check_killed_monitor(device: &Device) {
    paused(device, "web", &[]);
    device.kill_monitors();
    device.done(&["boot"]);
    let seen = state(device, "web");
    assert_eq!(
        (&seen["Status"], &seen["ExitCode"]),
        (&json!("exited"), &json!(137))
    );
    device.done(&["rm", "web"]);
}

/// Its process has ended, and its monitor has not noticed yet.
fn check_ending(device: &Device) {
    paused(device, "web", &[]);
    device.done(&["unpause", "web"]);
    let now = device.containers().remove(0).1.unwrap();
    let [monitor, init] = [now.monitor.pid, now.init.unwrap().pid].map(Pid::from_raw);
    kill(monitor, Signal::SIGSTOP).unwrap();
    kill(init, Signal::SIGKILL).unwrap();
    let stat = format!("/proc/{init}/stat");
    until(
        || std::fs::read_to_string(&stat).unwrap(),
        |stat| stat.contains(") Z "),
    );
    let refused = device.dray(&["pause", "web"]);
    kill(monitor, Signal::SIGCONT).unwrap();
    assert_eq!(refused.stderr, "dray: container web is not running\n");
    assert_eq!(device.done(&["wait", "web"]).stdout, "137\n");
    device.done(&["rm", "web"]);
}

#[test]
fn a_paused_container_stands_still_until_it_is_let_go_on_or_ended() {
    on_device("pause", check);
}

/// The same where only the unified hierarchy is mounted.
#[test]
fn containers_are_paused_on_unified_control_groups_too() {
    on_device("pause-unified", |device| {
        // This thread's own, as its network is; gone with it.
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        run("mount", &["--make-rslave", "/"]);
        run("mount", &["-t", "cgroup2", "none", "/sys/fs/cgroup"]);
        check(device);
    });
}

#[test]
fn a_deployment_replaces_a_paused_container() {
    on_device("pause-deploy", |device| {
        for version in ["v1", "v2"] {
            let tree = device.tree(
                version,
                &device
                    .artifact(version, "--name web --network none")
                    .to_string(),
            );
            for state in ["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"] {
                let called = device.call(state, &tree);
                assert!(called.status.success(), "{version} {state}: {called:?}");
            }
            assert_eq!(device.running(), [version]);
            device.done(&["pause", "web"]);
        }
        device.done(&["rm", "-f", "web"]);
    });
}
