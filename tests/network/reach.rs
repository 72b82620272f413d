//! Who reaches whom, and as whom.

use std::net::{TcpListener, UdpSocket};

use dray::api::CreateBody;

use crate::lab::*;

#[test]
#[ignore = "needs root: enters network namespaces"]
fn published_tcp_answers_on_every_host_address() {
    let lab = Lab::new("tcp");
    let room = Room::new();
    let attachment = lab.attach("web", &room, &["8080:80"]);
    assert_eq!(attachment.ip.to_string(), "172.29.0.2");
    let server = room.listen(80);
    let from_outside = |address| lab.outside.run(|| talk(at(address, 8080), &server));
    for address in [HOST, HOST_TOO] {
        assert_eq!(from_outside(address).to_string(), OUTSIDE, "{address}");
    }
    for (address, seen) in [
        ("127.0.0.1", GATEWAY),
        ("127.7.7.7", GATEWAY),
        (HOST, HOST),
        (HOST_TOO, HOST_TOO),
        (GATEWAY, GATEWAY),
    ] {
        assert_eq!(
            talk(at(address, 8080), &server).to_string(),
            seen,
            "{address}"
        );
    }
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn published_udp_answers_on_every_host_address() {
    let lab = Lab::new("udp");
    let room = Room::new();
    lab.attach("dns", &room, &["5300:53/udp"]);
    let server = room.receive(53);
    let seen = lab
        .outside
        .run(|| talk_udp(&udp_client(), at(HOST, 5300), &server));
    assert_eq!(seen.to_string(), OUTSIDE);
    for (address, seen) in [("127.0.0.1", GATEWAY), (HOST_TOO, HOST_TOO)] {
        let client = udp_client();
        assert_eq!(
            talk_udp(&client, at(address, 5300), &server).to_string(),
            seen
        );
    }
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn containers_reach_the_outside_as_the_host() {
    let lab = Lab::new("masquerade");
    let room = Room::new();
    lab.attach("web", &room, &[]);
    let server = lab.outside.listen(7000);
    let seen = room.run(|| talk(at(OUTSIDE, 7000), &server));
    assert_eq!(seen.to_string(), HOST);
    let server = lab.outside.receive(7000);
    let seen = room.run(|| talk_udp(&udp_client(), at(OUTSIDE, 7000), &server));
    assert_eq!(seen.to_string(), HOST);
    let here = TcpListener::bind((HOST, 7001)).unwrap();
    let seen = room.run(|| talk(at(HOST, 7001), &here));
    assert_eq!(
        seen.to_string(),
        "172.29.0.2",
        "the host itself sees who it is"
    );
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn containers_reach_each_other_and_their_ports_through_the_host() {
    let lab = Lab::new("neighbours");
    let (web, app) = (Room::new(), Room::new());
    lab.attach("web", &web, &["8080:80"]);
    lab.attach("app", &app, &[]);
    let server = web.listen(80);
    // Where bridged packets go through the firewall (br_netfilter), the kernel turns them round below the bridge.
    for filtered in ["0", "1"] {
        shell(&format!(
            "sysctl -qw net.bridge.bridge-nf-call-iptables={filtered}"
        ));
        for (from, target, seen) in [
            (&app, at("172.29.0.2", 80), "172.29.0.3"),
            (&app, at(HOST, 8080), GATEWAY),
            (&app, at(GATEWAY, 8080), GATEWAY),
            (&web, at(HOST, 8080), GATEWAY),
        ] {
            let peer = from.run(|| talk(target, &server));
            assert_eq!(peer.to_string(), seen, "{target}, bridge-nf {filtered}");
        }
    }
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn a_port_on_one_host_address_answers_there_only() {
    let lab = Lab::new("one-address");
    let room = Room::new();
    let ports = [
        "10.99.7.7:8080:80",
        "127.0.0.1:8081:80",
        "127.0.0.1:5300:53/udp",
    ];
    lab.attach("web", &room, &ports);
    let server = room.listen(80);
    let names = room.receive(53);
    let from_outside = |address, port| lab.outside.run(|| connect(at(address, port)).is_ok());
    assert!(from_outside(HOST_TOO, 8080));
    assert!(!from_outside(HOST, 8080));
    assert!(!from_outside(HOST, 8081));
    assert!(connect(at("127.0.0.1", 8080)).is_err());
    assert!(connect(at(HOST, 8081)).is_err());
    server.accept().unwrap();
    assert_eq!(talk(at("127.0.0.1", 8081), &server).to_string(), GATEWAY);
    let client = udp_client();
    assert_eq!(
        talk_udp(&client, at("127.0.0.1", 5300), &names).to_string(),
        GATEWAY
    );
}

/// Lets a room send to 127.0.0.1 elsewhere, as an attacker would.
fn forge_loopback(room: &Room, link: &str, gateway: &str) {
    room.shell(&format!(
        "ip addr del 127.0.0.1/8 dev lo
         echo 1 > /proc/sys/net/ipv4/conf/{link}/route_localnet
         ip route add 127.0.0.1 via {gateway}"
    ));
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn nobody_reaches_loopback_by_forging_it() {
    let lab = Lab::new("loopback");
    let room = Room::new();
    lab.attach("web", &room, &["127.0.0.1:8080:80"]);
    let server = room.listen(80);
    forge_loopback(&lab.outside, "up0", HOST);
    let reached = lab.outside.run(|| connect(at("127.0.0.1", 8080)).is_ok());
    assert!(!reached, "a port published on loopback answers a neighbour");
    assert_eq!(talk(at("127.0.0.1", 8080), &server).to_string(), GATEWAY);

    let own = TcpListener::bind("127.0.0.1:9000").unwrap();
    forge_loopback(&room, "eth0", GATEWAY);
    let attack = || room.run(|| connect(at("127.0.0.1", 9000)).is_ok());
    assert!(
        !attack(),
        "a container reaches a loopback service of the host"
    );
    // The attack itself works; only the guard is in its way.
    shell("nft flush chain ip dray guard");
    assert!(attack());
    drop(own);
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn what_is_not_published_cannot_be_reached_from_outside() {
    let lab = Lab::new("unpublished");
    let room = Room::new();
    lab.attach("web", &room, &["8080:80"]);
    let (server, hidden) = (room.listen(80), room.listen(81));
    lab.outside
        .shell(&format!("ip route add 172.29.0.0/16 via {HOST}"));
    let reach = |address, port| lab.outside.run(|| connect(at(address, port)).is_ok());
    assert!(!reach("172.29.0.2", 81));
    assert!(!reach("172.29.0.2", 80), "around the published address");
    assert!(reach(HOST, 8080));
    server.accept().unwrap();
    assert_eq!(talk(at("172.29.0.2", 81), &hidden).to_string(), GATEWAY);
    shell("nft flush chain ip dray forward");
    assert!(
        reach("172.29.0.2", 81),
        "only the forward chain was in the way"
    );
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn ranges_and_random_ports_lead_to_their_container_ports() {
    let lab = Lab::new("ranges");
    let room = Room::new();
    let taken = TcpListener::bind((HOST, 8000)).unwrap();
    let ports = ["8000-8002:80", ":81", ":81", "5000:82"];
    let attachment = lab.attach("web", &room, &ports);
    let got: Vec<u16> = attachment.ports.iter().map(|p| p.host_port).collect();
    assert_eq!(got, [8001, 32768, 32769, 5000]);
    for (port, container_port) in got.iter().zip([80, 81, 81, 82]) {
        let server = room.listen(container_port);
        let seen = lab.outside.run(|| talk(at(HOST, *port), &server));
        assert_eq!(seen.to_string(), OUTSIDE);
    }
    drop(taken);
    let shown = dray::engine::network::docker_ports([&attachment], &CreateBody::default());
    let shown: Vec<&str> = shown["81/tcp"]
        .iter()
        .flatten()
        .map(|b| b.host_port.as_str())
        .collect();
    assert_eq!(shown, ["32768", "32769"]);
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn a_thousand_ports_fit() {
    let lab = Lab::new("thousand");
    let room = Room::new();
    let ports: Vec<String> = (20_000..22_500).map(|p| format!("{p}:{p}")).collect();
    let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
    lab.attach("media", &room, &ports);
    for port in [20_000, 21_234, 22_499] {
        let server = room.listen(port);
        let seen = lab.outside.run(|| talk(at(HOST, port), &server));
        assert_eq!(seen.to_string(), OUTSIDE);
    }
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn the_container_has_loopback_eth0_and_a_default_route() {
    let lab = Lab::new("inside");
    let room = Room::new();
    let attachment = lab.attach("web", &room, &[]);
    assert_eq!(attachment.mac.to_string(), "02:42:ac:1d:00:02");
    // The kernel says a moment later that the other end is there.
    room.shell("until ip link show eth0 | grep -q 'state UP'; do :; done");
    let links = room.shell("ip -o link | awk '{print $2, $3}'");
    let (lo, eth0) = links.split_once('\n').unwrap();
    assert_eq!(lo, "lo: <LOOPBACK,UP,LOWER_UP>");
    let (name, flags) = eth0.split_once(' ').unwrap();
    assert!(name.starts_with("eth0@"), "{name}");
    assert_eq!(flags, "<BROADCAST,MULTICAST,UP,LOWER_UP>\n");
    assert_eq!(
        room.shell("ip -o link show eth0 | grep -o 'ether [0-9a-f:]*' | cut -c7-")
            .trim(),
        "02:42:ac:1d:00:02"
    );
    assert_eq!(
        room.shell("ip route").replace(" \n", "\n"),
        "default via 172.29.0.1 dev eth0\n172.29.0.0/16 dev eth0 proto kernel scope link src 172.29.0.2\n"
    );
    assert_eq!(
        shell("ip -o -6 addr show dev dray0"),
        "",
        "no IPv6 towards containers"
    );
    let _: UdpSocket = room.receive(1);
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn the_rules_read_as_intended() {
    let lab = Lab::new("rules");
    let (web, idle) = (Room::new(), Room::new());
    let ports = ["8080:80", "5300:53/udp", "9:9/sctp", "127.0.0.1:443:443"];
    lab.attach("web", &web, &ports);
    lab.attach("idle", &idle, &[]);
    let wanted = include_str!("ruleset.nft");
    assert_eq!(shell("nft list ruleset"), wanted);
}
