//! What is refused, and in which words.

use std::net::{TcpListener, UdpSocket};

use dray::config::{Settings, Subnet};
use dray::engine::network::Network;

use crate::lab::*;

/// Checks what a check before says, too.
fn refused_anyhow(lab: &Lab, room: &Room) -> String {
    let checked = lab.network.check_support().unwrap_err().to_string();
    assert_eq!(refused(lab, "web", room, &[]), checked);
    checked
}

fn refused(lab: &Lab, id: &str, room: &Room, ports: &[&str]) -> String {
    let before = (lab.snapshot(), lab.records());
    let error = lab.try_attach(id, room, ports).unwrap_err().to_string();
    assert_eq!((lab.snapshot(), lab.records()), before, "{error}");
    error
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn a_port_that_somebody_has_is_refused_by_name() {
    let lab = Lab::new("taken");
    let (web, second) = (Room::new(), Room::new());
    lab.attach(
        "0123456789abcdef",
        &web,
        &["8080:80", "127.0.0.1:8443:443", "5300:53/udp"],
    );
    let tcp = TcpListener::bind("127.0.0.1:9000").unwrap();
    let udp = UdpSocket::bind("0.0.0.0:9001").unwrap();
    let dual = TcpListener::bind("[::]:9002").unwrap();
    let program = std::fs::read_to_string("/proc/self/comm").unwrap();
    let program = format!("{} (pid {})", program.trim(), std::process::id());
    for (ports, wanted) in [
        (
            &["8080:81"][..],
            "port 8080/tcp is already in use by container 0123456789ab".to_owned(),
        ),
        (
            &["10.99.7.7:8080:81"],
            "port 10.99.7.7:8080/tcp is already in use by container 0123456789ab".to_owned(),
        ),
        (
            &["8443:81"],
            "port 8443/tcp is already in use by container 0123456789ab".to_owned(),
        ),
        (
            &["5300:1/udp"],
            "port 5300/udp is already in use by container 0123456789ab".to_owned(),
        ),
        (
            &["9000:80"],
            format!("port 9000/tcp is already in use by {program}"),
        ),
        (
            &["127.0.0.1:9000:80"],
            format!("port 127.0.0.1:9000/tcp is already in use by {program}"),
        ),
        (
            &["9001:80/udp"],
            format!("port 9001/udp is already in use by {program}"),
        ),
        (
            &["9002:80"],
            format!("port 9002/tcp is already in use by {program}"),
        ),
        (
            &["9000-9000:80"],
            format!("port 9000/tcp is already in use by {program}"),
        ),
        (
            &["7:80", "7:81"],
            "port 7/tcp is published twice".to_owned(),
        ),
        (
            &["8080-8080:1", "6:6"],
            "port 8080/tcp is already in use by container 0123456789ab".to_owned(),
        ),
        (
            &["10.1.1.1:80:80"],
            "failed to publish port 10.1.1.1:80/tcp: 10.1.1.1 is no address of this host"
                .to_owned(),
        ),
    ] {
        assert_eq!(refused(&lab, "second", &second, ports), wanted);
        let wishes: Vec<_> = ports.iter().map(|text| port(text)).collect();
        let checked = lab.network.check(&wishes, &[]).unwrap_err().to_string();
        assert_eq!(checked, wanted);
    }
    drop((tcp, udp, dual));
    // Other protocols, other addresses and freed ports are no obstacle.
    lab.attach(
        "second",
        &second,
        &[
            "8080:80/udp",
            "10.99.7.7:8443:443",
            "9000:80",
            "9001:80/udp",
        ],
    );
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn a_range_is_refused_when_none_of_it_is_free() {
    let lab = Lab::new("range");
    let (web, second) = (Room::new(), Room::new());
    lab.attach("web", &web, &["8000-8001:80"]);
    let own = TcpListener::bind((HOST, 8001)).unwrap();
    let error = refused(&lab, "second", &second, &["8000-8001:80"]);
    assert_eq!(error, "no port from 8000 to 8001/tcp is free on this host");
    drop(own);
    let second = lab.attach("second", &second, &["8000-8001:80"]);
    assert_eq!(second.ports[0].host_port, 8001);
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn ports_of_those_who_are_replaced_are_no_obstacle() {
    let lab = Lab::new("ignoring");
    let room = Room::new();
    lab.attach("old", &room, &["8080:80"]);
    let wishes = [port("8080:80")];
    lab.network.check(&wishes, &["old"]).unwrap();
    lab.network.check(&wishes, &["other"]).unwrap_err();
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn a_process_without_a_namespace_of_its_own_gets_no_interface() {
    let lab = Lab::new("namespace");
    let before = lab.snapshot();
    let mut own = join("web", &lab.outside, &[]);
    // A thread of this process is in the namespace that plays the host.
    own.pid = nix::unistd::gettid().as_raw();
    let error = lab.network.attach(&own).unwrap_err().to_string();
    let pid = own.pid;
    assert_eq!(
        error,
        format!(
            "process {pid} is in the host's network namespace, which gets no container interface"
        )
    );
    own.pid = 1 << 30;
    let error = lab.network.attach(&own).unwrap_err().to_string();
    assert_eq!(
        error,
        "failed to open the network namespace of process 1073741824: No such file or directory (os error 2)"
    );
    own.id = "../web";
    let error = lab.network.attach(&own).unwrap_err().to_string();
    assert_eq!(error, "invalid container id \"../web\"");
    assert_eq!(lab.snapshot(), before);
    assert_eq!(lab.records(), [""; 0]);
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn the_host_keeps_its_interfaces_and_its_networks() {
    let lab = Lab::new("collisions");
    let room = Room::new();
    shell("ip link add dray0 type bridge");
    let error = refused_anyhow(&lab, &room);
    assert_eq!(
        error,
        "interface dray0 exists and belongs to somebody else; choose another bridge in [network]"
    );
    shell("ip link set dray0 alias 'dray /elsewhere'");
    let error = refused_anyhow(&lab, &room);
    assert_eq!(
        error,
        "interface dray0 exists and belongs to dray /elsewhere; choose another bridge in [network]"
    );
    shell("ip link del dray0; ip addr add 172.29.5.1/24 dev up0");
    let error = refused_anyhow(&lab, &room);
    assert_eq!(
        error,
        "subnet 172.29.0.0/16 of the container network overlaps 172.29.5.1/24 of interface up0; choose another subnet in [network]"
    );
    shell("ip addr del 172.29.5.1/24 dev up0");
    lab.network.check_support().unwrap();
    lab.attach("web", &room, &[]);
    lab.network.check_support().unwrap();
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn a_full_subnet_and_unsupported_settings() {
    let lab = Lab::new("settings");
    let mut settings = Settings::default();
    settings.network.subnet = Subnet {
        address: "192.168.77.0".parse().unwrap(),
        prefix: 29,
    };
    let network = Network::open(&lab.host, &settings).unwrap();
    let rooms: Vec<Room> = (0..6).map(|_| Room::new()).collect();
    for (number, room) in rooms[..5].iter().enumerate() {
        let attachment = network
            .attach(&join(&number.to_string(), room, &[]))
            .unwrap();
        assert_eq!(
            attachment.ip.to_string(),
            format!("192.168.77.{}", number + 2)
        );
    }
    let error = network
        .attach(&join("5", &rooms[5], &[]))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "no address of subnet 192.168.77.0/29 is free; choose a larger one in [network]"
    );
    // Built as it was, it stays so until it is taken down, whatever the settings say meanwhile.
    assert_eq!(lab.network.gateway().unwrap().to_string(), "192.168.77.1");
    network.detach("3").unwrap();
    assert_eq!(
        lab.attach("5", &rooms[5], &[]).ip.to_string(),
        "192.168.77.5"
    );

    settings.network.ip6 = Some(Subnet {
        address: "fd00::".parse().unwrap(),
        prefix: 64,
    });
    let network = Network::open(&lab.host, &settings).unwrap();
    let error = network
        .attach(&join("6", &rooms[3], &[]))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "IPv6 addresses on bridge dray0 are not supported; set ip6 = no in [network]"
    );
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn damaged_and_newer_state_is_refused_by_name() {
    let lab = Lab::new("state");
    let room = Room::new();
    lab.attach("web", &room, &[]);
    let path = lab.host.run.join("network/leases/web");
    let whole = std::fs::read_to_string(&path).unwrap();
    let newer = whole.replacen("\"version\":1", "\"version\":2", 1);
    let shown = path.display();
    for (content, wanted) in [
        (
            &newer[..],
            format!("network state {shown} has version 2, newer than this program knows"),
        ),
        (
            "",
            format!(
                "failed to understand network state {shown}: EOF while parsing a value at line 1 column 0"
            ),
        ),
        (
            "{\"version\":1}",
            format!(
                "failed to understand network state {shown}: missing field `id` at line 1 column 13"
            ),
        ),
    ] {
        std::fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, content.as_bytes()))
            .unwrap();
        let error = lab.network.detach("web").unwrap_err().to_string();
        assert_eq!(error, wanted);
    }
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn chains_of_others_that_drop_are_named() {
    let lab = Lab::new("obstacles");
    assert_eq!(lab.network.obstacles().unwrap(), [""; 0]);
    shell(
        "nft add table ip filter
         nft 'add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'
         nft 'add chain ip filter INPUT { type filter hook input priority 0; policy drop; }'
         nft add table ip6 filter
         nft 'add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; }'
         nft add table inet firewall
         nft 'add chain inet firewall pass { type filter hook forward priority 0; policy drop; }'
         nft 'add chain inet firewall fine { type filter hook forward priority 1; policy accept; }'",
    );
    assert_eq!(
        lab.network.obstacles().unwrap(),
        ["FORWARD of table filter", "pass of table firewall"]
    );
}
