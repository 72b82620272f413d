//! `NetworkingConfig` of Docker's create call.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Networks that the container joins, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkingConfig {
    /// Settings by network name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints_config: BTreeMap<String, EndpointSettings>,
}

/// How a container joins one network, and what it got.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSettings {
    /// Further names on this network.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Other containers, each as `name:alias`; the alias is this container's own word for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// Addresses asked for.
    #[serde(rename = "IPAMConfig", skip_serializing_if = "Option::is_none")]
    pub ipam_config: Option<EndpointIpam>,
    /// Hardware address asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac_address: String,
}

/// Addresses that a container insists on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointIpam {
    /// Its IPv4 address.
    #[serde(rename = "IPv4Address", skip_serializing_if = "String::is_empty")]
    pub ipv4_address: String,
    /// Its IPv6 address.
    #[serde(rename = "IPv6Address", skip_serializing_if = "String::is_empty")]
    pub ipv6_address: String,
}
