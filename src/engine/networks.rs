//! Which networks a container is on, and how.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::files::{self, NetworkMode};
use super::network::defined::Definition;
use super::network::make::Wish;
use super::network::{
    Attachment, DEFAULT, Join, Mac, NONE, NetworkError, PublishedPort, is_bridge, is_user_defined,
    ports,
};
use super::{Container, Engine, EngineError, Record, names, spec, time};
use crate::api::{CreateBody, EndpointSettings, NetworkingConfig};

/// The networks that a container is to be on, by name; none for one without bridges.
pub(super) fn of(record: &Record) -> Vec<(String, EndpointSettings)> {
    if NetworkMode::of(record) != NetworkMode::Bridge {
        return Vec::new();
    }
    let asked = &record.body.networking_config;
    let config = record.networks.as_ref().unwrap_or(asked);
    let pair = |(name, settings): (&String, &EndpointSettings)| (name.clone(), settings.clone());
    let mut all: Vec<_> = config.endpoints_config.iter().map(pair).collect();
    let first = first_of(record);
    if record.networks.is_none() && !asked.endpoints_config.contains_key(first) {
        all.push((first.to_owned(), EndpointSettings::default()));
    }
    all
}

impl Container {
    /// The networks that it is on whenever it runs, the one that was named first before the others; none of its own for one
    /// that shares another's.
    pub fn networks(&self) -> Vec<String> {
        let record = &self.record;
        match NetworkMode::of(record) {
            NetworkMode::Container => Vec::new(),
            NetworkMode::Bridge => {
                let mut names: Vec<String> = of(record).into_iter().map(|(name, _)| name).collect();
                if let Some(first) = names.iter().position(|name| name == first_of(record)) {
                    names[..=first].rotate_right(1);
                }
                names
            }
            NetworkMode::Host => vec!["host".to_owned()],
            NetworkMode::None => vec![NONE.to_owned()],
        }
    }
}

/// Has the container be on these networks from now on.
pub(super) fn replace(record: &mut Record, networks: Vec<(String, EndpointSettings)>) {
    let mut config = NetworkingConfig::default();
    for (name, settings) in networks {
        config.endpoints_config.insert(name, settings);
    }
    record.networks = Some(config);
}

/// The network that was named first.
fn first_of(record: &Record) -> &str {
    match record.body.host_config.network_mode.as_str() {
        mode if is_bridge(mode) => DEFAULT,
        name => name,
    }
}

/// The networks of a container: first those that lead outside, and of them the one that was named first.
fn in_order(
    engine: &Engine,
    record: &Record,
) -> Result<Vec<(String, EndpointSettings)>, EngineError> {
    let mut networks = of(record);
    if let Some(first) = networks
        .iter()
        .position(|(name, _)| name == first_of(record))
    {
        networks[..=first].rotate_right(1);
    }
    if networks.len() < 2 {
        return Ok(networks);
    }
    let (mut outward, mut inward) = (Vec::new(), Vec::new());
    for network in networks {
        let name = &network.0;
        match name != DEFAULT && engine.network().defined().find(name)?.internal {
            true => inward.push(network),
            false => outward.push(network),
        }
    }
    outward.append(&mut inward);
    Ok(outward)
}

/// Gives a container whose process waits what is its own of a network: all that it is on, or loopback alone.
pub(super) fn furnish(
    engine: &Engine,
    record: &Record,
    pid: i32,
) -> Result<Vec<Attachment>, EngineError> {
    // Elsewhere somebody else has done so.
    if !matches!(
        NetworkMode::of(record),
        NetworkMode::Bridge | NetworkMode::None
    ) {
        return Ok(Vec::new());
    }
    engine.network().prepare(pid)?;
    let attachments = attach_all(engine, record, pid)?;
    if attachments.is_empty() {
        engine.network().isolate(pid)?;
    }
    // What follows the interfaces the runtime could not set, or has set too early.
    let sysctls = &record.body.host_config.sysctls;
    let late = sysctls
        .iter()
        .filter(|(name, _)| name.starts_with("net.ipv6.") || spec::is_of_interface(name));
    let late: Vec<(&str, &str)> = late.map(|(n, v)| (n.as_str(), v.as_str())).collect();
    engine.network().set(pid, &late)?;
    Ok(attachments)
}

fn attach_all(engine: &Engine, record: &Record, pid: i32) -> Result<Vec<Attachment>, EngineError> {
    let networks = in_order(engine, record)?;
    let joining = Joining::of(engine, record, pid, false)?;
    // They may have become others since it was made.
    let names = networks.iter().map(|(name, _)| name.as_str());
    check_ways_out(engine, &joining.ports, names)?;
    networks
        .iter()
        .map(|(network, settings)| joining.attach(network, settings))
        .collect()
}

