//! A host of its own for each test: the test's thread enters a fresh network namespace, which plays the host; a second
//! one plays the world outside, further ones play containers. Everything vanishes with the test, however it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dray::config::Settings;
use dray::engine::network::{Attachment, Join, Network, NetworkError, Protocol, PublishedPort};
use dray::host::Host;
use dray::sys::netns::Netns;

/// The host's address towards the outside.
pub const HOST: &str = "10.99.0.2";
/// A further address of the host.
pub const HOST_TOO: &str = "10.99.7.7";
/// The outside's address.
pub const OUTSIDE: &str = "10.99.0.1";
/// The same of IPv6.
pub const HOST_V6: &str = "fd00:99::2";
pub const HOST_TOO_V6: &str = "fd00:99::7";
pub const OUTSIDE_V6: &str = "fd00:99::1";
/// The bridge's address.
pub const GATEWAY: &str = "172.29.0.1";

/// Long enough for a busy machine; a packet that is dropped costs it.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A network namespace, held by a process that ends with it.
pub struct Room {
    process: Child,
    netns: Netns,
}

impl Room {
    pub fn new() -> Room {
        let mut process = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up; echo; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = process.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let netns = Netns::of_process(process.id() as i32).unwrap();
        Room { process, netns }
    }

    pub fn pid(&self) -> i32 {
        self.process.id() as i32
    }

    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.netns.run(work).unwrap()
    }

    pub fn shell(&self, script: &str) -> String {
        self.run(|| shell(script))
    }

    /// Listens on all IPv6 addresses of this room.
    pub fn listen_v6(&self, port: u16) -> TcpListener {
        self.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap())
    }

    /// Listens on all addresses of this room.
    pub fn listen(&self, port: u16) -> TcpListener {
        self.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap())
    }

    /// Receives on all addresses of this room.
    pub fn receive(&self, port: u16) -> UdpSocket {
        self.run(|| udp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // It would end by itself when its input does, which other children may hold open for a while.
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Runs a script in the namespace of the calling thread; its output.
pub fn shell(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

pub struct Lab {
    pub host: Host,
    pub settings: Settings,
    pub network: Network,
    pub outside: Room,
    dir: PathBuf,
}

impl Lab {
    /// Must be the first thing a test does: its thread is the host from then on.
    pub fn new(name: &str) -> Lab {
        let apart = nix::sched::CloneFlags::CLONE_NEWNET;
        nix::sched::unshare(apart).expect("these tests enter network namespaces: run them as root");
        let outside = Room::new();
        shell(&format!(
            "ip link set lo up
             ip link add up0 type veth peer name up0 netns {}
             ip addr add {HOST}/24 dev up0
             ip addr add {HOST_TOO}/24 dev up0
             echo 0 > /proc/sys/net/ipv6/conf/up0/accept_dad
             ip link set up0 up
             ip addr add {HOST_TOO_V6}/64 dev up0
             ip addr add {HOST_V6}/64 dev up0
             echo 0 > /proc/sys/net/ipv4/ip_forward",
            outside.pid()
        ));
        outside.shell(&format!(
            "echo 0 > /proc/sys/net/ipv6/conf/up0/accept_dad
             ip addr add {OUTSIDE}/24 dev up0; ip link set up0 up; ip route add 10.99.7.0/24 dev up0
             ip addr add {OUTSIDE_V6}/64 dev up0"
        ));
        // The kernel says a moment later that the other end is there; snapshots are taken after that.
        shell(&format!(
            "ip route add default via {OUTSIDE}
             until ip link show up0 | grep -q 'state UP'; do :; done"
        ));
        // On tmpfs, as the run folder of a device is.
        let dir = PathBuf::from(format!(
            "/dev/shm/dray-network-{}-{name}",
            std::process::id()
        ));
        let host = Host::at(&dir);
        let settings = Settings::default();
        Lab {
            network: Network::open(&host, &settings).unwrap(),
            host,
            settings,
            outside,
            dir,
        }
    }

    /// Attaches a container that publishes `ports` (as [`port`] reads them) at once.
    pub fn attach(&self, id: &str, room: &Room, ports: &[&str]) -> Attachment {
        self.try_attach(id, room, ports).unwrap()
    }

    pub fn try_attach(
        &self,
        id: &str,
        room: &Room,
        ports: &[&str],
    ) -> Result<Attachment, NetworkError> {
        let ports: Vec<PublishedPort> = ports.iter().map(|text| port(text)).collect();
        self.network.attach(&join(id, room, &ports))
    }

    /// Everything that the network may change on this host.
    pub fn snapshot(&self) -> String {
        shell(
            "nft list ruleset
             ip -o link; ip -o -4 addr; ip route; ip rule; ip -o -6 addr show scope global; ip -6 route | grep -v ^fe80
             cd /proc/sys/net/ipv4; grep . ip_forward conf/*/route_localnet
             cd /proc/sys/net/ipv6/conf; grep . */forwarding */accept_ra */disable_ipv6",
        )
    }

    /// What the network has written down: names of leases, and `network.json` while there is a bridge.
    pub fn records(&self) -> Vec<String> {
        let dir = self.host.run.join("network");
        let mut names: Vec<String> = [dir.clone(), dir.join("leases"), dir.join("built")]
            .iter()
            .filter_map(|dir| std::fs::read_dir(dir).ok())
            .flatten()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !["leases", "built", "lock", "keep"].contains(&name.as_str()))
            .collect();
        names.sort();
        names
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub fn join<'a>(id: &'a str, room: &Room, ports: &'a [PublishedPort]) -> Join<'a> {
    Join {
        id,
        pid: room.pid(),
        network: "bridge",
        address: None,
        address_v6: None,
        hostname: id,
        names: &[],
        links: &[],
        ports,
        publish: true,
        replacing: &[],
        mac: None,
    }
}

/// `[IP:][HOST[-HOST]]:CONTAINER[/PROTOCOL]`, an IPv6 address in brackets
pub fn port(text: &str) -> PublishedPort {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => Protocol::Sctp,
    };
    let (host, container) = ports.rsplit_once(':').unwrap();
    let (ip, host) = host.rsplit_once(':').unwrap_or(("", host));
    let (first, last) = host.split_once('-').unwrap_or((host, host));
    PublishedPort {
        protocol,
        container_port: container.parse().unwrap(),
        host_ip: (!ip.is_empty()).then(|| ip.trim_matches(['[', ']']).parse().unwrap()),
        host_ports: first.parse().ok().zip(last.parse().ok()),
    }
}

pub fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

fn udp(local: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(local).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

pub fn connect(target: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Connects to `target` in the calling thread's namespace, talks to `listener` both ways, and returns the client's address
/// as the server saw it.
pub fn talk(target: SocketAddr, listener: &TcpListener) -> IpAddr {
    let mut client = connect(target).unwrap_or_else(|error| panic!("{target}: {error}"));
    let (mut server, peer) = listener.accept().unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut word = [0; 4];
    client.write_all(b"ping").unwrap();
    server.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"ping");
    server.write_all(b"pong").unwrap();
    client.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"pong");
    peer.ip()
}

/// The same over UDP, with a client socket that may be used again.
pub fn talk_udp(client: &UdpSocket, target: SocketAddr, server: &UdpSocket) -> IpAddr {
    let mut word = [0; 4];
    client.send_to(b"ping", target).unwrap();
    let (_, peer) = server
        .recv_from(&mut word)
        .unwrap_or_else(|error| panic!("{target}: {error}"));
    assert_eq!(&word, b"ping");
    server.send_to(b"pong", peer).unwrap();
    let (_, from) = client.recv_from(&mut word).unwrap();
    assert_eq!((from, &word), (target, b"pong"));
    peer.ip()
}

/// A UDP socket for [`talk_udp`] in the calling thread's namespace.
pub fn udp_client() -> UdpSocket {
    udp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
}
