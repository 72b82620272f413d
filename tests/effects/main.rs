//! What each option of docker run does to a real container. `covered.rs` says where each one's test is, and fails for a
//! supported option that has none.
//!
//! The tables have what one look from inside shows. What takes more has a test function, here or in another file.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

#[path = "../common/mod.rs"]
mod common;
mod confine;
mod covered;
mod files;
mod identity;
mod life;
mod limits;
mod names;
mod refused;

use std::process::Command;

use common::device::{Called, Device};
use common::image::{Entry, Image, Layer};
use serde_json::{Value, json};

/// One option's effect: its long name; the words for docker run, as a shell takes them; a shell line for inside; what
/// that prints. `{dir}` is the device's folder, `{ns/pid}` and its like the host's namespace, `{caps}` what
/// `confine::CAPS` prints of a process that has all capabilities.
type Row = (&'static str, &'static str, &'static str, &'static str);

/// Programs in the image, all of them busybox.
const APPLETS: [&str; 37] = [
    "awk", "cat", "chmod", "cut", "df", "echo", "env", "false", "grep", "head", "hostname",
    "httpd", "id", "ip", "kill", "ls", "mkdir", "mknod", "mount", "ps", "pwd", "readlink", "rm",
    "sed", "seq", "sh", "sleep", "sort", "stat", "tail", "test", "touch", "tr", "true", "umount",
    "wc", "wget",
];

/// Pushes an image as `NAME:1` with those programs, accounts, and this configuration.
fn push(device: &Device, name: &str, config: Value) -> String {
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static");
    let mut entries = vec![
        Entry::dir("bin"),
        Entry::file("bin/busybox", busybox).mode(0o755),
        Entry::dir("etc"),
        Entry::file(
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n12:x:3000:3000::/home/twelve:/bin/sh\n",
        ),
        Entry::file(
            "etc/group",
            "root:x:0:\nbob:x:1000:\naudio:x:63:bob\nvideo:x:44:\n",
        ),
        Entry::dir("tmp").mode(0o1777),
        Entry::dir("data").mode(0o2750).owner(70, 71),
        Entry::file("data/kept", "from the image").owner(70, 71),
    ];
    entries.extend(APPLETS.map(|applet| Entry::symlink(format!("bin/{applet}"), "busybox")));
    let mut config = config;
    if config["Env"].is_null() {
        config["Env"] = json!(["PATH=/bin", "IMAGE=yes"]);
    }
    let image = Image::oci([Layer::of(&entries)]).config(config).build();
    device.registry.push(name, "1", &image);
    device.registry.name(&format!("{name}:1"))
}

/// The words of a row, with what only this device knows put in.
fn words(device: &Device, line: &str) -> Vec<String> {
    dray::runargs::split(&filled(device, line)).unwrap()
}

fn filled(device: &Device, text: &str) -> String {
    let mut text = text.replace(
        "{dir}",
        device.join("").to_str().unwrap().trim_end_matches('/'),
    );
    for name in ["cgroup", "ipc", "net", "pid", "user", "uts"] {
        let link = std::fs::read_link(format!("/proc/thread-self/ns/{name}")).unwrap();
        text = text.replace(&format!("{{ns/{name}}}"), link.to_str().unwrap());
    }
    text.replace("{caps}", &all_capabilities())
}

/// Inheritable, permitted, effective, bounding and ambient capabilities of a process that has all there are.
fn all_capabilities() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let bounding = status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:\t"));
    let [none, all] = ["0000000000000000", bounding.unwrap()];
    format!("{none} {all} {all} {all} {none}")
}

/// A word of the command line, from a caller with one variable that the rows know.
fn dray(device: &Device, words: &[&str]) -> Called {
    let output = Command::new(env!("CARGO_BIN_EXE_dray"))
        .args(words)
        .env("DRAY_CONFIG", &device.host.config)
        .env("KNOWN", "known value")
        .env_remove("UNKNOWN")
        .output()
        .unwrap();
    Called {
        status: output.status,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Makes a container for each row and compares what it prints, both streams; says of all rows at once what is wrong.
fn check(device: &Device, image: &str, rows: &[Row]) {
    let mut wrong = Vec::new();
    for (option, line, inside, expected) in rows {
        let options = words(device, line);
        let mut all = vec!["run", "--rm"];
        if !options.iter().any(|word| word.contains("net")) {
            all.push("--network=none");
        }
        let script = format!("{{ {inside}\n}} 2>&1");
        all.extend(options.iter().map(String::as_str));
        all.extend([image, "sh", "-c", &script]);
        let called = dray(device, &all);
        let said = called.stdout.trim_end().replace('\r', "");
        if said != filled(device, expected) || !called.stderr.is_empty() {
            wrong.push(format!(
                "--{option} by {line}: {inside}\n  expected {expected:?}\n  found    {said:?} {:?} {}",
                called.stderr, called.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
