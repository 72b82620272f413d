//! `network connect` and `disconnect`: the networks of a container that exists, running or not.

use super::files::NetworkMode;
use super::network::{DEFAULT, NONE, NetworkError, is_bridge, is_user_defined};
use super::{Container, Engine, EngineError, Record, Status, networks};
use crate::api::EndpointSettings;

impl Engine {
    /// Puts a container on another network: at once if it runs, and whenever it is started.
    pub fn connect(
        &self,
        id: &str,
        network: &str,
        settings: EndpointSettings,
    ) -> Result<(), EngineError> {
        let _lock = self.lock(id)?;
        // A rename rewrites the record too.
        let _names = self.lock_names()?;
        let container = self.load(id)?;
        check_modes(&container, network, true)?;
        let network = self.name_of_network(network)?;
        if is_user_defined(&network) {
            networks::check_address(&self.network.defined().find(&network)?, &settings)?;
        }
        let init = running(&container);
        let here = self.network.find(id)?;
        if init.is_some() && here.iter().any(|attachment| attachment.network == network) {
            let container = container.record.name;
            return Err(NetworkError::Joined { container, network }.into());
        }
        let before = container.record;
        let mut all = networks::of(&before);
        all.retain(|(name, _)| *name != network);
        all.push((network.clone(), settings.clone()));
        let mut record = before.clone();
        networks::replace(&mut record, all);
        // The record first: what was killed before it was there at once can be asked for again.
        self.folders(id).write_record(&record)?;
        let Some(pid) = init.filter(|_| network != NONE) else {
            return Ok(());
        };
        let joining = networks::Joining::of(self, &record, pid, true);
        let attached = joining.and_then(|joining| joining.attach(&network, &settings));
        if let Err(error) = attached {
            self.folders(id).write_record(&before)?;
            return Err(error);
        }
        // It may have ended meanwhile, and its monitor may have taken its networks away before this one came.
        if running(&self.load(id)?) != Some(pid) {
            self.network.detach(id)?;
        }
        Ok(())
    }

    /// Takes a container off a network: at once if it runs, and for all later starts.
    pub fn disconnect(&self, id: &str, network: &str) -> Result<(), EngineError> {
        let _lock = self.lock(id)?;
        let _names = self.lock_names()?;
        let container = self.load(id)?;
        check_modes(&container, network, false)?;
        let mut record = container.record;
        let mut all = networks::of(&record);
        // One that was removed meanwhile still has its name here.
        let network = match all.iter().any(|(name, _)| name == network) {
            true => network.to_owned(),
            false => self.name_of_network(network)?,
        };
        let before = all.len();
        all.retain(|(name, _)| *name != network);
        let was_wanted = all.len() < before || network == NONE;
        networks::replace(&mut record, all);
        // The record first: what is done at once can be done again.
        if was_wanted {
            self.folders(id).write_record(&record)?;
        }
        if !self.network.leave(id, &network)? && !was_wanted {
            let container = record.name;
            return Err(NetworkError::NotJoined { container, network }.into());
        }
        Ok(())
    }

    fn name_of_network(&self, word: &str) -> Result<String, EngineError> {
        match word {
            NONE => Ok(NONE.to_owned()),
            word if is_bridge(word) && !word.is_empty() => Ok(DEFAULT.to_owned()),
            word => Ok(self.network.defined().find(word)?.name),
        }
    }
}

/// The first process of a container that runs.
fn running(container: &Container) -> Option<i32> {
    let now = container.now.as_ref()?;
    let init = now.init.as_ref()?;
    (now.status == Status::Running && init.is_alive()).then_some(init.pid)
}

/// Only bridges and `none` can come and go, and not at once; Docker's words.
fn check_modes(container: &Container, network: &str, comes: bool) -> Result<(), EngineError> {
    let record = &container.record;
    let reason = match (NetworkMode::of(record), network) {
        (NetworkMode::Container, _) => {
            "container sharing network namespace with another container or host cannot be connected to any other network"
        }
        (_, "host") => {
            "container cannot be disconnected from host network or connected to host network"
        }
        (NetworkMode::Host, _) if comes => {
            "container sharing network namespace with another container or host cannot be connected to any other network"
        }
        (NetworkMode::None, _) if comes => return Err(private(record, NONE)),
        (NetworkMode::Bridge, NONE) if comes => {
            return match networks::of(record).first() {
                Some((first, _)) => Err(private(record, first)),
                None => Ok(()),
            };
        }
        (NetworkMode::None, NONE) => return Ok(()),
        (NetworkMode::Bridge, NONE) | (NetworkMode::Host | NetworkMode::None, _) => {
            let (container, network) = (record.name.clone(), network.to_owned());
            return Err(NetworkError::NotJoined { container, network }.into());
        }
        (NetworkMode::Bridge, _) => return Ok(()),
    };
    Err(EngineError::NetworkMode {
        name: record.name.clone(),
        reason,
    })
}

fn private(record: &Record, network: &str) -> EngineError {
    let (container, network) = (record.name.clone(), network.to_owned());
    NetworkError::Private { container, network }.into()
}
