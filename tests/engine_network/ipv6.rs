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
        // Docker's: outside of the networks stands what the default one gave.
        assert_eq!(settings["GlobalIPv6Address"], "");
        let front = &settings["Networks"]["front"];
        assert_eq!(front["IPv6Gateway"], "fd00:5::fe");
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

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn ports_of_each_version_of_ip_follow_their_own_way_outside() {
    on_device("ipv6-ports", |device| {
        device.push("web", SERVE, json!({}));
        device.done(&["network", "create", "plain"]);
        let create = ["network", "create", "--ipv6", "--subnet"];
        device.done(&[&create[..], &["fd00:5::/64", "six"]].concat());
        device.done(&[&create[..], &["fd00:6::/64", "inside", "--internal"]].concat());
        let ports = |name: &str| device.done(&["port", name]).stdout;
        let both = "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n";

        // The network with IPv6 comes second; a random port is the same one in both.
        let words = ["--network", "plain", "--network", "six", "-p", "8080:80"];
        let more = ["-p", "[::]:8081:80", "-p", "81"];
        serve_on(device, "web", &[&words[..], &more].concat());
        let random = |shown: &str| -> Vec<String> {
            let lines = shown.lines().filter(|line| line.starts_with("81/tcp"));
            lines
                .map(|line| line.rsplit(':').next().unwrap().to_owned())
                .collect()
        };
        let shown = ports("web");
        let own = random(&shown);
        assert_eq!(own, [own[0].clone(), own[0].clone()], "{shown}");
        let of_80: Vec<&str> = shown.lines().filter(|l| l.starts_with("80/")).collect();
        assert_eq!(
            of_80,
            [
                "80/tcp -> 0.0.0.0:8080",
                "80/tcp -> [::]:8080",
                "80/tcp -> [::]:8081"
            ]
        );
        assert_eq!(
            network_settings(device, "web")["Ports"]["80/tcp"],
            json!([
                {"HostIp": "0.0.0.0", "HostPort": "8080"},
                {"HostIp": "::", "HostPort": "8080"},
                {"HostIp": "::", "HostPort": "8081"},
            ])
        );
        for (address, port) in [
            ("127.0.0.1", 8080),
            ("fd00:5::1", 8080),
            ("fd00:5::1", 8081),
        ] {
            assert_eq!(fetch_soon(address, port), "web", "{address}");
        }
        device.done(&["restart", "web"]);
        assert_eq!(ports("web"), shown);
        // The other network takes over what it can.
        device.done(&["network", "disconnect", "plain", "web"]);
        assert_eq!(ports("web"), shown);
        for address in ["127.0.0.1", "fd00:5::1"] {
            assert_eq!(fetch_soon(address, 8080), "web", "{address}");
        }
        device.done(&["rm", "-f", "web"]);

        // It comes while the container runs, and goes again; an internal one publishes nothing.
        serve_on(device, "web", &["--network", "plain", "-p", "8080:80"]);
        let one = "80/tcp -> 0.0.0.0:8080\n";
        assert_eq!(ports("web"), one);
        device.done(&["network", "connect", "inside", "web"]);
        assert_eq!(ports("web"), one);
        device.done(&["network", "connect", "six", "web"]);
        assert_eq!(ports("web"), both);
        for address in ["127.0.0.1", "fd00:5::1"] {
            assert_eq!(fetch_soon(address, 8080), "web", "{address}");
        }
        let other = ["run", "--rm", "--network", "six", "-p", "[::]:8080:80"];
        let said = refused(
            device,
            &[&other[..], &[&device.registry.name("shop/web:1")]].concat(),
        );
        assert!(
            said.contains("port [::]:8080/tcp is already in use"),
            "{said}"
        );
        device.done(&["network", "disconnect", "six", "web"]);
        assert_eq!(ports("web"), one);
        assert_eq!(fetch_soon("127.0.0.1", 8080), "web");

        // What only a network with IPv6 could give is not left out in silence when that one is gone.
        device.done(&["rm", "-f", "web"]);
        serve_on(
            device,
            "web",
            &[&words[..], &["-p", "[::]:8081:80"]].concat(),
        );
        device.done(&["stop", "-t", "0", "web"]);
        device.done(&["network", "disconnect", "six", "web"]);
        let said = refused(device, &["start", "web"]);
        assert!(
            said.contains("ports cannot be published on ::: network plain has IPv4 addresses only"),
            "{said}"
        );
        device.done(&["rm", "-f", "web"]);
        device.done(&["network", "rm", "plain", "six", "inside"]);
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn ipv6_is_only_where_a_network_has_it() {
    on_device("ipv6-off", |device| {
        device.push("web", SERVE, json!({}));
        let image = device.registry.name("shop/web:1");
        device.done(&["network", "create", "plain"]);
        device.done(&[
            "network",
            "create",
            "--ipv6",
            "--subnet",
            "fd00:5::/64",
            "six",
        ]);
        let look = "cd /proc/sys/net/ipv6/conf; for i in all default lo eth0 eth1; do \
                    test -e $i && echo $i $(cat $i/disable_ipv6); done; \
                    while read address number prefix scope flags name; do echo $name $scope; done \
                    </proc/net/if_inet6 | sort";
        // Docker's table: what is off, and which interfaces have addresses of which scope (20 is a link's own).
        for (words, wanted) in [
            ("", "all 1,default 1,lo 0,eth0 1,lo 10"),
            ("--network plain", "all 1,default 1,lo 0,eth0 1,lo 10"),
            ("--network none", "all 1,default 1,lo 0,lo 10"),
            (
                "--network six",
                "all 1,default 1,lo 0,eth0 0,eth0 00,eth0 20,lo 10",
            ),
            (
                "--network plain --network six",
                "all 1,default 1,lo 0,eth0 1,eth1 0,eth1 00,eth1 20,lo 10",
            ),
            (
                "--sysctl net.ipv6.conf.all.disable_ipv6=0 --network plain",
                "all 0,default 0,lo 0,eth0 0,eth0 20,lo 10",
            ),
            (
                "--sysctl net.ipv6.conf.eth0.disable_ipv6=0 --network plain",
                "all 1,default 1,lo 0,eth0 0,eth0 20,lo 10",
            ),
            (
                "--sysctl net.ipv6.conf.all.disable_ipv6=1 --network six",
                "all 1,default 1,lo 1,eth0 1",
            ),
        ] {
            let words = words.split_ascii_whitespace();
            let run: Vec<&str> = ["run", "--rm"].into_iter().chain(words).collect();
            let shown = device
                .done(&[&run[..], &[&image, "sh", "-c", look]].concat())
                .stdout;
            assert_eq!(shown.trim_end().replace('\n', ","), wanted, "{run:?}");
        }
        serve_on(device, "db", &["--network", "six", "--ip6", "fd00:5::9"]);
        serve_on(device, "late", &["--network", "plain"]);
        device.done(&["network", "connect", "six", "late"]);
        assert_eq!(
            fetch_from_inside(device, "late", "[fd00:5::9]").unwrap(),
            "web"
        );
        let shown = device.done(&["exec", "late", "sh", "-c", look]).stdout;
        assert!(shown.contains("eth0 1\neth1 0\n"), "{shown}");
        device.done(&["rm", "-f", "db", "late"]);
        let said = refused(
            device,
            &[
                "run",
                "--rm",
                "--sysctl",
                "net.ipv4.conf.eth7.forwarding=0",
                &image,
            ],
        );
        assert!(
            said.contains("failed to set net.ipv4.conf.eth7.forwarding: No such file"),
            "{said}"
        );
        device.done(&["network", "rm", "plain", "six"]);
    });
}
