//! HTTP requests, one at a time: the only user of the HTTP crate.
//!
//! No redirect is followed, no status judged and nothing repeated here; that is `fetch`'s. One agent per pair of
//! registry and origin keeps connections and holds the certificates that count there.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    Transport, TransportAdapter,
};
use ureq::{Agent, Proxy, http};

use super::certs;
use super::clock::{self, Clock};
use super::error::Problem;
use super::patience::{Patience, cause};
use super::proxy;
use super::socket::Socket;
use super::tls;
use super::transfer::Crowd;
use super::url::{Origin, Url};
use crate::config::Settings;
use crate::host::Host;

/// A request without its body's type: registries are asked with GET and HEAD, token servers also with POST.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: &'a Url,
    /// The registry on whose behalf: its certificates are trusted, wherever it redirects to.
    pub(super) registry: &'a str,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    /// A form.
    Post(String),
}

/// Status, headers and a body still to be read.
pub(super) struct Response {
    pub(super) status: u16,
    headers: http::HeaderMap,
    pub(super) body: Box<dyn Read + Send>,
}

impl Response {
    /// A header's value, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All values of a header that may be repeated.
    pub(super) fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
    }

    /// The announced size of the body.
    pub(super) fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }
}

/// Sends requests.
pub(super) struct Http {
    host: Arc<Host>,
    settings: Settings,
    patience: Patience,
    crowd: Arc<Crowd>,
    /// Made when first needed: most who pull from a registry nearby have no use for it.
    clock: OnceLock<Arc<Clock>>,
    system_roots: OnceLock<RootCertStore>,
    agents: Mutex<HashMap<(String, Origin), Agent>>,
}

/// A request that failed without an answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) problem: Problem,
    /// Whether the same request may succeed later.
    pub(super) passing: bool,
    /// The pause that the other side asks for.
    pub(super) wait: Option<Duration>,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure {
            problem,
            passing: false,
            wait: None,
        }
    }
}

impl Http {
    pub(super) fn new(
        host: Arc<Host>,
        settings: Settings,
        patience: Patience,
        crowd: Arc<Crowd>,
    ) -> Http {
        Http {
            host,
            settings,
            patience,
            crowd,
            clock: OnceLock::new(),
            system_roots: OnceLock::new(),
            agents: Mutex::default(),
        }
    }

    /// Sends one request and reads the head of the answer.
    pub(super) fn send(&self, request: &Request) -> Result<Response, Failure> {
        let agent = self.agent(request.registry, &request.url.origin)?;
        let method = match &request.method {
            Method::Get => http::Method::GET,
            Method::Head => http::Method::HEAD,
            Method::Post(_) => http::Method::POST,
        };
        let mut builder = http::Request::builder()
            .method(method)
            .uri(request.url.to_string());
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        // Compressed transfer of what is compressed already would only hide its size.
        builder = builder.header("accept-encoding", "identity");
        let answer = match &request.method {
            Method::Post(form) => {
                let builder = builder.header("content-type", "application/x-www-form-urlencoded");
                builder
                    .body(form.clone())
                    .map_err(ureq::Error::from)
                    .and_then(|r| agent.run(r))
            }
            _ => builder
                .body(())
                .map_err(ureq::Error::from)
                .and_then(|r| agent.run(r)),
        };
        let (head, body) = answer
            .map_err(|error| self.failure(&error, &request.url.origin))?
            .into_parts();
        Ok(Response {
            status: head.status.as_u16(),
            headers: head.headers,
            body: Box::new(Incoming(body.into_reader())),
        })
    }

    fn agent(&self, registry: &str, origin: &Origin) -> Result<Agent, Problem> {
        let key = (registry.to_owned(), origin.clone());
        // Agents are only ever added; a thread that panicked elsewhere has not broken the map.
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let agent = self.new_agent(registry, origin)?;
        agents.insert(key, agent.clone());
        Ok(agent)
    }

    fn new_agent(&self, registry: &str, origin: &Origin) -> Result<Agent, Problem> {
        let proxy = match proxy::choose(&self.host, &self.settings.proxy, origin) {
            Some((url, place)) => Some(Proxy::new(&url).map_err(|_| {
                Problem::Unreachable(format!("the proxy in {place} is not a valid http URL"))
            })?),
            None => None,
        };
        let tls = if origin.https {
            Some(self.tls(registry, origin)?)
        } else {
            None
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("dray/", env!("CARGO_PKG_VERSION")))
            .proxy(proxy)
            .timeout_connect(Some(self.patience.connect))
            .timeout_recv_response(Some(self.patience.stall))
            .timeout_per_read(Some(self.patience.stall))
            .timeout_per_write(Some(self.patience.stall))
            .build();
        let connector =
            ().chain(ConnectProxyConnector::default())
                .chain(SocketConnector(Arc::clone(&self.crowd)))
                .chain(TlsConnector(tls));
        Ok(Agent::with_parts(
            config,
            connector,
            WaitingResolver(DefaultResolver::default()),
        ))
    }