/// What a container brings to each network that its process is attached to.
pub(super) struct Joining<'a> {
    engine: &'a Engine,
    record: &'a Record,
    pid: i32,
    /// It runs, and is to be found there at once.
    now: bool,
    hostname: String,
    ports: Vec<PublishedPort>,
    replaced: Vec<String>,
}

impl<'a> Joining<'a> {
    pub(super) fn of(
        engine: &'a Engine,
        record: &'a Record,
        pid: i32,
        now: bool,
    ) -> Result<Joining<'a>, EngineError> {
        Ok(Joining {
            engine,
            record,
            pid,
            now,
            hostname: files::hostname(engine, record),
            ports: ports::wished(&record.body, []).map_err(NetworkError::from)?,
            replaced: replaced(engine, record)?,
        })
    }

    /// Attaches it to one network.
    pub(super) fn attach(
        &self,
        network: &str,
        settings: &EndpointSettings,
    ) -> Result<Attachment, EngineError> {
        let address = settings.ipam_config.as_ref();
        let links = match network {
            DEFAULT => &self.record.body.host_config.links,
            _ => &settings.links,
        };
        Ok(self.engine.network().attach(&Join {
            id: &self.record.id,
            pid: self.pid,
            network,
            address: address.and_then(|ipam| ipam.ipv4_address.parse().ok()),
            address_v6: address.and_then(|ipam| ipam.ipv6_address.parse().ok()),
            hostname: &self.hostname,
            names: &names_on(self.record, network, settings, &self.hostname),
            links: &links
                .iter()
                .map(|link| split_link(link))
                .collect::<Vec<_>>(),
            ports: &self.ports,
            publish: self.now,
            replacing: &self.replaced.iter().map(String::as_str).collect::<Vec<_>>(),
            mac: settings.mac_address.parse::<Mac>().ok(),
        })?)
    }
}

/// What others on the network call a container, as Docker's name server has it.
fn names_on(
    record: &Record,
    network: &str,
    settings: &EndpointSettings,
    hostname: &str,
) -> Vec<String> {
    let mut names = docker_names(record, settings, hostname);
    names.insert(1, format!("{}.{network}", record.name));
    names
}

/// What Docker lists as a container's names on a network that somebody made.
pub(super) fn docker_names(
    record: &Record,
    settings: &EndpointSettings,
    hostname: &str,
) -> Vec<String> {
    let mut names = vec![record.name.clone()];
    let more = settings.aliases.iter().map(String::as_str);
    for name in more.chain([&record.id[..12], hostname]) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// `name` or `name:alias`.
pub(super) fn split_link(link: &str) -> (String, String) {
    let link = link.trim_start_matches('/');
    let (name, alias) = link.split_once(':').unwrap_or((link, link));
    (name.to_owned(), alias.to_owned())
}

/// Containers of the same scope and another generation: their ports are this one's if it takes over.
pub(super) fn replaced(engine: &Engine, record: &Record) -> Result<Vec<String>, EngineError> {
    let Some(own) = &record.owner else {
        return Ok(Vec::new());
    };
    let is_replaced = |id: &String| {
        // A container that is being removed right now replaces nothing and is in nobody's way.
        engine.folders(id).record().is_ok_and(|other| {
            let owner = other.owner.as_ref();
            owner.is_some_and(|o| o.scope == own.scope && o.generation != own.generation)
        })
    };
    Ok(engine.ids()?.into_iter().filter(is_replaced).collect())
}

/// Looks up the networks that a container is to be on, and refuses what cannot be had there. Ids become names.
pub(super) fn resolve(engine: &Engine, body: &mut CreateBody) -> Result<(), EngineError> {
    if matches!(
        NetworkMode::of_config(&body.host_config),
        NetworkMode::Bridge
    ) {
        let mode = body.host_config.network_mode.clone();
        let mut wanted = std::mem::take(&mut body.networking_config.endpoints_config);
        if !is_bridge(&mode) && !wanted.contains_key(&mode) {
            wanted.insert(mode.clone(), EndpointSettings::default());
        }
        for (word, settings) in wanted {
            let mac = &settings.mac_address;
            if !mac.is_empty() {
                mac.parse::<Mac>()
                    .map_err(|error| EngineError::Unsupported {
                        option: "--mac-address".into(),
                        reason: error.to_string(),
                    })?;
            }
            let name = if is_bridge(&word) {
                DEFAULT.to_owned()
            } else {
                let network = engine.network().defined().find(&word)?;
                check_address(&network, &settings)?;
                network.name
            };
            if word == mode && !is_bridge(&mode) {
                body.host_config.network_mode.clone_from(&name);
            }
            body.networking_config
                .endpoints_config
                .insert(name, settings);
        }
        published(engine, body)?;
    }
    Ok(())
}

/// Says so where ports are to be published but all networks are internal, so that nothing reaches them: as with Docker they are
/// published once the container is on another one. Networks that there are not are refused when it is made.
pub(super) fn unpublished(engine: &Engine, body: &CreateBody) -> Option<String> {
    let host = &body.host_config;
    if host.port_bindings.is_empty() && !host.publish_all_ports {
        return None;
    }
    let internal = |word: &str| {
        let found = engine.network().defined().find(word).ok();
        found.filter(|network| is_user_defined(word) && network.internal)
    };
    let names = asked(body).map(|word| internal(word).map(|network| network.name));
    let names: Vec<String> = names.collect::<Option<_>>()?;
    let are = match &names[..] {
        [one] => format!("network {one} is"),
        all => format!("networks {} are", all.join(", ")),
    };
    Some(format!("ports are not published: {are} internal"))
}

/// The networks that a container's configuration names, the first one first.
fn asked(body: &CreateBody) -> impl Iterator<Item = &str> {
    let mode = body.host_config.network_mode.as_str();
    let endpoints = &body.networking_config.endpoints_config;
    let others = endpoints.keys().map(String::as_str);
    [mode]
        .into_iter()
        .chain(others.filter(move |word| *word != mode))
}

/// The ports that a container's configuration asks for, where its ways outside lead; none without any.
fn published(engine: &Engine, body: &CreateBody) -> Result<Vec<PublishedPort>, EngineError> {
    let ports = ports::from_body(body, []).map_err(NetworkError::from)?;
    let out = check_ways_out(engine, &ports, asked(body))?;
    Ok(match out {
        Some(has_v6) => ports::on(&ports, (true, has_v6)),
        None => Vec::new(),
    })
}

/// Whether one of the networks through which these ports are reached has IPv6; `None` if there is nothing to be reached, or
/// no way. Refuses ports on IPv6 addresses that none of them gives.
fn check_ways_out<'a>(
    engine: &Engine,
    ports: &[PublishedPort],
    networks: impl Iterator<Item = &'a str>,
) -> Result<Option<bool>, EngineError> {
    let mut outward = Vec::new();
    let mut has_v6 = false;
    for word in networks.filter(|_| !ports.is_empty()) {
        if is_bridge(word) {
            outward.push(DEFAULT);
        } else if is_user_defined(word) {
            let network = engine.network().defined().find(word)?;
            if !network.internal {
                has_v6 |= network.v6.is_some();
                outward.push(word);
            }
        }
    }
    if outward.is_empty() {
        return Ok(None);
    }
    if !has_v6 {
        ports::check_v4_only(ports, &outward).map_err(NetworkError::from)?;
    }
    Ok(Some(has_v6))
}

