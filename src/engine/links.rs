//! `--link` on the default network: whom it may name. On other networks every container has its name, there or not, and a
//! link is one more, as Docker has it.

use super::files::NetworkMode;
use super::network::{DEFAULT, is_bridge};
use super::{Engine, EngineError, Record, networks, rootfs};
use crate::api::CreateBody;

/// A deployment whose containers are about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Together<'a> {
    /// Its scope, whose other containers it replaces.
    pub scope: &'a str,
    /// Its containers: each one's name, and what it is made from.
    pub all: &'a [(Option<&'a str>, &'a CreateBody)],
}

impl Engine {
    /// Whether the containers that `body` links to exist, or are made together with it, and can be reached.
    pub fn check_links(
        &self,
        body: &CreateBody,
        together: Option<Together<'_>>,
    ) -> Result<(), EngineError> {
        let config = &body.host_config;
        // Links on a network of one's own are names for whoever comes.
        if !is_bridge(&config.network_mode) {
            return Ok(());
        }
        for link in &config.links {
            let (name, _) = networks::split_link(link);
            let mut beside = together.iter().flat_map(|together| together.all);
            let reachable = match beside.find(|(own, _)| *own == Some(name.as_str())) {
                Some((_, other)) => is_bridge(&other.host_config.network_mode),
                None => self.is_on_default(&name, together)?,
            };
            if !reachable {
                return Err(EngineError::ForeignLinked(name));
            }
        }
        Ok(())
    }

    /// What a person who starts container `id` hears before anything is done: that its disk takes nothing, and Docker's rule
    /// that whom it links to has to run. A deployment, a boot and a restart policy start containers in any order.
    pub fn check_start(&self, id: &str) -> Result<(), EngineError> {
        rootfs::writable(&self.folders(id))?;
        let record = self.load(id)?.record;
        let config = &record.body.host_config;
        let links = config.links.iter();
        let links = links.filter(|_| record.owner.is_none() && is_bridge(&config.network_mode));
        for link in links {
            let (linked, alias) = networks::split_link(link);
            let found = match self.find(&linked) {
                Err(EngineError::NotFound(_)) => return Err(EngineError::NoLinked(linked)),
                found => found?,
            };
            if found.pid().is_none() {
                return Err(EngineError::LinkedNotRunning {
                    linked: found.record.name,
                    name: record.name,
                    alias,
                });
            }
        }
        Ok(())
    }

    /// Whether the container `name`, or the one whose network it shares, is to be on the default network.
    fn is_on_default(
        &self,
        name: &str,
        together: Option<Together<'_>>,
    ) -> Result<bool, EngineError> {
        let absent = || EngineError::NoLinked(name.to_owned());
        let mut found: Record = match self.find(name) {
            Err(EngineError::NotFound(_)) => return Err(absent()),
            found => found?.record,
        };
        let is_replaced = together.is_some_and(|together| {
            let owner = found.owner.as_ref();
            owner.is_some_and(|owner| owner.scope == together.scope)
        });
        if is_replaced {
            return Err(absent());
        }
        while NetworkMode::of(&found) == NetworkMode::Container {
            let id = found.body.host_config.network_mode.split_once(':');
            found = self.load(id.map_or("", |(_, id)| id))?.record;
        }
        Ok(networks::of(&found)
            .iter()
            .any(|(network, _)| network == DEFAULT))
    }
}
