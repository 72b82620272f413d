//! The files by which a container knows names: `/etc/hosts`, `/etc/resolv.conf`, `/etc/hostname`. Pure texts; who writes
//! them where is the engine's business.

use std::net::Ipv4Addr;

use crate::api::HostConfig;

/// What a container's `/etc/hosts` is made of.
#[derive(Debug, Clone, Copy)]
pub struct HostsInput<'a> {
    /// The container's host name.
    pub hostname: &'a str,
    /// The container's domain name; often empty.
    pub domainname: &'a str,
    /// Its address; `None` with network mode `none`.
    pub address: Option<Ipv4Addr>,
    /// `name:address` of `--add-host`.
    pub extra_hosts: &'a [String],
    /// What `host-gateway` stands for: the bridge's address, or 127.0.0.1 in the host's own network.
    pub host_gateway: Ipv4Addr,
}

/// Why a name file cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    /// `--add-host` without a name, or with something that is no address.
    #[error("invalid extra host {0:?}: needs the form name:address")]
    ExtraHost(String),
}

/// `/etc/hosts` of a container with a network of its own.
pub fn hosts(input: &HostsInput) -> Result<String, NamesError> {
    Err(NamesError::ExtraHost(input.hostname.to_owned()))
}

/// `/etc/hosts` of a container in the host's network: the host's own, and the extra hosts.
pub fn hosts_of_host(
    _host_file: &str,
    extra_hosts: &[String],
    _host_gateway: Ipv4Addr,
) -> Result<String, NamesError> {
    Err(NamesError::ExtraHost(extra_hosts.concat()))
}

/// `/etc/resolv.conf` of a container with a network of its own, from the host's (`host_file`) and, if that names only
/// systemd-resolved's local stub, from the one that lists the real servers (`resolved_file`).
pub fn resolv_conf(host_file: &str, _resolved_file: Option<&str>, _config: &HostConfig) -> String {
    host_file.to_owned()
}

/// `/etc/resolv.conf` of a container in the host's network: untouched unless `--dns…` says otherwise.
pub fn resolv_conf_of_host(host_file: &str, _config: &HostConfig) -> String {
    host_file.to_owned()
}

/// `/etc/hostname`.
pub fn hostname(name: &str) -> String {
    format!("{name}\n")
}
