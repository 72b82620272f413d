//! `dray exec`: a command in a running container.

use std::process::ExitCode;

use clap::{ArgAction, Args};
use dray::engine::{Engine, ExecRequest};
use dray::runargs::{environment, keys, value};

use super::{Context, foreground, terminal, with};
use crate::exit;

#[derive(Debug, Args)]
pub struct Words {
    /// Pass standard input on
    #[arg(short, long)]
    interactive: bool,
    /// A terminal of its own
    #[arg(short, long)]
    tty: bool,
    /// Return as soon as it runs; its output goes nowhere
    #[arg(short, long)]
    detach: bool,
    /// Keys that leave it running, such as ctrl-p,ctrl-q
    #[arg(long, default_value = "")]
    detach_keys: String,
    /// user[:group], names or numbers
    #[arg(short, long, default_value = "")]
    user: String,
    /// Working directory
    #[arg(short, long, default_value = "")]
    workdir: String,
    /// NAME=value, or NAME for its value here
    #[arg(short, long)]
    env: Vec<String>,
    /// A file of such lines
    #[arg(long)]
    env_file: Vec<String>,
    /// All capabilities
    #[arg(long, value_name = "BOOL", default_value = "false", default_missing_value = "true",
        num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = value::boolean)]
    privileged: bool,
    /// Name or id
    container: String,
    /// Command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

/// `dray exec`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    keys::parse(&words.detach_keys).map_err(anyhow::Error::msg)?;
    let env = environment::collect(&words.env, &words.env_file, context.host)?;
    if !words.detach {
        foreground::check_terminal(words.interactive, words.tty)?;
    }
    let engine = context.engine()?;
    let request = ExecRequest {
        args: words.command.clone(),
        user: words.user.clone(),
        env,
        working_dir: words.workdir.clone(),
        tty: words.tty,
        interactive: words.interactive && !words.detach,
        privileged: words.privileged,
        detach: words.detach,
        detach_keys: words.detach_keys.clone(),
    };
    with(&engine, &words.container, |found| match words.detach {
        true => Ok(exit::of_container(
            engine.exec_detached(found.id(), &request)?,
        )),
        false => Err(engine.become_exec(found.id(), &request).into()),
    })
}

/// The process that enters the container.
pub fn enter(context: &Context<'_>, words: &[String]) -> anyhow::Result<ExitCode> {
    let engine = Engine::open_as_is(context.host, context.settings)?;
    let code = engine.enter(words, |executed, request| {
        terminal::relay(&engine, executed, request)
    })?;
    Ok(exit::of_container(code))
}
