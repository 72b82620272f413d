//! The device program, with two faces by the name and words it is called with: Mender's update module `docker`, called as
//! `docker STATE DIR`, and docker's words for a person, called as `dray WORD …`.

/// Instead of std's, which ends the program where standard error cannot be written to: what is being done counts for more
/// than a word about it, and a log on a full disk is not its fault.
macro_rules! eprintln {
    ($($words:tt)*) => { crate::mention(format_args!("{}\n", format_args!($($words)*))) };
}

/// The same without the line's end.
macro_rules! eprint {
    ($($words:tt)*) => { crate::mention(format_args!($($words)*)) };
}

mod commands;
mod exit;
mod update_module;

use std::ffi::OsString;
use std::fmt::Arguments;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use dray::config::Settings;
use dray::host::Host;
use dray::sys::{program, surroundings};

/// The name under which Mender finds its update module.
const MODULE: &str = "docker";

fn main() -> ExitCode {
    program::keep_off_the_stack();
    surroundings::usual_stack();
    program::hear_of_children();
    program::usual_umask();
    say_unprintable();
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

/// Says it on standard error in one piece, if anybody can hear it.
fn mention(words: Arguments<'_>) {
    let _ = std::io::stderr().write_all(words.to_string().as_bytes());
}

/// Who cannot print ends with an error, as `println!` does not: it panics, which here means a core dump.
fn say_unprintable() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic
            .payload()
            .downcast_ref::<String>()
            .map_or("", String::as_str);
        match text.strip_prefix("failed printing to stdout: ") {
            Some(reason) => eprintln!("dray: failed to write to standard output: {reason}"),
            None => eprintln!("dray: {panic}"),
        }
        program::give_up(if text.starts_with("failed printing") {
            1
        } else {
            134
        });
    }));
}

/// Words that do nothing but print: they end silently with their reader, as programs do.
const PRINTERS: [&str; 13] = [
    "ps",
    "top",
    "port",
    "stats",
    "version",
    "info",
    "logs",
    "inspect",
    "images",
    "explain",
    "show-artifact",
    "show-provides",
    "--help",
];

fn person(host: Host, words: &[OsString]) -> anyhow::Result<ExitCode> {
    let words = commands::words::meant(words)?;
    if words
        .first()
        .is_none_or(|word| PRINTERS.iter().any(|printer| word == printer))
    {
        program::end_with_the_reader();
    }
    let settings = Settings::load(&host)?;
    let host = settings.apply(host);
    commands::run(&host, &settings, &words)
}
