//! A connection to whoever takes log messages: never waits, reconnects by itself, and keeps one message at most.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::registry::{SecureStream, Trust};
use crate::runargs::syslog::Address;
use crate::sys::process::PollFd;

/// How long a receiver may take to answer a connection; the monitor does nothing else meanwhile.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long after a failed connection the next one is tried; doubled with each one that fails, up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// Sends messages to one receiver.
#[derive(Debug)]
pub(super) struct Sender {
    address: Address,
    /// What the receiver's name stood for when the container started: a monitor does not ask for it again.
    resolved: Option<SocketAddr>,
    wire: Option<Wire>,
    /// What the receiver has not taken yet of one message.
    waiting: Vec<u8>,
    /// When the next connection is tried, while nobody is there, and how long after the last one that is.
    retry: Option<(Instant, Duration)>,
    /// Whom to trust where it is encrypted.
    pub trust: Trust,
}

#[derive(Debug)]
enum Wire {
    Datagram(UnixDatagram),
    Stream(UnixStream),
    Udp(UdpSocket),
    Tcp(TcpStream),
    Secure(Box<SecureStream>),
}

impl Sender {
    /// A sender that connects with its first message.
    pub fn new(address: Address) -> Sender {
        Sender {
            address,
            resolved: None,
            wire: None,
            waiting: Vec::new(),
            retry: None,
            trust: Trust::default(),
        }
    }

    /// Connects, unless that has been done.
    pub fn connect(&mut self) -> io::Result<()> {
        if self.wire.is_some() {
            return Ok(());
        }
        if self.retry_in().is_some_and(|left| !left.is_zero()) {
            return Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the receiver of the log cannot be reached",
            ));
        }
        match self.open() {
            Ok(wire) => {
                self.wire = Some(wire);
                self.retry = None;
                Ok(())
            }
            Err(error) => {
                let doubled = |(_, pause): (Instant, Duration)| (pause * 2).min(LONGEST_RETRY);
                let pause = self.retry.map_or(FIRST_RETRY, doubled);
                self.retry = Some((Instant::now() + pause, pause));
                Err(error)
            }
        }
    }

    /// Whether nobody was there when last looked for.
    pub fn is_away(&self) -> bool {
        self.retry.is_some()
    }

    /// How long until somebody is looked for again.
    pub fn retry_in(&self) -> Option<Duration> {
        let (at, _) = self.retry?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Lets the next look be now: there will be no other one.
    pub fn hurry(&mut self) {
        if let Some((at, _)) = &mut self.retry {
            *at = Instant::now();
        }
    }

    fn open(&mut self) -> io::Result<Wire> {
        let wire = match &self.address {
            Address::UnixDatagram(path) => Wire::Datagram(datagram(path)?),
            // A socket file does not say which kind it is.
            Address::Unix(path) => match datagram(path) {
                Ok(socket) => Wire::Datagram(socket),
                Err(_) => Wire::Stream(UnixStream::connect(PathBuf::from(path))?),
            },
            Address::Udp(host) => {
                let address = resolve(&mut self.resolved, host)?;
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
                    SocketAddr::V6(_) => ([0u16; 8], 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                Wire::Udp(socket)
            }
            Address::Tcp(host) => {
                let address = resolve(&mut self.resolved, host)?;
                Wire::Tcp(TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?)
            }
            Address::Tls(host) => {
                let address = resolve(&mut self.resolved, host)?;
                let socket = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
                let name = host
                    .rsplit_once(':')
                    .map_or(host.as_str(), |(name, _)| name);
                let name = name.trim_start_matches('[').trim_end_matches(']');
                let stream = SecureStream::connect(socket, name, &self.trust);
                Wire::Secure(Box::new(stream.map_err(io::Error::other)?))
            }
        };
        wire.never_waits()?;
        Ok(wire)
    }

    /// Sends one message, or keeps what the receiver does not take now; see [`Sender::is_congested`].
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let fresh = self.wire.is_none();
        self.connect()?;
        self.waiting = message.to_vec();
        let result = self.flush();
        if result.is_err() && !fresh {
            // The receiver was started anew, as far as we can know: once more.
            self.connect()?;
            self.waiting = message.to_vec();
            return self.flush();
        }
        result
    }

    /// Whether the receiver has not taken a message yet; then there is no room for another.
    pub fn is_congested(&self) -> bool {
        let behind = |wire: &Wire| matches!(wire, Wire::Secure(stream) if stream.is_behind());
        !self.waiting.is_empty() || self.wire.as_ref().is_some_and(behind)
    }

    /// What to wait for while the receiver is congested.
    pub fn poll_fd(&self) -> PollFd {
        match &self.wire {
            Some(wire) if self.is_congested() => PollFd::write(wire.fd()),
            _ => PollFd::never(),
        }
    }

    /// Sends what waits, as far as there is room. A message that cannot be sent is given up, with its connection.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(wire) = &mut self.wire else {
            return Ok(());
        };
        if let Wire::Secure(stream) = wire
            && let Err(error) = stream.push()
        {
            self.waiting.clear();
            self.wire = None;
            return Err(error);
        }
        while !self.waiting.is_empty() {
            match wire.write(&self.waiting) {
                // All of it mostly, and then a monitor that waits for days keeps no room for it.
                Ok(sent) => self.waiting = self.waiting.split_off(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.waiting.clear();
                    self.wire = None;
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl Wire {
    fn never_waits(&self) -> io::Result<()> {
        match self {
            Wire::Datagram(socket) => socket.set_nonblocking(true),
            Wire::Stream(socket) => socket.set_nonblocking(true),
            Wire::Udp(socket) => socket.set_nonblocking(true),
            Wire::Tcp(socket) => socket.set_nonblocking(true),
            Wire::Secure(_) => Ok(()),
        }
    }

    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Datagram(socket) => socket.send(message),
            Wire::Stream(socket) => socket.write(message),
            Wire::Udp(socket) => socket.send(message),
            Wire::Tcp(socket) => socket.write(message),
            Wire::Secure(stream) => stream.write(message),
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Wire::Datagram(socket) => socket.as_fd(),
            Wire::Stream(socket) => socket.as_fd(),
            Wire::Udp(socket) => socket.as_fd(),
            Wire::Tcp(socket) => socket.as_fd(),
            Wire::Secure(stream) => stream.as_fd(),
        }
    }
}

fn datagram(path: &str) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(socket)
}

