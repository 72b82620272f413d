//! `docker-artifact-gen`, the workstation program: images and run args in, one Mender artifact out.
//!
//! A drop-in for the script of that name: same options, defaults and file, without docker, jq and mender-artifact.

mod args;
mod compose;
mod existing;
mod files;
mod output;
mod passthrough;
mod platform;
mod progress;
mod refusal;
mod show;
mod signer;
mod size;
mod summary;

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;
use std::process::ExitCode;

use dray::artifact::payload::Payload;
use dray::artifact::reader::Trust;
use dray::artifact::writer::{self, Artifact, PayloadFile, WriteError};
use dray::config::Settings;
use dray::host::Host;
use dray::registry::Client;

use args::{Format, Request, Stop};
use progress::Progress;
use refusal::Refusal;
use show::Contents;

fn main() -> ExitCode {
    let host = Host::os();
    let words: Vec<OsString> = std::env::args_os().collect();
    if words
        .get(1)
        .is_some_and(|word| existing::NAMES.iter().any(|name| word == name))
    {
        return match existing::run(words, &host) {
            Ok(text) | Err(Stop::Asked(text)) => print(&text),
            Err(Stop::Refused(refusal)) => report(&refusal),
        };
    }
    let request = match Request::from_words(words, &host) {
        Ok(request) => request,
        Err(Stop::Asked(text)) => return print(&text),
        Err(Stop::Refused(refusal)) => return report(&refusal),
    };
    match generate(&request, &host) {
        // Standard output is the artifact then.
        Ok(text) if request.output == Path::new("-") => {
            eprint!("{text}");
            ExitCode::SUCCESS
        }
        Ok(text) => print(&text),
        Err(refusal) => report(&refusal),
    }
}

/// Checks everything that needs no network, asks the registries, writes the file; returns what to print.
fn generate(request: &Request, host: &Host) -> Result<String, Refusal> {
    for warning in compose::check(request)? {
        eprintln!("Warning: --run-args: {warning}");
    }
    for warning in &request.warnings {
        eprintln!("Warning: {warning}");
    }
    let target = output::Target::check(&request.output, host)?;
    let settings = Settings::load(host).map_err(Refusal::usage)?;
    let progress = Progress::new(request.shows_progress);
    let client = Client::new(host, &settings);
    progress.say(format_args!("Asking the registries"));
    let images = compose::resolve(&request.images, &request.platforms, &client, &progress)?;
    for warning in compose::moved_tags(&images) {
        eprintln!("Warning: {warning}");
    }
    let pinned = images.iter().map(|image| image.pinned.clone()).collect();
    let payload = Payload::shared(pinned, &request.run_args);
    progress.say(format_args!("Writing {}", request.output.display()));
    let draft = target.draft(|file| write(file, request, &payload))?;
    check_size(request, size::Size(draft.size))?;
    // What was written is what is shown, and only if it reads as it should.
    let contents = Contents::read(BufReader::new(draft.content()?), Trust::Ignored);
    let contents = contents.map_err(|refused| Refusal::Output(refused.to_string()))?;
    let text = match request.format {
        Format::Text => {
            let shown = request.output.display();
            let text = show::text(&contents);
            match request.is_dry_run {
                false => format!("Artifact {shown} generated successfully:\n{text}"),
                true => format!("Artifact {shown} was not written, this is a dry run:\n{text}"),
            }
        }
        Format::Json => summary::json(request, &images, draft.size, &draft.digest),
    };
    if !request.is_dry_run {
        draft.publish()?;
    }
    Ok(text)
}

fn write(file: &mut File, request: &Request, payload: &Payload) -> Result<(), Refusal> {
    let openers: Vec<_> = request.files.iter().map(|file| || file.open()).collect();
    let files: Vec<PayloadFile<'_>> = request
        .files
        .iter()
        .zip(&openers)
        .map(|(file, open)| PayloadFile {
            name: file.name.clone(),
            digest: file.digest,
            size: file.size,
            open,
        })
        .collect();
    let artifact = Artifact {
        header: &request.header,
        payload,
        scripts: &request.scripts,
        files: &files,
        options: request.options,
    };
    let sign = request.signer.as_ref();
    let sign = sign.filter(|signer| !(request.is_dry_run && signer.asks_others()));
    let sign = sign.map(|signer| |manifest: &[u8]| signer.sign(manifest));
    let sign = sign.as_ref().map(|sign| sign as writer::Sign<'_>);
    writer::write_signed(file, &artifact, sign).map_err(|error| match error {
        WriteError::Output(_) => Refusal::Output(error.to_string()),
        error => Refusal::usage(error),
    })
}

/// mender-artifact's two limits, with its words.
fn check_size(request: &Request, size: size::Size) -> Result<(), Refusal> {
    if let Some(limit) = request.max_size.filter(|limit| size > *limit) {
        return Err(Refusal::Output(format!(
            "Artifact size {size} exceeds maximum allowed size {limit}; no file was written"
        )));
    }
    if let Some(limit) = request.warn_size.filter(|limit| size > *limit) {
        eprintln!("Warning: Artifact size {size} exceeds specified limit {limit}");
    }
    Ok(())
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
