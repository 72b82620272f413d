//! Words that change containers: start, stop, restart, kill, pause, unpause, rm, rename, wait.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use dray::engine::{Container, Engine, EngineError, Remove};
use dray::runargs::signal;
use dray::runargs::value::decimal;

use super::keys::Keys;
use super::{Context, each, each_done, foreground, with};
use crate::exit::{self, Code};

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
        // As docker's client: what the container's program is to blame for is its own exit code alone.
        return with(&engine, &words.containers[0], |container| {
            foreground::start(&engine, container, words.interactive, keys)
        })
        .context(Code(1));
    }
    Ok(each(&words.containers, |word| {
        with(&engine, word, |found| {
            // One that runs is left alone.
            if !found.status.is_attended() {
                engine.check_start(found.id())?;
            }
            warn_of_rot(&engine, found)?;
            Ok(engine.start(found.id())?)
        })
    }))
}

#[derive(Debug, Args)]
pub struct Stop {
    /// In place of the container's own stop signal, by name or number
    #[arg(short, long)]
    signal: Option<String>,
    /// Seconds between the stop signal and the kill; -1 never kills
    #[arg(short, long, visible_alias = "time", allow_negative_numbers = true, value_parser = decimal)]
    timeout: Option<i64>,
    /// Names or ids
    #[arg(required = true)]
    containers: Vec<String>,
}

impl Stop {
    fn grace(&self) -> Option<Duration> {
        self.timeout
            .map(|seconds| u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs))
    }

    fn signal(&self) -> anyhow::Result<Option<i32>> {
        self.signal.as_deref().map(number).transpose()
    }
}

fn number(text: &str) -> anyhow::Result<i32> {
    signal::number(text).ok_or_else(|| {
        anyhow::anyhow!(
            "{text:?} is not a signal: use a name such as TERM, or a number from 1 to 64"
        )
    })
}

/// `dray stop`
pub fn stop(context: &Context<'_>, words: &Stop) -> anyhow::Result<ExitCode> {
    let signal = words.signal()?;
    let engine = context.engine()?;
    Ok(each(&words.containers, |word| {
        with(&engine, word, |found| {
            Ok(engine.stop_by(found.id(), signal, words.grace())?)
        })
    }))
}

/// `dray restart`
pub fn restart(context: &Context<'_>, words: &Stop) -> anyhow::Result<ExitCode> {
    let signal = words.signal()?;
    let engine = context.engine()?;
    Ok(each(&words.containers, |word| {
        with(&engine, word, |found| {
            // What cannot be started again is not stopped.
            engine.check_start(found.id())?;
            warn_of_rot(&engine, found)?;
            Ok(engine.restart(found.id(), signal, words.grace())?)
        })
    }))
}

/// Says which of its layers are damaged, looking at every file once after an unclean stop: what starts all the same is better
/// than nothing.
fn warn_of_rot(engine: &Engine, container: &Container) -> anyhow::Result<()> {
    for layer in engine.images().unsound(&container.record.layers)? {
        let name = container.name();
        super::warn(Some(&format!(
            "layer {layer} of container {name} is damaged; `dray verify --repair` brings it back"
        )));
    }
    Ok(())
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
        with(&engine, word, |found| Ok(engine.kill(found.id(), signal)?))
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
        let found = engine.find(word);
        let removed = found.and_then(|container| engine.remove(container.id(), how));
        let error = match removed {
            Ok(()) => return Ok(true),
            Err(EngineError::Gone(_)) => EngineError::NotFound(word.to_owned()),
            Err(error) => error,
        };
        if let Some(id) = damaged(&engine, word) {
            engine.remove(&id, how)?;
            return Ok(true);
        }
        // Docker's: what is to be gone and is, is no failure.
        if words.force && matches!(error, EngineError::NotFound(_)) {
            eprintln!("dray: {}", exit::message(&error.into()));
            return Ok(false);
        }
        Err(error.into())
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
    with(&engine, &words.container, |found| {
        let name = words.name.strip_prefix('/').unwrap_or(&words.name);
        Ok(engine.rename(found.id(), name)?)
    })?;
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
        with(&engine, word, |found| Ok(engine.pause(found.id())?))
    }))
}

/// `dray unpause`
pub fn unpause(context: &Context<'_>, words: &Named) -> anyhow::Result<ExitCode> {
    let engine = context.engine()?;
    Ok(each(&words.containers, |word| {
        with(&engine, word, |found| Ok(engine.unpause(found.id())?))
    }))
}

/// `dray wait`
pub fn wait(context: &Context<'_>, words: &Named) -> anyhow::Result<ExitCode> {
    let engine = context.engine_to_look()?;
    for word in &words.containers {
        let code = with(&engine, word, |found| Ok(engine.wait(found.id())?))?;
        println!("{code}");
    }
    Ok(ExitCode::SUCCESS)
}
