//! `docker-artifact-gen`, the workstation program: images and run args in, one Mender artifact out.
//!
//! A drop-in for the script of that name: same options, defaults and file, without docker, jq and mender-artifact.

mod args;
mod compose;
mod output;
mod passthrough;
mod refusal;
mod summary;

use std::io::Write;
use std::process::ExitCode;

use dray::artifact::payload::Payload;
use dray::artifact::writer;
use dray::config::Settings;
use dray::host::Host;
use dray::registry::Client;

use args::{Format, Request};
use refusal::Refusal;

fn main() -> ExitCode {
    let host = Host::os();
    let request = match Request::from_words(std::env::args_os(), &host) {
        Ok(request) => request,
        Err(args::Stop::Asked(text)) => return print(&text),
        Err(args::Stop::Refused(refusal)) => return report(&refusal),
    };
    match generate(&request, &host) {
        Ok(text) => print(&text),
        Err(refusal) => report(&refusal),
    }
}

/// Checks everything that needs no network, asks the registries, writes the file; returns what to print.
fn generate(request: &Request, host: &Host) -> Result<String, Refusal> {
    for warning in compose::check(request)? {
        eprintln!("Warning: --run-args: {warning}");
    }
    let target = output::Target::check(&request.output)?;
    let settings = Settings::load(host).map_err(Refusal::usage)?;
    let images = compose::resolve(&request.images, &Client::new(host, &settings))?;
    let pinned = images.iter().map(|image| image.pinned.clone()).collect();
    let payload = Payload::shared(pinned, &request.run_args);
    let mut artifact = Vec::new();
    writer::write(&mut artifact, &request.header, &payload, request.options)
        .map_err(Refusal::usage)?;
    target.write(&artifact)?;
    Ok(match request.format {
        Format::Text => summary::text(request, &payload),
        Format::Json => summary::json(request, &images, &artifact),
    })
}

fn print(text: &str) -> ExitCode {
    // A reader that went away (`| head`) has what it wanted.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn report(refusal: &Refusal) -> ExitCode {
    eprintln!("{refusal}");
    ExitCode::from(refusal.exit_code())
}