    fn tls(&self, registry: &str, origin: &Origin) -> Result<Arc<ClientConfig>, Problem> {
        let clock = Arc::clone(self.clock.get_or_init(|| Arc::new(Clock::new(&self.host))));
        let certs = |name: &str| certs::authorities(&self.host, &self.settings, name);
        let mut own = certs(registry)?;
        let mut clients = Vec::new();
        let mut is_insecure = false;
        if Origin::new(true, registry).as_ref() == Some(origin) {
            clients = certs::clients(&self.host, &self.settings, registry)?;
            is_insecure = self.settings.is_insecure(registry);
        } else {
            own.extend(certs(&origin.authority())?);
        }
        if is_insecure || self.settings.is_insecure(&origin.authority()) {
            return tls::configure_for_anybody(clients, clock);
        }
        let empty = RootCertStore::empty();
        let system = match self.system_roots() {
            Ok(roots) => roots,
            // Without any, only registries with certificates of their own can be reached.
            Err(_) if !own.is_empty() => &empty,
            Err(problem) => return Err(problem),
        };
        tls::configure(system, own, clients, clock)
    }

    /// The system's authorities, read once.
    fn system_roots(&self) -> Result<&RootCertStore, Problem> {
        if let Some(roots) = self.system_roots.get() {
            return Ok(roots);
        }
        let pem = certs::system_bundle(&self.host)?;
        Ok(self.system_roots.get_or_init(|| tls::roots(&pem)))
    }
}

/// Resolves names in the thread that asks.
///
/// The crate's own resolver begins a thread for each name that has to be known by a certain time, as a proxy's has, and
/// leaves it behind; the engine needs a process without threads. The system's resolver has limits of its own.
#[derive(Debug)]
struct WaitingResolver(DefaultResolver);

impl Resolver for WaitingResolver {
    fn resolve(
        &self,
        uri: &http::Uri,
        config: &Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.0.resolve(uri, config, NextTimeout::default())
    }
}

/// Makes connections.
///
/// The HTTP crate has a connector of its own, but that waits for one address after the other, and is deaf meanwhile.
#[derive(Debug)]
struct SocketConnector(Arc<Crowd>);

impl<In: Transport> Connector<In> for SocketConnector {
    type Out = Either<In, SocketTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        if let Some(tunnel) = chained {
            return Ok(Some(Either::A(tunnel)));
        }
        let socket = Socket::connect(&details.addrs, *details.timeout.after, &self.0)
            .map_err(|error| timed(error, details.timeout))?;
        Ok(Some(Either::B(SocketTransport {
            socket,
            buffers: LazyBuffers::new(
                details.config.input_buffer_size(),
                details.config.output_buffer_size(),
            ),
        })))
    }
}

/// A connection as it is.
struct SocketTransport {
    socket: Socket,
    buffers: LazyBuffers,
}

impl Transport for SocketTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let timeout = timeout.for_write();
        let output = &self.buffers.output()[..amount];
        self.socket
            .write_all(output, *timeout.after)
            .map_err(|error| timed(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let timeout = timeout.for_read();
        let read = self
            .socket
            .read(self.buffers.input_append_buf(), *timeout.after)
            .map_err(|error| timed(error, timeout))?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.socket.is_open()
    }
}

impl fmt::Debug for SocketTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The crate wants it; what its buffers hold is other people's.
        f.write_str("SocketTransport")
    }
}

fn timed(error: io::Error, timeout: NextTimeout) -> ureq::Error {
    match error.kind() {
        io::ErrorKind::TimedOut => ureq::Error::Timeout(timeout.reason),
        _ => ureq::Error::Io(error),
    }
}

