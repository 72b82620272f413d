//! `dray boot`: what the init system calls, before Mender, with no network needed.

use std::process::ExitCode;

use dray::deploy;

use super::Context;
use crate::update_module::say;

/// `dray boot`
pub fn run(context: &Context<'_>) -> anyhow::Result<ExitCode> {
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
    for started in engine.start_at_boot()? {
        match started.result {
            Ok(()) => say(&format!("started container {}", started.name)),
            Err(error) => {
                say(&format!("dray: {error}"));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}
