//! Words that change containers: start, stop, restart, kill, pause, unpause, rm, rename, wait.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use dray::engine::{Engine, EngineError, Remove};
use dray::runargs::signal;
use dray::runargs::value::decimal;

use super::keys::Keys;
use super::{Context, each, each_done, foreground};
use crate::exit;

#[derive(Debug, Args)]
pub struct Start {
    /// Stay attached to its output and return its exit code
    #[arg(short, long)]
    attach: bool,
    /// Pass standard input on
    #[arg(short, long)]
    interactive: bool,
    /// Keys that leave it running, such as ctrl-p,ctrl-q
    #[arg(long)]
    detach_keys: Option<String>,
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

/// `dray start`
pub fn start(context: &Context<'_>, words: &Start) -> anyhow::Result<ExitCode> {
    let keys = Keys::new(words.detach_keys.as_deref())?;
    let is_attached = words.attach || words.interactive;
    if is_attached && words.containers.len() > 1 {
        anyhow::bail!("you cannot start and attach multiple containers at once");
    }
    let engine = context.engine()?;
    if is_attached {
        let container = engine.find(&words.containers[0])?;
        return foreground::start(&engine, &container, words.interactive, keys);
    }
    Ok(each(&words.containers, |word| {
        Ok(engine.start(engine.find(word)?.id())?)
    }))
}

#[derive(Debug, Args)]
pub struct Stop {
    /// In place of the container's own stop signal, by name or number
    #[arg(short, long)]
    signal: Option<String>,
    /// Seconds between the stop signal and the kill; -1 never kills
    #[arg(short, long, visible_alias = "timeout", allow_negative_numbers = true, value_parser = decimal)]
    time: Option<i64>,
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

impl Stop {
    fn grace(&self) -> Option<Duration> {
        self.time
            .map(|seconds| u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs))
    }

    fn signal(&self) -> anyhow::Result<Option<i32>> {
        self.signal.as_deref().map(number).transpose()
    }
}

fn number(text: &str) -> anyhow::Result<i32> {
    signal::number(text).ok_or_else(|| {
        anyhow::anyhow!("{text:?} is not a signal: use a name such as TERM, or a number")
    })
}

/// `dray stop`
pub fn stop(context: &Context<'_>, words: &Stop) -> anyhow::Result<ExitCode> {
    let signal = words.signal()?;
    let engine = context.engine()?;
    Ok(each(&words.containers, |word| {
        Ok(engine.stop_by(engine.find(word)?.id(), signal, words.grace())?)
    }))
}

/// `dray restart`
pub fn restart(context: &Context<'_>, words: &Stop) -> anyhow::Result<ExitCode> {
    let signal = words.signal()?;
    let engine = context.engine()?;
    Ok(each(&words.containers, |word| {
        let container = engine.find(word)?;
        engine.stop_by(container.id(), signal, words.grace())?;
        Ok(engine.start(container.id())?)
    }))
}

#[derive(Debug, Args)]
pub struct Kill {
    /// Signal by name or number
    #[arg(short, long, default_value = "KILL")]
    signal: String,
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

/// `dray kill`
pub fn kill(context: &Context<'_>, words: &Kill) -> anyhow::Result<ExitCode> {
    let signal = number(&words.signal)?;
    let engine = context.engine()?;
    Ok(each(&words.containers, |word| {
        Ok(engine.kill(engine.find(word)?.id(), signal)?)
    }))
}

#[derive(Debug, Args)]
pub struct Rm {
    /// Kill running ones first
    #[arg(short, long)]
    force: bool,
    /// Their anonymous volumes too
    #[arg(short, long)]
    volumes: bool,
    /// Docker's word for removing a link; refused, since links go with their container
    #[arg(short, long)]
    link: bool,
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

/// `dray rm`
pub fn rm(context: &Context<'_>, words: &Rm) -> anyhow::Result<ExitCode> {
    if words.link {
        anyhow::bail!(
            "--link is not supported: a link is a name in its container's /etc/hosts; make that one anew without it"
        );
    }
    let engine = context.engine()?;
    let how = Remove {
        force: words.force,
        volumes: words.volumes,
    };
    Ok(each_done(&words.containers, |word| {
        let id = match engine.find(word) {
            Ok(container) => container.id().to_owned(),
            Err(error) => match damaged(&engine, word) {
                Some(id) => id,
                // Docker's: what is to be gone and is, is no failure.
                None if words.force && matches!(error, EngineError::NotFound(_)) => {
                    eprintln!("dray: {}", exit::message(&error.into()));
                    return Ok(false);
                }
                None => return Err(error.into()),
            },
        };
        engine.remove(&id, how)?;
        Ok(true)
    }))
}

/// The damaged container whose id starts so, if there is exactly one.
fn damaged(engine: &Engine, word: &str) -> Option<String> {
    let mut ids = engine.damaged().ok()?.into_iter().map(|damaged| damaged.id);
    let mut found = ids.by_ref().filter(|id| id.starts_with(word));
    match (found.next(), found.next()) {
        (Some(id), None) => Some(id),
        _ => None,
    }
}

#[derive(Debug, Args)]
pub struct Rename {
    /// Name or id
    container: String,
    /// Its new name
    name: String,
}

/// `dray rename`
pub fn rename(context: &Context<'_>, words: &Rename) -> anyhow::Result<ExitCode> {
    let engine = context.engine()?;
    engine.rename(engine.find(&words.container)?.id(), &words.name)?;
    Ok(ExitCode::SUCCESS)
}

/// Containers, and nothing else to be said.
#[derive(Debug, Args)]
pub struct Named {
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

/// `dray pause`
pub fn pause(context: &Context<'_>, words: &Named) -> anyhow::Result<ExitCode> {
    let engine = context.engine()?;
    Ok(each(&words.containers, |word| {
        Ok(engine.pause(engine.find(word)?.id())?)
    }))
}

/// `dray unpause`
pub fn unpause(context: &Context<'_>, words: &Named) -> anyhow::Result<ExitCode> {
    let engine = context.engine()?;
    Ok(each(&words.containers, |word| {
        Ok(engine.unpause(engine.find(word)?.id())?)
    }))
}

/// `dray wait`
pub fn wait(context: &Context<'_>, words: &Named) -> anyhow::Result<ExitCode> {
    let engine = context.engine_to_look()?;
    for word in &words.containers {
        println!("{}", engine.wait(engine.find(word)?.id())?);
    }
    Ok(ExitCode::SUCCESS)
}
