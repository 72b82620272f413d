//! Artifacts installed on the device itself, without a Mender client: what Mender calls standalone mode.
//!
//! dray plays the client for its own update module: it makes the work tree that a client makes, runs its own program once
//! for each state, in the order of Mender's C++ client, and keeps what the device provides.
//!
//! ```text
//! <state>/standalone/
//!   artifact.json    what the device provides, and the install that nobody committed yet (record.rs); replaced as a whole
//!   tree/            the work tree of that install, as the module is shown it (tree.rs)
//!   scripts/         its state scripts, if it has any (scripts.rs)
//! <run>/
//!   standalone.lock      held by the one word that works
//!   standalone.holder    which word that is, in which process
//!   standalone.script    the process of the state script that runs
//! ```
//!
//! Before each state the record says that it begins. So after a kill at any instruction the next word knows where it was:
//!
//! ```text
//! cut in            commit                    rollback                   install
//! Download          cleans up; nothing there  cleans up; nothing there   cleans up, begins anew
//! ArtifactInstall   refused                   goes back                  refused
//! (installed)       commits                   goes back                  refused
//! ArtifactCommit    commits                   goes back                  refused
//! (committed)       goes on; committed        goes on; nothing there     goes on, begins anew
//! ArtifactRollback  refused                   goes back                  refused
//! ArtifactFailure   refused                   goes back                  refused
//! Cleanup           cleans up; as it was      cleans up; as it was       cleans up, begins anew
//! ```
//!
//! As it was: `commit` ends well where it was committed, `rollback` where it was taken back, and else there is nothing.
//! The C++ client does something else in one place: cut in `ArtifactCommit`, its `commit` rolls back and ends with 0.

mod call;
mod decide;
mod desk;
mod device;
mod error;
mod install;
mod provides;
mod record;
mod scripts;
mod stream;
mod tree;
mod watched;

use std::fmt;
use std::path::Path;

use crate::config::Settings;
use crate::host::Host;

pub use decide::{commit, rollback};
pub use desk::is_at_work;
pub use device::factory;
pub use error::StandaloneError;
pub use install::{How, install};
pub use provides::{Provides, Unmet};

/// What every word works with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The device.
    pub host: &'a Host,
    /// Its settings.
    pub settings: &'a Settings,
    /// The program that is called as the update module.
    pub module: &'a Path,
    /// Takes one line for the operator at a time, without its end.
    pub say: &'a (dyn Fn(&str) + Sync),
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("host", self.host)
            .field("module", &self.module)
            .finish_non_exhaustive()
    }
}

/// What the device provides: what was installed and committed last, or what it was made with.
pub fn provides(host: &Host) -> Result<Provides, StandaloneError> {
    let store = record::Store::load(host)?;
    match store.record().provides.clone() {
        Some(provides) => Ok(provides),
        None => factory(host),
    }
}

/// A line about an install that nobody committed, if there is one.
pub fn pending(host: &Host) -> Result<Option<String>, StandaloneError> {
    let store = record::Store::load(host)?;
    Ok(store.record().pending.as_ref().map(ToString::to_string))
}
