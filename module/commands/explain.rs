//! `dray explain`: what docker run's words mean.

use std::process::ExitCode;

use super::{Context, run};

/// `dray explain`
pub fn run(context: &Context<'_>, words: &run::Words) -> anyhow::Result<ExitCode> {
    if let Some(args) = words.parse(context, "explain")? {
        println!("{}", serde_json::to_string_pretty(&args.body)?);
    }
    Ok(ExitCode::SUCCESS)
}
