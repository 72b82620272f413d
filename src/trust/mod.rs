//! Signatures over bytes, as Mender's tools make and check them: RSA with PKCS#1 v1.5 and SHA-256, or ECDSA on the curve
//! P-256 with SHA-256. No files and no network: bytes in, verdict out.

pub mod der;
mod error;
mod pem;
#[cfg(feature = "artifact-gen")]
mod private;
mod public;
mod signature;

#[cfg(test)]
mod tests;

pub use error::TrustError;
#[cfg(feature = "artifact-gen")]
pub use private::PrivateKey;
pub use public::PublicKey;
pub use signature::Signature;

/// Largest key file; one with comments and a chain of certificates has a tenth of that.
pub const MAX_KEY: u64 = 64 << 10;
