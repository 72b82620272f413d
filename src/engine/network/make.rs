//! Making and removing user-defined networks.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::address::Pool;
use super::defined::Definition;
use super::leases::Leases;
use super::state::VERSION;
use super::{DEFAULT, Network, NetworkError, fit, is_user_defined, options};
use crate::engine::names;
use crate::sys::fs;
use crate::sys::links::Links;

/// Longest prefix that leaves a container an address.
const MAX_PREFIX: u8 = 30;

/// What a network is to be.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// A new id.
    pub id: String,
    /// RFC 3339.
    pub created: String,
    /// Its addresses; chosen if absent.
    pub subnet: Option<Pool>,
    /// The host's address; the first of the subnet if absent.
    pub gateway: Option<Ipv4Addr>,
    /// The part of the subnet that containers get.
    pub range: Option<Pool>,
    /// Cut off from the world outside.
    pub internal: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

impl Network {
    /// Makes a network. After a cut or an error there is none.
    pub fn create(&self, wish: Wish) -> Result<Definition, NetworkError> {
        if !names::is_valid(&wish.name) || !is_user_defined(&wish.name) {
            return Err(NetworkError::Name(wish.name));
        }
        let _lock = self.defined.lock()?;
        let others = self.defined.list()?;
        // Which addresses it has, nobody knows.
        if let Some(damaged) = self.defined.damaged()?.into_iter().next() {
            return Err(damaged);
        }
        if others.iter().any(|other| other.name == wish.name) {
            return Err(NetworkError::Exists(wish.name));
        }
        let mut taken: Vec<(String, Pool)> = vec![(DEFAULT.to_owned(), self.default().pool)];
        taken.extend(others.iter().map(|o| (o.name.clone(), o.subnet)));
        let subnet = match wish.subnet {
            None if wish.gateway.is_some() || wish.range.is_some() => {
                return Err(fit::no_subnet(&wish));
            }
            Some(subnet) => check_subnet(subnet, &taken)?,
            None => free_subnet(&taken)?,
        };
        check_parts(&wish, subnet)?;
        let definition = Definition {
            version: VERSION,
            bridge: self.bridge_name(&wish, &others)?,
            subnet,
            gateway: wish.gateway.unwrap_or_else(|| subnet.gateway()),
            name: wish.name,
            id: wish.id,
            created: wish.created,
            range: wish.range,
            internal: wish.internal,
            labels: wish.labels,
            options: wish.options,
        };
        self.defined.write(&definition)?;
        Ok(definition)
    }

    /// Removes a network that no container is on, and returns its name.
    pub fn remove(&self, word: &str) -> Result<String, NetworkError> {
        if !is_user_defined(word) {
            return Err(NetworkError::BuiltIn(word.to_owned()));
        }
        let _lock = self.defined.lock()?;
        let name = match self.defined.find(word) {
            // Damaged: its name is all there is.
            Err(error) if error.is_about_file() => word.to_owned(),
            found => found?.name,
        };
        // Under this lock nobody comes.
        let mut leases = Leases::create(&self.dir)?;
        let here = leases.all.iter().filter(|l| l.attachment.network == name);
        let holders: Vec<String> = here
            .map(|lease| lease.names.first().unwrap_or(&lease.id).clone())
            .collect();
        if !holders.is_empty() {
            let network = name;
            return Err(NetworkError::InUse { network, holders });
        }
        self.tear_down(&mut Links::open()?, &mut leases, &name)?;
        let path = self.defined.dir.join(&name);
        fs::remove_file(&path).map_err(|source| NetworkError::State { path, source })?;
        Ok(name)
    }

    fn bridge_name(&self, wish: &Wish, others: &[Definition]) -> Result<String, NetworkError> {
        let Some(name) = options::parse(&wish.options)?.bridge else {
            return Ok(format!("dray-{}", &wish.id[..10]));
        };
        let mut bridges = others.iter().map(|other| &other.bridge);
        if name == self.settings.bridge || bridges.any(|other| other == name) {
            return Err(options::refuse_bridge(name));
        }
        fit::check_bridge(name)?;
        Ok(name.to_owned())
    }
}

fn check_subnet(subnet: Pool, taken: &[(String, Pool)]) -> Result<Pool, NetworkError> {
    if subnet.prefix > MAX_PREFIX {
        return Err(NetworkError::Wish {
            option: "--subnet",
            value: subnet.to_string(),
            reason: format!("it has no room for containers; use /{MAX_PREFIX} or shorter"),
        });
    }
    let overlaps = |(_, other): &&(String, Pool)| subnet.overlaps(other.base, other.prefix);
    if let Some((network, other)) = taken.iter().find(overlaps) {
        return Err(NetworkError::Networks {
            pool: subnet,
            other: *other,
            network: network.clone(),
        });
    }
    fit::check_host(subnet)?;
    Ok(subnet)
}

/// The first of our own choice that collides with no network, no address and no route of this host.
fn free_subnet(taken: &[(String, Pool)]) -> Result<Pool, NetworkError> {
    let mut links = Links::open()?;
    let mut used: Vec<(Ipv4Addr, u8)> = links.routes()?;
    used.extend(links.addresses()?.iter().map(|a| (a.address, a.prefix)));
    used.extend(taken.iter().map(|(_, pool)| (pool.base, pool.prefix)));
    // Next to the default bridge, where Docker looks last; then a part of 10/8 that people rarely use.
    let pool = |a: u8, b: u8, c: u8| Pool {
        base: Ipv4Addr::new(a, b, c, 0),
        prefix: 24,
    };
    let first = (30..=31).flat_map(|b| (0..=255).map(move |c| pool(172, b, c)));
    let second = (0..=255).map(|c| pool(10, 213, c));
    let is_free = |pool: &Pool| {
        used.iter()
            .all(|(base, prefix)| !pool.overlaps(*base, *prefix))
    };
    first
        .chain(second)
        .find(is_free)
        .ok_or(NetworkError::NoSubnet)
}

fn check_parts(wish: &Wish, subnet: Pool) -> Result<(), NetworkError> {
    let refuse = |option, value: String, reason: String| {
        Err(NetworkError::Wish {
            option,
            value,
            reason,
        })
    };
    if let Some(gateway) = wish.gateway.filter(|gateway| !subnet.has_host(*gateway)) {
        let reason = format!("it is no address for an interface in subnet {subnet}");
        return refuse("--gateway", gateway.to_string(), reason);
    }
    if let Some(range) = wish.range.filter(|range| !subnet.covers(*range)) {
        let reason = format!("it is no part of subnet {subnet}");
        return refuse("--ip-range", range.to_string(), reason);
    }
    Ok(())
}
