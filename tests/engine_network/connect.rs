//! Networks of a container that exists: what comes and goes with `network connect` and `disconnect`.

use serde_json::{Value, json};

use super::common::device::{Device, on_device};
use super::{
    SERVE, fetch, fetch_from_inside, is_clean, network_settings, refused, serve_on, until,
};

/// Its interfaces and their addresses, as the container sees them.
fn interfaces(device: &Device, name: &str) -> Vec<String> {
    let said = device
        .done(&["exec", name, "ip", "-o", "-4", "address"])
        .stdout;
    let word = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        format!("{} {}", words[1], words[3])
    };
    let all = said.lines().map(word);
    all.filter(|line| line != "lo 127.0.0.1/8").collect()
}

fn default_route(device: &Device, name: &str) -> String {
    let said = device.done(&["exec", name, "ip", "route", "show", "default"]);
    // busybox shows all routes, whatever it is asked for.
    let mut lines = said.stdout.lines();
    let default = lines.find(|line| line.starts_with("default"));
    default.unwrap_or_default().trim().to_owned()
}

/// Networks and addresses as `inspect` shows them.
fn addresses(device: &Device, name: &str) -> Value {
    let settings = network_settings(device, name);
    let networks = settings["Networks"].as_object().unwrap();
    let pairs = networks
        .iter()
        .map(|(name, network)| (name.clone(), network["IPAddress"].clone()));
    pairs.collect::<serde_json::Map<String, Value>>().into()
}

