//! Mender artifacts, format version 3, as `docker-artifact-gen` writes them and as the device's meta-data arrives.
//!
//! ```text
//! NAME.mender                      tar; members in exactly this order
//! ├── version                      {"format":"mender","version":3}
//! ├── manifest                     sha256 and name of everything below; what a signature signs
//! ├── manifest.sig                 if there is one: base64 of it
//! ├── header.tar.gz
//! │   ├── header-info              artifact name, device types, payload types
//! │   ├── scripts/                 state scripts, if there are any
//! │   └── headers/0000/
//! │       ├── type-info            software version that the artifact provides and clears
//! │       └── meta-data            our request: images by digest, run args
//! └── data/0000.tar.gz             the payload's files; an empty tar when there are none
//! ```

pub mod carried;
pub mod compression;
pub mod header;
mod json;
pub mod limits;
pub mod manifest;
mod members;
pub mod payload;
pub mod reader;
pub mod scripts;
// The device only reads.
#[cfg(feature = "artifact-gen")]
pub mod writer;
mod xz;
