//! TLS to somebody who is no registry: a receiver of logs. It is here because TLS has one room.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::certs::{self, ClientPair};
use super::clock::Clock;
use super::error::Problem;
use super::tls;

/// How long a handshake may take, all of it; whoever sends does nothing else meanwhile.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(4);
/// Bytes of a receiver that are taken in at once; one that talks without end must not be listened to without end.
const HEARD_AT_ONCE: usize = 64 << 10;

/// Whom a receiver has to be, and who we are.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The system's bundles of authorities; the first that exists counts.
    pub bundles: Vec<PathBuf>,
    /// An authority besides them.
    pub authority: Option<PathBuf>,
    /// A certificate to show, and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Anybody will do.
    pub anybody: bool,
}

/// A connection that never waits once it is made.
#[derive(Debug)]
pub struct SecureStream {
    connection: ClientConnection,
    socket: TcpStream,
}

impl SecureStream {
    /// Shakes hands with `host`, to whom `socket` leads.
    pub fn connect(socket: TcpStream, host: &str, trust: &Trust) -> Result<SecureStream, Problem> {
        let broken = |error: &dyn std::error::Error| Problem::Unreachable(format!("TLS: {error}"));
        let name = ServerName::try_from(host.to_owned()).map_err(|error| broken(&error))?;
        let mut connection =
            ClientConnection::new(configure(trust)?, name).map_err(|error| broken(&error))?;
        let mut hurried = Hurried {
            socket: &socket,
            end: Instant::now() + HANDSHAKE_TIMEOUT,
        };
        let mut shake = || {
            while connection.is_handshaking() {
                connection.complete_io(&mut hurried)?;
            }
            socket.set_nonblocking(true)
        };
        shake().map_err(|error| broken(&error))?;
        Ok(SecureStream { connection, socket })
    }

    /// Takes a message; there is no room for one while the receiver has not taken the last.
    pub fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        self.hear()?;
        self.push()?;
        if self.is_behind() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.connection.writer().write(message)?;
        self.push()?;
        Ok(taken)
    }

    /// Whether something has not been sent yet.
    pub fn is_behind(&self) -> bool {
        self.connection.wants_write()
    }

    /// Sends what has not been sent, as far as there is room.
    pub fn push(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes in what the receiver sent, up to a bound: tickets and the like, or the end.
    fn hear(&mut self) -> io::Result<()> {
        let mut heard = 0;
        while heard < HEARD_AT_ONCE {
            match self.connection.read_tls(&mut self.socket) {
                Ok(0) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Ok(length) => heard += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            let state = self.connection.process_new_packets();
            let state = state.map_err(io::Error::other)?;
            // Receivers of logs have nothing to say.
            let mut said = vec![0; state.plaintext_bytes_to_read()];
            self.connection.reader().read_exact(&mut said)?;
        }
        Ok(())
    }
}

/// A socket until a given moment.
struct Hurried<'a> {
    socket: &'a TcpStream,
    end: Instant,
}

impl Hurried<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the receiver took too long to shake hands",
            ));
        }
        Ok(Some(left))
    }
}

impl Read for Hurried<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(buffer)
    }
}

impl Write for Hurried<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl AsFd for SecureStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn configure(trust: &Trust) -> Result<Arc<ClientConfig>, Problem> {
    let required = |path: &Path| {
        certs::read(path)?.ok_or_else(|| certs::unusable(path, "there is no such file"))
    };
    let client = match &trust.client {
        Some((path, key_path)) => Some(ClientPair {
            path: path.clone(),
            certificate: required(path)?,
            key_path: key_path.clone(),
            key: required(key_path)?,
        }),
        None => None,
    };
    let clock = Arc::new(Clock::forgetful());
    if trust.anybody {
        return tls::configure_for_anybody(client.into_iter().collect(), clock);
    }
    let own = match &trust.authority {
        Some(path) => vec![(path.clone(), required(path)?)],
        None => Vec::new(),
    };
    let system = match certs::first_bundle(&trust.bundles) {
        Ok(pem) => tls::roots(&pem),
        // An authority of its own is enough.
        Err(_) if !own.is_empty() => rustls::RootCertStore::empty(),
        Err(problem) => return Err(problem),
    };
    tls::configure(&system, own, client.into_iter().collect(), clock)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_handshake_that_drips_has_an_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut receiver, _) = listener.accept().unwrap();
        let dripping = std::thread::spawn(move || {
            // The head of a long record of a handshake, and never the whole of it.
            receiver.write_all(&[0x16, 3, 3, 0x40, 0]).unwrap();
            let pause = Duration::from_millis(100);
            receiver.set_read_timeout(Some(pause)).unwrap();
            while receiver.write_all(&[0]).is_ok() {
                let _ = receiver.read(&mut [0; 1024]);
            }
        });
        let trust = Trust {
            anybody: true,
            ..Trust::default()
        };
        let begun = Instant::now();
        let refused = SecureStream::connect(socket, "127.0.0.1", &trust);
        let took = begun.elapsed();
        assert!(refused.is_err());
        let bounds = HANDSHAKE_TIMEOUT..HANDSHAKE_TIMEOUT + Duration::from_secs(2);
        assert!(bounds.contains(&took), "{took:?}: {refused:?}");
        dripping.join().unwrap();
    }
}
