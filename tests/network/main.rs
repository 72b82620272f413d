//! The bridge network with real packets, in namespaces that each test makes for itself. Needs root.

#[allow(dead_code)]
mod lab;

use lab::*;

#[test]
fn published_tcp_answers_on_every_host_address() {
    let lab = Lab::new("tcp");
    let room = Room::new();
    let attachment = lab.attach("web", &room, &["8080:80"]);
    let server = room.listen(80);
    let started = std::time::Instant::now();
    assert_eq!(
        lab.outside
            .run(|| talk(at(HOST, 8080), &server))
            .to_string(),
        OUTSIDE
    );
    println!("{:?}", started.elapsed());
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
    assert_eq!(attachment.ip.to_string(), "172.29.0.2");
    let started = std::time::Instant::now();
    lab.network.detach("web").unwrap();
    println!("detach {:?}", started.elapsed());
    for _ in 0..5 {
        let started = std::time::Instant::now();
        lab.attach("web", &room, &["8080:80"]);
        let attached = started.elapsed();
        lab.network.detach("web").unwrap();
        println!("attach {attached:?} both {:?}", started.elapsed());
    }
    for _ in 0..5 {
        let room = Room::new();
        let started = std::time::Instant::now();
        lab.attach("web", &room, &["8080:80"]);
        let attached = started.elapsed();
        drop(room);
        let started = std::time::Instant::now();
        lab.network.release("web").unwrap();
        println!("attach {attached:?} release {:?}", started.elapsed());
    }
}
