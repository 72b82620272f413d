//! User-defined networks, as they were asked for.
//!
//! ```text
//! <state>/networks/<name>   Definition: one network. Written whole by `network create`, never changed; removed by
//!                           `network rm` and `network prune` alone, under the lock of the leases
//! <run>/networks.lock       held while names and subnets are looked at and given
//! ```
//!
//! There is a bridge only while containers are on the network; what it was built as is with the leases.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::address::{Addresses, Pool};
use super::lease::Built;
use super::{NetworkError, choice, options, state};
use crate::engine::names;
use crate::host::Host;
use crate::sys::fs;
use crate::sys::lock::Exclusive;

/// One network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    pub(super) version: u32,
    /// Its name.
    pub name: String,
    /// 64 hexadecimal digits.
    pub id: String,
    /// RFC 3339.
    pub created: String,
    /// Its bridge, while there is one.
    pub bridge: String,
    /// Its addresses.
    pub subnet: Pool,
    /// The host's address on it.
    pub gateway: Ipv4Addr,
    /// The part of the subnet that containers get their addresses from.
    pub range: Option<Pool>,
    /// Its IPv6 addresses, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v6: Option<Addresses<Ipv6Addr>>,
    /// Cut off from the world outside.
    pub internal: bool,
    /// Labels; data only.
    pub labels: BTreeMap<String, String>,
    /// Options as they were given.
    pub options: BTreeMap<String, String>,
}

impl Definition {
    pub(super) fn built(&self) -> Result<Built, NetworkError> {
        let options = options::parse(&self.options)?;
        Ok(Built {
            gateway: Some(self.gateway),
            range: self.range,
            v6: self.v6,
            internal: self.internal,
            mtu: options.mtu,
            apart: !options.icc,
            bare: !options.masquerade,
            ..Built::new(&self.name, &self.bridge, self.subnet)
        })
    }

    /// Its IPv4 addresses.
    pub fn v4(&self) -> Addresses<Ipv4Addr> {
        Addresses {
            subnet: self.subnet,
            gateway: self.gateway,
            range: self.range,
        }
    }

    /// Why a container can never have this address here.
    pub fn unusable(&self, address: IpAddr) -> Option<String> {
        match (address, &self.v6) {
            (IpAddr::V4(address), _) => self.v4().unusable(address),
            (IpAddr::V6(address), Some(v6)) => v6.unusable(address),
            (IpAddr::V6(_), None) => Some(choice::NO_V6.to_owned()),
        }
    }
}

/// The folder with all definitions.
#[derive(Debug)]
pub struct Defined {
    pub(super) dir: PathBuf,
    lock: PathBuf,
}

impl Defined {
    pub(super) fn of(host: &Host) -> Defined {
        Defined {
            dir: host.state.join("networks"),
            lock: host.run.join("networks.lock"),
        }
    }

    /// All of them, by name, without the damaged ones.
    pub fn list(&self) -> Result<Vec<Definition>, NetworkError> {
        Ok(self.survey()?.0)
    }

    /// What is wrong with those that cannot be read.
    pub fn damaged(&self) -> Result<Vec<NetworkError>, NetworkError> {
        Ok(self.survey()?.1)
    }

    fn survey(&self) -> Result<(Vec<Definition>, Vec<NetworkError>), NetworkError> {
        let (mut sound, mut damaged) = (Vec::new(), Vec::new());
        for path in state::entries(&self.dir)? {
            match state::load(&path) {
                // One that is being removed right now is none.
                Ok(found) => sound.extend(found),
                Err(error) if error.is_about_file() => {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    damaged.push(NetworkError::Damaged {
                        name: name.into_owned(),
                        error: Box::new(error),
                    });
                }
                Err(error) => return Err(error),
            }
        }
        Ok((sound, damaged))
    }

    /// The one of this name, id or unique beginning of an id.
    pub fn find(&self, word: &str) -> Result<Definition, NetworkError> {
        if names::is_of_network(word)
            && let Some(found) = state::load(&self.dir.join(word))?
        {
            return Ok(found);
        }
        let mut all = self.list()?;
        all.retain(|network| !word.is_empty() && network.id.starts_with(word));
        match all.len() {
            0 => Err(NetworkError::NotFound(word.to_owned())),
            1 => Ok(all.remove(0)),
            _ => Err(NetworkError::Ambiguous(word.to_owned())),
        }
    }

    /// Durably.
    pub(super) fn write(&self, definition: &Definition) -> Result<(), NetworkError> {
        state::write_durably(&self.dir.join(&definition.name), definition)
    }

    /// Held while names and subnets are looked at and given.
    pub(super) fn lock(&self) -> Result<Exclusive, NetworkError> {
        let state = |path: &PathBuf| {
            let path = path.clone();
            move |source| NetworkError::State { path, source }
        };
        fs::create_dirs(&self.dir).map_err(state(&self.dir))?;
        Exclusive::wait(&self.lock).map_err(state(&self.lock))
    }

    /// Removes what a writer that was killed left.
    pub(super) fn sweep(&self) -> Result<(), NetworkError> {
        match fs::sweep_abandoned(&self.dir) {
            // Nobody ever made a network.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            swept => swept.map_err(|source| NetworkError::State {
                path: self.dir.clone(),
                source,
            }),
        }
    }
}
