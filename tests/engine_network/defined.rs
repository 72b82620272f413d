//! User-defined networks: what they are, who finds whom on them, and what of them leads where.

use serde_json::{Value, json};

use super::common::device::{self, Called, on_device};
use super::{
    SERVE, fetch, fetch_from_inside, is_clean, network_settings, output, refused, serve_on, until,
};

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn networks_are_made_listed_and_removed() {
    on_device("networks", |device| {
        device::run("ip", &["route", "add", "unreachable", "172.30.0.0/24"]);
        device::run("ip", &["link", "add", "foreign", "type", "bridge"]);
        device::run(
            "ip",
            &["address", "add", "192.168.7.1/24", "dev", "foreign"],
        );
        let create = |words: &[&str]| device.done(&[&["network", "create"], words].concat());
        let id = create(&["front"]).stdout.trim().to_owned();
        assert_eq!(id.len(), 64);
        let words = "--subnet 10.5.0.0/24 --gateway 10.5.0.254 --ip-range 10.5.0.128/25 --internal \
                     --label tier=back --opt com.docker.network.bridge.name=backbone back";
        create(&words.split(' ').collect::<Vec<_>>());
        let listed = device.done(&["network", "ls", "--format", "json"]).stdout;
        let names: Vec<Value> = listed
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        let names: Vec<&str> = names.iter().map(|n| n["Name"].as_str().unwrap()).collect();
        assert_eq!(names, ["back", "bridge", "front", "host", "none"]);
        let table = device.done(&["network", "ls"]).stdout;
        assert!(
            table.contains(&format!("{}   front    bridge   local", &id[..12])),
            "{table}"
        );

        // By the beginning of its id; the first subnet of our own has a route here.
        let shown: Value =
            serde_json::from_str(&device.done(&["network", "inspect", &id[..5]]).stdout).unwrap();
        assert_eq!(shown[0]["Name"], "front");
        assert_eq!(
            shown[0]["IPAM"]["Config"],
            json!([{"Subnet": "172.30.1.0/24", "Gateway": "172.30.1.1"}])
        );
        let shown: Value =
            serde_json::from_str(&device.done(&["network", "inspect", "back"]).stdout).unwrap();
        assert_eq!(
            shown[0]["IPAM"]["Config"],
            json!([{"Subnet": "10.5.0.0/24", "Gateway": "10.5.0.254", "IPRange": "10.5.0.128/25"}])
        );
        assert_eq!(shown[0]["Internal"], true);
        assert_eq!(shown[0]["Labels"], json!({"tier": "back"}));
        create(&["x"]);
        let shown = device.done(&["network", "inspect", "-f", "{{.Name}}", "x"]);
        assert_eq!(shown.stdout, "x\n");
        device.done(&["network", "rm", "x"]);

        for (words, wanted) in [
            ("create front", "network with name front already exists"),
            (
                "create host",
                "operation is not permitted on predefined host network; choose another name",
            ),
            (
                "create default",
                "operation is not permitted on predefined default network",
            ),
            ("create ../x", "invalid network name \"../x\": only"),
            ("create _", "invalid network name \"_\": only"),
            (
                "create --subnet 10.5.0.128/25 xx",
                "subnet 10.5.0.128/25 overlaps 10.5.0.0/24 of network back; choose another one",
            ),
            (
                "create --subnet 172.29.8.0/24 xx",
                "subnet 172.29.8.0/24 overlaps 172.29.0.0/16 of network bridge; choose another one",
            ),
            (
                "create --subnet 10.6.0.0/31 xx",
                "invalid --subnet \"10.6.0.0/31\": it has no room for containers; use /30 or shorter",
            ),
            (
                "create --subnet 10.6.0.0/24 --gateway 10.7.0.1 xx",
                "invalid --gateway \"10.7.0.1\": it is no address for an interface in subnet 10.6.0.0/24",
            ),
            (
                "create --subnet 10.6.0.0/24 --ip-range 10.6.0.0/23 xx",
                "invalid --ip-range \"10.6.0.0/23\": it is no part of subnet 10.6.0.0/24",
            ),
            (
                "create --subnet 10.6.0.0/24 --gateway 10.6.0.0 xx",
                "invalid --gateway \"10.6.0.0\": it is no address for an interface in subnet 10.6.0.0/24",
            ),
            (
                "create --gateway 10.6.0.1 xx",
                "invalid --gateway \"10.6.0.1\": give the --subnet that it is part of, too",
            ),
            (
                "create --ip-range 10.6.0.0/25 xx",
                "invalid --ip-range \"10.6.0.0/25\": give the --subnet that it is part of, too",
            ),
            (
                "create --subnet 127.0.0.0/8 xx",
                "invalid --subnet \"127.0.0.0/8\": 127.0.0.0/8 are the host's loopback addresses; choose another one, such as",
            ),
            (
                "create --subnet 127.9.0.0/24 xx",
                "invalid --subnet \"127.9.0.0/24\": 127.0.0.0/8 are the host's loopback addresses; choose another one, such as",
            ),
            (
                "create --subnet 239.1.0.0/16 xx",
                "invalid --subnet \"239.1.0.0/16\": 224.0.0.0/3 are multicast and reserved addresses; choose another one",
            ),
            (
                "create --subnet 0.0.0.0/8 xx",
                "invalid --subnet \"0.0.0.0/8\": 0.0.0.0/8 are addresses of no host; choose another one",
            ),
            (
                "create --subnet 172.30.0.128/25 xx",
                "invalid --subnet \"172.30.0.128/25\": this host has a route to 172.30.0.0/24, which it overlaps; choose another",
            ),
            (
                "create --subnet 192.168.7.0/28 xx",
                "invalid --subnet \"192.168.7.0/28\": it overlaps 192.168.7.1/24 of interface foreign; choose another one",
            ),
            (
                "create --opt com.docker.network.bridge.name=lo xx",
                "invalid --opt \"com.docker.network.bridge.name=lo\": this host has an interface of that name; choose another one",
            ),
            (
                "create --opt com.docker.network.bridge.name=.. xx",
                "invalid --opt \"com.docker.network.bridge.name=..\": an interface has a name of at most 15 letters",
            ),
            (
                "create --opt com.docker.network.bridge.name=longer-than-that xx",
                "invalid --opt \"com.docker.network.bridge.name=longer-than-that\": an interface has a name of at most 15",
            ),
            (
                "create --opt a=b xx",
                "invalid --opt \"a=b\": only com.docker.network.bridge.name, com.docker.network.driver.mtu, ",
            ),
            (
                "create --opt com.docker.network.bridge.name=dray0 xx",
                "invalid --opt \"com.docker.network.bridge.name=dray0\": another network's bridge has this name",
            ),
            (
                "create --opt com.docker.network.driver.mtu=9 xx",
                "invalid --opt \"com.docker.network.driver.mtu=9\": a number of bytes from 68 to 65535 is expected",
            ),
            (
                "create --ipv4=false --ipv6 xx",
                "option --ipv4=false is not supported by dray: each network has IPv4; leave it out",
            ),
            (
                "create --subnet fd00:6::/64 xx",
                "fd00:6::/64 is of IPv6, which the network has only with --ipv6",
            ),
            (
                "create --ipv6 --subnet fd00:6::/64 --subnet fd00:7::/64 xx",
                "--subnet fd00:7::/64 is a second one: a network has one subnet of each kind",
            ),
            (
                "create --ipv6 --gateway fd00:6::1 xx",
                "invalid --gateway \"fd00:6::1\": give the --subnet that it is part of, too",
            ),
            (
                "create -d macvlan xx",
                "network driver macvlan is not supported by dray: bridge is the only one",
            ),
            (
                "rm bridge",
                "bridge is a pre-defined network and cannot be removed",
            ),
            (
                "rm nosuch",
                "network nosuch not found; dray network create makes one",
            ),
            (
                "inspect nosuch",
                "network nosuch not found; dray network create makes one",
            ),
        ] {
            let words: Vec<&str> = std::iter::once("network").chain(words.split(' ')).collect();
            let said = refused(device, &words);
            assert!(
                said.starts_with(&format!("dray: {wanted}")),
                "{words:?}: {said}"
            );
        }
        // Any address of a subnet stands for it.
        for (words, subnet) in [
            ("create --subnet 10.6.0.5/24 within", "10.6.0.0/24"),
            (
                "create --ipv6 --subnet fd00:6::1/64 --subnet 10.6.1.9/24 both",
                "10.6.1.0/24 fd00:6::/64",
            ),
        ] {
            let words: Vec<&str> = std::iter::once("network").chain(words.split(' ')).collect();
            device.done(&words);
            let name = words[words.len() - 1];
            let form = "{{range .IPAM.Config}}{{.Subnet}} {{end}}";
            let shown = device
                .done(&["network", "inspect", "-f", form, name])
                .stdout;
            assert_eq!(shown.trim(), subnet);
            device.done(&["network", "rm", name]);
        }
        let names = "--format={{.Name}}";
        for (filter, wanted) in [
            ("name=ac", "back"),
            ("name=^b", "back bridge"),
            ("driver=null", "none"),
            ("driver=bridge", "back bridge front"),
            ("label=tier", "back"),
            ("label=tier=front", ""),
            ("scope=local", "back bridge front host none"),
            ("type=custom", "back front"),
            ("type=builtin", "bridge host none"),
            ("dangling=true", "back front"),
            ("dangling=0", "bridge host none"),
            (&format!("id={}", &id[..9]), "front"),
        ] {
            let listed = device.done(&["network", "ls", "-f", filter, names]).stdout;
            let listed: Vec<&str> = listed.lines().collect();
            assert_eq!(listed.join(" "), wanted, "{filter}");
        }
        let driver = device.done(&["network", "inspect", "-f", "{{.Driver}} {{.Id}}", "front"]);
        assert_eq!(driver.stdout, format!("bridge {id}\n"));
        let said = refused(device, &["network", "ls", "-f", "colour=red"]);
        assert!(
            said.starts_with("dray: invalid filter \"colour\": dangling, driver,"),
            "{said}"
        );
        // Nobody answers.
        let said = refused(device, &["network", "prune"]);
        assert!(
            said.ends_with("dray: network prune has been cancelled"),
            "{said}"
        );
        for filter in ["label!=tier=back", "until=24h", "until=2020-01-01"] {
            let words = [
                "network",
                "prune",
                "-f",
                "--filter",
                filter,
                "--filter=label=tier",
            ];
            assert_eq!(device.done(&words).stdout, "", "{filter}");
        }
        assert_eq!(device.done(&["network", "rm", "front"]).stdout, "front\n");
        device.done(&["network", "rm", "-f", "front"]);
        assert_eq!(
            device.done(&["network", "prune", "-f"]).stdout,
            "Deleted Networks:\nback\n\n"
        );
        let left = std::fs::read_dir(device.host.state.join("networks")).unwrap();
        assert_eq!(left.count(), 0);
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn names_on_a_network_come_and_go() {
    on_device("names", |device| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        device.push("web", SERVE, json!({}));
        for network in ["front", "back"] {
            device.done(&["network", "create", network]);
        }
        let front = ["--network", "front"];
        let db = serve_on(
            device,
            "db",
            &[&front[..], &["--network-alias", "store"]].concat(),
        );
        let app_words = ["--link", "db:data", "-p", "8080:80", "--ip", "172.30.0.77"];
        let app = serve_on(device, "app", &[&front[..], &app_words].concat());
        let far = serve_on(device, "far", &["--network", "back", "-p", "8081:80"]);
        assert_eq!(
            (&db[..], &app[..], &far[..]),
            ("172.30.0.2", "172.30.0.77", "172.30.1.2")
        );

        // Both ways, by each name; the link's word is the linking container's alone.
        for (from, name) in [
            ("app", "db"),
            ("app", "db.front"),
            ("app", "store"),
            ("app", "data"),
            ("db", "app"),
            ("db", "db"),
        ] {
            assert_eq!(
                fetch_from_inside(device, from, name).as_deref(),
                Ok("web"),
                "{from} {name}"
            );
        }
        for (from, name) in [
            ("db", "data"),
            ("far", "db"),
            ("far", &db),
            ("db", &far),
            ("far", &app),
        ] {
            fetch_from_inside(device, from, name).expect_err(name);
        }
        // Published ports lead across, and in from outside.
        assert_eq!(
            fetch_from_inside(device, "far", "172.30.1.1:8080").as_deref(),
            Ok("web")
        );
        assert_eq!(
            fetch_from_inside(device, "db", "172.30.0.1:8081").as_deref(),
            Ok("web")
        );
        assert_eq!(fetch("127.0.0.1", 8080).unwrap(), "web");
        // Ports are the device's, whatever the network.
        let image = device.registry.name("shop/web:1");
        let said = refused(
            device,
            &["run", "--rm", "--network", "back", "-p", "8080:80", &image],
        );
        assert!(
            said.contains("port 8080/tcp is already in use by container "),
            "{said}"
        );

        // What the container wrote itself stays, while the others come and go.
        device.done(&[
            "exec",
            "app",
            "sh",
            "-c",
            "echo 10.9.9.9 mine >> /etc/hosts",
        ]);
        device.done(&["stop", "db"]);
        let hosts = || device.done(&["exec", "app", "cat", "/etc/hosts"]).stdout;
        assert!(
            !hosts().contains("store") && hosts().contains("\n10.9.9.9 mine\n"),
            "{}",
            hosts()
        );
        serve_on(device, "other", &front);
        device.done(&["start", "db"]);
        assert_eq!(
            network_settings(device, "db")["Networks"]["front"]["IPAddress"],
            "172.30.0.3"
        );
        until("db's server", || {
            fetch_from_inside(device, "app", "store").ok()
        });
        device.done(&["rename", "db", "base"]);
        assert_eq!(
            fetch_from_inside(device, "app", "base").as_deref(),
            Ok("web")
        );
        fetch_from_inside(device, "app", "db").unwrap_err();

        // A killed monitor takes its names along.
        let killed = device
            .containers()
            .into_iter()
            .find(|(record, _)| record.name == "other");
        device::end(&killed.unwrap().1.unwrap().monitor);
        device.done(&["boot"]);
        assert!(!hosts().contains("other"), "{}", hosts());

        let said = refused(device, &["network", "rm", "front"]);
        assert!(
            said.starts_with("dray: network front has active endpoints: ") && said.contains("base"),
            "{said}"
        );
        assert_eq!(device.done(&["network", "prune", "-f"]).stdout, "");
        for (words, wanted) in [
            ("--network nosuch", "network nosuch not found"),
            (
                "--network front --ip 172.30.0.77",
                "address 172.30.0.77 cannot be had on network front: container ",
            ),
            (
                "--network front --ip 10.0.0.1",
                "address 10.0.0.1 cannot be had on network front: it is none of subnet 172.30.0.0/24",
            ),
            (
                "--network front --ip 172.30.0.1",
                "address 172.30.0.1 cannot be had on network front: the network's gateway has it",
            ),
            (
                "--network front --mac-address 01:00:5e:00:00:01",
                "--mac-address is not supported: \"01:00:5e:00:00:01\" is not a unicast",
            ),
        ] {
            let words: Vec<&str> = ["run", "--rm"]
                .into_iter()
                .chain(words.split(' '))
                .chain([&image[..], "true"])
                .collect();
            let said = refused(device, &words);
            assert!(said.contains(wanted), "{words:?}: {said}");
        }
        device.done(&["rm", "-f", "base", "app", "far", "other"]);
        until("clean host", || is_clean().then_some(()));
        assert!(!output("ip", &["-o", "link"]).contains("dray"));
        device.done(&["network", "rm", "front", "back"]);
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn several_networks_internal_ones_and_links() {
    on_device("several", |device| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        device.push("web", SERVE, json!({}));
        device.done(&["network", "create", "zone"]);
        device.done(&["network", "create", "--internal", "deep"]);
        device.done(&["network", "create", "--internal", "deeper"]);
        let image = device.registry.name("shop/web:1");
        // Of internal networks alone nothing is published, until another one is there.
        for (words, networks) in [
            (&["--network=deep"][..], "network deep is"),
            (
                &["--network=deep", "--network=deeper"],
                "networks deep, deeper are",
            ),
        ] {
            let start = ["run", "-d", "--name=cut", "-p=8081:80"];
            let started = device.done(&[&start[..], words, &[&image]].concat());
            assert_eq!(
                started.stderr,
                format!("dray: warning: ports are not published: {networks} internal\n")
            );
            let settings = network_settings(device, "cut");
            assert_eq!(settings["Ports"], json!({ "80/tcp": null }));
            assert_eq!(device.done(&["port", "cut"]).stdout, "");
            fetch("127.0.0.1", 8081).unwrap_err();
            device.done(&["network", "connect", "zone", "cut"]);
            assert_eq!(fetch("127.0.0.1", 8081).unwrap(), "web");
            device.done(&["rm", "-f", "cut"]);
        }

        let both = [
            "--network",
            "name=deep,alias=gate",
            "--network",
            "zone",
            "-p",
            "8080:80",
        ];
        serve_on(device, "gate", &both);
        let db = serve_on(device, "db", &["--network", "deep"]);
        let client = serve_on(device, "client", &["--network", "zone"]);
        assert_eq!(fetch("127.0.0.1", 8080).unwrap(), "web");
        assert_eq!(
            fetch_from_inside(device, "db", "gate").as_deref(),
            Ok("web")
        );
        assert_eq!(
            fetch_from_inside(device, "gate", "db").as_deref(),
            Ok("web")
        );
        assert_eq!(
            fetch_from_inside(device, "client", "gate").as_deref(),
            Ok("web")
        );
        fetch_from_inside(device, "client", &db).unwrap_err();
        fetch_from_inside(device, "db", &client).unwrap_err();
        let settings = network_settings(device, "gate");
        assert_eq!(settings["Networks"]["zone"]["IPAddress"], "172.30.0.2");
        assert_eq!(settings["Networks"]["deep"]["IPAddress"], "172.30.1.2");
        assert_eq!(settings["Networks"]["deep"]["Aliases"], json!(["gate"]));
        // Docker's: of the default network alone.
        assert_eq!(settings["IPAddress"], "");
        let ids = device
            .done(&["network", "inspect", "-f", "{{.Id}}", "deep"])
            .stdout;
        let deep = &settings["Networks"]["deep"];
        assert_eq!(deep["NetworkID"], ids.trim());
        assert_eq!(deep["EndpointID"].as_str().unwrap().len(), 64);
        let gate = device.inspect("gate");
        let short = &gate["Id"].as_str().unwrap()[..12];
        assert_eq!(deep["DNSNames"], json!(["gate", short]));
        assert_eq!(deep["GlobalIPv6PrefixLen"], 0);
        let pid = gate["State"]["Pid"].to_string();
        assert_eq!(settings["SandboxKey"], format!("/proc/{pid}/ns/net"));
        // An internal network has no way outside, not even a route.
        let routes = device
            .done(&["exec", "db", "cat", "/proc/net/route"])
            .stdout;
        assert_eq!(routes.lines().count(), 2, "{routes}");

        // The network that enabled forwarding goes first.
        device.done(&["rm", "-f", "client", "gate"]);
        until("zone's end", || {
            (!output("nft", &["list", "ruleset"]).contains("172.30.0.0")).then_some(())
        });
        assert_eq!(
            std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(),
            "1\n"
        );
        device.done(&["rm", "-f", "db"]);
        until("clean host", || is_clean().then_some(()));

        // On the default network nobody is known but by a link.
        serve_on(device, "one", &[]);
        serve_on(device, "two", &["--link", "one:uno"]);
        assert_eq!(
            fetch_from_inside(device, "two", "uno").as_deref(),
            Ok("web")
        );
        assert_eq!(
            fetch_from_inside(device, "two", "one").as_deref(),
            Ok("web")
        );
        fetch_from_inside(device, "one", "two").unwrap_err();
        device.done(&["network", "create", "apart"]);
        serve_on(device, "far", &["--network", "apart"]);
        let image = device.registry.name("shop/web:1");
        device.done(&["create", "--name=host", "--network=host", &image]);
        for (linked, said) in [
            (
                "nobody:db",
                "could not get container for nobody: no such container",
            ),
            (
                "far",
                "cannot link to far, as it does not belong to the default network",
            ),
            (
                "host:h",
                "cannot link to host, as it does not belong to the default network",
            ),
        ] {
            let refused = device.dray(&["create", "--name=three", "--link", linked, &image]);
            assert_eq!(refused.status.code(), Some(1), "{refused:?}");
            assert!(refused.stderr.contains(said), "{refused:?}");
        }
        // Whom it links to has to run when somebody starts it, and before it is stopped for that.
        device.done(&[
            "create",
            "--name=four",
            "--link=one:uno",
            &image,
            "sleep",
            "1000",
        ]);
        device.done(&["start", "four"]);
        device.done(&["stop", "-t0", "one"]);
        let said = "cannot link to a non running container: /one AS /four/uno";
        for word in ["restart", "start"] {
            let refused = device.dray(&[word, "four"]);
            assert_eq!(
                refused.status.code(),
                Some(i32::from(word == "restart")),
                "{refused:?}"
            );
            assert_eq!(
                refused.stderr.contains(said),
                word == "restart",
                "{refused:?}"
            );
            assert_eq!(device.inspect("four")["State"]["Running"], true);
        }
        device.done(&["stop", "-t0", "four"]);
        let refused = device.dray(&["start", "four"]);
        assert!(refused.stderr.contains(said), "{refused:?}");
        device.done(&["start", "one", "four"]);
        device.done(&["rm", "-f", "four"]);
        // Elsewhere a link is a name for whoever comes.
        device.done(&[
            "create",
            "--name=three",
            "--network=apart",
            "--link=nobody:db",
            &image,
        ]);
        device.done(&["rm", "-f", "one", "two", "three", "far", "host"]);
        device.done(&["network", "rm", "apart"]);
        until("clean host", || is_clean().then_some(()));
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_deployment_keeps_its_alias_on_a_network() {
    on_device("alias-deploy", |device| {
        for version in ["web", "one", "two"] {
            device.push(version, SERVE, json!({}));
        }
        let words = "--name api --network front --network-alias backend";
        let deploy = |version: &str, states: &[&str]| {
            let tree = device.tree(version, &device.artifact(version, words).to_string());
            let calls: Vec<Called> = states
                .iter()
                .map(|state| device.call(state, &tree))
                .collect();
            calls.into_iter().find(|called| !called.succeeded())
        };
        let early = deploy("one", &["Download"]).unwrap();
        assert!(
            early.stderr.contains("network front not found"),
            "{early:?}"
        );
        device.done(&["network", "create", "front"]);
        serve_on(device, "client", &["--network", "front"]);
        let all = ["Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"];
        assert!(deploy("one", &all).is_none());
        let says = |name: &str, wanted: &str| {
            until(wanted, || {
                let said = fetch_from_inside(device, "client", name).ok();
                said.filter(|said| said == wanted)
            });
        };
        says("backend", "one");
        assert!(deploy("two", &["Download"]).is_none());
        assert_eq!(
            fetch_from_inside(device, "client", "backend").as_deref(),
            Ok("one")
        );
        assert!(deploy("two", &["ArtifactInstall"]).is_none());
        says("backend", "two");
        says("api", "two");
        assert!(deploy("two", &["ArtifactRollback", "ArtifactFailure", "Cleanup"]).is_none());
        says("backend", "one");
        says("api", "one");
    });
}
