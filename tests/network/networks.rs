//! Several networks: what comes and goes with one of them, and what the last one takes along.

use dray::engine::network::Join;
use dray::engine::network::make::Wish;

use crate::kill;
use crate::lab::*;

/// Makes networks of these names.
fn make(lab: &Lab, names: &[&str]) {
    // The engine has it made before anybody makes a network.
    std::fs::create_dir_all(&lab.host.run).unwrap();
    for name in names {
        lab.network
            .create(Wish {
                name: (*name).to_owned(),
                id: name.repeat(16),
                ..Wish::default()
            })
            .unwrap();
    }
}

fn attach(lab: &Lab, room: &Room, network: &str) {
    let wishes = [port("8080:80"), port("5300:53/udp")];
    let join = Join {
        network,
        ..join("web", room, &wishes)
    };
    lab.network.attach(&join).unwrap();
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn networks_that_empty_together_leave_the_host_as_it_was() {
    let lab = Lab::new("together");
    make(&lab, &["back"]);
    let before = lab.snapshot();
    let rooms = [Room::new(), Room::new()];
    lab.attach("web", &rooms[0], &[]);
    let join = Join {
        network: "back",
        ..join("db", &rooms[1], &[])
    };
    lab.network.attach(&join).unwrap();
    for id in ["web", "db"] {
        lab.network.release(id).unwrap();
    }
    lab.network.tidy().unwrap();
    assert_eq!(lab.snapshot(), before);
    assert_eq!(lab.records(), [""; 0]);
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn the_ports_follow_the_way_outside() {
    let lab = Lab::new("heir");
    make(&lab, &["back", "deep"]);
    let room = Room::new();
    let server = room.listen(80);
    attach(&lab, &room, "back");
    attach(&lab, &room, "deep");
    for network in ["back", "deep"] {
        lab.outside.run(|| talk(at(HOST, 8080), &server));
        assert!(lab.network.leave("web", network).unwrap());
        assert!(!lab.network.leave("web", network).unwrap());
    }
    lab.outside.run(|| connect(at(HOST, 8080))).unwrap_err();
    // Nothing has led to it: whichever comes first does.
    attach(&lab, &room, "deep");
    lab.outside.run(|| talk(at(HOST, 8080), &server));
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn a_kill_anywhere_between_networks_is_settled() {
    let lab = Lab::new("kill-networks");
    make(&lab, &["back", "deep"]);
    let before = lab.snapshot();
    let room = Room::new();
    let server = room.listen(80);
    let clean = || {
        lab.network.settle(&|_| false).unwrap();
        assert_eq!(lab.snapshot(), before);
        assert_eq!(lab.records(), [""; 0]);
    };
    let points = kill::sweep(
        &|| attach(&lab, &room, "back"),
        &|| attach(&lab, &room, "deep"),
        &|| {
            lab.network.settle(&|_| true).unwrap();
            // Asked for again, it is there; what it had before, it still has.
            attach(&lab, &room, "deep");
            lab.outside.run(|| talk(at(HOST, 8080), &server));
            clean();
        },
    );
    assert!(points >= 10, "only {points} points in coming");
    let points = kill::sweep(
        &|| {
            ["back", "deep"]
                .iter()
                .for_each(|name| attach(&lab, &room, name))
        },
        &|| assert!(lab.network.leave("web", "back").unwrap()),
        &|| {
            lab.network.settle(&|_| true).unwrap();
            lab.network.leave("web", "back").unwrap();
            assert_eq!(room.shell("ip -o link").lines().count(), 2);
            clean();
        },
    );
    assert!(points >= 10, "only {points} points in leaving");
}
