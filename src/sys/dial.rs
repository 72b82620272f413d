//! Connecting to the first of several addresses that answers.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, getsockopt, socket,
    sockopt,
};

use super::process::{PollFd, poll};

/// An address that has not answered for this long gets company: a route that swallows everything, as IPv6 often is on
/// devices, must not hold up the others.
const HEAD_START: Duration = Duration::from_millis(300);
/// How often who waits is asked whether he still wants to.
const SLICE: Duration = Duration::from_millis(200);

/// Longer than any network stack tries.
const LONGEST: Duration = Duration::from_secs(3600);

/// A connection to one of `addresses`, tried in their order, each [`HEAD_START`] after the one before or when that
/// fails; `give_up` is asked five times a second.
pub fn dial(
    addresses: &[SocketAddr],
    timeout: Duration,
    give_up: &dyn Fn() -> bool,
) -> io::Result<TcpStream> {
    let end = Instant::now() + timeout.min(LONGEST);
    let mut waiting = addresses.iter();
    let mut begun: Vec<OwnedFd> = Vec::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut next = Instant::now();
    loop {
        let now = Instant::now();
        if give_up() {
            return Err(io::Error::other("nobody wants it any more"));
        }
        if now >= end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if now >= next || begun.is_empty() {
            match waiting.next().map(begin) {
                Some(Ok(socket)) => {
                    begun.push(socket);
                    next = now + HEAD_START;
                }
                Some(Err(error)) => {
                    last = error;
                    continue;
                }
                None if begun.is_empty() => return Err(last),
                None => next = end,
            }
        }
        let wait = next.min(end).saturating_duration_since(now).min(SLICE);
        let settled = settled(&begun, wait)?;
        // From the back, so that places do not move.
        for place in settled.into_iter().rev() {
            let socket = begun.remove(place);
            match getsockopt(&socket, sockopt::SocketError)? {
                0 => {
                    let stream = TcpStream::from(socket);
                    stream.set_nonblocking(false)?;
                    return Ok(stream);
                }
                code => last = io::Error::from_raw_os_error(code),
            }
        }
    }
}

/// A connection under way.
fn begin(address: &SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, SockProtocol::Tcp)?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(*address)) {
        Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Which of these have an outcome, within `wait`.
fn settled(begun: &[OwnedFd], wait: Duration) -> io::Result<Vec<usize>> {
    let set = begun.iter().map(|socket| PollFd::write(socket.as_fd()));
    let mut set: Vec<PollFd> = set.collect();
    poll(&mut set, Some(wait))?;
    Ok((0..set.len()).filter(|at| set[*at].is_ready()).collect())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use nix::sys::socket::{Backlog, bind, listen};

    use super::*;

    /// Takes no more connections and refuses none, as long as what it comes with lives.
    fn silent() -> (SocketAddr, Vec<OwnedFd>) {
        let flags = SockFlag::SOCK_CLOEXEC;
        let listener = socket(AddressFamily::Inet6, SockType::Stream, flags, None).unwrap();
        let any: SocketAddr = "[::1]:0".parse().unwrap();
        bind(listener.as_raw_fd(), &SockaddrStorage::from(any)).unwrap();
        listen(&listener, Backlog::new(0).unwrap()).unwrap();
        let listener = TcpListener::from(listener);
        let address = listener.local_addr().unwrap();
        let mut held: Vec<OwnedFd> = (0..4).map(|_| begin(&address).unwrap()).collect();
        held.push(listener.into());
        (address, held)
    }

    fn refused() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    }

    #[test]
    fn the_first_that_answers_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let (silent, _held) = silent();
        for before in [vec![], vec![refused()], vec![silent, refused(), silent]] {
            let addresses = [before, vec![good]].concat();
            let start = Instant::now();
            let stream = dial(&addresses, Duration::from_secs(60), &|| false).unwrap();
            assert_eq!(stream.peer_addr().unwrap(), good);
            assert!(start.elapsed() < Duration::from_secs(30), "{addresses:?}");
        }
    }

    #[test]
    fn the_last_failure_is_told() {
        let error = dial(&[refused()], Duration::from_secs(9), &|| false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let (silent, _held) = silent();
        let error = dial(&[silent], Duration::from_millis(20), &|| false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = dial(&[], Duration::from_secs(9), &|| false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        let error = dial(&[refused()], Duration::from_secs(9), &|| true).unwrap_err();
        assert_eq!(error.to_string(), "nobody wants it any more");
    }
}
