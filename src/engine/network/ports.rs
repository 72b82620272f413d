//! Published ports: what was asked for, and which host port each got.

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::api::CreateBody;

/// Transport protocols whose ports can be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

/// A port as it was asked for: one container port, and the host ports it may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port inside the container.
    pub container_port: u16,
    /// Host address; 0.0.0.0 means every one.
    pub host_ip: Ipv4Addr,
    /// Lowest and highest host port to take; `None` means a free one of the ephemeral range.
    pub host_ports: Option<(u16, u16)>,
}

/// A port as it is published: exactly one host port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPort {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port inside the container.
    pub container_port: u16,
    /// Host address; 0.0.0.0 means every one.
    pub host_ip: Ipv4Addr,
    /// Port on the host.
    pub host_port: u16,
}

/// Why ports cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// A text of the container's configuration does not say a port.
    #[error("invalid published port {text:?}: {reason}")]
    Invalid {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The ports that a container's configuration asks for, `-P` included (then with the image's exposed ports).
pub fn from_body<'a>(
    _body: &CreateBody,
    _image_exposed: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<PublishedPort>, PortError> {
    Err(PortError::Invalid {
        text: String::new(),
        reason: "publishing is not built yet".to_owned(),
    })
}
