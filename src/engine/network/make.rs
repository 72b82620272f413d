//! Making and removing user-defined networks.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::address::Pool;
use super::defined::Definition;
use super::lease::Built;
use super::leases::Leases;
use super::state::VERSION;
use super::{
    DEFAULT, Network, NetworkError, fit, forwarding, is_user_defined, options, rules, subnets,
};
use crate::engine::names;
use crate::sys::fs;
use crate::sys::links::Links;

pub use super::asked::Asked;

/// What a network is to be.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// A new id.
    pub id: String,
    /// RFC 3339.
    pub created: String,
    /// Its addresses.
    pub v4: Asked<Ipv4Addr>,
    /// The same of IPv6, if it is to have that.
    pub v6: Option<Asked<Ipv6Addr>>,
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
        if !names::is_of_network(&wish.name) || !is_user_defined(&wish.name) {
            return Err(match wish.name.as_str() {
                "bridge" | "default" | "host" | "none" => NetworkError::Predefined(wish.name),
                _ => NetworkError::Name(wish.name),
            });
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
        let v4 = subnets::v4(&wish.v4, &taken)?;
        let taken = others
            .iter()
            .filter_map(|o| Some((o.name.clone(), o.v6?.subnet)));
        let taken: Vec<_> = taken.collect();
        let v6 = wish.v6.as_ref().map(|asked| subnets::v6(asked, &taken));
        let definition = Definition {
            version: VERSION,
            bridge: self.bridge_name(&wish, &others)?,
            subnet: v4.subnet,
            gateway: v4.gateway,
            name: wish.name,
            id: wish.id,
            created: wish.created,
            range: v4.range,
            v6: v6.transpose()?,
            internal: wish.internal,
            labels: wish.labels,
            options: wish.options,
        };
        if definition.v6.is_some() {
            self.check_v6(&definition)?;
        }
        self.defined.write(&definition)?;
        Ok(definition)
    }

    /// Whether this kernel has what IPv6 on a network needs beyond what IPv4 does, which is no reason to refuse it.
    fn check_v6(&self, definition: &Definition) -> Result<(), NetworkError> {
        if !forwarding::has_v6() {
            return Err(NetworkError::NoIpv6(definition.name.clone()));
        }
        let both = definition.built()?;
        let first = Built {
            v6: None,
            ..both.clone()
        };
        let try_out = |built| self.with_firewall(|f| rules::try_out(f, &[built]));
        match try_out(first).map(|()| try_out(both)) {
            Ok(Err(NetworkError::NoNat(source))) => Err(NetworkError::NoNatV6(source)),
            Ok(tried) => tried,
            Err(_) => Ok(()),
        }
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
