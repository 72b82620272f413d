//! `docker run`'s words: splitting, parsing and checking them as Docker's own client does.
//!
//! What comes out is the body that client would send to Docker's API for the same words, plus what it keeps to itself
//! (name, platform, attach behaviour). Every option of `docker run` is in one table ([`options`]); those that dray does
//! not honour are refused by name, none is ignored.

mod address;
mod block;
pub mod bounds;
pub mod capability;
mod check;
mod csv;
mod device;
mod draft;
pub mod endpoint;
pub mod environment;
mod error;
mod health;
pub mod keys;
mod labels;
mod lex;
pub mod logging;
mod mount;
mod network;
mod options;
mod outside;
pub mod port;
mod protection;
mod restart;
pub mod security;
pub mod signal;
mod split;
mod sysctl;
pub mod syslog;
pub mod tmpfs;
pub mod ulimit;
pub mod value;
pub mod volume;

use std::collections::BTreeSet;

use crate::api::CreateBody;
use crate::host::Host;
use crate::oci::Reference;
use draft::Draft;
use error::shown;
use outside::Outside;

pub use error::RunArgsError;
pub use options::{GROUPS, Row, describe, help};
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
#[derive(Debug, Clone, Default, PartialEq)]
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
    /// Long names of the options that were given.
    given: BTreeSet<&'static str>,
}

impl RunArgs {
    /// Options only, as the module's `run_args` has them: no image, no command.
    pub fn parse(words: &[String], host: &Host) -> Result<RunArgs, RunArgsError> {
        options_only(words, Outside::here(host))
    }

    /// As [`RunArgs::parse`] for words that are meant for another machine: files and variables that they name are not read.
    pub fn check(words: &[String]) -> Result<RunArgs, RunArgsError> {
        options_only(words, Outside::elsewhere())
    }

    /// `[OPTIONS] IMAGE [COMMAND] [ARG...]`, as after `docker run`.
    pub fn parse_run(words: &[String], host: &Host) -> Result<RunArgs, RunArgsError> {
        let mut draft = Draft::new(Outside::here(host));
        let options = lex::scan(words, &mut draft)?;
        let mut args = match words.get(options..) {
            Some([image, command @ ..]) => {
                draft.config().image.clone_from(image);
                if !command.is_empty() {
                    draft.config().cmd = Some(command.to_vec());
                }
                draft.finish()?
            }
            // Asking for help needs no image.
            _ => draft.finish().and(Err(RunArgsError::NoImage))?,
        };
        let image = args.body.config.image.clone();
        check_image(&image)?;
        args.image = Some(image);
        Ok(args)
    }

    /// Whether an option was given, by its long name: a default and the same value given are different things to some.
    pub fn given(&self, option: &str) -> bool {
        self.given.contains(option)
    }
}

fn options_only(words: &[String], outside: Outside<'_>) -> Result<RunArgs, RunArgsError> {
    let mut draft = Draft::new(outside);
    let options = lex::scan(words, &mut draft)?;
    if let Some(word) = words.get(options) {
        return Err(RunArgsError::Stray(shown(word)));
    }
    let args = draft.finish()?;
    if args.cidfile.is_some() {
        return Err(RunArgsError::Unsupported {
            option: "cidfile".to_owned(),
            reason: "a deployment's containers have no one place for their ids; leave it out"
                .to_owned(),
        });
    }
    Ok(args)
}

/// A name, or an id of 64 digits, which as a name would be refused.
fn check_image(image: &str) -> Result<(), RunArgsError> {
    let is_id = image.len() == 64
        && image
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match image.parse::<Reference>() {
        Err(source) if !is_id => Err(RunArgsError::Image(source)),
        _ => Ok(()),
    }
}

fn pull(text: &str) -> Result<Pull, String> {
    match text {
        "always" => Ok(Pull::Always),
        "missing" | "" => Ok(Pull::Missing),
        "never" => Ok(Pull::Never),
        _ => Err(format!(
            "invalid pull option: '{text}': must be one of \"always\", \"missing\" or \"never\""
        )),
    }
}

/// The body of the create call for `[OPTIONS] IMAGE [COMMAND] [ARG...]`, as JSON.
pub fn explain(words: &[String], host: &Host) -> Result<serde_json::Value, RunArgsError> {
    let args = RunArgs::parse_run(words, host)?;
    serde_json::to_value(args.body).map_err(|error| RunArgsError::Refused(error.to_string()))
}

#[cfg(test)]
mod tests;
