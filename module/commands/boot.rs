//! `dray boot`: what the init system calls, before Mender, with no network needed.

use std::process::ExitCode;

use super::Context;

/// `dray boot`
pub fn run(context: &Context<'_>) -> anyhow::Result<ExitCode> {
    let engine = context.engine()?;
    let mut code = ExitCode::SUCCESS;
    for started in engine.start_at_boot()? {
        match started.result {
            Ok(()) => eprintln!("started container {}", started.name),
            Err(error) => {
                eprintln!("dray: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}
