//! A deployment: one run of Mender's states over one scope, from the running containers to the next ones and, if need be,
//! back.
//!
//! ```text
//! <state>/deployments/<scope>/
//!   journal.json     the recorded state and the generations it names (journal.rs); replaced as a whole
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
//! - [`machine`]: which action a verb means in a state
//! - [`plan`]: from present containers to the ordered steps of a switch or a way back

pub mod inbox;
pub mod journal;
pub mod machine;
pub mod plan;
pub mod state;
