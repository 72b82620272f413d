//! The device program, with two faces by the name and words it is called with: Mender's update module `docker`, called as
//! `docker STATE DIR`, and docker's words for a person, called as `dray WORD …`.

mod commands;
mod exit;

use std::process::ExitCode;

use dray::config::Settings;
use dray::host::Host;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let host = Host::os();
    let result = Settings::load(&host).map_err(anyhow::Error::from).and_then(|settings| {
        let host = settings.apply(host);
        commands::run(&host, &settings, &words[1..])
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dray: {error:#}");
            exit::code(&error)
        }
    }
}
