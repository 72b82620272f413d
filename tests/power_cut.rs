//! Power cuts: `tests/power_cut/main.py` says how. Here only its start, with the freshly built program.
//!
//! Needs root, loop devices, a C compiler, python3 and Debian's docker-registry and skopeo (`tests/setup.sh`).
//! `DRAY_CUTS` and `DRAY_SEED` choose the cuts.

use std::path::Path;
use std::process::Command;

/// Runs the harness in namespaces of its own; its output is the test's.
fn sweep(arguments: &[&str]) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let prepared = Command::new(tests.join("rig/prepare.sh"))
        .arg("--small")
        .output()
        .expect("tests/rig/prepare.sh runs");
    assert!(
        prepared.status.success(),
        "tests/rig/prepare.sh: {}",
        String::from_utf8_lossy(&prepared.stderr)
    );
    let cache = String::from_utf8(prepared.stdout).expect("the cache folder's name is text");
    let status = Command::new(tests.join("rig/private.sh"))
        .arg("python3")
        .arg(tests.join("power_cut/main.py"))
        .arg(env!("CARGO_BIN_EXE_dray"))
        .arg(cache.trim_end())
        .args(arguments)
        .status()
        .expect("tests/rig/private.sh runs");
    assert!(
        status.success(),
        "the sweep found breaches, printed above ({status})"
    );
}

#[test]
#[ignore = "needs root, loop devices and five minutes: tests/run.sh runs it"]
fn after_a_cut_anywhere_the_device_is_old_or_new_and_never_torn() {
    sweep(&[]);
}

/// A suite that cannot fail proves nothing: each of these switches breaks the commit protocol in one place.
#[cfg(feature = "failpoints")]
#[test]
#[ignore = "needs root and loop devices: tests/run.sh runs it"]
fn a_broken_commit_protocol_is_noticed() {
    sweep(&[
        "no-syncfs",
        "no-directory-fsync",
        "journal-first",
        "rename-before-sync",
    ]);
}
