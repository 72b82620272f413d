//! Networks with IPv6: who reaches whom, what is refused, and that the host is the same before and after.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, TcpListener};
use std::time::Instant;

use dray::api::CreateBody;
use dray::engine::network::make::{Asked, Wish};
use dray::engine::network::{Attachment, Join, NetworkError, docker_ports};

use crate::kill;
use crate::lab::*;

const GATEWAY_V6: &str = "fd00:5::1";

/// What each test makes its networks of.
fn wish(name: &str, subnet: &str) -> Wish {
    Wish {
        name: name.to_owned(),
        id: name.repeat(16),
        v6: Some(Asked {
            subnet: (!subnet.is_empty()).then(|| subnet.parse().unwrap()),
            ..Asked::default()
        }),
        ..Wish::default()
    }
}

fn lab(name: &str) -> Lab {
    let lab = Lab::new(name);
    // The engine has it made before anybody makes a network.
    std::fs::create_dir_all(&lab.host.run).unwrap();
    lab.network.create(wish("front", "fd00:5::/64")).unwrap();
    lab
}

fn attach_to(lab: &Lab, network: &str, id: &str, room: &Room, ports: &[&str]) -> Attachment {
    try_attach(lab, network, id, room, (ports, None)).unwrap()
}

fn try_attach(
    lab: &Lab,
    network: &str,
    id: &str,
    room: &Room,
    (ports, address): (&[&str], Option<&str>),
) -> Result<Attachment, NetworkError> {
    let ports: Vec<_> = ports.iter().map(|text| port(text)).collect();
    lab.network.attach(&Join {
        network,
        address_v6: address.map(|address| address.parse().unwrap()),
        ..join(id, room, &ports)
    })
}