fn hosts(device: &Device, name: &str) -> Vec<String> {
    let said = device.done(&["exec", name, "cat", "/etc/hosts"]).stdout;
    let lines = said.lines().filter(|line| line.starts_with("172."));
    lines.map(str::to_owned).collect()
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_running_container_gets_and_loses_networks() {
    on_device("connect", |device| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        device.push("web", SERVE, json!({}));
        for words in ["front", "back", "--internal deep"] {
            let words: Vec<&str> = ["network", "create"]
                .into_iter()
                .chain(words.split(' '))
                .collect();
            device.done(&words);
        }
        let db = serve_on(device, "db", &["--network", "back"]);
        assert_eq!(db, "172.30.1.2");
        serve_on(
            device,
            "web",
            &["--network", "front", "--hostname", "box", "-p", "8080:80"],
        );
        let id = device.inspect("web")["Id"].as_str().unwrap()[..12].to_owned();
        fetch_from_inside(device, "web", "db").unwrap_err();

        // A new interface, with names both ways; the way outside stays what it was.
        let words = "network connect --ip 172.30.1.77 --alias shop --link db:data back web";
        device.done(&words.split(' ').collect::<Vec<_>>());
        assert_eq!(
            interfaces(device, "web"),
            ["eth0 172.30.0.2/24", "eth1 172.30.1.77/24"]
        );
        assert_eq!(
            default_route(device, "web"),
            "default via 172.30.0.1 dev eth0"
        );
        for (from, name) in [
            ("web", "db"),
            ("web", "data"),
            ("db", "shop"),
            ("db", "web.back"),
            ("db", &id),
        ] {
            assert_eq!(
                fetch_from_inside(device, from, name).as_deref(),
                Ok("web"),
                "{from} {name}"
            );
        }
        assert_eq!(
            hosts(device, "web"),
            [
                "172.30.0.2\tbox".to_owned(),
                format!("172.30.0.2\tbox web web.front {id}"),
                format!("172.30.1.77\tbox web web.back shop {id}"),
                hosts(device, "db")[0].replace("\t", "\tdata db db.back "),
            ]
        );
        assert_eq!(
            addresses(device, "web"),
            json!({"front": "172.30.0.2", "back": "172.30.1.77"})
        );
        assert_eq!(
            network_settings(device, "web")["Networks"]["back"]["Aliases"],
            json!(["shop"])
        );
        assert_eq!(fetch("127.0.0.1", 8080).unwrap(), "web");

        // What a restart finds is the same.
        device.done(&["restart", "-t", "0", "web"]);
        until("the server", || {
            fetch_from_inside(device, "db", "shop").ok()
        });
        assert_eq!(
            interfaces(device, "web"),
            ["eth0 172.30.0.2/24", "eth1 172.30.1.77/24"]
        );

        // Without its first network, the next one that leads outside takes over, with the ports.
        device.done(&["network", "connect", "deep", "web"]);
        device.done(&["network", "disconnect", "front", "web"]);
        assert_eq!(
            interfaces(device, "web"),
            ["eth1 172.30.1.77/24", "eth2 172.30.2.2/24"]
        );
        assert_eq!(
            default_route(device, "web"),
            "default via 172.30.1.1 dev eth1"
        );
        assert_eq!(fetch("127.0.0.1", 8080).unwrap(), "web");
        assert!(device.done(&["ps"]).stdout.contains("0.0.0.0:8080->80/tcp"));
        assert!(
            !hosts(device, "web")
                .iter()
                .any(|line| line.starts_with("172.30.0.2"))
        );
        device.done(&["network", "rm", "front"]);

        // An internal one is no way outside; with the last one only loopback is left.
        device.done(&["network", "disconnect", "back", "web"]);
        assert_eq!(default_route(device, "web"), "");
        fetch("127.0.0.1", 8080).unwrap_err();
        fetch_from_inside(device, "db", "172.30.1.77").unwrap_err();
        assert_eq!(hosts(device, "db").len(), 2, "{:?}", hosts(device, "db"));
        device.done(&["network", "disconnect", "-f", "deep", "web"]);
        assert_eq!(interfaces(device, "web"), [""; 0]);
        let settings = network_settings(device, "web");
        assert_eq!(
            (&settings["Ports"], &settings["Networks"]),
            (&json!({}), &json!({}))
        );
        assert_eq!(
            device
                .done(&["ps", "--format", "json"])
                .stdout
                .matches(r#""Ports":"""#)
                .count(),
            2
        );
        device.done(&["restart", "-t", "0", "web"]);
        until("the server", || {
            fetch_from_inside(device, "web", "127.0.0.1").ok()
        });
        assert_eq!(interfaces(device, "web"), [""; 0]);

        // The default network, and everything it brings, by hand.
        device.done(&["network", "connect", "bridge", "web"]);
        assert_eq!(interfaces(device, "web"), ["eth0 172.29.0.2/16"]);
        assert_eq!(hosts(device, "web"), ["172.29.0.2\tbox"]);
        assert_eq!(fetch("127.0.0.1", 8080).unwrap(), "web");
        device.done(&["rm", "-f", "web", "db"]);
        until("clean host", || is_clean().then_some(()));
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn a_stopped_container_is_told_for_its_next_start() {
    on_device("connect-stopped", |device| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        device.push("web", SERVE, json!({}));
        device.done(&["network", "create", "front"]);
        serve_on(device, "db", &["--network", "front"]);
        let image = device.registry.name("shop/web:1");
        device.done(&["create", "--name", "web", &image]);
        device.done(&["network", "connect", "--alias", "shop", "front", "web"]);
        device.done(&["network", "disconnect", "bridge", "web"]);
        assert_eq!(addresses(device, "web"), json!({"front": ""}));
        assert_eq!(device.done(&["network", "prune", "-f"]).stdout, "");
        device.done(&["start", "web"]);
        until("the server", || {
            fetch_from_inside(device, "db", "shop").ok()
        });
        assert_eq!(interfaces(device, "web"), ["eth0 172.30.0.3/24"]);

        // One that its network was taken away from under does not start, and says so; without it, it does.
        device.done(&["stop", "-t", "0", "web"]);
        device.done(&["rm", "-f", "db"]);
        device.done(&["network", "rm", "front"]);
        let said = refused(device, &["start", "web"]);
        assert!(
            said.ends_with("network front not found; dray network create makes one"),
            "{said}"
        );
        device.done(&["network", "disconnect", "front", "web"]);
        device.done(&["start", "web"]);
        device.done(&["rm", "-f", "web"]);
        until("clean host", || is_clean().then_some(()));
    });
}

/// As docker has it: away from `none` first, and then on whatever there is, with the ports that it was made with.
#[test]
#[ignore = "needs root: namespaces and mounts"]
fn one_on_none_leaves_it_for_another_network() {
    on_device("connect-none", |device| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        device.push("web", SERVE, json!({}));
        device.done(&["network", "create", "front"]);
        serve_on(device, "db", &["--network", "front"]);
        let image = device.registry.name("shop/web:1");
        let made = "create --name early --network none";
        let made: Vec<&str> = made.split(' ').chain([&*image]).collect();
        device.done(&made);
        let run = "run -d --name late --network none -p 8080:80";
        let run: Vec<&str> = run.split(' ').chain([&*image]).collect();
        device.done(&run);
        let words = |words: &str| -> Vec<String> { words.split(' ').map(str::to_owned).collect() };
        let network = |line: &str| {
            let words = words(line);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            device.done(&[&["network"], &words[..]].concat());
        };
        for name in ["early", "late"] {
            assert_eq!(addresses(device, name), json!({"none": ""}));
            network(&format!("disconnect none {name}"));
            assert_eq!(addresses(device, name), json!({}));
            let said = refused(device, &["network", "disconnect", "none", name]);
            assert!(said.ends_with(&format!(
                "container {name} is not connected to network none"
            )));
            network(&format!("connect front {name}"));
        }
        device.done(&["start", "early"]);
        for name in ["late", "early"] {
            until("the server", || fetch_from_inside(device, "db", name).ok());
        }
        assert_eq!(addresses(device, "late"), json!({"front": "172.30.0.3"}));
        assert_eq!(addresses(device, "early"), json!({"front": "172.30.0.4"}));
        assert_eq!(interfaces(device, "late"), ["eth0 172.30.0.3/24"]);
        assert_eq!(
            default_route(device, "late"),
            "default via 172.30.0.1 dev eth0"
        );
        assert_eq!(fetch("127.0.0.1", 8080).unwrap(), "web");
        assert_eq!(
            device.inspect("late")["HostConfig"]["NetworkMode"],
            json!("none")
        );

        // What its monitor knew when it came says nothing of the network: it is given back all the same.
        device.done(&["stop", "-t", "0", "late"]);
        until("the end of it", || {
            fetch_from_inside(device, "db", "172.30.0.3").err()
        });
        fetch("127.0.0.1", 8080).unwrap_err();
        assert!(!hosts(device, "db").concat().contains("late"));
        device.done(&["start", "late"]);
        until("the server", || fetch("127.0.0.1", 8080).ok());

        // And back again, running and not.
        device.done(&["stop", "-t", "0", "early"]);
        for name in ["early", "late"] {
            network(&format!("disconnect front {name}"));
            network(&format!("connect none {name}"));
            assert_eq!(addresses(device, name), json!({"none": ""}));
        }
        assert_eq!(interfaces(device, "late"), [""; 0]);
        device.done(&["start", "early"]);
        assert_eq!(interfaces(device, "early"), [""; 0]);
        device.done(&["rm", "-f", "early", "late", "db"]);
        until("clean host", || is_clean().then_some(()));
    });
}

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn what_cannot_be_connected_is_refused_and_changes_nothing() {
    on_device("connect-refused", |device| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        device.push("web", SERVE, json!({}));
        device.done(&["network", "create", "front"]);
        let image = device.registry.name("shop/web:1");
        serve_on(device, "web", &[]);
        serve_on(device, "db", &["--network", "front"]);
        for (name, mode) in [
            ("on-host", "host"),
            ("alone", "none"),
            ("guest", "container:web"),
        ] {
            device.done(&["create", "--name", name, "--network", mode, &image]);
        }
        let before = device.inspect("web");
        for (words, wanted) in [
            (
                "connect nosuch web",
                "network nosuch not found; dray network create makes one",
            ),
            ("connect front nosuch", "no such container: nosuch"),
            (
                "connect bridge web",
                "endpoint with name web already exists in network bridge",
            ),
            (
                "disconnect front web",
                "container web is not connected to network front",
            ),
            (
                "disconnect nosuch web",
                "network nosuch not found; dray network create makes one",
            ),
            (
                "connect --ip 172.30.0.2 front web",
                "address 172.30.0.2 cannot be had on network front: container ",
            ),
            (
                "connect --ip 10.0.0.9 front web",
                "address 10.0.0.9 cannot be had on network front: it is none of subnet 172.30.0.0/24",
            ),
            (
                "connect --ip nonsense front web",
                "invalid IPv4 address: nonsense",
            ),
            (
                "connect --ip 172.29.0.9 bridge db",
                "user specified IP address is supported on user defined networks only",
            ),
            (
                "connect --alias x bridge db",
                "network-scoped aliases are only supported for user-defined networks",
            ),
            (
                "connect --link web bridge db",
                "links are only supported for user-defined networks",
            ),
            (
                "connect --alias a,b#c front web",
                "invalid network alias \"a,b#c\": a host name is expected",
            ),
            (
                "connect front on-host",
                "container sharing network namespace with another container or host cannot be connected to any other network; \
                 make container on-host anew with the --network that it is to have",
            ),
            (
                "connect front alone",
                "container cannot be connected to multiple networks with one of the networks in private (none) mode; `dray \
                 network disconnect none alone` comes first",
            ),
            (
                "connect none web",
                "container cannot be connected to multiple networks with one of the networks in private (none) mode; `dray \
                 network disconnect bridge web` comes first",
            ),
            (
                "connect host web",
                "container cannot be disconnected from host network or connected to host network; make container web anew",
            ),
            (
                "disconnect host on-host",
                "container cannot be disconnected from host network or connected to host network; make container on-host anew",
            ),
            (
                "disconnect none web",
                "container web is not connected to network none",
            ),
            (
                "connect none alone",
                "private (none) mode; `dray network disconnect none alone` comes first",
            ),
            (
                "disconnect front on-host",
                "container on-host is not connected to network front",
            ),
            (
                "disconnect bridge guest",
                "container sharing network namespace with another container or host cannot be connected to any other network; \
                 make container guest anew",
            ),
        ] {
            let words: Vec<&str> = ["network"].into_iter().chain(words.split(' ')).collect();
            let said = refused(device, &words);
            assert!(said.contains(wanted), "{words:?}: {said}");
        }
        assert_eq!(device.inspect("web"), before);
        assert_eq!(interfaces(device, "web"), ["eth0 172.29.0.2/16"]);
        device.done(&["rm", "-f", "web", "db"]);
        until("clean host", || is_clean().then_some(()));
    });
}