/// Whether a container is to be on a network with IPv6.
pub(super) fn have_v6(engine: &Engine, record: &Record) -> Result<bool, EngineError> {
    for (name, _) in of(record) {
        if name != DEFAULT && engine.network().defined().find(&name)?.v6.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn check_address(
    network: &Definition,
    settings: &EndpointSettings,
) -> Result<(), EngineError> {
    let wanted = settings.ipam_config.iter().flat_map(|ipam| {
        let v4 = ipam.ipv4_address.parse::<Ipv4Addr>().map(IpAddr::from);
        let v6 = ipam.ipv6_address.parse::<Ipv6Addr>().map(IpAddr::from);
        [v4, v6].into_iter().flatten()
    });
    let mut refused = wanted.filter_map(|address| Some((address, network.unusable(address)?)));
    match refused.next() {
        None => Ok(()),
        Some((address, reason)) => Err(NetworkError::Address {
            address,
            network: network.name.clone(),
            reason,
        }
        .into()),
    }
}

impl Engine {
    /// Makes a network; its id and time of birth are filled in.
    pub fn create_network(&self, wish: Wish) -> Result<Definition, EngineError> {
        Ok(self.network.create(Wish {
            id: names::new_id()?,
            created: time::rfc3339(self.host.now()),
            ..wish
        })?)
    }

    /// The ports that a container's configuration asks for, on the host addresses that its networks give them.
    pub fn published(&self, body: &CreateBody) -> Result<Vec<PublishedPort>, EngineError> {
        published(self, body)
    }

    /// Whether these networks exist and give what is wanted of them.
    pub fn check_networks(&self, body: &CreateBody) -> Result<(), EngineError> {
        resolve(self, &mut body.clone())
    }

    /// Removes the networks that are `meant` and that no container is to be on, running or not, and returns their names.
    pub fn prune_networks(
        &self,
        meant: &dyn Fn(&Definition) -> bool,
    ) -> Result<Vec<String>, EngineError> {
        let _names = self.lock_names()?;
        let containers = self.list()?;
        let mut removed = Vec::new();
        for network in self.network.defined().list()? {
            let wanted = |record: &Record| of(record).iter().any(|(name, _)| *name == network.name);
            if meant(&network) && !containers.iter().any(|container| wanted(&container.record)) {
                removed.push(self.network.remove(&network.name)?);
            }
        }
        Ok(removed)
    }
}
