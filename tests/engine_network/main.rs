//! Containers on the bridge, from `dray run -p` and from deployments, with real connections.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a broken set-up should panic"
)]

#[path = "../common/mod.rs"]
mod common;
mod connect;
mod crowd;
mod defined;
mod exposed;
mod ipv6;
mod name_servers;
mod options;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use common::device::{Called, Device, on_device};
use serde_json::{Value, json};

/// Longest wait for what happens behind a command's back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves its own version on port 80.
const SERVE: &str = "trap 'exit 0' TERM; httpd -f -p 80 -h / & wait";

/// What a web server on the host's port says; an error if nobody answers.
fn fetch(address: &str, port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((address, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /version HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or(("", &answer));
    Ok(body.to_owned())
}

/// The server inside needs a moment after its container has started.
fn fetch_soon(address: &str, port: u16) -> String {
    until("an answer", || fetch(address, port).ok())
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn output(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Whether the host is as it was before its first container.
fn is_clean() -> bool {
    output("nft", &["list", "ruleset"]).is_empty()
        && !output("ip", &["-o", "link"]).contains("dray0")
        && std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap() == "0\n"
}

fn network_settings(device: &Device, name: &str) -> Value {
    device.inspect(name)["NetworkSettings"].clone()
}

fn refused(device: &Device, words: &[&str]) -> String {
    let called = device.dray(words);
    assert!(!called.status.success(), "{words:?}: {called:?}");
    called.stderr.lines().last().unwrap_or_default().to_owned()
}

/// Waits for the word to end, and serves on port 80.
fn serve_on(device: &Device, name: &str, words: &[&str]) -> String {
    let image = device.registry.name("shop/web:1");
    let start = ["run", "-d", "--name", name];
    device.done(&[&start[..], words, &[&image]].concat());
    let networks = network_settings(device, name)["Networks"].clone();
    let mut addresses = networks.as_object().unwrap().values();
    let address = addresses.find_map(|network| Some(network["IPAddress"].as_str()?.to_owned()));
    let address = address.unwrap();
    until("a server", || {
        fetch_from_inside(device, name, "127.0.0.1").ok()
    });
    address
}

/// What a web server says to a container.
fn fetch_from_inside(device: &Device, name: &str, target: &str) -> Result<String, String> {
    let url = format!("http://{target}/version");
    // Its wget knows no time limit, and a packet that is dropped has no answer; exec leaves SIGTERM blocked.
    let script = format!(
        "wget -qO- {url} & client=$!; (sleep 1; kill -9 $client) >/dev/null 2>&1 & wait $client"
    );
    let called = device.dray(&["exec", name, "sh", "-c", &script]);
    called
        .status
        .success()
        .then_some(called.stdout)
        .ok_or(called.stderr)
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_container_on_the_bridge_from_run_to_rm() {
    on_device("bridge-run", |device| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        device.push(
            "web",
            SERVE,
            json!({"ExposedPorts": {"80/tcp": {}, "81/tcp": {}}}),
        );
        let image = device.registry.name("shop/web:1");
        let options = [
            "run",
            "-d",
            "--name",
            "web",
            "-h",
            "box",
            "-p",
            "8080:80",
            "-P",
            "--add-host",
            "db:10.0.0.9",
            "--add-host",
            "up:host-gateway",
            "--dns",
            "9.9.9.9",
        ];
        let id = device.done(&[&options[..], &[&image]].concat()).stdout;
        for address in ["127.0.0.1", "172.29.0.1"] {
            assert_eq!(fetch_soon(address, 8080), "web", "{address}");
        }
        let settings = network_settings(device, "web");
        assert_eq!(settings["IPAddress"], "172.29.0.2");
        assert_eq!(settings["MacAddress"], "02:42:ac:1d:00:02");
        let random = &settings["Ports"]["81/tcp"][0]["HostPort"];
        assert_eq!(
            settings["Ports"],
            json!({
                "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}],
                "81/tcp": [{"HostIp": "0.0.0.0", "HostPort": random}],
            })
        );
        let hosts = device.done(&["exec", "web", "cat", "/etc/hosts"]).stdout;
        assert!(hosts.starts_with("127.0.0.1\tlocalhost\n"), "{hosts}");
        assert!(
            hosts.ends_with("\n10.0.0.9\tdb\n172.29.0.1\tup\n172.29.0.2\tbox\n"),
            "{hosts}"
        );
        let resolv = device
            .done(&["exec", "web", "cat", "/etc/resolv.conf"])
            .stdout;
        assert!(resolv.contains("nameserver 9.9.9.9\n"), "{resolv}");

        // Another one reaches it by its address and through the host.
        for target in ["172.29.0.2/version", "172.29.0.1:8080/version"] {
            let words = [
                "run",
                "--rm",
                &image,
                "wget",
                "-qO-",
                &format!("http://{target}"),
            ];
            assert_eq!(device.done(&words).stdout, "web", "{target}");
        }
        let refused = device.dray(&["run", "--rm", "-p", "8080:80", &image]);
        assert_eq!(refused.status.code(), Some(125));
        let wanted = format!("port 8080/tcp is already in use by container {}", &id[..12]);
        assert!(refused.stderr.contains(&wanted), "{refused:?}");
        assert_eq!(fetch("127.0.0.1", 8080).unwrap(), "web");

        device.done(&["stop", "web"]);
        fetch("127.0.0.1", 8080).unwrap_err();
        until("clean host", || is_clean().then_some(()));
        device.done(&["start", "web"]);
        assert_eq!(fetch_soon("127.0.0.1", 8080), "web");
        device.done(&["rm", "-f", "web"]);
        until("clean host", || is_clean().then_some(()));
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_killed_monitor_leaves_nothing_on_the_network() {
    on_device("bridge-kill", |device| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        device.push("web", SERVE, json!({}));
        let image = device.registry.name("shop/web:1");
        device.done(&["run", "-d", "--name", "web", "-p", "8080:80", &image]);
        assert_eq!(fetch_soon("127.0.0.1", 8080), "web");
        let (_, state) = device.containers().pop().unwrap();
        common::device::end(&state.unwrap().monitor);
        device.done(&["boot"]);
        assert!(is_clean(), "settled by the next start of dray");
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_deployment_takes_its_port_over_and_gives_it_back() {
    on_device("bridge-deploy", |device| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        for version in ["one", "two"] {
            device.push(version, SERVE, json!({}));
        }
        let deploy = |version: &str, states: &[&str]| {
            let tree = device.tree(version, &device.artifact(version, "-p 8080:80").to_string());
            for state in states {
                let called = device.call(state, &tree);
                assert!(called.succeeded(), "{state} of {version}: {called:?}");
            }
        };
        deploy(
            "one",
            &["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"],
        );
        assert_eq!(fetch_soon("127.0.0.1", 8080), "one");
        deploy("two", &["Download"]);
        assert_eq!(fetch("127.0.0.1", 8080).unwrap(), "one");
        deploy("two", &["Download", "ArtifactInstall"]);
        assert_eq!(fetch_soon("127.0.0.1", 8080), "two");
        deploy("two", &["ArtifactRollback", "ArtifactFailure", "Cleanup"]);
        assert_eq!(fetch_soon("127.0.0.1", 8080), "one");
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_candidate_that_restarts_for_ever_does_not_take_the_port_back() {
    on_device("bridge-loop", |device| {
        device.push("good", SERVE, json!({}));
        device.push("bad", "exit 3", json!({}));
        let words = "-p 8080:80 --restart always";
        let call = |version: &str, states: &[&str]| {
            let tree = device.tree(version, &device.artifact(version, words).to_string());
            states
                .iter()
                .map(|state| device.call(state, &tree).succeeded())
                .collect::<Vec<_>>()
        };
        let installed = call(
            "good",
            &["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"],
        );
        assert_eq!(installed, [true; 4]);
        // It is being restarted by its policy just when it is stopped, sooner or later.
        for round in 0..8 {
            let refused = call(
                "bad",
                &[
                    "Download",
                    "ArtifactInstall",
                    "ArtifactRollback",
                    "ArtifactFailure",
                    "Cleanup",
                ],
            );
            assert_eq!(refused, [true, false, true, true, true], "round {round}");
            assert_eq!(fetch_soon("127.0.0.1", 8080), "good", "round {round}");
        }
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_download_says_early_what_the_network_will_not_do() {
    on_device("bridge-early", |device| {
        let meta_data = device.artifact("v1", "-p 8080:80").to_string();
        let tree = device.tree("v1", &meta_data);
        common::device::run("ip", &["link", "add", "dray0", "type", "bridge"]);
        let refused = device.call("Download", &tree);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let wanted = "interface dray0 exists and belongs to somebody else; choose another bridge";
        assert!(refused.stderr.contains(wanted), "{refused:?}");
        common::device::run("ip", &["link", "del", "dray0"]);

        let chain = "add table ip filter; \
             add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }";
        common::device::run("nft", &[chain]);
        let warned = device.call("Download", &device.tree("v1", &meta_data));
        assert!(warned.succeeded(), "{warned:?}");
        let wanted = "chain FORWARD of table filter has policy drop, and needs a rule that accepts bridge dray0";
        assert!(warned.stderr.contains(wanted), "{warned:?}");
        assert!(device.call("Cleanup", &tree).succeeded());
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_container_shares_the_network_of_another_one() {
    on_device("share", |device| {
        device.push("web", SERVE, json!({}));
        let image = device.registry.name("shop/web:1");
        let run = |words: &[&str]| device.dray(&[&["run"], words].concat());
        let mode = "container:web";
        let missing = run(&["--rm", "--network", mode, &image, "true"]);
        assert_eq!(missing.status.code(), Some(125));
        assert_eq!(missing.stderr, "dray: no such container: web\n");

        device.done(&[
            "run", "-d", "--name", "web", "-h", "box", "-p", "8080:80", &image,
        ]);
        fetch_soon("127.0.0.1", 8080);
        let script = "cat /etc/hosts /etc/hostname; echo mine > /tmp/x 2>&1; wget -qO- http://127.0.0.1/version";
        let said = run(&["--rm", "--network", mode, &image, "sh", "-c", script]);
        assert!(said.status.success(), "{said:?}");
        assert!(
            said.stdout.ends_with("172.29.0.2\tbox\nbox\nweb"),
            "{said:?}"
        );

        // By id, so that another name changes nothing; and through one that shares it too.
        let idle = ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"];
        let side = ["run", "-d", "--name", "side", "--network", mode, &image];
        device.done(&[&side[..], &idle].concat());
        device.done(&["rename", "web", "shop"]);
        let words = ["--rm", "--network", "container:side", &image];
        let fetch = ["wget", "-qO-", "http://127.0.0.1/version"];
        assert_eq!(run(&[&words[..], &fetch].concat()).stdout, "web");
        let settings = network_settings(device, "side");
        assert_eq!(
            (&settings["Ports"], &settings["Networks"]),
            (&json!({}), &json!({}))
        );

        device.done(&["stop", "side", "shop"]);
        let refused = device.dray(&["start", "side"]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(
            refused
                .stderr
                .contains("cannot join network of a non running container: shop; start it first"),
            "{refused:?}"
        );
        device.done(&["start", "shop", "side"]);
        device.done(&["exec", "side", "wget", "-qO-", "http://127.0.0.1/version"]);

        // What went with its owner does not come back under another's name.
        let id = device.inspect("shop")["Id"].as_str().unwrap()[..12].to_owned();
        device.done(&["stop", "-t", "0", "side"]);
        device.done(&["rm", "-f", "shop"]);
        for (option, what) in [
            ("", "network"),
            ("--pid", "PID namespace"),
            ("--ipc", "IPC namespace"),
        ] {
            let name = format!("side{option}");
            let mut id = id.clone();
            if !option.is_empty() {
                let shop = ["run", "-d", "--name", "shop", "--ipc", "shareable", &image];
                id = device.done(&shop).stdout[..12].to_owned();
                let words = ["create", "--name", &name, option, "container:shop", &image];
                device.done(&words);
                device.done(&["rm", "-f", "shop"]);
            }
            let refused = device.dray(&["start", &name]);
            assert_eq!(refused.status.code(), Some(1));
            let said = format!(
                "cannot join {what} of container {id}: no such container; remove container {name} and make it anew with \
                 another one"
            );
            assert!(refused.stderr.contains(&said), "{refused:?}");
            device.done(&["rm", &name]);
        }

        // After a cut of both, the older one comes first.
        device.done(&["rm", "-f", "side", "shop"]);
        for (name, network) in [("web", "bridge"), ("side", mode)] {
            let words = [
                "run",
                "-d",
                "--restart",
                "always",
                "--name",
                name,
                "--network",
                network,
                &image,
            ];
            device.done(&[&words[..], &idle].concat());
        }
        device.kill_monitors();
        device.done(&["boot"]);
        let both = device.done(&["ps", "-q"]).stdout;
        assert_eq!(both.lines().count(), 2, "{both}");
        device.done(&["rm", "-f", "side", "web"]);
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_deployment_shares_no_network_of_its_own() {
    on_device("share-deploy", |device| {
        let deploy = |version: &str, words: &str, states: &[&str]| {
            let tree = device.tree(version, &device.artifact(version, words).to_string());
            let calls: Vec<Called> = states
                .iter()
                .map(|state| device.call(state, &tree))
                .collect();
            calls.into_iter().find(|c| !c.succeeded())
        };
        let all = ["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"];
        assert!(deploy("v1", "--name web --ipc shareable", &all).is_none());
        for option in ["--network", "--ipc"] {
            let words = format!("{option} container:web");
            let refused = deploy("v2", &words, &["Download"]).unwrap();
            let said = format!("{words} is not supported: a deployment replaces");
            assert!(refused.stderr.contains(&said), "{refused:?}");
            deploy("v2", "", &["ArtifactFailure", "Cleanup"]);
        }
        let image = device.registry.name("shop/v3:1");
        device.done(&["run", "-d", "--name", "vpn", &image]);
        assert!(deploy("v2", "--network container:vpn", &all).is_none());
        assert_eq!(device.running(), ["v2", "v3"]);
    });
}
