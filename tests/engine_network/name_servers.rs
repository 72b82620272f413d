//! `network reload`: running containers get the name servers that the host has now, and their rules back.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;

use super::common::device::{Device, on_device, run};
use super::{SERVE, fetch, fetch_soon, is_clean, until};

/// Name, options, and what its resolv.conf says of a host with the first servers and of one with the second.
const CONTAINERS: [(&str, &[&str], &str, &str); 6] = [
    (
        "plain",
        &["-p", "8080:80"],
        "search one.example\nnameserver 10.0.0.1\n",
        "search two.example\nnameserver 10.0.0.2\n",
    ),
    (
        "on-host",
        &["--network=host"],
        "search one.example\nnameserver 10.0.0.1\nnameserver 127.0.0.1\n",
        "search two.example\nnameserver 10.0.0.2\nnameserver 127.0.0.1\n",
    ),
    // What is its own stays, the rest is the host's.
    (
        "half",
        &["--dns=9.9.9.9"],
        "search one.example\nnameserver 9.9.9.9\n",
        "search two.example\nnameserver 9.9.9.9\n",
    ),
    (
        "own",
        &["--dns=9.9.9.9", "--dns-search=own.example"],
        "search own.example\nnameserver 9.9.9.9\n",
        "search own.example\nnameserver 9.9.9.9\n",
    ),
    (
        "guest",
        &["--network=container:plain"],
        "search one.example\nnameserver 10.0.0.1\n",
        "search two.example\nnameserver 10.0.0.2\n",
    ),
    (
        "writer",
        &[],
        "nameserver 1.2.3.4\n",
        "nameserver 1.2.3.4\n",
    ),
];

fn seen(device: &Device, name: &str) -> String {
    device
        .done(&["exec", name, "cat", "/etc/resolv.conf"])
        .stdout
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn running_containers_follow_the_hosts_name_servers() {
    on_device("name-servers", |device| {
        // Nobody else sees this thread's /etc/resolv.conf.
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none).unwrap();
        let file = device.join("resolv.conf");
        let servers = |domain: &str, server: &str| {
            let text = format!("search {domain}\nnameserver {server}\nnameserver 127.0.0.1\n");
            std::fs::write(&file, text).unwrap();
        };
        servers("one.example", "10.0.0.1");
        mount(
            Some(&file),
            "/etc/resolv.conf",
            none,
            MsFlags::MS_BIND,
            none,
        )
        .unwrap();
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        device.push("web", SERVE, json!({}));
        let image = device.registry.name("shop/web:1");
        for (name, options, ..) in CONTAINERS {
            let words = [&["run", "-d", "--name", name], options, &[&image]].concat();
            let is_server = name == "plain";
            let rest: &[&str] = if is_server { &[] } else { &["sleep", "1000"] };
            device.done(&[&words[..], rest].concat());
        }
        let write = "echo nameserver 1.2.3.4 >/etc/resolv.conf";
        device.done(&["exec", "writer", "sh", "-c", write]);
        for (name, _, first, _) in CONTAINERS {
            assert_eq!(seen(device, name), first, "{name}");
        }
        let reload = || device.done(&["network", "reload"]).stdout;
        assert_eq!(reload(), "", "nothing has changed");

        servers("two.example", "10.0.0.2");
        let mut followed: Vec<String> = reload().lines().map(str::to_owned).collect();
        followed.sort();
        assert_eq!(followed, ["half", "on-host", "plain"]);
        for (name, _, _, second) in CONTAINERS {
            assert_eq!(seen(device, name), second, "{name}");
        }
        assert_eq!(reload(), "", "done already");

        // Somebody empties the firewall: loopback needs the rules too.
        assert_eq!(fetch_soon("127.0.0.1", 8080), "web");
        run("nft", &["flush", "ruleset"]);
        fetch("127.0.0.1", 8080).unwrap_err();
        reload();
        assert_eq!(fetch_soon("127.0.0.1", 8080), "web");

        for (name, ..) in CONTAINERS {
            device.done(&["rm", "-f", name]);
        }
        until("clean host", || is_clean().then_some(()));
    });
}
