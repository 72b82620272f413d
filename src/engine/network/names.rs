//! The files by which a container knows names: `/etc/hosts`, `/etc/resolv.conf`, `/etc/hostname`. Pure texts, in Docker's
//! form; who writes them where is the engine's business.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use crate::api::HostConfig;
use crate::host::Host;

/// What Docker puts into every container's hosts file.
const LOCAL_NAMES: &str = "\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
";
/// Docker's last resort when the host names no server that a container can reach.
const FALLBACK_SERVERS: [&str; 2] = ["8.8.8.8", "8.8.4.4"];
/// The one server in a resolv.conf that systemd-resolved manages: itself.
const STUB: &str = "127.0.0.53";
/// A hosts or resolv.conf file longer than this is none; it would be copied into memory and into every container.
const FILE_LIMIT: u64 = 1 << 20;

/// Why a name file cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    /// `--add-host` without a name, or with something that is no address.
    #[error(
        "invalid extra host {0:?}: needs the form name:address, the address may be host-gateway"
    )]
    ExtraHost(String),
    /// One of the host's own files is there but cannot be read.
    #[error("failed to read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The host's own name files; one that is missing is empty, as it is to a resolver.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostFiles {
    /// `/etc/hosts`
    pub hosts: String,
    /// `/etc/resolv.conf`
    pub resolv_conf: String,
    /// systemd-resolved's list of the servers behind its stub.
    pub resolved: String,
}

impl HostFiles {
    /// Reads them.
    pub fn read(host: &Host) -> Result<HostFiles, NamesError> {
        Ok(HostFiles {
            hosts: read(&host.etc.join("hosts"))?,
            resolv_conf: read(&host.etc.join("resolv.conf"))?,
            resolved: read(&host.resolved)?,
        })
    }
}

