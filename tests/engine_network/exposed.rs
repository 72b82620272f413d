//! Ports that a container only exposes, beside those that it publishes: `inspect`, `ps` with its filters, and `port`.

use serde_json::{Value, json};

use super::common::device::{Device, on_device};
use super::{SERVE, is_clean, network_settings, refused, until};

/// What runs, in this order: on the bridge with ports of both kinds, on it with ranges, on the host's network, on none, and
/// sharing another's; and one that does not run.
const CONTAINERS: [(&str, &str); 6] = [
    (
        "shop",
        "-p 127.0.0.1:8080:80 --expose 81 --expose 90-92/udp",
    ),
    ("many", "-p 7000-7002:7000-7002 --expose 7003-7005"),
    ("on-host", "--network host --expose 82"),
    ("alone", "--network none --expose 82"),
    ("guest", "--network container:many"),
    ("off", "-p 9000:90 --expose 83"),
];

fn start(device: &Device) {
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
    device.push("web", SERVE, json!({"ExposedPorts": {"53/udp": {}}}));
    let image = device.registry.name("shop/web:1");
    for (name, options) in CONTAINERS {
        let word = match name {
            "off" => &["create"][..],
            _ => &["run", "-d"],
        };
        let mut words = [word, &["--name", name]].concat();
        words.extend(options.split(' '));
        // What serves on the host's network would be in the way of others.
        words.extend([&image, "sleep", "1000"]);
        device.done(&words);
    }
}

/// As Docker Engine 20.10 with its client 28.2.2 shows the same containers.
#[test]
#[ignore = "needs root: namespaces and mounts"]
fn what_is_only_exposed_is_shown_as_docker_shows_it() {
    on_device("exposed", |device| {
        start(device);
        let on_host = |port: u16| json!([{"HostIp": "0.0.0.0", "HostPort": port.to_string()}]);
        for (name, ports, shown, published) in [
            (
                "shop",
                json!({
                    "53/udp": null,
                    "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
                    "81/tcp": null, "90/udp": null, "91/udp": null, "92/udp": null,
                }),
                "53/udp, 90-92/udp, 81/tcp, 127.0.0.1:8080->80/tcp",
                "80/tcp -> 127.0.0.1:8080\n",
            ),
            (
                "many",
                json!({
                    "53/udp": null,
                    "7000/tcp": on_host(7000), "7001/tcp": on_host(7001), "7002/tcp": on_host(7002),
                    "7003/tcp": null, "7004/tcp": null, "7005/tcp": null,
                }),
                "53/udp, 0.0.0.0:7000-7002->7000-7002/tcp, 7003-7005/tcp",
                "7000/tcp -> 0.0.0.0:7000\n7001/tcp -> 0.0.0.0:7001\n7002/tcp -> 0.0.0.0:7002\n",
            ),
            ("on-host", json!({}), "", ""),
            ("alone", json!({}), "", ""),
            ("guest", json!({}), "", ""),
            ("off", json!({}), "", ""),
        ] {
            assert_eq!(network_settings(device, name)["Ports"], ports, "{name}");
            let filter = format!("name=^{name}$");
            let words = ["ps", "-a", "-f", &filter, "--format={{.Ports}}"];
            assert_eq!(device.done(&words).stdout, format!("{shown}\n"), "{name}");
            assert_eq!(device.done(&["port", name]).stdout, published, "{name}");
        }
        assert_eq!(
            device.inspect("off")["Config"]["ExposedPorts"]["83/tcp"],
            json!({})
        );
        assert_eq!(
            device.done(&["port", "shop", "80"]).stdout,
            "127.0.0.1:8080\n"
        );
        let said = refused(device, &["port", "shop", "81"]);
        assert_eq!(said, "dray: no public port \"81/tcp\" published for shop");

        for (filters, names) in [
            (&["publish=8080"][..], "shop"),
            (&["publish=8080/tcp"], "shop"),
            (&["publish=8080/udp"], ""),
            (&["publish=80"], ""),
            (&["publish=7001-7009"], "many"),
            (&["publish=7003"], ""),
            (&["publish=9000"], ""),
            (&["expose=80"], "shop"),
            (&["expose=81"], "shop"),
            (&["expose=90"], ""),
            (&["expose=91/udp"], "shop"),
            (&["expose=80-90/udp"], "shop"),
            (&["expose=80-90/tcp"], "shop"),
            (&["expose=53/UDP"], "many shop"),
            (&["expose=7004"], "many"),
            (&["expose=82"], ""),
            (&["expose=83"], ""),
            (&["publish=8080", "publish=7000"], "many shop"),
            // Docker's too: of both kinds one port has to fit.
            (&["publish=7000", "expose=81"], "many shop"),
            (&["publish=7000", "name=shop"], ""),
            (&["network=container:many"], ""),
            (&["network=host"], "on-host"),
        ] {
            let mut words = vec!["ps", "-a", "--format={{.Names}}"];
            words.extend(filters.iter().flat_map(|filter| ["--filter", filter]));
            let listed = device.done(&words).stdout;
            assert_eq!(
                listed.lines().collect::<Vec<_>>().join(" "),
                names,
                "{filters:?}"
            );
        }
        // What was said when it was made is not what is now.
        device.done(&["network", "create", "front"]);
        device.done(&["network", "connect", "front", "shop"]);
        device.done(&["network", "disconnect", "bridge", "shop"]);
        let id = device
            .done(&["network", "ls", "-qf", "name=^front$"])
            .stdout;
        for (network, names) in [
            ("front", "shop"),
            (id.trim_end(), "shop"),
            ("bridge", "off many"),
        ] {
            let filter = format!("network={network}");
            let listed = device
                .done(&["ps", "-af", &filter, "--format={{.Names}}"])
                .stdout;
            assert_eq!(
                listed.lines().collect::<Vec<_>>().join(" "),
                names,
                "{network}"
            );
        }
        let listed = device.done(&["ps", "-f", "name=shop", "--format={{.Networks}}"]);
        assert_eq!(listed.stdout, "front\n");
        let ports: Value = network_settings(device, "shop")["Ports"].clone();
        assert_eq!(ports["81/tcp"], Value::Null);
        assert_eq!(ports["80/tcp"][0]["HostPort"], "8080");
        let names = CONTAINERS.map(|(name, _)| name);
        device.done(&[&["rm", "-f"], &names[..]].concat());
        device.done(&["network", "rm", "front"]);
        until("clean host", || is_clean().then_some(()));
    });
}