fn attach(lab: &Lab, id: &str, room: &Room, ports: &[&str]) -> Attachment {
    attach_to(lab, "front", id, room, ports)
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn addresses_work_from_the_first_moment() {
    let lab = lab("v6-inside");
    let (web, app) = (Room::new(), Room::new());
    let server = web.listen_v6(80);
    let here = TcpListener::bind((HOST_V6.parse::<Ipv6Addr>().unwrap(), 7001)).unwrap();
    let outside = lab.outside.listen_v6(7000);
    let began = Instant::now();
    let first = attach(&lab, "web", &web, &[]);
    attach(&lab, "app", &app, &[]);
    for (from, target, server, seen) in [
        (&app, at("fd00:5::2", 80), &server, "fd00:5::3"),
        (&web, at("fd00:5::2", 80), &server, "fd00:5::2"),
        (&web, at(OUTSIDE_V6, 7000), &outside, HOST_V6),
        (&app, at(HOST_V6, 7001), &here, "fd00:5::3"),
    ] {
        let peer = from.run(|| talk(target, server));
        assert_eq!(peer.to_string(), seen, "{target}");
    }
    assert_eq!(
        talk(at("fd00:5::2", 80), &server).to_string(),
        GATEWAY_V6,
        "the host itself"
    );
    println!(
        "two containers and five exchanges took {:?}",
        began.elapsed()
    );
    let v6 = first.v6.unwrap();
    assert_eq!(
        (
            v6.ip.to_string().as_str(),
            v6.prefix,
            v6.gateway.to_string().as_str()
        ),
        ("fd00:5::2", 64, GATEWAY_V6)
    );
    let shown = web.shell("ip -o -6 addr show dev eth0 scope global; ip -6 route show default");
    assert!(
        shown.contains("inet6 fd00:5::2/64 scope global nodad"),
        "{shown}"
    );
    assert!(shown.contains("default via fd00:5::1 dev eth0"), "{shown}");
    assert!(!shown.contains("tentative"), "{shown}");
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn published_ports_answer_on_both_kinds_of_addresses() {
    let lab = lab("v6-publish");
    let (web, app) = (Room::new(), Room::new());
    let ports = [
        "8080:80",
        "[fd00:99::7]:8081:80",
        "[::]:8082:80",
        "0.0.0.0:8083:80",
        ":81",
    ];
    let attachment = attach(&lab, "web", &web, &ports);
    attach(&lab, "app", &app, &[]);
    // On both kinds.
    let server = web.listen_v6(80);
    for filtered in ["0", "1"] {
        shell(&format!(
            "sysctl -qw net.bridge.bridge-nf-call-ip6tables={filtered}"
        ));
        for (from, address, number, seen) in [
            (Some(&lab.outside), HOST_V6, 8080, OUTSIDE_V6),
            (Some(&lab.outside), HOST_TOO_V6, 8080, OUTSIDE_V6),
            (Some(&lab.outside), HOST_TOO_V6, 8081, OUTSIDE_V6),
            (Some(&lab.outside), HOST_V6, 8082, OUTSIDE_V6),
            (Some(&lab.outside), HOST, 8080, "::ffff:10.99.0.1"),
            (Some(&app), HOST_V6, 8080, GATEWAY_V6),
            (Some(&web), HOST_V6, 8080, GATEWAY_V6),
            (Some(&web), GATEWAY_V6, 8080, GATEWAY_V6),
            (None, HOST_V6, 8080, HOST_V6),
            (None, HOST_TOO_V6, 8081, HOST_TOO_V6),
            (None, GATEWAY_V6, 8082, GATEWAY_V6),
        ] {
            let target = at(address, number);
            let peer = match from {
                Some(room) => room.run(|| talk(target, &server)),
                None => talk(target, &server),
            };
            assert_eq!(peer.to_string(), seen, "{target}, bridge-nf {filtered}");
        }
    }
    for (address, number) in [(HOST_V6, 8081), (HOST_V6, 8083), (HOST, 8082)] {
        let target = at(address, number);
        lab.outside
            .run(|| connect(target))
            .expect_err(&target.to_string());
    }
    // Whoever tries it first hears at once that nothing is there, and tries 127.0.0.1.
    let refused = connect(at("::1", 8080)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    let random = attachment
        .ports
        .iter()
        .filter(|port| port.container_port == 81);
    let random: Vec<String> = random.map(ToString::to_string).collect();
    assert_eq!(random, ["32768/tcp", "[::]:32768/tcp"]);
    let shown = docker_ports([&attachment], &CreateBody::default());
    let shown = shown["80/tcp"]
        .iter()
        .flatten()
        .map(|b| format!("{} {}", b.host_ip, b.host_port));
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "0.0.0.0 8080",
            ":: 8080",
            "fd00:99::7 8081",
            ":: 8082",
            "0.0.0.0 8083"
        ]
    );
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn published_udp_follows_its_container() {
    let lab = lab("v6-udp");
    let (old, new) = (Room::new(), Room::new());
    let receive = |room: &Room| {
        room.run(|| {
            let socket = std::net::UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 53)).unwrap();
            socket
                .set_read_timeout(Some(std::time::Duration::from_secs(2)))
                .unwrap();
            socket
        })
    };
    let servers = (receive(&old), receive(&new));
    attach(&lab, "old", &old, &["5300:53/udp"]);
    let client = lab.outside.run(|| {
        let socket = std::net::UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
        socket
            .set_read_timeout(Some(std::time::Duration::from_secs(2)))
            .unwrap();
        socket
    });
    talk_udp(&client, at(HOST_V6, 5300), &servers.0);
    let wishes = [port("5300:53/udp")];
    lab.network
        .attach(&Join {
            network: "front",
            publish: false,
            replacing: &["old"],
            ..join("new", &new, &wishes)
        })
        .unwrap();
    lab.network.publish(&["new"], &["old"]).unwrap();
    talk_udp(&client, at(HOST_V6, 5300), &servers.1);
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn networks_are_apart() {
    let lab = lab("v6-apart");
    let secret = Wish {
        internal: true,
        ..wish("secret", "fd00:6::/64")
    };
    let icc = "com.docker.network.bridge.enable_icc".to_owned();
    let lonely = Wish {
        options: BTreeMap::from([(icc, "false".to_owned())]),
        ..wish("lonely", "fd00:7::/64")
    };
    for wish in [secret, lonely, wish("drawn", "")] {
        lab.network.create(wish).unwrap();
    }
    let rooms: Vec<Room> = (0..6).map(|_| Room::new()).collect();
    let [front, inner, inner_too, alone, alone_too, drawn] = &rooms[..] else {
        unreachable!()
    };
    attach(&lab, "front", front, &["8080:80"]);
    attach_to(&lab, "secret", "inner", inner, &[]);
    attach_to(&lab, "secret", "inner-too", inner_too, &[]);
    attach_to(&lab, "lonely", "alone", alone, &[]);
    attach_to(&lab, "lonely", "alone-too", alone_too, &[]);
    let attachment = attach_to(&lab, "drawn", "drawn", drawn, &[]);
    let own = attachment.v6.unwrap().ip;
    assert_eq!(own.octets()[0], 0xfd, "{own}");
    let servers: Vec<TcpListener> = rooms.iter().map(|room| room.listen_v6(80)).collect();
    lab.outside
        .shell(&format!("ip -6 route add fd00::/16 via {HOST_V6}"));
    let own = own.to_string();
    for (from, target, reaches) in [
        (drawn, "fd00:5::2", false),
        (front, own.as_str(), false),
        (&lab.outside, "fd00:5::2", false),
        (&lab.outside, "fd00:6::2", false),
        (inner_too, "fd00:6::2", true),
        (inner, "fd00:5::2", false),
        (inner, OUTSIDE_V6, false),
        (alone_too, "fd00:7::2", false),
        (alone, "fd00:7::3", false),
    ] {
        let reached = from.run(|| connect(at(target, 80)).is_ok());
        assert_eq!(reached, reaches, "{target}");
    }
    // Only by what is published.
    let seen = alone.run(|| talk(at(HOST_V6, 8080), &servers[0]));
    assert_eq!(seen.to_string(), GATEWAY_V6);
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn addresses_that_cannot_be_had_are_refused() {
    let lab = lab("v6-static");
    let (web, app) = (Room::new(), Room::new());
    lab.network
        .create(Wish {
            v6: None,
            ..wish("old", "")
        })
        .unwrap();
    let got = try_attach(
        &lab,
        "front",
        "0123456789ab",
        &web,
        (&[], Some("fd00:5::9")),
    )
    .unwrap();
    assert_eq!(got.v6.unwrap().ip.to_string(), "fd00:5::9");
    let before = (lab.snapshot(), lab.records());
    for (network, ports, address, wanted) in [
        (
            "front",
            &[][..],
            "fd00:6::9",
            "it is none of subnet fd00:5::/64",
        ),
        ("front", &[], "fd00:5::", "it is none of subnet fd00:5::/64"),
        ("front", &[], "fd00:5::1", "the network's gateway has it"),
        ("front", &[], "fd00:5::9", "container 0123456789ab has it"),
        (
            "old",
            &[],
            "fd00:5::9",
            "it has IPv4 addresses only; make one with --ipv6",
        ),
    ] {
        let error = try_attach(&lab, network, "app", &app, (ports, Some(address))).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("address {address} cannot be had on network {network}: {wanted}")
        );
    }
    // Another network may still bring what this one has not.
    let other = Room::new();
    let attachment = attach_to(&lab, "old", "apart", &other, &["[::]:80:80"]);
    assert_eq!(attachment.ports, []);
    lab.network.detach("apart").unwrap();
    assert_eq!((lab.snapshot(), lab.records()), before);

    let tcp = TcpListener::bind("[::]:9000").unwrap();
    let one = TcpListener::bind((HOST_TOO_V6, 9001)).unwrap();
    let program = std::fs::read_to_string("/proc/self/comm").unwrap();
    let program = format!("{} (pid {})", program.trim(), std::process::id());
    for (wish, wanted) in [
        (
            "[::]:9000:80",
            format!("port [::]:9000/tcp is already in use by {program}"),
        ),
        (
            "[fd00:99::2]:9000:80",
            format!("port [fd00:99::2]:9000/tcp is already in use by {program}"),
        ),
        (
            "9001:80",
            format!("port [::]:9001/tcp is already in use by {program}"),
        ),
        (
            "[fd00:98::1]:80:80",
            "failed to publish port [fd00:98::1]:80/tcp: fd00:98::1 is no address of this host"
                .to_owned(),
        ),
    ] {
        let error = try_attach(&lab, "front", "app", &app, (&[wish], None)).unwrap_err();
        assert_eq!(error.to_string(), wanted);
    }
    assert_eq!((lab.snapshot(), lab.records()), before);
    // Other addresses are no obstacle.
    attach(
        &lab,
        "app",
        &app,
        &["[fd00:99::2]:9001:80", "0.0.0.0:9001:80"],
    );
    drop((tcp, one));
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn networks_that_cannot_be_made_are_refused() {
    let lab = lab("v6-make");
    let before = lab.snapshot();
    let refused = |wish: Wish| lab.network.create(wish).unwrap_err().to_string();
    for (subnet, wanted) in [
        (
            "fd00:5::/80",
            "subnet fd00:5::/80 overlaps fd00:5::/64 of network front; choose another one",
        ),
        (
            "fd00:99::/64",
            "invalid --subnet \"fd00:99::/64\": it overlaps fd00:99::2/64 of interface up0; choose another one, such as fd00:5::/64",
        ),
        (
            "fd00:9::/127",
            "invalid --subnet \"fd00:9::/127\": it has no room for containers; use /126 or shorter",
        ),
        (
            "fe80::/64",
            "invalid --subnet \"fe80::/64\": its addresses are not global ones (2000::/3) or unique local ones (fc00::/7); choose another one, such as fd00:5::/64",
        ),
        (
            "64:ff9b::/96",
            "invalid --subnet \"64:ff9b::/96\": its addresses are not global ones (2000::/3) or unique local ones (fc00::/7); choose another one, such as fd00:5::/64",
        ),
    ] {
        assert_eq!(refused(wish("back", subnet)), wanted);
    }
    let asked = Asked {
        gateway: Some("fd00:7::1".parse().unwrap()),
        subnet: Some("fd00:8::/64".parse().unwrap()),
        range: None,
    };
    let elsewhere = Wish {
        v6: Some(asked),
        ..wish("back", "")
    };
    assert_eq!(
        refused(elsewhere),
        "invalid --gateway \"fd00:7::1\": it is no address for an interface in subnet fd00:8::/64"
    );
    // A kernel that knows no IPv6, as far as anybody can see.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    shell("mount --make-rprivate /; mount -t tmpfs none /proc/sys/net/ipv6");
    assert_eq!(
        refused(wish("back", "")),
        "network back needs IPv6, which is missing or switched off in this kernel; make it without --ipv6"
    );
    let room = Room::new();
    let error = try_attach(&lab, "front", "web", &room, (&[], None)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "network front needs IPv6, which is missing or switched off in this kernel; make it without --ipv6"
    );
    lab.attach("web", &room, &["8080:80"]);
    lab.network.detach("web").unwrap();
    shell("umount /proc/sys/net/ipv6");
    assert_eq!(lab.snapshot(), before);
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn the_host_stays_a_host_and_is_the_same_afterwards() {
    let lab = lab("v6-host");
    lab.network.create(wish("back", "fd00:6::/64")).unwrap();
    let conf = "cd /proc/sys/net/ipv6/conf; grep -s . up0/* rt0/* lo/* default/* || true";
    // One that is a router's already, and one that listens whatever happens.
    shell(
        "ip link add rt0 type veth peer name rt1
         echo 1 > /proc/sys/net/ipv6/conf/rt0/forwarding
         echo 2 > /proc/sys/net/ipv6/conf/rt1/accept_ra",
    );
    advertise(&lab);
    let routes = "ip -6 route show default | sed 's/expires.*//'";
    assert!(
        shell(routes).contains("default via fe80::"),
        "{}",
        shell(routes)
    );
    let before = (shell(conf), shell(routes), shell(ALL));
    let rooms = [Room::new(), Room::new(), Room::new()];
    attach(&lab, "web", &rooms[0], &["8080:80"]);
    assert_eq!(shell("cat /proc/sys/net/ipv6/conf/all/forwarding"), "1\n");
    assert_eq!(
        (shell(conf), shell(routes)),
        (before.0.clone(), before.1.clone())
    );
    lab.attach("plain", &rooms[1], &[]);
    attach_to(&lab, "back", "db", &rooms[2], &[]);
    // What one of them had enabled stays for the other.
    lab.network.detach("web").unwrap();
    assert_eq!(shell("cat /proc/sys/net/ipv6/conf/all/forwarding"), "1\n");
    let server = lab.outside.listen_v6(7000);
    rooms[2].run(|| talk(at(OUTSIDE_V6, 7000), &server));
    lab.network.detach("db").unwrap();
    assert_eq!(shell("cat /proc/sys/net/ipv6/conf/all/forwarding"), "0\n");
    assert_eq!(shell("nft list tables"), "table ip dray\n");
    lab.network.detach("plain").unwrap();
    assert_eq!((shell(conf), shell(routes), shell(ALL)), before);

    // Where it was on before, it stays on.
    shell("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
    let before = shell(ALL);
    attach(&lab, "web", &rooms[0], &[]);
    lab.network.detach("web").unwrap();
    assert_eq!(shell(ALL), before);
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn what_an_administrator_says_meanwhile_stays() {
    let lab = lab("v6-admin");
    advertise(&lab);
    let said = "cd /proc/sys/net/ipv6/conf/up0; cat accept_ra forwarding; ip -6 route show default | cut -d' ' -f1-2";
    let rooms = [Room::new(), Room::new(), Room::new()];
    attach(&lab, "web", &rooms[0], &["8080:80"]);
    assert_eq!(shell(said), "1\n0\ndefault via\n");
    let server = rooms[0].listen_v6(80);
    for (accept, forwarding) in [("2", "1"), ("0", "0"), ("1", "0")] {
        shell(&format!(
            "cd /proc/sys/net/ipv6/conf/up0; echo {accept} >accept_ra; echo {forwarding} >forwarding"
        ));
        let expected = format!("{accept}\n{forwarding}\ndefault via\n");
        attach(&lab, "more", &rooms[1], &[]);
        assert_eq!(shell(said), expected);
        lab.outside.run(|| talk(at(HOST_V6, 8080), &server));
        lab.network.detach("more").unwrap();
        assert_eq!(shell(said), expected);
    }
    shell("echo 2 >/proc/sys/net/ipv6/conf/up0/accept_ra");
    lab.network.detach("web").unwrap();
    assert_eq!(shell(said), "2\n0\ndefault via\n");
    assert_eq!(shell("cat /proc/sys/net/ipv6/conf/all/forwarding"), "0\n");
}

const ALL: &str = "cd /proc/sys/net/ipv6/conf; grep . */forwarding */accept_ra */disable_ipv6; ip -o link; nft list ruleset";

/// The outside says that it is a router, and the host hears it.
fn advertise(lab: &Lab) {
    let address = shell("ip -o -6 addr show dev up0 scope link | awk '{print $4}' | cut -d/ -f1");
    let script = format!(
        "import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
s.sendto(bytes([134, 0, 0, 0, 64, 0, 7, 8]) + bytes(8), ('{}', 0, 0, socket.if_nametoindex('up0')))",
        address.trim()
    );
    // As a host it would soon say that it is no router.
    lab.outside
        .shell("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
    lab.outside.run(|| {
        let sent = std::process::Command::new("python3")
            .args(["-c", &script])
            .status();
        assert!(sent.unwrap().success());
    });
    shell("until ip -6 route show default | grep -q 'proto ra'; do :; done");
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn a_kill_anywhere_is_settled() {
    let lab = lab("v6-kill");
    advertise(&lab);
    let routes = "ip -6 route show default | sed 's/expires.*//'";
    let before = (shell(ALL), shell(routes));
    let room = Room::new();
    let server = room.listen_v6(80);
    let clean = || {
        lab.network.settle(&|_| false).unwrap();
        assert_eq!((shell(ALL), shell(routes)), before);
        assert_eq!(lab.records(), [""; 0]);
    };
    let attach = || drop(attach(&lab, "web", &room, &["8080:80"]));
    let points = kill::sweep(&|| {}, &attach, &|| {
        lab.network.settle(&|_| true).unwrap();
        attach();
        lab.outside.run(|| talk(at(HOST_V6, 8080), &server));
        assert_eq!(shell("cat /proc/sys/net/ipv6/conf/up0/accept_ra"), "1\n");
        clean();
    });
    assert!(points >= 15, "only {points} points in coming");
    let points = kill::sweep(&attach, &|| lab.network.detach("web").unwrap(), &clean);
    assert!(points >= 10, "only {points} points in going");
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn the_way_outside_moves_in_both_versions() {
    let lab = lab("v6-heir");
    lab.network.create(wish("back", "fd00:6::/64")).unwrap();
    let room = Room::new();
    let server = room.listen_v6(80);
    lab.attach("web", &room, &["8080:80"]);
    attach(&lab, "web", &room, &["8080:80"]);
    attach_to(&lab, "back", "web", &room, &["8080:80"]);
    let routes = || room.shell("ip route show default; ip -6 route show default | cut -d' ' -f1-5");
    let wanted = "default via 172.29.0.1 dev eth0 \ndefault via fd00:5::1 dev eth1\n";
    assert_eq!(routes(), wanted);
    lab.network.leave("web", "bridge").unwrap();
    lab.network.leave("web", "front").unwrap();
    let routes = routes();
    assert!(
        routes.ends_with("default via fd00:6::1 dev eth2\n"),
        "{routes}"
    );
    // It was published before there was IPv6.
    lab.outside.run(|| talk(at(HOST, 8080), &server));
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn the_rules_of_ipv6_read_as_intended() {
    let lab = lab("v6-rules");
    lab.network
        .create(Wish {
            internal: true,
            ..wish("secret", "fd00:6::/64")
        })
        .unwrap();
    let (web, db) = (Room::new(), Room::new());
    let ports = ["8080:80", "5300:53/udp", "[fd00:99::7]:443:443"];
    attach(&lab, "web", &web, &ports);
    attach_to(&lab, "secret", "db", &db, &[]);
    let wanted = include_str!("ruleset6.nft");
    assert_eq!(shell("nft list table ip6 dray"), wanted);
}
