//! `dray exec`: a command in a running container.

use std::process::ExitCode;

use clap::Args;
use dray::engine::ExecRequest;

use super::{Context, foreground};
use crate::exit;

#[derive(Debug, Args)]
pub struct Words {
    /// Pass standard input on
    #[arg(short, long)]
    interactive: bool,
    /// A terminal of its own
    #[arg(short, long)]
    tty: bool,
    /// Start it and return at once
    #[arg(short, long)]
    detach: bool,
    /// user[:group], names or numbers
    #[arg(short, long, default_value = "")]
    user: String,
    /// Working directory
    #[arg(short, long, default_value = "")]
    workdir: String,
    /// NAME=value, or NAME for its value here
    #[arg(short, long)]
    env: Vec<String>,
    /// All capabilities
    #[arg(long)]
    privileged: bool,
    /// Name or id
    container: String,
    /// Command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

/// `dray exec`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    if words.detach {
        anyhow::bail!(
            "--detach is not supported for exec: nobody would wait for the command; run it in the background instead"
        );
    }
    let engine = context.engine()?;
    let container = engine.find(&words.container)?;
    let env = words
        .env
        .iter()
        .filter_map(|entry| match entry.contains('=') {
            true => Some(entry.clone()),
            false => context
                .host
                .var(entry)
                .map(|value| format!("{entry}={value}")),
        });
    let request = ExecRequest {
        args: words.command.clone(),
        user: words.user.clone(),
        env: env.collect(),
        working_dir: words.workdir.clone(),
        tty: words.tty,
        interactive: words.interactive,
        privileged: words.privileged,
    };
    Err(engine.become_exec(container.id(), &request).into())
}

/// The process that enters the container.
pub fn enter(context: &Context<'_>, words: &[String]) -> anyhow::Result<ExitCode> {
    let code = context.engine()?.enter(words, foreground::relay)?;
    Ok(exit::of_container(code))
}
