//! Why a request has no answer, and what a person can do about it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::CertificateError;
use ureq::Proxy;

use crate::registry::clock::{self, Clock};
use crate::registry::error::Problem;
use crate::registry::patience::cause;
use crate::registry::url::Origin;

/// Instead of the crate's "Peer disconnected".
pub(super) const CLOSED: &str = "the other side closed the connection";

/// A request that failed without an answer.
#[derive(Debug)]
pub struct Failure {
    pub problem: Problem,
    /// Whether the same request may succeed later.
    pub passing: bool,
    /// The pause that the other side asks for.
    pub wait: Option<Duration>,
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

impl Failure {
    /// Whether the other side may speak plain http only.
    pub fn is_no_https(&self) -> bool {
        matches!(self.problem, Problem::Unreachable(_) | Problem::Tls { .. })
    }

    /// What a request that came to nothing means; the `clock` is the one that certificates were judged by, the `proxy` the
    /// one that it went through.
    pub(super) fn of(
        error: &ureq::Error,
        origin: &Origin,
        clock: Option<&Arc<Clock>>,
        proxy: Option<&Proxy>,
    ) -> Failure {
        let mut text = match error {
            ureq::Error::Timeout(_) => "no answer in time".to_owned(),
            ureq::Error::Io(inner) if inner.kind() == io::ErrorKind::UnexpectedEof => {
                CLOSED.to_owned()
            }
            ureq::Error::HostNotFound => {
                let asked = proxy.map_or(origin.host.as_str(), Proxy::host);
                format!("host {asked} is not known")
            }
            ureq::Error::ConnectProxyFailed(reason) => {
                let hint = match origin.https {
                    true => "",
                    false => "; registries over plain http go through CONNECT too",
                };
                let (host, port) = (&origin.host, origin.port);
                format!("the proxy refused CONNECT {host}:{port}: {reason}{hint}")
            }
            other => cause(other),
        };
        if let Some(proxy) = proxy {
            // Without its password.
            text += &format!(" (through the proxy {}:{})", proxy.host(), proxy.port());
        }
        let passing = match error {
            // What a proxy does not allow stays so; that it reaches nobody does not.
            ureq::Error::ConnectProxyFailed(reason) => !reason.contains("responded 4"),
            error => is_passing(error),
        };
        match error {
            // TLS errors are invalid data; a socket has no such error of its own.
            ureq::Error::Io(inner) if inner.kind() == io::ErrorKind::InvalidData => {
                refused(inner, origin, clock).into()
            }
            _ => Failure {
                problem: Problem::Unreachable(text),
                passing,
                wait: None,
            },
        }
    }
}

/// Whether the connection is to blame.
fn is_passing(error: &ureq::Error) -> bool {
    matches!(
        error,
        ureq::Error::Io(_)
            | ureq::Error::Timeout(_)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::Protocol(_)
    )
}

/// What the handshake said, and what to do about it.
fn refused(error: &io::Error, origin: &Origin, clock: Option<&Arc<Clock>>) -> Problem {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let dates = match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => dates(reason),
        _ => None,
    };
    match (dates, clock) {
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
