//! The words of the OCI and Docker image formats, parsed once at the door.

mod digest;
mod health;

pub use digest::{Digest, DigestError};
pub use health::Healthcheck;
