//! Requests that cannot be fulfilled: each is refused in `Download` with one line that names the thing, and what runs goes
//! on running.
#![cfg(feature = "device")]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a broken set-up should panic; test files need no durable writer"
)]

mod common;

use std::net::TcpListener;
use std::path::Path;

use common::device::{Device, on_device, run};
use common::image::{Entry, Image, Layer};
use common::registry::{Access, Fault, On, Registry};
use dray::oci::Digest;
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

const WORDS: &str = "--name web -p 127.0.0.1:8080:80";

/// A device that runs v1, with a registry that forgets what was asked so far.
fn with_v1(test: impl FnOnce(&Device) + Send + 'static) {
    on_device("refusals", |device| {
        let tree = device.tree("v1", &device.artifact("v1", WORDS).to_string());
        for state in ["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"] {
            let called = device.call(state, &tree);
            assert!(called.succeeded(), "{state}: {called:?}");
        }
        device.registry.reset_counts();
        test(device);
    });
}

/// `Download` of these meta-data fails with `expected` in its last line, nothing is left, and v1 runs.
fn refused(device: &Device, meta_data: &str, expected: &str) {
    let tree = device.tree("refused", meta_data);
    let called = device.call("Download", &tree);
    assert_eq!(
        called.status.code(),
        Some(1),
        "{meta_data:.200}: {called:?}"
    );
    assert_eq!(called.stdout, "", "{meta_data:.200}");
    let last = called.stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("Download failed: ") && last.contains(expected),
        "{meta_data:.200}: {}",
        called.stderr
    );
    unharmed(device, meta_data);
    let cleanup = device.call("Cleanup", &tree);
    assert!(cleanup.succeeded(), "{cleanup:?}");
    unharmed(device, meta_data);
}

fn unharmed(device: &Device, case: &str) {
    assert_eq!(device.running(), ["v1"], "{case:.200}");
    assert_eq!(
        device.present(),
        [("web".to_owned(), "v1".to_owned())],
        "{case:.200}"
    );
    let deploy: Vec<_> = device
        .pins()
        .into_iter()
        .filter(|pin| pin.starts_with("deploy-"))
        .collect();
    assert_eq!(deploy, ["deploy-docker-1"], "{case:.200}");
}

#[test]
fn meta_data() {
    with_v1(|device| {
        let wrong_digest = device.registry.name("shop/v2@sha256:123");
        let many: Vec<String> = (0..10_000).map(|n| format!("image{n}:1")).collect();
        for (text, expected) in [
            ("null".to_owned(), "meta-data is empty"),
            (String::new(), "meta-data is empty"),
            ("{".to_owned(), "meta-data is not valid JSON"),
            ("[]".to_owned(), "must be a JSON object, not a list"),
            ("{}".to_owned(), "\"containers\""),
            (json!({"containers": null}).to_string(), "\"containers\""),
            (json!({"containers": "web:1"}).to_string(), "\"containers\""),
            (json!({"containers": []}).to_string(), "\"containers\""),
            (json!({"containers": [7]}).to_string(), "\"containers[0]\""),
            (
                json!({"containers": ["web:1"], "run_args": 7}).to_string(),
                "\"run_args\"",
            ),
            (
                json!({"containers": [wrong_digest]}).to_string(),
                "\"containers[0]\"",
            ),
            (
                json!({"containers": ["shop/UPPER"]}).to_string(),
                "\"containers[0]\"",
            ),
            (json!({"containers": many}).to_string(), "\"containers\""),
            (
                json!({"containers": ["web:1"], "dray": {"version": 2}}).to_string(),
                "version 2",
            ),
            (
                json!({"containers": ["web:1"], "dray": {"colour": 1}}).to_string(),
                "\"dray.colour\"",
            ),
        ] {
            refused(device, &text, expected);
        }
        let tree = device.tree("lost", "null");
        std::fs::remove_file(tree.join("header/meta-data")).unwrap();
        let called = device.call("Download", &tree);
        assert_eq!(called.status.code(), Some(1));
        assert!(called.stderr.contains("header/meta-data"), "{called:?}");
        unharmed(device, "no meta-data file");
    });
}

