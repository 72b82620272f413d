//! `dray explain`: what docker run's words mean.

use std::process::ExitCode;

use super::Context;
use super::run::Words;

/// `dray explain`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    if let Some(args) = words.parse(context, "explain")? {
        println!("{}", serde_json::to_string_pretty(&args.body)?);
    }
    Ok(ExitCode::SUCCESS)
}
