//! Debian's Mender client 3.4, standalone and as a daemon with a server, drives the module over real containers.
#![cfg(feature = "device")]

mod common;

use std::time::{Duration, Instant};

use common::device::{Device, on_device};
use common::mender::{Client, Server};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const WORDS: &str = "--name web -p 127.0.0.1:8080:80";

/// An artifact whose health wait takes as long as a test wants to act in it.
fn slow(device: &Device, version: &str, seconds: u64) -> Value {
    let mut meta_data = device.artifact(version, WORDS);
    meta_data["dray"] = json!({"health": {"stable_s": seconds}});
    meta_data
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "still not: {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the install stands in its health wait. The client's log is no help: of two lines that the module writes in
/// one go it keeps the second until a third comes.
fn until_awaited(device: &Device, version: &str) {
    eventually("in the health wait", || {
        device.journal().is_some_and(|j| j["state"] == "switching") && device.running() == [version]
    });
}

fn install_and_commit(client: &Client<'_>, device: &Device, version: &str) {
    let artifact = client.artifact(version, &device.artifact(version, WORDS));
    let (code, said) = client.install(&artifact);
    assert_eq!(code, 0, "{said}");
    assert_eq!(device.running(), [version]);
    let commit = client.run(&["commit"]);
    assert_eq!(commit.status.code(), Some(0), "{commit:?}");
    assert_eq!(client.installed(), version);
}

#[test]
fn install_commit_refuse_and_roll_back() {
    on_device("client", |device| {
        let client = Client::new(device, &json!({}));
        install_and_commit(&client, device, "v1");
        install_and_commit(&client, device, "v2");
        assert_eq!(device.present(), [("web".to_owned(), "v2".to_owned())]);

        let dies = client.artifact("dies", &device.artifact("dies", WORDS));
        let (code, said) = client.install(&dies);
        assert_eq!(code, 1, "{said}");
        for line in [
            "container web exited with status 3",
            "web | about to die",
            "web | why",
            "going back to artifact v2",
        ] {
            assert!(said.contains(line), "no line {line:?} in {said}");
        }
        assert_eq!(
            (client.installed().as_str(), device.running()),
            ("v2", vec!["v2".to_owned()])
        );

        let v3 = client.artifact("v3", &device.artifact("v3", WORDS));
        assert_eq!(client.install(&v3).0, 0);
        assert_eq!(device.running(), ["v3"]);
        let rollback = client.run(&["rollback"]);
        assert_eq!(rollback.status.code(), Some(0), "{rollback:?}");
        assert_eq!(
            (client.installed().as_str(), device.running()),
            ("v2", vec!["v2".to_owned()])
        );
        assert_eq!(device.present(), [("web".to_owned(), "v2".to_owned())]);

        for word in ["commit", "rollback"] {
            assert_eq!(
                client.run(&[word]).status.code(),
                Some(2),
                "{word} with nothing pending"
            );
        }
    });
}

#[test]
fn a_named_volume_outlives_every_deployment() {
    on_device("client", |device| {
        let client = Client::new(device, &json!({}));
        let words = "--name web -v data:/data -v /own";
        let install = |version: &str| {
            let artifact = client.artifact(version, &device.artifact(version, words));
            client.install(&artifact).0
        };
        let note = |line: &str| {
            let line =
                format!("echo {line} | cat >> /data/history; echo {line} | cat >> /own/history");
            let written = device.dray(&["exec", "web", "sh", "-c", &line]);
            assert!(written.status.success(), "{written:?}");
        };
        let run = |word: &str| assert_eq!(client.run(&[word]).status.code(), Some(0), "{word}");
        let volumes = || device.dray(&["volume", "ls", "-q"]).stdout.lines().count();
        assert_eq!(install("v1"), 0);
        note("trial-of-v1");
        run("commit");
        note("v1");
        assert_eq!(install("v2"), 0);
        note("trial-of-v2");
        run("rollback");
        note("v1-again");
        assert_eq!(install("dies"), 1);
        assert_eq!(install("v3"), 0);
        run("commit");
        note("v3");
        assert_eq!(device.present(), [("web".to_owned(), "v3".to_owned())]);
        let own = device.dray(&["exec", "web", "cat", "/own/history"]);
        assert_eq!(
            own.stdout, "v3\n",
            "an anonymous volume is of one container"
        );
        assert_eq!(volumes(), 2, "those of earlier containers went with them");
        for words in [
            &["gc"][..],
            &["volume", "prune", "-af"],
            &["volume", "rm", "data"],
        ] {
            let tried = device.dray(words);
            assert_eq!(
                tried.status.success(),
                words[1..] != ["rm", "data"],
                "{tried:?}"
            );
        }
        // Without the volume, and then with it again.
        let without = client.artifact("v1", &device.artifact("v1", "--name web"));
        assert_eq!(client.install(&without).0, 0);
        run("commit");
        assert_eq!(device.dray(&["gc"]).status.code(), Some(0));
        assert_eq!(volumes(), 1);
        assert_eq!(install("v2"), 0);
        run("commit");
        let history = device.dray(&["exec", "web", "cat", "/data/history"]);
        assert_eq!(
            history.stdout,
            "trial-of-v1\nv1\ntrial-of-v2\nv1-again\nv3\n"
        );
    });
}

#[test]
fn what_a_refused_request_says_reaches_the_operator() {
    on_device("client", |device| {
        let client = Client::new(device, &json!({}));
        install_and_commit(&client, device, "v1");
        let unknown = client.artifact("unknown", &device.artifact("v2", "--no-such-option"));
        let (code, said) = client.install(&unknown);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("--no-such-option"), "{said}");
        assert_eq!(
            (client.installed().as_str(), device.running()),
            ("v1", vec!["v1".to_owned()])
        );
    });
}

