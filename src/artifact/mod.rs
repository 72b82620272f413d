//! Mender artifacts, format version 3, as `docker-artifact-gen` writes them and as the device's meta-data arrives.
//!
//! ```text
//! NAME.mender                      tar; members in exactly this order
//! ├── version                      {"format":"mender","version":3}
//! ├── manifest                     sha256 and name of everything below; what a signature signs
//! ├── header.tar.gz
//! │   ├── header-info              artifact name, device types, payload types
//! │   └── headers/0000/
//! │       ├── type-info            software version that the artifact provides and clears
//! │       └── meta-data            our request: images by digest, run args
//! └── data/0000.tar.gz             the payload's files; an empty tar when there are none
//! ```

pub mod header;
pub mod manifest;
pub mod payload;
// The device only reads.
#[cfg(feature = "artifact-gen")]
pub mod writer;
