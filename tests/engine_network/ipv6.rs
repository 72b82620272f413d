//! Networks with IPv6, as people make and use them.

use serde_json::json;

use super::common::device::on_device;
use super::{
    SERVE, fetch, fetch_from_inside, fetch_soon, network_settings, refused, serve_on, until,
};

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_network_with_ipv6_from_create_to_rm() {
    on_device("ipv6", |device| {
        let conf = || {
            super::output(
                "sh",
                &[
                    "-c",
                    "cd /proc/sys/net/ipv6/conf; grep . */forwarding */accept_ra; nft list ruleset",
                ],
            )
        };
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        let before = conf();
        device.push("web", SERVE, json!({}));
        let subnets = ["--subnet", "10.5.0.0/24", "--subnet", "fd00:5::/64"];
        let create = ["network", "create", "--ipv6", "--gateway", "fd00:5::fe"];
        device.done(
            &[
                &create[..],
                &subnets,
                &["--ip-range", "fd00:5::100/120", "front"],
            ]
            .concat(),
        );
        device.done(&["network", "create", "--ipv6", "drawn"]);
        device.done(&["network", "create", "plain"]);
        let format = "--format={{.EnableIPv4}} {{.EnableIPv6}} {{json .IPAM.Config}}";
        let shown = |name: &str| device.done(&["network", "inspect", format, name]).stdout;
        assert_eq!(
            shown("front"),
            "true true [{\"Subnet\":\"10.5.0.0/24\",\"Gateway\":\"10.5.0.1\"},\
             {\"Subnet\":\"fd00:5::/64\",\"Gateway\":\"fd00:5::fe\",\"IPRange\":\"fd00:5::100/120\"}]\n"
        );
        assert!(
            shown("drawn").contains("\"Subnet\":\"fd"),
            "{}",
            shown("drawn")
        );
        assert!(
            shown("plain").starts_with("true false "),
            "{}",
            shown("plain")
        );
        let listed = device
            .done(&["network", "ls", "--format={{.Name}} {{.IPv6}}"])
            .stdout;
        assert!(
            listed.contains("front true\n") && listed.contains("plain false\n"),
            "{listed}"
        );

        serve_on(
            device,
            "web",
            &["--network", "front", "-p", "8080:80", "-p", "[::]:8081:80"],
        );
        serve_on(device, "db", &["--network", "front", "--ip6", "fd00:5::9"]);
        let settings = network_settings(device, "web");
        assert_eq!(settings["GlobalIPv6Address"], "fd00:5::100");
        assert_eq!(settings["IPv6Gateway"], "fd00:5::fe");
        let front = &settings["Networks"]["front"];
        assert_eq!(front["GlobalIPv6Address"], "fd00:5::100");
        assert_eq!(front["GlobalIPv6PrefixLen"], 64);
        assert_eq!(
            settings["Ports"]["80/tcp"],
            json!([
                {"HostIp": "0.0.0.0", "HostPort": "8080"},
                {"HostIp": "::", "HostPort": "8080"},
                {"HostIp": "::", "HostPort": "8081"},
            ])
        );
        assert_eq!(
            device
                .done(&["ps", "-f", "name=web", "--format={{.Ports}}"])
                .stdout,
            "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, [::]:8081->80/tcp\n"
        );
        let there = &device
            .done(&["network", "inspect", "front", "-f", "{{json .Containers}}"])
            .stdout;
        assert!(
            there.contains("\"IPv6Address\":\"fd00:5::9/64\""),
            "{there}"
        );
        assert_eq!(
            network_settings(device, "db")["Networks"]["front"]["IPAMConfig"]["IPv6Address"],
            "fd00:5::9"
        );

        // By name, in both versions; from outside; and by the host's other addresses.
        let hosts = device.done(&["exec", "db", "cat", "/etc/hosts"]).stdout;
        for line in ["10.5.0.2\tweb ", "fd00:5::100\tweb ", "fd00:5::9\t"] {
            assert!(hosts.contains(line), "{line}: {hosts}");
        }
        assert_eq!(
            fetch_from_inside(device, "db", "[fd00:5::100]").unwrap(),
            "web"
        );
        assert_eq!(fetch_from_inside(device, "db", "web").unwrap(), "web");
        for (address, port) in [
            ("fd00:5::fe", 8080),
            ("fd00:5::fe", 8081),
            ("127.0.0.1", 8080),
        ] {
            assert_eq!(fetch_soon(address, port), "web", "{address}");
        }
        fetch("127.0.0.1", 8081).unwrap_err();

        // One that comes to it while it runs, and keeps its address.
        serve_on(device, "late", &["--network", "plain"]);
        device.done(&["network", "connect", "--ip6", "fd00:5::77", "front", "late"]);
        assert_eq!(
            fetch_from_inside(device, "late", "[fd00:5::9]").unwrap(),
            "web"
        );
        device.done(&["restart", "late"]);
        let address = &network_settings(device, "late")["Networks"]["front"]["GlobalIPv6Address"];
        assert_eq!(address, "fd00:5::77");
        device.done(&["network", "disconnect", "front", "late"]);

        device.done(&["rm", "-f", "web", "db", "late"]);
        until("clean host", || (conf() == before).then_some(()));
        device.done(&["network", "rm", "front", "drawn", "plain"]);
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn what_ipv6_cannot_do_is_refused_before_anything_is_made() {
    on_device("ipv6-refused", |device| {
        device.push("web", SERVE, json!({}));
        let image = device.registry.name("shop/web:1");
        device.done(&["pull", &image]);
        device.done(&[
            "network",
            "create",
            "--ipv6",
            "--subnet",
            "fd00:5::/64",
            "front",
        ]);
        device.done(&["network", "create", "plain"]);
        for (words, wanted) in [
            (
                "--network front --ip6 fd00:6::9",
                "address fd00:6::9 cannot be had on network front: it is none of subnet fd00:5::/64",
            ),
            (
                "--network front --ip6 fd00:5::1",
                "address fd00:5::1 cannot be had on network front: the network's gateway has it",
            ),
            (
                "--network plain --ip6 fd00:5::9",
                "address fd00:5::9 cannot be had on network plain: it has IPv4 addresses only; make one with --ipv6",
            ),
            (
                "--network plain -p [::]:80:80",
                "ports cannot be published on ::: network plain has IPv4 addresses only; publish on one of those, or make a network with --ipv6",
            ),
            (
                "-p [fd00::1]:80:80",
                "ports cannot be published on fd00::1: network bridge has IPv4 addresses only; publish on one of those, or make a network with --ipv6",
            ),
            (
                "--network front -p [::1]:80:80",
                "option --publish is not supported by dray: the kernel passes nothing on from ::1, and no process of dray's stays to do it; use 127.0.0.1",
            ),
            (
                "--network front -p [fd00:98::1]:80:80",
                "failed to publish port [fd00:98::1]:80/tcp: fd00:98::1 is no address of this host",
            ),
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            let said = refused(device, &[&["run", "--rm"], &words[..], &[&image]].concat());
            assert!(said.ends_with(wanted), "{words:?}: {said}");
        }
        assert_eq!(device.done(&["ps", "-aq"]).stdout, "");
    });
}