#[test]
fn run_args() {
    with_v1(|device| {
        for (words, expected) in [
            ("--no-such-option", "--no-such-option"),
            ("--name 'web", "quot"),
            ("--name web --memory lots", "lots"),
            ("-p 99999:80", "99999"),
            ("--cidfile /tmp/id", "--cidfile"),
            ("--detach=false", "--detach=false"),
            (
                "--mount type=bind,source=/nonexistent/folder,target=/data",
                "/nonexistent/folder",
            ),
            ("--gpus all", "--gpus"),
            ("--link nobody:db", "could not get container for nobody"),
            ("--cpus 1000", "range of CPUs is from 0.01 to "),
            // What it replaces does not stay.
            ("--link web:db", "could not get container for web"),
        ] {
            refused(device, &device.artifact("v2", words).to_string(), expected);
        }
        let two = json!({"containers": [device.pinned("v2"), device.pinned("v3")], "run_args": "--name web"});
        refused(device, &two.to_string(), "\"web\"");
        assert_eq!(
            device.registry.bytes(),
            0,
            "all of it was refused before anything was fetched"
        );
    });
}

#[test]
fn registry() {
    with_v1(|device| {
        let v2 = || device.artifact("v2", WORDS).to_string();
        let name = device.registry.name("shop/v2");
        for (on, fault, times, expected) in [
            (
                On::Everything,
                Fault::Status(403),
                usize::MAX,
                name.as_str(),
            ),
            (On::Manifests, Fault::Html, usize::MAX, "text/html"),
            (On::Manifests, Fault::WrongContent, usize::MAX, "sha256:"),
            (On::Blobs, Fault::Status(404), usize::MAX, "404"),
            (On::Blobs, Fault::WrongContent, usize::MAX, "sha256:"),
            (On::Blobs, Fault::Short, usize::MAX, "sha256:"),
            (On::Blobs, Fault::Endless, usize::MAX, "sha256:"),
        ] {
            device.registry.fault(on.clone(), fault.clone(), times);
            refused(device, &v2(), expected);
            device.registry.heal();
        }
        refused(
            device,
            &json!({"containers": [device.registry.name("shop/none:1")]}).to_string(),
            "shop/none:1",
        );
        let down = Registry::down();
        // A deployment would wait for it.
        device.configure("[health]\nstable_s = 1\ntimeout_s = 10\n[download]\nretries = 1\n");
        refused(
            device,
            &json!({"containers": [format!("{down}/shop/web:1")]}).to_string(),
            &down,
        );
        device
            .registry
            .access(Access::Basic("shop".into(), "secret".into()));
        refused(device, &v2(), "401");
        device.registry.access(Access::Open);

        let arm = Image::oci([Layer::of(&[Entry::file("version", "arm")])])
            .platform("linux/riscv64")
            .build();
        device.registry.push("shop/arm", "1", &arm);
        refused(
            device,
            &device.artifact("arm", WORDS).to_string(),
            "riscv64",
        );

        let other = Layer::of(&[Entry::file("version", "other")]);
        let liar = Image::oci([other])
            .diff_ids(vec![Digest::of(b"something else")])
            .build();
        device.registry.push("shop/liar", "1", &liar);
        refused(
            device,
            &device.artifact("liar", WORDS).to_string(),
            "sha256:",
        );
        assert_eq!(device.layers(), 2, "only v1's layers are left");
    });
}

#[test]
fn a_tag_is_resolved_and_said() {
    with_v1(|device| {
        let meta_data =
            json!({"containers": [device.registry.name("shop/v2:1")], "run_args": WORDS});
        let tree = device.tree("tag", &meta_data.to_string());
        let called = device.call("Download", &tree);
        assert!(called.succeeded(), "{called:?}");
        let digest = device.registry.digest("shop/v2", "1").to_string();
        assert!(
            called
                .stderr
                .lines()
                .any(|line| line.contains("has no digest") && line.contains(&digest)),
            "{called:?}"
        );
    });
}