/// Wraps connections to https origins in TLS.
///
/// The HTTP crate has a connector of its own, but that takes no verifier, and panics on a client's certificate that
/// does not fit its key.
#[derive(Debug)]
struct TlsConnector(Option<Arc<ClientConfig>>);

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let Some(config) = &self.0 else {
            return Err(ureq::Error::TlsRequired);
        };
        let invalid = |error: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let host = details
            .uri
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| invalid(rustls::Error::General(error.to_string())))?;
        let mut connection = ClientConnection::new(Arc::clone(config), name).map_err(invalid)?;
        let mut socket =
            TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket)?;
        Ok(Some(Either::B(TlsTransport {
            buffers: LazyBuffers::new(
                details.config.input_buffer_size(),
                details.config.output_buffer_size(),
            ),
            stream: StreamOwned::new(connection, socket),
        })))
    }
}

/// A connection inside TLS.
struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let read = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The crate wants it; what it holds is keys and other people's bytes.
        f.write_str("TlsTransport")
    }
}

/// A body whose errors are in our words.
struct Incoming(ureq::BodyReader<'static>);

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            let inner = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<ureq::Error>());
            match (inner, error.kind()) {
                (Some(ureq::Error::Timeout(_)), _) => {
                    io::Error::new(io::ErrorKind::TimedOut, "nothing came for too long")
                }
                (_, io::ErrorKind::UnexpectedEof) => io::Error::new(error.kind(), CLOSED),
                _ => error,
            }
        })
    }
}

/// Instead of the crate's "Peer disconnected".
const CLOSED: &str = "the other side closed the connection";

impl Http {
    /// What a request that came to nothing means.
    fn failure(&self, error: &ureq::Error, origin: &Origin) -> Failure {
        let text = match error {
            ureq::Error::Timeout(_) => "no answer in time".to_owned(),
            ureq::Error::Io(inner) if inner.kind() == io::ErrorKind::UnexpectedEof => {
                CLOSED.to_owned()
            }
            ureq::Error::HostNotFound => format!("host {} is not known", origin.host),
            other => cause(other),
        };
        let passing = matches!(
            error,
            ureq::Error::Io(_)
                | ureq::Error::Timeout(_)
                | ureq::Error::HostNotFound
                | ureq::Error::ConnectionFailed
                | ureq::Error::Protocol(_)
        );
        match error {
            // TLS errors are invalid data; a socket has no such error of its own.
            ureq::Error::Io(inner) if inner.kind() == io::ErrorKind::InvalidData => {
                self.refused(inner, origin).into()
            }
            _ => Failure {
                problem: Problem::Unreachable(text),
                passing,
                wait: None,
            },
        }
    }

    /// What the handshake said, and what to do about it.
    fn refused(&self, error: &io::Error, origin: &Origin) -> Problem {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        let dates = match inner {
            Some(rustls::Error::InvalidCertificate(reason)) => dates(reason),
            _ => None,
        };
        match (dates, self.clock.get()) {
            (Some(cause), Some(clock)) => Problem::Tls {
                cause,
                hint: says(clock),
            },
            _ => Problem::Tls {
                cause: error.to_string(),
                hint: hint(&error.to_string(), origin),
            },
        }
    }
}

/// What is wrong with a certificate's dates, if they are what is wrong.
fn dates(reason: &CertificateError) -> Option<String> {
    match reason {
        CertificateError::NotValidYetContext { not_before, .. } => Some(format!(
            "its certificate begins at {}",
            clock::shown(not_before.as_secs())
        )),
        CertificateError::ExpiredContext { not_after, .. } => Some(format!(
            "its certificate ended at {}",
            clock::shown(not_after.as_secs())
        )),
        _ => None,
    }
}

/// What the clock says, and what is made of it.
fn says(clock: &Clock) -> String {
    let system = clock::shown(clock.system());
    if clock.is_behind() {
        let floor = clock::shown(clock.now());
        format!(
            "the device's clock says {system}, but it is {floor} at least, by this program and certificates seen"
        )
    } else {
        format!("the device's clock says {system}; is it right?")
    }
}

/// What a person can do about a failed handshake. The crate's texts are its only interface to the reason.
fn hint(cause: &str, origin: &Origin) -> String {
    let authority = origin.authority();
    if cause.contains("InvalidContentType") || cause.contains("corrupt message") {
        format!(
            "if it speaks plain http, set insecure = yes for [registry \"{authority}\"] in the settings"
        )
    } else if cause.contains("CaUsedAsEndEntity") {
        format!(
            "it is self-signed; if it is the right one, it belongs into certs.d/{authority}/ca.crt"
        )
    } else {
        format!(
            "if it has an authority of its own, its certificate belongs into certs.d/{authority}/ca.crt"
        )
    }
}
