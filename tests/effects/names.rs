//! Names and addresses.

use serde_json::json;

use super::common::device::on_device;
use super::{Row, check, push};

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    ("add-host", "--add-host db:10.0.0.7 --add-host six=[2001:db8::7]", "grep -E 'db|six' /etc/hosts",
        "10.0.0.7\tdb\n2001:db8::7\tsix"),
    ("add-host", "--add-host up:host-gateway --network bridge", "grep up /etc/hosts", "172.29.0.1\tup"),
    ("hostname", "-h box.example.org --network bridge", "grep box /etc/hosts | cut -f2; cat /etc/hostname",
        "box.example.org box\nbox.example.org"),
    ("domainname", "-h box --domainname example.org --network bridge", "grep box /etc/hosts | cut -f2", "box.example.org box"),
    ("dns", "--dns 10.9.8.7 --dns 10.9.8.6", "grep nameserver /etc/resolv.conf",
        "nameserver 10.9.8.7\nnameserver 10.9.8.6"),
    ("dns-opt", "--dns-opt ndots:3", "grep options /etc/resolv.conf", "options ndots:3"),
    ("dns-option", "--dns-option ndots:3 --dns-option rotate", "grep options /etc/resolv.conf",
        "options ndots:3 rotate"),
    ("dns-search", "--dns-search example.org --dns-search example.com", "grep search /etc/resolv.conf",
        "search example.org example.com"),
    ("dns-search", "--dns-search .", "grep -c search /etc/resolv.conf", "0"),
    ("mac-address", "--mac-address 02:42:ac:1d:00:99 --network bridge", "cat /sys/class/net/eth0/address",
        "02:42:ac:1d:00:99"),
    ("ip", "--ip 10.77.0.9 --network lan", "ip -o -4 address show eth0 | awk '{ print $4 }'", "10.77.0.9/24"),
    ("ip6", "--ip6 fd00:77::9 --network lan6", "ip -o -6 address show eth0 scope global | awk '{ print $4 }'; grep -c fd00:77::9 /etc/hosts",
        "fd00:77::9/64\n2"),
    ("network", "--network name=lan,ip=10.77.0.8,mac-address=02:42:0a:4d:00:99",
        "ip -o -4 address show eth0 | awk '{ print $4 }'; cat /sys/class/net/eth0/address",
        "10.77.0.8/24\n02:42:0a:4d:00:99"),
    ("net", "--net lan", "ip -o -4 address show eth0 | awk '{ print $4 }'", "10.77.0.2/24"),
    ("network-alias", "--network lan --network-alias one --network-alias two",
        "grep -o -w -E 'one|two' /etc/hosts | sort", "one\ntwo"),
    ("net-alias", "--net lan --net-alias old", "grep -o -w old /etc/hosts", "old"),
];

#[test]
fn a_container_has_the_names_and_addresses_it_is_given() {
    on_device("names", |device| {
        let image = push(device, "tools", json!({}));
        let create = ["network", "create", "--subnet"];
        device.done(&[&create[..], &["10.77.0.0/24", "lan"]].concat());
        device.done(&[&create[..], &["fd00:77::/64", "--ipv6", "lan6"]].concat());
        check(device, &image, ROWS);
    });
}