#[test]
fn names_and_ports_of_others() {
    with_v1(|device| {
        let foreign = device.dray(&[
            "run",
            "-d",
            "--name",
            "db",
            "--network",
            "none",
            &device.pinned("v3"),
        ]);
        assert!(foreign.status.success(), "{foreign:?}");
        let still_there = || {
            assert_eq!(device.running(), ["v1", "v3"]);
            let words = device.dray(&["rm", "-f", "db"]);
            assert!(words.status.success(), "{words:?}");
        };
        let tree = device.tree("foreign", &device.artifact("v2", "--name db").to_string());
        let called = device.call("Download", &tree);
        assert_eq!(called.status.code(), Some(1), "{called:?}");
        assert!(
            called.stderr.contains("container name \"db\" is in use"),
            "{called:?}"
        );
        assert!(device.call("Cleanup", &tree).succeeded());
        still_there();
        unharmed(device, "foreign name");

        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        refused(
            device,
            &device.artifact("v2", &format!("-p {port}:80")).to_string(),
            &port.to_string(),
        );
        drop(socket);

        let other = device.dray(&[
            "run",
            "-d",
            "--name",
            "db",
            "-p",
            "127.0.0.1:8099:80",
            &device.pinned("v3"),
        ]);
        assert!(other.status.success(), "{other:?}");
        let tree = device.tree("port", &device.artifact("v2", "-p 8099:80").to_string());
        let called = device.call("Download", &tree);
        assert_eq!(called.status.code(), Some(1), "{called:?}");
        assert!(called.stderr.contains("8099"), "{called:?}");
        assert!(device.call("Cleanup", &tree).succeeded());
        still_there();
        unharmed(device, "foreign port");
    });
}

#[test]
fn a_missing_bind_source_is_created_as_docker_does() {
    with_v1(|device| {
        let source = device.join("data/of/v2");
        let words = format!("--name web -v {}:/data", source.display());
        let tree = device.tree("v2", &device.artifact("v2", &words).to_string());
        for state in ["Download", "ArtifactInstall"] {
            let called = device.call(state, &tree);
            assert!(called.succeeded(), "{called:?}");
        }
        assert!(source.is_dir());
        assert_eq!(device.running(), ["v2"]);
    });
}

#[test]
fn a_second_install_while_one_runs() {
    with_v1(|device| {
        let mut slow = device.artifact("v2", WORDS);
        slow["dray"] = json!({"health": {"stable_s": 600}});
        let tree = device.tree("v2", &slow.to_string());
        assert!(device.call("Download", &tree).succeeded());
        let mut first = device.start("ArtifactInstall", &tree);
        first.until("waiting until healthy");
        let second = device.call("Download", &tree);
        assert_eq!(second.status.code(), Some(1), "{second:?}");
        assert_eq!(second.stderr.lines().count(), 1, "{second:?}");
        assert!(
            second
                .stderr
                .contains("another deployment of scope \"docker\" is at work: ArtifactInstall"),
            "{second:?}"
        );
        // What the second client calls next must not disturb the first either.
        assert!(device.call("Cleanup", &tree).succeeded());
        assert_eq!(device.running(), ["v2"]);
        first.kill();
        assert!(device.call("ArtifactRollback", &tree).succeeded());
        assert!(device.call("Cleanup", &tree).succeeded());
        unharmed(device, "after the rollback");
    });
}

