//! `dray boot`: what the init system calls, before Mender, with no network needed.

use std::process::ExitCode;

use clap::Args;
use dray::deploy;
use dray::images::Images;

use super::{Context, verify};
use crate::update_module::say;

#[derive(Debug, Args)]
pub struct Words {
    /// At an orderly shutdown: the next boot then need not look at every file. Containers stay as they are
    #[arg(long)]
    stop: bool,
}

/// `dray boot`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    if words.stop {
        Images::open(context.host, context.settings)?.note_clean_stop()?;
        return Ok(ExitCode::SUCCESS);
    }
    let deployments = deploy::boot(&deploy::Context {
        host: context.host,
        settings: context.settings,
        say: &say,
    });
    let mut code = ExitCode::SUCCESS;
    if deployments.is_err() {
        // Each failure has been said; containers of people are started all the same.
        code = ExitCode::FAILURE;
    }
    let engine = context.engine()?;
    for damaged in engine.damaged()? {
        say(&format!("dray: {damaged}"));
        code = ExitCode::FAILURE;
    }
    engine.start_at_boot(|started| match started.result {
        Ok(()) => say(&format!("started container {}", started.name)),
        Err(error) => {
            say(&format!("dray: {error}"));
            code = ExitCode::FAILURE;
        }
    })?;
    // What started runs; a device without a network must not wait for what would be better.
    if let Err(error) = verify::after_boot(context, &engine) {
        say(&format!("dray: failed to look at the images: {error:#}"));
        code = ExitCode::FAILURE;
    }
    Ok(code)
}