#[test]
fn a_client_killed_in_the_install_forgets_it_and_the_device_does_not() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        on_device("client", move |device| {
            let client = Client::new(device, &json!({}));
            install_and_commit(&client, device, "v1");
            let v2 = client.artifact("v2", &slow(device, "v2", 3));
            let install = client.start(&["install", v2.to_str().unwrap()]);
            until_awaited(device, "v2");
            install.signal(signal);
            install.end();
            for word in ["commit", "rollback"] {
                assert_eq!(
                    client.run(&[word]).status.code(),
                    Some(2),
                    "{word}: the client has no record"
                );
            }
            // The module goes on by itself, with nobody to tell.
            eventually("v2 is on trial", || {
                device.journal().unwrap()["state"] == "trial"
            });
            assert_eq!(device.running(), ["v2"]);

            let v3 = client.artifact("v3", &device.artifact("v3", WORDS));
            let (code, said) = client.install(&v3);
            assert_eq!(code, 0, "{said}");
            assert_eq!(device.running(), ["v3"]);
            assert_eq!(client.run(&["rollback"]).status.code(), Some(0));
            assert_eq!(device.running(), ["v1"], "the last committed one");
            assert_eq!(device.present(), [("web".to_owned(), "v1".to_owned())]);
        });
    }
}

#[test]
fn a_new_install_ends_the_orphan_of_a_killed_client() {
    on_device("client", |device| {
        let client = Client::new(device, &json!({}));
        install_and_commit(&client, device, "v1");
        let v2 = client.artifact("v2", &slow(device, "v2", 600));
        let install = client.start(&["install", v2.to_str().unwrap()]);
        until_awaited(device, "v2");
        install.kill();
        install_and_commit(&client, device, "v3");
        assert_eq!(device.present(), [("web".to_owned(), "v3".to_owned())]);
    });
}

#[test]
fn the_daemon_deploys_refuses_and_recovers() {
    on_device("daemon", |device| {
        let server = Server::start();
        let client = Client::new(device, &server.config());
        let offer =
            |name: &str, meta_data: &Value| server.deploy(name, &client.artifact(name, meta_data));

        let daemon = client.start(&["daemon"]);
        offer("v1", &device.artifact("v1", WORDS));
        let (statuses, _) = server.outcome();
        assert_eq!(statuses.last().unwrap(), "success", "{statuses:?}");
        assert_eq!(device.running(), ["v1"]);

        offer("dies", &device.artifact("dies", WORDS));
        let (statuses, log) = server.outcome();
        assert_eq!(statuses.last().unwrap(), "failure", "{statuses:?}");
        for line in ["container web exited with status 3", "about to die"] {
            assert!(log.contains(line), "no line {line:?} in {log}");
        }
        assert_eq!(device.running(), ["v1"]);

        offer("v2", &device.artifact("v2", WORDS));
        assert_eq!(server.outcome().0.last().unwrap(), "success");
        assert_eq!(device.present(), [("web".to_owned(), "v2".to_owned())]);
        daemon.kill();

        // A daemon that is killed in the install asks for the rollback while the install still runs.
        let daemon = client.start(&["daemon"]);
        offer("v3", &slow(device, "v3", 600));
        until_awaited(device, "v3");
        daemon.kill();
        let daemon = client.start(&["daemon"]);
        let (statuses, _) = server.outcome();
        assert_eq!(statuses.last().unwrap(), "failure", "{statuses:?}");
        assert_eq!(device.present(), [("web".to_owned(), "v2".to_owned())]);
        assert_eq!(device.running(), ["v2"]);
        daemon.kill();
    });
}
