//! `dray boot`: what the init system calls, before Mender, with no network needed.

use std::process::ExitCode;

use clap::Args;
use dray::deploy;
use dray::engine::volumes::Booting;
use dray::images::Images;
use dray::standalone;

use super::{Context, verify};
use crate::exit;
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
    let mut code = ExitCode::SUCCESS;
    let booting = Booting::begin(context.host);
    if let Err(error) = &booting {
        // Without it everybody waits for a volume that does not answer; nothing to fail of.
        say(&format!("dray: {error}"));
    }
    let mut others = Ok(ExitCode::SUCCESS);
    let deployments = deploy::Context {
        host: context.host,
        settings: context.settings,
        say: &say,
    };
    let deployed = deploy::boot(&deployments, || others = start_others(context));
    drop(booting);
    if deployed.is_err() {
        // Each failure has been said.
        code = ExitCode::FAILURE;
    }
    let others = others?;
    if others != ExitCode::SUCCESS {
        code = others;
    }
    // What started runs; a device without a network must not wait for what would be better.
    let looked = context
        .engine()
        .and_then(|engine| verify::after_boot(context, &engine));
    if let Err(error) = looked {
        say(&format!("dray: failed to look at the images: {error:#}"));
        code = ExitCode::FAILURE;
    }
    Ok(code)
}

/// Containers that no deployment owns, and what is not as it should be.
fn start_others(context: &Context<'_>) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    match standalone::pending(context.host) {
        // Who is at work says himself how far he is.
        Ok(Some(_)) if standalone::is_at_work(context.host) => {}
        Ok(Some(pending)) => say(&format!("dray: {pending}")),
        Ok(None) => {}
        Err(error) => {
            say(&format!("dray: {error}"));
            code = ExitCode::FAILURE;
        }
    }
    let engine = context.engine()?;
    if let Err(error) = engine.check_disk() {
        // Once: all that fails because of it says no more.
        let error = exit::message(&error.into());
        say(&format!(
            "dray: {error}; then `dray boot` starts what is to run"
        ));
        code = ExitCode::FAILURE;
    }
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
    Ok(code)
}
