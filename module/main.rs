//! The device program, with two faces by the name and words it is called with: Mender's update module `docker`, called as
//! `docker STATE DIR`, and docker's words for a person, called as `dray WORD …`.

mod commands;
mod exit;
mod update_module;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use dray::config::Settings;
use dray::host::Host;
use dray::sys::program;

/// The name under which Mender finds its update module.
const MODULE: &str = "docker";

fn main() -> ExitCode {
    program::keep_off_the_stack();
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    let words: Vec<_> = words.collect();
    let host = Host::os();
    if Path::new(&name)
        .file_name()
        .is_some_and(|name| name == MODULE)
    {
        return update_module::main(&host, &words);
    }
    match person(host, &words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dray: {}", exit::message(&error));
            exit::code(&error)
        }
    }
}

fn person(host: Host, words: &[OsString]) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(&host)?;
    let host = settings.apply(host);
    commands::run(&host, &settings, words)
}