#[test]
fn no_space_and_a_read_only_state_folder() {
    on_device("refusals", |device| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        run("mount", &["--make-rprivate", "/"]);
        let state = device.host.state.to_str().unwrap();
        std::fs::create_dir_all(state).unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=24m", "tmpfs", state]);
        let tree = device.tree("v1", &device.artifact("v1", WORDS).to_string());
        for verb in ["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"] {
            let called = device.call(verb, &tree);
            assert!(called.succeeded(), "{verb}: {called:?}");
        }
        let bulk: Vec<u8> = (0..30_000_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let big = Image::oci([Layer::of(&[Entry::file("bulk", bulk)])]).build();
        device.registry.push("shop/big", "1", &big);
        refused(device, &device.artifact("big", WORDS).to_string(), "space");

        // However full the disk is, the way back is recorded and gone.
        let tree = device.tree("v2", &device.artifact("v2", WORDS).to_string());
        for verb in ["Download", "ArtifactInstall"] {
            let called = device.call(verb, &tree);
            assert!(called.succeeded(), "{verb}: {called:?}");
        }
        fill(&device.host.state);
        let called = device.call("ArtifactRollback", &tree);
        assert!(called.succeeded(), "{called:?}");
        assert_eq!(device.running(), ["v1"]);
        std::fs::remove_file(device.host.state.join("filler")).unwrap();
        assert!(device.call("Cleanup", &tree).succeeded());

        // The mount, not the filesystem: that has open files, since v1 runs.
        run("mount", &["--bind", state, state]);
        run("mount", &["-o", "remount,bind,ro", state]);
        let called = device.call("Download", &tree);
        assert_eq!(called.status.code(), Some(1), "{called:?}");
        let last = called.stderr.lines().last().unwrap();
        assert!(
            last.contains("Read-only file system") && last.contains(state),
            "{called:?}"
        );
        assert!(device.call("Cleanup", &tree).succeeded());
        assert_eq!(device.running(), ["v1"]);
        run("umount", &[state]);
    });
}

/// Takes every block that is left.
fn fill(dir: &Path) {
    let mut file = std::fs::File::create(dir.join("filler")).unwrap();
    let block = vec![7; 4096];
    while std::io::Write::write_all(&mut file, &block).is_ok() {}
}

#[test]
fn a_failure_says_why_and_shows_the_end_of_the_output() {
    with_v1(|device| {
        let hostile = "i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); done; printf '\\033]0;owned\\007\\n'; exit 42";
        device.push("noisy", hostile, json!({}));
        for (image, words, expected) in [
            ("noisy", WORDS, "container web exited with status 42"),
            (
                "noisy",
                "--name web --tty=false",
                "container web exited with status 42",
            ),
            (
                "sick",
                WORDS,
                "container web is unhealthy: its health check exited with status 1",
            ),
        ] {
            let tree = device.tree(image, &device.artifact(image, words).to_string());
            assert!(device.call("Download", &tree).succeeded());
            let called = device.call("ArtifactInstall", &tree);
            assert_eq!(called.status.code(), Some(1), "{called:?}");
            let last = called.stderr.lines().last().unwrap();
            assert_eq!(last, format!("ArtifactInstall failed: {expected}"));
            if image == "noisy" {
                assert!(called.stderr.contains("web | line 29"), "{called:?}");
                assert!(
                    !called.stderr.contains("line 10\n"),
                    "only the end: {called:?}"
                );
                assert!(
                    called.stderr.contains("web | \\u{1b}]0;owned\\u{7}"),
                    "escaped: {called:?}"
                );
            }
            assert!(device.call("ArtifactRollback", &tree).succeeded());
            assert!(device.call("ArtifactFailure", &tree).succeeded());
            assert!(device.call("Cleanup", &tree).succeeded());
            unharmed_after(device, image);
        }
    });
}

fn unharmed_after(device: &Device, case: &str) {
    assert_eq!(device.running(), ["v1"], "{case}");
    assert_eq!(
        device.present(),
        [("web".to_owned(), "v1".to_owned())],
        "{case}"
    );
    let last: Value = device.journal().unwrap()["last"].clone();
    assert_eq!(last["verb"], "ArtifactInstall", "{case}: {last}");
    assert!(
        last["failure"]
            .as_str()
            .unwrap()
            .starts_with("container web "),
        "{case}: {last}"
    );
}
