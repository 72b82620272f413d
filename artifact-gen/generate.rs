//! From the request to the file.

use std::fs::File;
use std::io::BufReader;

use dray::artifact::payload::Payload;
use dray::artifact::reader::Trust;
use dray::artifact::writer::{self, Artifact, PayloadFile, WriteError};
use dray::config::Settings;
use dray::host::Host;
use dray::registry::Client;

use crate::args::{Format, Request};
use crate::output::Target;
use crate::progress::Progress;
use crate::refusal::Refusal;
use crate::show::{self, Contents};
use crate::size::Size;
use crate::{compose, summary};

/// Checks everything that needs no network, asks the registries, writes the file; returns what to print.
pub fn generate(request: &Request, host: &Host) -> Result<String, Refusal> {
    for warning in compose::check(request)? {
        eprintln!("Warning: --run-args: {warning}");
    }
    for warning in &request.warnings {
        eprintln!("Warning: {warning}");
    }
    let target = Target::check(&request.output, host)?;
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
    check_size(request, Size(draft.size))?;
    // What was written is what is shown, and only if it reads as it should.
    let contents = Contents::read(BufReader::new(draft.content()?), Trust::Ignored);
    let contents = contents.map_err(|refused| Refusal::Output(refused.to_string()))?;
    let text = match request.format {
        Format::Text => text(request, &contents),
        Format::Json => summary::json(request, &images, draft.size, &draft.digest),
    };
    if !request.is_dry_run {
        draft.publish()?;
    }
    Ok(text)
}

/// Upstream's last line, and what its call of `mender-artifact read` prints after it.
fn text(request: &Request, contents: &Contents) -> String {
    let what = match request.is_dry_run {
        false => "generated successfully",
        true => "was not written, this is a dry run",
    };
    let (shown, text) = (request.output.display(), show::text(contents));
    format!("Artifact {shown} {what}:\n{text}")
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
fn check_size(request: &Request, size: Size) -> Result<(), Refusal> {
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
