//! What is left: nothing, whatever happened.

use std::thread;
use std::time::Instant;

use dray::engine::network::{Join, Network};

use crate::kill;
use crate::lab::*;

/// Cycles of attach and detach that must not leave anything.
const CYCLES: usize = 50;

#[test]
#[ignore = "needs root: enters network namespaces"]
fn the_host_is_the_same_before_and_after() {
    let lab = Lab::new("before-after");
    shell(
        "nft add table ip foreign
         nft 'add chain ip foreign nat { type nat hook postrouting priority 100; }'
         nft 'add rule ip foreign nat oifname \"docker0\" masquerade'",
    );
    for forwarding in ["0", "1"] {
        shell(&format!(
            "echo {forwarding} > /proc/sys/net/ipv4/ip_forward"
        ));
        let before = lab.snapshot();
        let (web, app) = (Room::new(), Room::new());
        lab.attach("web", &web, &["8080:80", "5300:53/udp"]);
        lab.attach("app", &app, &[]);
        assert_ne!(lab.snapshot(), before);
        assert_eq!(shell("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
        assert_eq!(lab.records(), ["app", "network.json", "web"]);
        lab.network.detach("web").unwrap();
        lab.network.detach("web").unwrap();
        let server = lab.outside.listen(7000);
        app.run(|| talk(at(OUTSIDE, 7000), &server));
        lab.network.detach("app").unwrap();
        assert_eq!(lab.snapshot(), before);
        assert_eq!(lab.records(), [""; 0]);
        lab.network.detach("app").unwrap();
        lab.network.tidy().unwrap();
        lab.network.settle(&|_| false).unwrap();
        assert_eq!(lab.snapshot(), before);
    }
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn forwarding_stays_for_another_bridge() {
    let lab = Lab::new("forwarding");
    let room = Room::new();
    lab.attach("web", &room, &[]);
    shell("ip link add docker0 type bridge");
    lab.network.detach("web").unwrap();
    assert_eq!(shell("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn an_empty_network_stays_while_somebody_keeps_it() {
    let lab = Lab::new("kept");
    let before = lab.snapshot();
    let room = Room::new();
    lab.attach("web", &room, &["8080:80"]);
    let (first, second) = (lab.network.keep().unwrap(), lab.network.keep().unwrap());
    lab.network.release("web").unwrap();
    for guard in [first, second] {
        lab.network.settle(&|_| false).unwrap();
        lab.network.tidy().unwrap();
        assert_eq!(lab.records(), ["network.json"]);
        drop(guard);
    }
    lab.network.tidy().unwrap();
    assert_eq!(lab.records(), [""; 0]);
    drop(room);
    assert_eq!(lab.snapshot(), before);
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn a_host_that_never_had_a_container_is_not_touched() {
    let lab = Lab::new("untouched");
    let before = lab.snapshot();
    lab.network.detach("web").unwrap();
    lab.network.release("web").unwrap();
    lab.network.tidy().unwrap();
    lab.network.settle(&|_| true).unwrap();
    lab.network.publish(&[], &["web"]).unwrap();
    lab.network.check(&[port("8080:80")], &[]).unwrap();
    lab.network.check_support().unwrap();
    assert_eq!(lab.network.find("web").unwrap(), []);
    assert_eq!(lab.snapshot(), before);
    assert!(!lab.host.run.exists());
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn settling_removes_the_dead_and_keeps_the_living() {
    let lab = Lab::new("settle");
    let (dead, live) = (Room::new(), Room::new());
    lab.attach("dead", &dead, &["8080:80"]);
    lab.attach("live", &live, &["8081:80"]);
    let server = live.listen(80);
    drop(dead);
    lab.network.settle(&|id| id == "live").unwrap();
    assert_eq!(lab.records(), ["live", "network.json"]);
    lab.outside.run(|| talk(at(HOST, 8081), &server));
    let ports = shell("ip -o link show master dray0 | wc -l");
    assert_eq!(ports.trim(), "1");
    // Somebody reloads his firewall, takes the bridge down and turns forwarding off.
    shell("nft flush ruleset; ip link set dray0 down; echo 0 > /proc/sys/net/ipv4/ip_forward");
    lab.network.settle(&|id| id == "live").unwrap();
    lab.outside.run(|| talk(at(HOST, 8081), &server));
    assert!(lab.outside.run(|| connect(at(HOST, 8080))).is_err());
    // What is right already is left alone.
    let handle = shell("nft -a list table ip dray | head -n 1");
    lab.network.settle(&|id| id == "live").unwrap();
    assert_eq!(shell("nft -a list table ip dray | head -n 1"), handle);
    shell("nft add element ip dray published '{ tcp . 8080 : 172.29.0.9 . 80 }'");
    lab.network.settle(&|id| id == "live").unwrap();
    assert_ne!(shell("nft -a list table ip dray | head -n 1"), handle);
    assert!(!shell("nft list map ip dray published").contains("172.29.0.9"));
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn the_next_change_restores_flushed_rules() {
    let lab = Lab::new("flushed");
    let (web, app) = (Room::new(), Room::new());
    lab.attach("web", &web, &["8080:80"]);
    let server = web.listen(80);
    for spoil in ["nft flush ruleset", "nft flush map ip dray published"] {
        shell(spoil);
        lab.attach("app", &app, &["8081:80"]);
        lab.network.publish(&[], &["web"]).unwrap();
        lab.network.publish(&["web"], &[]).unwrap();
        lab.outside.run(|| talk(at(HOST, 8080), &server));
        lab.network.detach("app").unwrap();
    }
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn many_cycles_leak_nothing() {
    kill::take_own_descriptors();
    let lab = Lab::new("cycles");
    let before = lab.snapshot();
    let descriptors = || std::fs::read_dir("/proc/thread-self/fd").unwrap().count();
    let mut open = 0;
    let mut times: [Vec<f64>; 4] = Default::default();
    let rooms: Vec<Room> = (0..CYCLES).map(|_| Room::new()).collect();
    let mut measure = |kind: usize, work: &dyn Fn()| {
        let start = Instant::now();
        work();
        times[kind].push(start.elapsed().as_secs_f64() * 1000.0);
    };
    for (cycle, room) in rooms.iter().enumerate() {
        measure(0, &|| drop(lab.attach("web", room, &["8080:80"])));
        measure(1, &|| lab.network.detach("web").unwrap());
        if cycle == 0 {
            open = descriptors();
        }
    }
    assert_eq!(descriptors(), open);
    assert_eq!(lab.snapshot(), before);
    let keeper = Room::new();
    lab.attach("keeper", &keeper, &[]);
    let rooms: Vec<Room> = (0..CYCLES).map(|_| Room::new()).collect();
    for room in rooms {
        measure(2, &|| drop(lab.attach("web", &room, &["8080:80"])));
        drop(room);
        measure(3, &|| lab.network.release("web").unwrap());
    }
    let words = [
        "attach first",
        "detach last",
        "attach beside another",
        "release",
    ];
    for (word, times) in words.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let (least, median) = (times[0], times[CYCLES / 2]);
        println!("{word}: {least:.1} ms at best, {median:.1} ms in the middle");
    }
    lab.network.detach("keeper").unwrap();
    drop(keeper);
    assert_eq!(descriptors(), open);
    assert_eq!(lab.snapshot(), before);
    assert_eq!(lab.records(), [""; 0]);
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn many_at_once_get_an_address_each() {
    let lab = Lab::new("at-once");
    let before = lab.snapshot();
    let rooms: Vec<Room> = (0..8).map(|_| Room::new()).collect();
    let mut addresses: Vec<String> = thread::scope(|scope| {
        let attach = |(number, room)| {
            let lab = &lab;
            scope.spawn(move || {
                // As another process would: a value of its own.
                let network = Network::open(&lab.host, &lab.settings).unwrap();
                let wishes = [port(":80")];
                let id = format!("c{number}");
                let attachment = network.attach(&join(&id, room, &wishes)).unwrap();
                format!("{} {}", attachment.ip, attachment.ports[0].host_port)
            })
        };
        let threads: Vec<_> = rooms.iter().enumerate().map(attach).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    addresses.sort();
    let wanted: Vec<String> = (0..8)
        .map(|n| format!("172.29.0.{} {}", n + 2, 32768 + n))
        .collect();
    // Who came first got the lower address and the lower port.
    assert_eq!(addresses, wanted);
    lab.network.settle(&|_| false).unwrap();
    assert_eq!(lab.snapshot(), before);
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn a_kill_anywhere_in_attach_or_detach_is_settled() {
    let lab = Lab::new("kill");
    let before = lab.snapshot();
    let room = Room::new();
    let attach = || drop(lab.attach("web", &room, &["8080:80", "5300:53/udp"]));
    let clean = || {
        lab.network.settle(&|_| false).unwrap();
        assert_eq!(lab.snapshot(), before);
        assert_eq!(lab.records(), [""; 0]);
    };
    attach();
    clean();
    let points = kill::sweep(&|| {}, &attach, &clean);
    assert!(points >= 10, "only {points} points in attach");
    let points = kill::sweep(&attach, &|| lab.network.detach("web").unwrap(), &clean);
    assert!(points >= 7, "only {points} points in detach");
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn a_kill_anywhere_in_attach_can_be_repeated_beside_another() {
    let lab = Lab::new("kill-again");
    let (keeper, room) = (Room::new(), Room::new());
    lab.attach("keeper", &keeper, &["8081:80"]);
    let (kept, server) = (keeper.listen(80), room.listen(80));
    let points = kill::sweep(
        &|| {},
        &|| drop(lab.attach("web", &room, &["8080:80"])),
        &|| {
            lab.attach("web", &room, &["8080:80"]);
            lab.outside.run(|| talk(at(HOST, 8080), &server));
            lab.outside.run(|| talk(at(HOST, 8081), &kept));
            lab.network.detach("web").unwrap();
            assert_eq!(shell("ip -o link show master dray0 | wc -l").trim(), "1");
        },
    );
    assert!(points >= 5, "only {points} points");
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn a_kill_anywhere_in_a_switch_leaves_one_container_at_most() {
    let lab = Lab::new("kill-switch");
    let (old, new) = (Room::new(), Room::new());
    let servers = (old.listen(80), new.listen(80));
    let wishes = [port("8080:80")];
    let prepare = || {
        lab.attach("old", &old, &["8080:80"]);
        let join = Join {
            publish: false,
            replacing: &["old"],
            ..join("new", &new, &wishes)
        };
        lab.network.attach(&join).unwrap();
    };
    let switch = || lab.network.publish(&["new"], &["old"]).unwrap();
    let points = kill::sweep(&prepare, &switch, &|| {
        lab.network.settle(&|_| true).unwrap();
        let map = shell("nft list map ip dray published");
        assert!(map.matches("8080").count() <= 1, "{map}");
        // Whatever it was, both directions are possible from here.
        switch();
        lab.outside.run(|| talk(at(HOST, 8080), &servers.1));
        lab.network.publish(&["old"], &["new"]).unwrap();
        lab.outside.run(|| talk(at(HOST, 8080), &servers.0));
        lab.network.settle(&|_| false).unwrap();
    });
    assert!(points >= 5, "only {points} points");
}
