//! `docker-artifact-gen`, the workstation program: images and run args in, one Mender artifact out.
//!
//! A drop-in for the script of that name: same options, defaults and file, without docker, jq and mender-artifact.

mod args;
mod assume;
mod carried;
mod compose;
mod embed;
mod existing;
mod files;
mod generate;
mod local;
mod manual;
mod origin;
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
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use dray::host::Host;

use args::{Request, Stop};
use refusal::Refusal;

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
    match generate::generate(&request, &host) {
        // Standard output is the artifact then.
        Ok(text) if request.output == Path::new("-") => {
            eprint!("{text}");
            ExitCode::SUCCESS
        }
        Ok(text) => print(&text),
        Err(refusal) => report(&refusal),
    }
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
