//! dray updates and runs a device's containers.
//!
//! The rooms, in rank order; a room imports only from rooms above it in this list (`tests/layering.rs`):
//!
//! - [`sys`]: the only room with unsafe code or raw system calls
//! - [`host`]: the outside world as a value: folders, clock, boot id, environment
//! - [`oci`]: digests, references, manifests, image configurations, platforms
//! - [`tarball`]: the parts that tars are read with
//! - [`api`]: container configuration under Docker Engine API names
//! - [`runargs`]: `docker run`'s words
//! - [`config`]: the device's settings
//! - [`trust`]: keys and signatures
//! - [`registry`]: images from registries
//! - [`archive`]: images from files and folders
//! - [`artifact`]: Mender artifacts: the request inside them, their reader and their writer
//! - `store`: the image store on disk (feature `device`, like every room below)
//! - `unpack`: a layer into a folder
//! - `images`: what is present, who needs it
//! - [`engine`]: containers, from a record to a running process and back
//! - [`deploy`]: what should run, and what if it stops halfway
//! - [`standalone`]: artifacts installed without a Mender client

pub mod api;
pub mod archive;
pub mod artifact;
pub mod config;
#[cfg(feature = "device")]
pub mod deploy;
#[cfg(feature = "device")]
pub mod engine;
pub mod host;
#[cfg(feature = "device")]
pub mod images;
pub mod oci;
pub mod registry;
pub mod runargs;
#[cfg(feature = "device")]
pub mod standalone;
#[cfg(feature = "device")]
pub mod store;
pub mod sys;
pub mod tarball;
pub mod trust;
#[cfg(feature = "device")]
pub mod unpack;
