//! HTTP requests, one at a time: the only user of the HTTP crate.
//!
//! No redirect is followed, no status judged and nothing repeated here; that is `fetch`'s. One agent per pair of
//! registry and origin keeps connections and holds the certificates that count there.

mod connect;
mod failure;

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::{ClientConfig, RootCertStore};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector};
use ureq::{Agent, Proxy, http};

use super::certs;
use super::clock::Clock;
use super::error::Problem;
use super::patience::Patience;
use super::proxy;
use super::tls;
use super::transfer::Crowd;
use super::url::{Origin, Url};
use crate::config::{Settings, is_proxy};
use crate::host::Host;
use connect::{SocketConnector, TlsConnector, WaitingResolver};
use failure::CLOSED;

pub(super) use failure::Failure;

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
            .map_err(|error| {
                let (origin, proxy) = (&request.url.origin, agent.config().proxy());
                Failure::of(&error, origin, self.clock.get(), proxy)
            })?
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
            Some((url, place)) => Some(proxy_at(&url).ok_or_else(|| {
                let wanted = "is not a valid http URL: http://HOST:PORT is supported, socks and https are not";
                Problem::Unreachable(format!("the proxy in {place} {wanted}"))
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
            WaitingResolver::default(),
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

/// The proxy at this URL, which may lack its scheme. The crate knows further kinds, and goes on without them; and for a port
/// that is none it takes another.
fn proxy_at(url: &str) -> Option<Proxy> {
    let url = match url.contains("://") {
        true => url.to_owned(),
        false => format!("http://{url}"),
    };
    Proxy::new(&url).ok().filter(|_| is_proxy(&url))
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
