//! Under a Mender server: Debian's daemon is killed before and behind every state, its orphan goes on at the worst moment,
//! deployments are aborted, and each time the device ends with what it had, or with what it was told, and nothing else.
#![cfg(all(feature = "device", feature = "artifact-gen"))]
#![expect(clippy::unwrap_used, reason = "a broken set-up should panic")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::device::{Device, on_device};
use common::mender::{Client, Gate, Server};

const WORDS: &str = "--name web -p 127.0.0.1:8080:80";

/// When a call that lost its client goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Orphan {
    /// Before there is another client.
    Early,
    /// When the deployment is over.
    Late,
}

use Orphan::{Early, Late};

/// One deployment of v2 over v1.
struct Row {
    /// `v2`, or `dies`, which is refused.
    artifact: &'static str,
    /// Where the daemon is killed.
    killed: (&'static str, &'static str),
    orphan: Orphan,
    /// The final status, and what runs then.
    ends: (&'static str, &'static str),
    /// What the second daemon calls.
    calls: &'static [&'static str],
}

const BACK: &[&str] = &["ArtifactRollback", "ArtifactFailure", "Cleanup"];

/// After the table of `facts`: what 3.4 does when it comes back.
fn rows() -> Vec<Row> {
    let row = |artifact, killed, orphan, ends, calls| Row {
        artifact,
        killed,
        orphan,
        ends,
        calls,
    };
    let failed = ("failure", "v1");
    let mut rows = Vec::new();
    for orphan in [Early, Late] {
        for place in ["before", "behind"] {
            rows.extend([
                row("v2", (place, "Download"), orphan, failed, &["Cleanup"][..]),
                row("v2", (place, "ArtifactInstall"), orphan, failed, BACK),
                row("v2", (place, "ArtifactCommit"), orphan, failed, BACK),
                row("dies", (place, "ArtifactRollback"), orphan, failed, BACK),
                row(
                    "dies",
                    (place, "ArtifactFailure"),
                    orphan,
                    failed,
                    &["ArtifactFailure", "Cleanup"],
                ),
                // It is committed; only the report says otherwise.
                row(
                    "v2",
                    (place, "Cleanup"),
                    orphan,
                    ("failure", "v2"),
                    &["Cleanup"],
                ),
            ]);
        }
    }
    rows
}

fn daemon_over_v1(device: &Device, test: impl FnOnce(&Server, &Client<'_>, &Gate)) {
    let server = Server::start();
    let client = Client::new(device, &server.config());
    let gate = Gate::new(&client);
    let daemon = client.start(&["daemon"]);
    server.deploy("v1", &client.artifact("v1", &device.artifact("v1", WORDS)));
    assert_eq!(server.outcome().0.last().unwrap(), "success");
    server.settled();
    daemon.kill();
    gate.calls();
    test(&server, &client, &gate);
}

fn is_settled(device: &Device, case: &str, runs: &str) {
    assert_eq!(device.running(), [runs], "{case}");
    let web = ("web".to_owned(), runs.to_owned());
    assert_eq!(device.present(), [web], "{case}: nothing else is left");
    let journal = device.journal().unwrap();
    assert_eq!(journal["state"], "idle", "{case}: {journal}");
    let pins = device.pins();
    let pins = pins.iter().filter(|pin| pin.starts_with("deploy-"));
    assert_eq!(pins.count(), 1, "{case}");
}

fn killed(row: &Row) {
    let Row {
        artifact,
        killed: (place, state),
        orphan,
        ends,
        calls,
    } = row;
    let case = format!("{artifact}, killed {place} {state}, orphan {orphan:?}");
    let (artifact, orphan, calls) = (*artifact, *orphan, *calls);
    let (place, state, ends) = (*place, *state, *ends);
    on_device("managed", move |device| {
        daemon_over_v1(device, |server, client, gate| {
            gate.close(place, state);
            let daemon = client.start(&["daemon"]);
            server.deploy(
                artifact,
                &client.artifact(artifact, &device.artifact(artifact, WORDS)),
            );
            gate.reached();
            daemon.kill();
            if orphan == Early {
                gate.open();
            }
            gate.calls();
            let daemon = client.start(&["daemon"]);
            let (statuses, _) = server.outcome();
            daemon.kill();
            assert_eq!(statuses.last().unwrap(), ends.0, "{case}: {statuses:?}");
            let mut called = gate.calls();
            // The orphan of a daemon that was killed late may be the first to be noted.
            called.retain(|call| call != "SupportsRollback");
            assert_eq!(called, calls, "{case}");
            if orphan == Late {
                gate.open();
                // What it does is over when the lock is free again.
                let again = device.call("Cleanup", &device.tree("again", "null"));
                assert!(again.succeeded(), "{case}: {again:?}");
            }
            is_settled(device, &case, ends.1);
        });
    });
}

/// They mostly wait for a daemon that looks once a second, so they wait together.
#[test]
fn whatever_becomes_of_the_daemon_the_device_is_old_or_new() {
    const TOGETHER: usize = 8;
    let rows = rows();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        // Debian's client takes a minute for it.
        scope.spawn(images_come_over_a_link_that_breaks);
        for _ in 0..TOGETHER {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    killed(row);
                }
            });
        }
    });
}

#[test]
fn an_aborted_deployment_changes_nothing() {
    for status in ["downloading", "installing"] {
        on_device("aborted", move |device| {
            daemon_over_v1(device, |server, client, _| {
                server.abort_at(status);
                let daemon = client.start(&["daemon"]);
                server.deploy("v2", &client.artifact("v2", &device.artifact("v2", WORDS)));
                let (statuses, _) = server.outcome();
                daemon.kill();
                assert_eq!(
                    statuses.last().unwrap(),
                    "failure",
                    "{status}: {statuses:?}"
                );
                is_settled(device, status, "v1");
            });
        });
    }
}

/// The daemon asks for the rest, the module sees one stream, and the images that come with it are those of the registry.
fn images_come_over_a_link_that_breaks() {
    on_device("carried", |device| {
        daemon_over_v1(device, |server, client, _| {
            let pinned = device.pinned("v2");
            let path = device.join("carried.mender");
            let made = std::process::Command::new(env!("CARGO_BIN_EXE_docker-artifact-gen"))
                .args([
                    "-n",
                    "v2",
                    "-t",
                    "qemu",
                    "--embed",
                    "--run-args",
                    WORDS,
                    "-o",
                ])
                .arg(&path)
                .arg(&pinned)
                .env("DRAY_CONFIG", &device.host.config)
                .output()
                .unwrap();
            assert!(made.status.success(), "{made:?}");
            device.registry.reset_counts();
            server.break_off();
            let daemon = client.start(&["daemon"]);
            server.deploy("v2", &path);
            let (statuses, log) = server.outcome();
            daemon.kill();
            assert_eq!(statuses.last().unwrap(), "success", "{log}");
            let asked = server.asked_from();
            assert!(asked.last().unwrap() > &0, "{asked:?}");
            assert_eq!(device.registry.requests().len(), 0);
            is_settled(device, "carried", "v2");
            let shown = device.done(&["images", "--digests"]).stdout;
            let digest = pinned.split_once('@').unwrap().1;
            assert!(shown.contains(digest), "{shown}");
        });
    });
}
