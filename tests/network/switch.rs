//! Ports move from an old container to its successor.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use dray::engine::network::Join;

use crate::lab::*;

/// Attaches a successor of `old`, which waits for the ports.
fn attach_waiting(lab: &Lab, id: &str, room: &Room, ports: &[&str], old: &[&str]) {
    let ports: Vec<_> = ports.iter().map(|text| port(text)).collect();
    let join = Join {
        publish: false,
        replacing: old,
        ..join(id, room, &ports)
    };
    lab.network.attach(&join).unwrap();
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn a_switch_moves_ports_without_refusing_anybody() {
    let lab = Lab::new("switch");
    let (old, new) = (Room::new(), Room::new());
    lab.attach("old", &old, &["8080:80"]);
    let (old_server, new_server) = (old.listen(80), new.listen(80));
    attach_waiting(&lab, "new", &new, &["8080:80"], &["old"]);
    lab.outside.run(|| talk(at(HOST, 8080), &old_server));

    let stop = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        let serve = |server: TcpListener, word: &'static [u8]| {
            move || {
                while let Ok((mut stream, _)) = server.accept() {
                    if std::io::Write::write_all(&mut stream, word).is_err() {
                        return;
                    }
                }
            }
        };
        // The servers block in accept for good; they end with the process.
        thread::spawn(serve(old_server, b"old"));
        thread::spawn(serve(new_server, b"new"));
        let client = scope.spawn(|| {
            lab.outside.run(|| {
                let mut answers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let mut stream: TcpStream = connect(at(HOST, 8080)).unwrap();
                    let mut word = [0; 3];
                    stream.read_exact(&mut word).unwrap();
                    answers.push(String::from_utf8(word.to_vec()).unwrap());
                }
                answers
            })
        });
        for _ in 0..20 {
            lab.network.publish(&["new"], &["old"]).unwrap();
            lab.network.publish(&["old"], &["new"]).unwrap();
        }
        lab.network.publish(&["new"], &["old"]).unwrap();
        stop.store(true, Ordering::Relaxed);
        client.join().unwrap()
    });
    println!("{} connections", answers.len());
    assert!(answers.iter().all(|word| word == "old" || word == "new"));
    let mut stream = lab.outside.run(|| connect(at(HOST, 8080)).unwrap());
    let mut word = [0; 3];
    stream.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"new");
    // Both are still on the bridge; the old one's end takes nothing of the new one's with it.
    lab.network.detach("old").unwrap();
    let mut stream = lab.outside.run(|| connect(at(HOST, 8080)).unwrap());
    stream.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"new");
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn udp_clients_that_go_on_sending_reach_the_new_container() {
    let lab = Lab::new("switch-udp");
    let (old, new) = (Room::new(), Room::new());
    // The client sends before anything is published: the kernel would remember that it is for the host.
    let client = lab.outside.run(udp_client);
    client.send_to(b"early", at(HOST, 5300)).unwrap();
    lab.attach("old", &old, &["5300:53/udp"]);
    let (old_server, new_server) = (old.receive(53), new.receive(53));
    attach_waiting(&lab, "new", &new, &["5300:53/udp"], &["old"]);
    talk_udp(&client, at(HOST, 5300), &old_server);
    lab.network.publish(&["new"], &["old"]).unwrap();
    talk_udp(&client, at(HOST, 5300), &new_server);
    lab.network.publish(&["old"], &["new"]).unwrap();
    talk_udp(&client, at(HOST, 5300), &old_server);
    lab.network.detach("old").unwrap();
    lab.network.publish(&["new"], &["old"]).unwrap();
    talk_udp(&client, at(HOST, 5300), &new_server);
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn publishing_checks_third_parties() {
    let lab = Lab::new("third");
    let (old, new, other) = (Room::new(), Room::new(), Room::new());
    lab.attach("old", &old, &["8080:80"]);
    attach_waiting(&lab, "new", &new, &["8080:80", "9000:90"], &["old"]);
    let own = TcpListener::bind((HOST, 9000)).unwrap();
    let error = lab
        .network
        .publish(&["new"], &["old"])
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("port 9000/tcp is already in use by network-"),
        "{error}"
    );
    drop(own);
    lab.attach("other", &other, &["9000:1"]);
    let error = lab
        .network
        .publish(&["new"], &["old"])
        .unwrap_err()
        .to_string();
    assert_eq!(error, "port 9000/tcp is already in use by container other");
    let error = lab.network.publish(&["new"], &[]).unwrap_err().to_string();
    assert_eq!(error, "port 8080/tcp is already in use by container old");
    let error = lab
        .network
        .publish(&["nobody"], &["old"])
        .unwrap_err()
        .to_string();
    assert_eq!(error, "container nobody is not attached to a network");
    // After so many refusals the old container has its port.
    let server = old.listen(80);
    lab.outside.run(|| talk(at(HOST, 8080), &server));
    lab.network
        .publish(&["new"], &["old", "other", "gone"])
        .unwrap();
    let server = new.listen(80);
    lab.outside.run(|| talk(at(HOST, 8080), &server));
}

#[test]
#[ignore = "needs root: enters network namespaces"]
fn a_restart_keeps_address_and_ports() {
    let lab = Lab::new("restart");
    let first = Room::new();
    let before = lab.attach("web", &first, &[":80", "8080:81"]);
    drop(first);
    let second = Room::new();
    let after = lab.attach("web", &second, &[":80", "8080:81"]);
    assert_eq!(after, before);
    let server = second.listen(81);
    lab.outside.run(|| talk(at(HOST, 8080), &server));
    // Again in the same namespace, as after a kill in between.
    assert_eq!(lab.attach("web", &second, &[":80", "8080:81"]), before);
    lab.outside.run(|| talk(at(HOST, 8080), &server));
    let changed = lab.attach("web", &second, &["8081:81"]);
    assert_eq!((changed.ip, changed.ports.len()), (before.ip, 1));
    lab.outside.run(|| talk(at(HOST, 8081), &server));
    assert!(lab.outside.run(|| connect(at(HOST, 8080))).is_err());
}
