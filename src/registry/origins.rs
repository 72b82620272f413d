//! Where the APIs of registries are.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::error::Problem;
use super::url::Origin;
use crate::config::Settings;
use crate::host::Host;
use crate::oci::DOCKER_HUB;

/// Docker Hub's API.
const HUB_API: &str = "registry-1.docker.io";

/// What is known of registries that may do without https: whether they have it.
#[derive(Debug, Default)]
pub(super) struct Origins(Mutex<HashMap<String, bool>>);

impl Origins {
    /// Where a registry's API is: https, except on this machine and where that is known to have none.
    pub(super) fn of(
        &self,
        registry: &str,
        host: &Host,
        settings: &Settings,
    ) -> Result<Origin, Problem> {
        let plain = at(false, registry)?;
        let is_known = self.known(registry) == Some(false);
        if is_known || plain.is_loopback() && !wants_https(registry, host, settings) {
            return Ok(plain);
        }
        at(true, registry)
    }

    /// Whether nobody has found out yet that it has https, as another thread may have meanwhile.
    pub(super) fn may_be_plain(&self, registry: &str) -> bool {
        self.known(registry) != Some(true)
    }

    /// Notes whether a registry has https.
    pub(super) fn note(&self, registry: &str, https: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(registry.to_owned(), https);
    }

    fn known(&self, registry: &str) -> Option<bool> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(registry).copied()
    }
}

/// Where a registry's API would be with or without https.
pub(super) fn at(https: bool, registry: &str) -> Result<Origin, Problem> {
    let authority = match registry {
        DOCKER_HUB => HUB_API,
        other => other,
    };
    let malformed = || Problem::Unreachable(format!("{authority} is not a valid host and port"));
    Origin::new(https, authority).ok_or_else(malformed)
}

/// Whether somebody gave a registry on this machine a certificate, or said that none is needed, and so wants https there
/// too.
fn wants_https(registry: &str, host: &Host, settings: &Settings) -> bool {
    let settings = settings.registries.get(registry);
    settings.is_some_and(|settings| settings.insecure || settings.ca.is_some())
        || host.certs.join(registry).is_dir()
}