fn resolve(known: &mut Option<SocketAddr>, host: &str) -> io::Result<SocketAddr> {
    if let Some(address) = known {
        return Ok(*address);
    }
    let address = host.to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other(format!("{host} has no address")))?;
    *known = Some(address);
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_receiver_gets_everything_and_a_new_one_what_comes_then() {
        let path = std::env::temp_dir().join(format!("dray-sender-{}", std::process::id()));
        let receiver = UnixDatagram::bind(&path).unwrap();
        let mut sender = Sender::new(Address::Unix(path.display().to_string()));
        let mut sent = 0;
        while !sender.is_congested() {
            sender.send(format!("{sent}").as_bytes()).unwrap();
            sent += 1;
        }
        let mut buffer = [0; 100];
        for number in 0..sent {
            let length = receiver.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..length], *format!("{number}").as_bytes());
            sender.flush().unwrap();
        }
        assert!(!sender.is_congested());
        drop(receiver);
        std::fs::remove_file(&path).unwrap();
        let receiver = UnixDatagram::bind(&path).unwrap();
        sender.send(b"again").unwrap();
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..length], *b"again");
        drop(receiver);
        std::fs::remove_file(&path).unwrap();
        assert!(sender.send(b"lost").is_err());
        assert!(sender.is_away());
        // Not tried again at once, and each time later.
        let _receiver = UnixDatagram::bind(&path).unwrap();
        let refused = sender.send(b"lost").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotConnected);
        assert!(sender.retry_in().unwrap() <= FIRST_RETRY);
        std::fs::remove_file(&path).unwrap();
        for doubled in [2, 4, 8, 16, 32, 40, 40] {
            sender.hurry();
            sender.connect().unwrap_err();
            let left = sender.retry_in().unwrap();
            assert!(left > FIRST_RETRY * doubled / 2 && left <= FIRST_RETRY * doubled);
        }
        let _receiver = UnixDatagram::bind(&path).unwrap();
        sender.hurry();
        sender.send(b"there").unwrap();
        assert!(!sender.is_away());
        std::fs::remove_file(&path).unwrap();
    }
}
