//! What deployments do to containers, seen from outside: names, ports, scopes, and everybody else's containers.
#![cfg(feature = "device")]
#![expect(clippy::unwrap_used, reason = "a broken set-up should panic")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::device::{Device, on_device};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Runs these states for an artifact, all of which have to succeed.
fn deploy(device: &Device, meta_data: &Value, states: &[&str]) {
    let tree = device.tree("artifact", &meta_data.to_string());
    for state in states {
        let called = device.call(state, &tree);
        assert!(called.succeeded(), "{state}: {called:?}");
    }
}

const ALL: [&str; 4] = ["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"];

/// What the web server behind this address says its version is; `None` if nobody answers.
fn version_at(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET /version HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.rsplit("\r\n\r\n").next()?.to_owned())
}

fn serves(address: &str, version: &str) {
    let begun = Instant::now();
    while version_at(address).as_deref() != Some(version) {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{address}: {:?}, not {version}",
            version_at(address)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn published_ports_follow_the_switch_and_the_way_back() {
    on_device("ports", |device| {
        let words = "--name web -p 127.0.0.1:8080:80";
        for version in ["s1", "s2"] {
            device.push(version, "exec httpd -f -p 80 -h /", json!({}));
        }
        deploy(device, &device.artifact("s1", words), &ALL);
        serves("127.0.0.1:8080", "s1");
        deploy(device, &device.artifact("s2", words), &["Download"]);
        serves("127.0.0.1:8080", "s1");
        let tree = device.join("tree");
        assert!(device.call("ArtifactInstall", &tree).succeeded());
        serves("127.0.0.1:8080", "s2");
        assert!(device.call("ArtifactRollback", &tree).succeeded());
        serves("127.0.0.1:8080", "s1");
        assert!(device.call("Cleanup", &tree).succeeded());
        serves("127.0.0.1:8080", "s1");
        assert_eq!(device.running(), ["s1"]);
    });
}

#[test]
fn services_have_their_names_and_start_in_order() {
    on_device("services", |device| {
        let containers = [device.pinned("v1"), device.pinned("v2")];
        let services = json!([
            {"name": "front", "image": 0, "depends_on": ["db"], "run_args": "--link db:data"},
            {"name": "db", "image": 1, "run_args": "--label tier=data --link front"},
        ]);
        let artifact = json!({"containers": containers, "dray": {"services": services}});
        // Again over themselves: the names are taken then.
        for _ in 0..2 {
            deploy(device, &artifact, &ALL);
            let name = |name: &str, version: &str| (name.to_owned(), version.to_owned());
            assert_eq!(device.present(), [name("db", "v2"), name("front", "v1")]);
            assert_eq!(device.running(), ["v1", "v2"]);
            let started = |name: &str| {
                let containers = device.containers();
                let (_, now) = containers
                    .iter()
                    .find(|(record, _)| record.name == name)
                    .unwrap();
                now.clone().unwrap().outcome.started_at
            };
            assert!(
                started("db") < started("front"),
                "{} {}",
                started("db"),
                started("front")
            );
        }
    });
}

#[test]
fn scopes_and_people_do_not_get_in_each_others_way() {
    on_device("scopes", |device| {
        let shop = |version: &str| {
            let mut artifact = device.artifact(version, "--name shop");
            artifact["dray"] = json!({"scope": "shop"});
            artifact
        };
        deploy(device, &shop("v1"), &ALL);
        let person = device.dray(&[
            "run",
            "-d",
            "--name",
            "mine",
            "--restart",
            "always",
            &device.pinned("v3"),
        ]);
        assert!(person.status.success(), "{person:?}");
        let before = pids(device, &["shop", "mine"]);

        deploy(device, &device.artifact("v2", "--name web"), &ALL);
        deploy(
            device,
            &device.artifact("v1", "--name web"),
            &["Download", "ArtifactInstall", "ArtifactRollback", "Cleanup"],
        );
        assert_eq!(
            pids(device, &["shop", "mine"]),
            before,
            "neither was touched"
        );
        assert_eq!(device.running(), ["v1", "v2", "v3"]);

        device.lose_power();
        assert!(device.dray(&["boot"]).status.success());
        assert_eq!(device.running(), ["v1", "v2", "v3"]);

        let tree = device.tree("shop", &shop("v2").to_string());
        assert!(device.call("Download", &tree).succeeded());
        let mut slow = shop("v3");
        slow["dray"]["health"] = json!({"stable_s": 600});
        let tree = device.tree("shop", &slow.to_string());
        assert!(device.call("Download", &tree).succeeded());
        let mut install = device.start("ArtifactInstall", &tree);
        install.until("waiting until healthy");
        // One scope at work keeps no other one waiting.
        deploy(device, &device.artifact("v1", "--name web"), &ALL);
        install.signal(Signal::SIGTERM);
        let (status, said) = install.end();
        assert!(!status.success(), "{said:?}");
    });
}

/// First processes of the containers with these names.
fn pids(device: &Device, names: &[&str]) -> Vec<i32> {
    let containers = device.containers();
    names
        .iter()
        .map(|name| {
            let (_, now) = containers
                .iter()
                .find(|(record, _)| record.name == *name)
                .unwrap();
            now.as_ref().unwrap().init.as_ref().unwrap().pid
        })
        .collect()
}

#[test]
fn a_boot_needs_no_registry() {
    on_device("boot", |device| {
        deploy(device, &device.artifact("v1", "--name web"), &ALL);
        device.lose_power();
        device.registry.reset_counts();
        assert!(device.dray(&["boot"]).status.success());
        assert_eq!(device.running(), ["v1"]);
        assert_eq!(device.registry.requests().len(), 0);
    });
}

#[test]
fn a_device_whose_committed_containers_cannot_start_can_still_be_updated() {
    on_device("broken", |device| {
        let source = device.join("source");
        std::fs::create_dir_all(&source).unwrap();
        let words = format!(
            "--name web --mount type=bind,source={},target=/data",
            source.display()
        );
        deploy(device, &device.artifact("v1", &words), &ALL);
        deploy(
            device,
            &device.artifact("v2", "--name web"),
            &["Download", "ArtifactInstall"],
        );
        std::fs::remove_dir_all(&source).unwrap();
        let tree = device.join("tree");
        let rollback = device.call("ArtifactRollback", &tree);
        assert_eq!(rollback.status.code(), Some(1), "{rollback:?}");
        assert!(
            rollback
                .stderr
                .contains("failed to restore the committed containers"),
            "{rollback:?}"
        );
        for state in ["ArtifactFailure", "Cleanup"] {
            assert!(
                device.call(state, &tree).succeeded(),
                "{state} ends a deployment whatever happens"
            );
        }
        assert_eq!(device.running(), Vec::<String>::new());
        // A further download that fails does not make it forget what should run.
        let bad = device.tree(
            "bad",
            &json!({"containers": [device.registry.name("shop/none:1")]}).to_string(),
        );
        assert_eq!(device.call("Download", &bad).status.code(), Some(1));
        std::fs::create_dir_all(&source).unwrap();
        assert!(device.call("Cleanup", &bad).succeeded());
        assert_eq!(device.running(), ["v1"], "as soon as it can");

        std::fs::remove_dir_all(&source).unwrap();
        deploy(device, &device.artifact("v3", "--name web"), &ALL);
        assert_eq!(device.running(), ["v3"]);
        assert_eq!(device.present(), [("web".to_owned(), "v3".to_owned())]);
    });
}

#[test]
fn a_lost_journal_is_taken_over_from_what_runs() {
    on_device("journal", |device| {
        let journal = device.host.state.join("deployments/docker/journal.json");
        deploy(device, &device.artifact("v1", "--name web"), &ALL);
        std::fs::remove_file(&journal).unwrap();
        deploy(
            device,
            &device.artifact("v2", "--name web"),
            &["Download", "ArtifactInstall"],
        );
        assert_eq!(device.running(), ["v2"]);
        assert!(
            device
                .call("ArtifactRollback", &device.join("tree"))
                .succeeded()
        );
        assert_eq!(device.running(), ["v1"]);
        assert!(device.call("Cleanup", &device.join("tree")).succeeded());

        std::fs::OpenOptions::new()
            .write(true)
            .open(&journal)
            .unwrap()
            .set_len(10)
            .unwrap();
        deploy(device, &device.artifact("v2", "--name web"), &ALL);
        assert_eq!(device.running(), ["v2"]);
        assert_eq!(device.present(), [("web".to_owned(), "v2".to_owned())]);
        assert!(journal.with_file_name("journal.damaged").exists());
    });
}

#[test]
fn a_container_gets_nothing_from_the_module() {
    on_device("inherit", |device| {
        let look = "grep -E '^Sig(Ign|Blk)' /proc/self/status; ls /proc/self/fd; pwd; trap 'exit 0' TERM; sleep 100000 & wait";
        device.push("look", look, json!({}));
        deploy(
            device,
            &device.artifact("look", "--name look --tty=false"),
            &ALL,
        );
        let logs = device.dray(&["logs", "look"]);
        let said: Vec<&str> = logs.stdout.split_whitespace().collect();
        let [_, blocked, _, ignored, rest @ ..] = &said[..] else {
            panic!("{logs:?}");
        };
        let mask = |text: &str| u64::from_str_radix(text, 16).unwrap();
        assert_eq!(mask(blocked), 0, "{logs:?}");
        // glibc leaves its own two signals, 32 and 33, ignored in every process that it spawns.
        assert_eq!(mask(ignored) & !0x1_8000_0000, 0, "{logs:?}");
        // The fourth descriptor is the folder that is being listed.
        assert_eq!(rest, ["0", "1", "2", "3", "/"], "{logs:?}");
    });
}
