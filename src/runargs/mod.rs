//! `docker run`'s words: splitting, parsing and checking them as Docker's own client does.
//!
//! What comes out is the body that client would send to Docker's API for the same words, plus what it keeps to itself
//! (name, platform, attach behaviour). Every option of `docker run` is in one table ([`options`]); those that dray does
//! not honour are refused by name, none is ignored.

pub mod capability;
mod error;
pub mod security;
mod split;
pub mod tmpfs;
pub mod ulimit;
pub mod value;

use crate::api::CreateBody;
use crate::host::Host;

pub use error::RunArgsError;
pub use split::split;

/// Whether the image is pulled before the container is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pull {
    /// Even if it is present.
    Always,
    /// If it is absent.
    #[default]
    Missing,
    /// Not even then.
    Never,
}

/// The meaning of `docker run`'s words.
#[derive(Debug, Clone, PartialEq)]
pub struct RunArgs {
    /// `--name`.
    pub name: Option<String>,
    /// The image, where the words have one.
    pub image: Option<String>,
    /// What Docker's client would send.
    pub body: CreateBody,
    /// `--detach`.
    pub detach: bool,
    /// `--platform`.
    pub platform: Option<String>,
    /// `--pull`.
    pub pull: Pull,
    /// `--quiet`: no pull progress.
    pub quiet: bool,
    /// `--sig-proxy`: signals reach the container.
    pub sig_proxy: bool,
    /// `--detach-keys`.
    pub detach_keys: Option<String>,
    /// `--cidfile`; the container's id is written there once it exists.
    pub cidfile: Option<String>,
    /// What Docker would have warned about; one line each.
    pub warnings: Vec<String>,
}

impl RunArgs {
    /// Options only, as the module's `run_args` has them: no image, no command.
    pub fn parse(_words: &[String], _host: &Host) -> Result<RunArgs, RunArgsError> {
        Err(RunArgsError::Unbuilt)
    }

    /// As [`RunArgs::parse`] for words that are meant for another machine: files and variables that they name are not read.
    pub fn check(_words: &[String]) -> Result<RunArgs, RunArgsError> {
        Err(RunArgsError::Unbuilt)
    }

    /// `[OPTIONS] IMAGE [COMMAND…]`, as after `docker run`.
    pub fn parse_run(_words: &[String], _host: &Host) -> Result<RunArgs, RunArgsError> {
        Err(RunArgsError::Unbuilt)
    }
}

/// The body of the create call for `[OPTIONS] IMAGE [COMMAND…]`, as JSON.
pub fn explain(words: &[String], host: &Host) -> Result<serde_json::Value, RunArgsError> {
    let args = RunArgs::parse_run(words, host)?;
    serde_json::to_value(args.body).map_err(|_| RunArgsError::Unbuilt)
}
