//! Images from registries, over the OCI distribution API.

use std::io::Read;

use crate::config::Settings;
use crate::host::Host;
use crate::oci::{Descriptor, Digest, Reference};

/// A client for all registries; holds connections and tokens, may be used from several threads.
#[derive(Debug)]
pub struct Client {}

/// Why a registry did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Placeholder of the first hours.
    #[error("registry client is not built yet")]
    NotBuilt,
}

impl Client {
    /// A client that knows the host's certificates and credentials; reads them when first needed.
    pub fn new(_host: &Host, _settings: &Settings) -> Client {
        Client {}
    }

    /// What `reference` points at, in one request: digest, size and media type of an index or a manifest.
    pub fn resolve(&self, _reference: &Reference) -> Result<Descriptor, RegistryError> {
        Err(RegistryError::NotBuilt)
    }

    /// The index or manifest with this digest, checked against it, and the Content-Type it came with.
    pub fn manifest(
        &self,
        _reference: &Reference,
        _digest: &Digest,
    ) -> Result<(Vec<u8>, Option<String>), RegistryError> {
        Err(RegistryError::NotBuilt)
    }

    /// The bytes of a blob as they arrive. Not checked: the caller wraps them in [`crate::oci::stream::Verified`].
    pub fn blob(
        &self,
        _reference: &Reference,
        _blob: &Descriptor,
    ) -> Result<Box<dyn Read + Send>, RegistryError> {
        Err(RegistryError::NotBuilt)
    }
}