fn read(path: &Path) -> Result<String, NamesError> {
    let read = || {
        if fs::metadata(path)?.len() > FILE_LIMIT {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        fs::read(path)
    };
    match read() {
        // Comments may be in any encoding; what matters is ASCII.
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(NamesError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// What a container's `/etc/hosts` is made of.
#[derive(Debug, Clone, Copy)]
pub struct HostsInput<'a> {
    /// The container's host name.
    pub hostname: &'a str,
    /// The container's domain name; often empty.
    pub domainname: &'a str,
    /// Its addresses; none with network mode `none`.
    pub addresses: &'a [IpAddr],
    /// `name:address` of `--add-host`.
    pub extra_hosts: &'a [String],
    /// What `host-gateway` stands for: the bridge's address.
    pub host_gateway: Ipv4Addr,
}

/// `/etc/hosts` of a container with a network of its own.
pub fn hosts(input: &HostsInput) -> Result<String, NamesError> {
    let mut text = LOCAL_NAMES.to_owned();
    text += &extra_hosts(input.extra_hosts, input.host_gateway)?;
    let full = match input.domainname {
        "" => input.hostname.to_owned(),
        domain => format!("{}.{domain}", input.hostname),
    };
    for address in input.addresses {
        // As Docker does it, wherever the domain was given: the full name and its first part.
        text += &match full.split_once('.') {
            Some((short, _)) => format!("{address}\t{full} {short}\n"),
            None => format!("{address}\t{full}\n"),
        };
    }
    Ok(text)
}

/// `/etc/hosts` of a container in the host's network: the host's own, and the extra hosts. `host-gateway` is the host
/// itself there.
pub fn hosts_of_host(files: &HostFiles, extra: &[String]) -> Result<String, NamesError> {
    let mut text = files.hosts.clone();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text += &extra_hosts(extra, Ipv4Addr::LOCALHOST)?;
    Ok(text)
}

fn extra_hosts(extra: &[String], gateway: Ipv4Addr) -> Result<String, NamesError> {
    let line = |text: &String| {
        let invalid = || NamesError::ExtraHost(text.clone());
        let (name, address) = text.split_once(':').ok_or_else(invalid)?;
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(invalid());
        }
        let address: IpAddr = match address {
            "host-gateway" => gateway.into(),
            literal => literal
                .trim_matches(['[', ']'])
                .parse()
                .map_err(|_| invalid())?,
        };
        Ok(format!("{address}\t{name}\n"))
    };
    extra.iter().map(line).collect()
}

/// `/etc/resolv.conf` of a container with a network of its own: the host's without the servers that only the host can
/// reach (its loopback, and IPv6 where the container has none), changed as `--dns`, `--dns-search` and `--dns-option` say.
pub fn resolv_conf(files: &HostFiles, config: &HostConfig, has_v6: bool) -> String {
    let is_reachable = |server: &str| is_reachable(server, has_v6);
    let text = match values(&files.resolv_conf, "nameserver")[..] {
        [STUB] if !files.resolved.is_empty() => &files.resolved,
        _ => &files.resolv_conf,
    };
    let mut servers = values(text, "nameserver");
    servers.retain(|server| is_reachable(server));
    let fallback = servers.is_empty();
    if fallback {
        servers = FALLBACK_SERVERS.to_vec();
    }
    if is_changed(config) {
        return changed(text, &servers, config);
    }
    let is_kept = |line: &&str| {
        let mut words = line.split_ascii_whitespace();
        words.next() != Some("nameserver") || words.next().is_some_and(is_reachable)
    };
    let mut lines: Vec<String> = text.lines().filter(is_kept).map(str::to_owned).collect();
    if fallback {
        lines.extend(servers.iter().map(|server| format!("nameserver {server}")));
    }
    lines.join("\n") + "\n"
}

/// `/etc/resolv.conf` of a container in the host's network: untouched unless `--dns…` says otherwise.
pub fn resolv_conf_of_host(files: &HostFiles, config: &HostConfig) -> String {
    let text = &files.resolv_conf;
    if is_changed(config) {
        changed(text, &values(text, "nameserver"), config)
    } else {
        text.clone()
    }
}

/// `/etc/hostname`.
pub fn hostname(name: &str) -> String {
    format!("{name}\n")
}

fn is_changed(config: &HostConfig) -> bool {
    !(config.dns.is_empty() && config.dns_search.is_empty() && config.dns_options.is_empty())
}

/// Each of the three lists is the container's own if it has one, otherwise the host's.
fn changed(text: &str, servers: &[&str], config: &HostConfig) -> String {
    let or = |own: &[String], host: &[&str]| -> Vec<String> {
        if own.is_empty() {
            host.iter().map(|word| (*word).to_owned()).collect()
        } else {
            own.to_vec()
        }
    };
    let search = or(&config.dns_search, &last_values(text, "search"));
    let options = or(&config.dns_options, &last_values(text, "options"));
    let mut new = String::new();
    // A lone dot means no search domain at all.
    if !search.is_empty() && search != ["."] {
        new += &format!("search {}\n", search.join(" "));
    }
    for server in or(&config.dns, servers) {
        new += &format!("nameserver {server}\n");
    }
    if !options.is_empty() {
        new += &format!("options {}\n", options.join(" "));
    }
    new
}

/// The first word after each line's `keyword`.
fn values<'a>(text: &'a str, keyword: &str) -> Vec<&'a str> {
    lines_of(text, keyword)
        .filter_map(|mut words| words.next())
        .collect()
}

/// All words after the last line's `keyword`, which is the one that resolvers heed.
fn last_values<'a>(text: &'a str, keyword: &str) -> Vec<&'a str> {
    lines_of(text, keyword)
        .last()
        .map_or_else(Vec::new, |words| words.collect())
}

fn lines_of<'a>(
    text: &'a str,
    keyword: &str,
) -> impl Iterator<Item = std::str::SplitAsciiWhitespace<'a>> {
    text.lines().filter_map(move |line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some(keyword)).then_some(words)
    })
}

/// Whether a container on a bridge can ask this server.
fn is_reachable(server: &str, has_v6: bool) -> bool {
    match server.parse() {
        Ok(IpAddr::V4(address)) => !address.is_loopback() && !address.is_unspecified(),
        Ok(IpAddr::V6(address)) => {
            has_v6
                && !address.is_loopback()
                && !address.is_unspecified()
                && !address.is_unicast_link_local()
        }
        // Scoped IPv6 addresses, which name an interface of the host, do not parse.
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests;
