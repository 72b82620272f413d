//! The words of the OCI and Docker image formats, parsed once at the door.
//!
//! Honoured: references, indexes and manifests of OCI and of Docker's schema 2, image configurations, layers as plain
//! tar, gzip and zstd. Refused by name: schema 1, foreign and encrypted layers, artifacts that are not images.

mod digest;
mod health;
mod image_config;
mod manifest;
pub mod media_type;
mod platform;
mod reference;
pub mod stream;

pub use digest::{Digest, DigestError};
pub use health::Healthcheck;
pub use image_config::{History, ImageConfig, ImageConfigError, ImageDefaults, MAX_CONFIG};
pub use manifest::{
    Descriptor, Document, Index, MAX_LAYERS, MAX_MANIFEST, MAX_MANIFESTS, Manifest, ManifestError,
};
pub use media_type::{LayerCompression, MediaTypeError};
pub use platform::{Platform, PlatformError, choose};
pub use reference::{DOCKER_HUB, Reference, ReferenceError};
