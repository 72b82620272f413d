//! What an artifact asks a device to run: the `meta-data` document, one schema for the generator and the device.
//!
//! ```text
//! { "containers": ["repo@sha256:…"], "run_args": "-p 8080:80",        upstream's keys, written by either generator
//!   "dray": { "version": 1, "scope": "shop",                          all of it optional
//!             "services": [ { "name": "web", "image": 0, "run_args": "…", "command": ["…"], "depends_on": ["db"] } ],
//!             "health": { "timeout_s": 120, "stable_s": 10 },
//!             "payload": "oci-layout", "assumes": ["sha256:…"] } }
//! ```
//!
//! Without `services` each entry of `containers` is one container with the shared `run_args`. With it, `image` is an
//! index into `containers`, and a service without `run_args` of its own has the shared ones. `assumes` lists the layers
//! that a carried payload leaves out because the devices have them.

mod order;
mod read;
mod write;

#[cfg(test)]
mod tests;

use crate::oci::{Digest, Reference};

/// The scope of every artifact that does not name one, upstream's included.
pub const DEFAULT_SCOPE: &str = "docker";

/// Version of the `dray` object that this build writes and the highest it reads.
pub const VERSION: u64 = 1;

/// Whole document. Holds the largest sensible request many times over; more is an attack or an accident.
pub const MAX_BYTES: usize = 1 << 20;

/// Services, and images too. A device runs tens; each costs a process and a network interface.
pub const MAX_SERVICES: usize = 100;

/// One `run_args` text: half of what the kernel takes as a single argument, far above any real line of options.
pub const MAX_RUN_ARGS: usize = 64 << 10;

/// Words of one service's command.
pub const MAX_COMMAND_WORDS: usize = 1000;

/// Layers that a carried payload may leave out: a hundred images of as many as docker builds at most. Their digests fill
/// three quarters of [`MAX_BYTES`].
pub const MAX_ASSUMED: usize = 10_000;

/// Longest health deadline, a day: a client's own limit per verb is four hours.
pub const MAX_TIMEOUT_S: u64 = 86_400;

/// Longest stability window, an hour: the service is up, but the deployment waits.
pub const MAX_STABLE_S: u64 = 3_600;

/// Longest scope and service names; they become folder names.
pub const MAX_NAME: usize = 64;

/// One artifact's request, checked: every index resolves, every name is unique, every limit is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    /// The set of containers that this stream of deployments owns; a safe folder name.
    pub scope: String,
    /// What is to run, each after the services it depends on, otherwise in the artifact's order; never empty.
    pub services: Vec<Service>,
    /// When a started service counts as good.
    pub health: Health,
    /// How the images come; `None` means from their registries.
    pub payload: Option<Carried>,
    /// Layers as they are packed, by their blobs' digests, that the images need and a carried payload leaves out: a device
    /// without one of them cannot take it. In ascending order, each once; empty without a carried payload.
    pub assumes: Vec<Digest>,
    /// Unknown keys beside upstream's: not an error, since people annotate their meta-data, but worth a line in the log.
    pub unknown_keys: Vec<String>,
}

/// One container of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Name inside the request, for `depends_on`; upstream's artifacts have none.
    pub name: Option<String>,
    /// The image, usually with a digest; without one the device resolves the tag.
    pub image: Reference,
    /// docker run's options as one line, split like a POSIX shell splits words.
    pub run_args: String,
    /// Command instead of the image's; empty means the image's.
    pub command: Vec<String>,
    /// Names of services that must be up before this one starts.
    pub depends_on: Vec<String>,
}

/// Deadlines of a deployment; `None` leaves it to the device's configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// Seconds after which a service that is still not healthy has failed.
    pub timeout_s: Option<u64>,
    /// Seconds that a service without health check must stay up.
    pub stable_s: Option<u64>,
}

/// Images that travel inside the artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// An OCI image layout, possibly without blobs that the device is known to have.
    OciLayout,
}

/// Why a document is not a request. One line each, naming the key as a path: `dray.services[1].image`.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Mender hands over `null` when an artifact was written without meta-data.
    #[error(
        "meta-data is empty: the artifact says nothing about containers; make it with docker-artifact-gen"
    )]
    Empty,
    /// The stream broke.
    #[error("failed to read meta-data: {0}")]
    Read(#[source] std::io::Error),
    /// Longer than [`MAX_BYTES`].
    #[error("meta-data is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Not JSON at all, or nested too deeply.
    #[error("meta-data is not valid JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// A required key is absent or null.
    #[error("meta-data has no key {key:?}: expected {expected}")]
    Missing {
        /// Path of the key.
        key: String,
        /// What should be there.
        expected: &'static str,
    },
    /// Valid JSON, but not an object.
    #[error("meta-data must be a JSON object, not {found}")]
    NotAnObject {
        /// What is there.
        found: &'static str,
    },
    /// A value of another type.
    #[error("meta-data key {key:?} must be {expected}, not {found}")]
    Type {
        /// Path of the key.
        key: String,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A number, count or length beyond its limit.
    #[error("meta-data key {key:?} {problem}")]
    Limit {
        /// Path of the key.
        key: String,
        /// The value and the limit, with units.
        problem: String,
    },
    /// A key that this version does not know. Ignoring it could leave out what the sender relies on.
    #[error("meta-data key {key:?} is not known: this is dray's schema version {VERSION}")]
    UnknownKey {
        /// Path of the key.
        key: String,
    },
    /// Written for a later version of dray.
    #[error(
        "meta-data has schema version {found}, but this dray knows only {VERSION}: update dray first"
    )]
    Version {
        /// The document's version.
        found: u64,
    },
    /// Not an image reference.
    #[error("meta-data key {key:?}: {source}")]
    Image {
        /// Path of the key.
        key: String,
        /// What is wrong with the reference.
        source: <Reference as std::str::FromStr>::Err,
    },
    /// A well-typed value that cannot be meant.
    #[error("meta-data key {key:?}: {problem}")]
    Value {
        /// Path of the key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}
