//! Driver options of networks, observed from inside and from the rules.

use serde_json::json;

use super::common::device::on_device;
use super::{SERVE, fetch, fetch_from_inside, is_clean, output, serve_on, until};

#[test]
#[ignore = "needs root: namespaces and mounts"]
fn options_of_a_network_hold() {
    on_device("network-options", |device| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        device.push("web", SERVE, json!({}));
        let option = |name: &str, value: &str| format!("com.docker.network.{name}={value}");
        let mtu = option("driver.mtu", "1400");
        let apart = option("bridge.enable_icc", "false");
        let bare = option("bridge.enable_ip_masquerade", "0");
        let create = ["network", "create", "-o", &apart, "--opt", &mtu, "apart"];
        device.done(&create);
        device.done(&["network", "create", "-o", &bare, "bare"]);

        serve_on(device, "one", &["--network", "apart", "-p", "8080:80"]);
        let two = serve_on(device, "two", &["--network", "apart"]);
        let read = |name: &str| {
            let words = ["exec", name, "cat", "/sys/class/net/eth0/mtu"];
            device.done(&words).stdout.trim().to_owned()
        };
        assert_eq!(read("one"), "1400");
        // The host reaches them all, and they the world outside; each other they do not.
        assert_eq!(fetch("127.0.0.1", 8080).unwrap(), "web");
        assert_eq!(fetch(&two, 80).unwrap(), "web");
        for name in ["two", "two.apart", &two] {
            fetch_from_inside(device, "one", name).unwrap_err();
        }

        serve_on(device, "three", &["--network", "bare"]);
        assert_eq!(read("three"), "1500");
        let rules = output("nft", &["list", "chain", "ip", "dray", "postrouting"]);
        let outward = |subnet: &str| rules.contains(&format!("{subnet} oifname != "));
        assert!(
            outward("172.30.0.0/24") && !outward("172.30.1.0/24"),
            "{rules}"
        );
        device.done(&["rm", "-f", "one", "two", "three"]);
        until("clean host", || is_clean().then_some(()));
    });
}
