//! The face that Mender sees: `docker STATE TREE`. On stdout exactly one answer to a query, or nothing; on stderr one line
//! per step, which ends up in the deployment's log; the exit status decides.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use dray::config::Settings;
use dray::deploy::{self, Context, Verb};
use dray::host::Host;
use dray::sys::terminate;

/// Longest line that goes to the operator: clients pass lines through whole, and a log has a limit of its own.
const MAX_LINE: usize = 1000;

/// Runs one state call; `words` are the arguments after the program's name.
pub fn main(host: &Host, words: &[OsString]) -> ExitCode {
    let [state, tree] = words else {
        say("usage: docker STATE TREE, as Mender calls its update modules");
        return ExitCode::FAILURE;
    };
    // States that this module has nothing to do in, and those of clients to come, are answered with silence.
    let Some(verb) = state.to_str().and_then(Verb::named) else {
        return ExitCode::SUCCESS;
    };
    match call(host, verb, Path::new(tree)) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(answer)) => match writeln!(io::stdout(), "{answer}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            say(&format!("{verb} failed: {error}"));
            if verb.always_succeeds() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn call(host: &Host, verb: Verb, tree: &Path) -> anyhow::Result<Option<&'static str>> {
    // Nothing that could fail stands between a query and its answer.
    if let Some(answer) = verb.answer() {
        return Ok(Some(answer));
    }
    terminate::catch()?;
    let settings = Settings::load(host)?;
    let host = settings.apply(host.clone());
    let context = Context {
        host: &host,
        settings: &settings,
        say: &say,
    };
    Ok(deploy::run(&context, verb, tree)?)
}

/// One line to the operator. What containers and registries say is part of some of them, so control characters are shown
/// escaped.
pub fn say(line: &str) {
    let mut shown = String::with_capacity(line.len() + 1);
    for (count, character) in line.chars().enumerate() {
        if count == MAX_LINE {
            shown.push('…');
            break;
        }
        match character {
            '\t' => shown.push(character),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown.push('\n');
    // The client may have been killed, and its pipe with it; the work goes on all the same.
    let _ = io::stderr().write_all(shown.as_bytes());
}
