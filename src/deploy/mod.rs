//! A deployment: one run of Mender's states over one scope, from the running containers to the next ones and, if need be,
//! back.
//!
//! ```text
//! <state>/deployments/<scope>/
//!   journal.json     the recorded state and the generations it names (journal.rs); replaced as a whole
//!   journal.damaged  one that could not be read, set aside for a reader
//!   reserve          space for the journal when the disk is full
//! <run>/deployments/
//!   <scope>.lock     held by the one verb that works on the scope (hold.rs)
//!   <scope>.holder   which process that is, and for which client
//!   <scope>.abort    names a process that is to end
//! ```
//!
//! Containers carry their scope and generation in the engine's records, images are pinned as `deploy-<scope>-<generation>`.
//! Whatever carries a generation that the journal does not name may be removed by whoever holds the lock; nothing else
//! removes anything here. Containers and pins of other scopes, and of nobody, are never touched.
//!
//! - [`state`]: verbs, states, actions
//! - [`machine`]: which action a verb means in a state, and what calls it
//! - [`journal`]: the recorded state, durable
//! - [`hold`]: one verb at a time, and how an orphaned one is ended
//! - [`own`]: verbs of `dray install`, which are about one artifact
//! - [`inbox`], [`request`], `streams`: from Mender's file tree to create bodies and images
//! - `prepare`, `switch`, `recover`: the actions; `wait`: when a started container counts as good
//! - [`plan`], `steps`: from present containers to ordered steps, and their execution

mod error;
mod fetch;
pub mod hold;
pub mod inbox;
pub mod journal;
pub mod machine;
mod meter;
pub mod own;
pub mod plan;
mod prepare;
mod recover;
pub mod request;
mod site;
pub mod state;
mod steps;
mod streams;
mod switch;
mod wait;

use std::fmt;

use crate::config::Settings;
use crate::host::Host;

pub use error::DeployError;
pub use journal::JournalError;
pub use machine::run;
pub use recover::boot;
pub use site::recorded;
pub use state::Verb;

/// What every verb works with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The device.
    pub host: &'a Host,
    /// Its settings.
    pub settings: &'a Settings,
    /// Takes one line for the operator at a time, without its end.
    pub say: &'a (dyn Fn(&str) + Sync),
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("host", self.host)
            .finish_non_exhaustive()
    }
}

/// Bytes for a reader.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000_000 => write!(f, "{} kB", self.0.div_ceil(1000)),
            bytes => write!(f, "{:.1} MB", bytes as f64 / 1e6),
        }
    }
}
