//! Errors to exit codes; the one table, which the manual pages show too.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed; `verify`: something is damaged |
//! | 2 | `commit`, `rollback`: no install is open |
//! | 64 | `inspect`, `network inspect`, `volume inspect`, `info`, `version`: the template cannot be read |
//! | 125 | a flag does not exist or has a wrong value; `run`, `verify`, `scrub`: dray itself failed |
//! | 126 | `run`, `exec`: the command cannot be executed |
//! | 127 | `run`, `exec`: the command does not exist |
//! | other | `run`, `exec`, `wait`: the container's exit code |

use std::process::ExitCode;

use dray::engine::EngineError;
use dray::standalone::StandaloneError;

/// There is nothing to commit or to roll back; Mender's own code.
pub const NOTHING: u8 = 2;
/// A template cannot be read, where docker's client reads it first.
pub const TEMPLATE: u8 = 64;
/// A flag is wrong, or dray itself failed at running something.
pub const ENGINE: u8 = 125;

/// The exit code for `error`.
pub fn code(error: &anyhow::Error) -> ExitCode {
    if let Some(Code(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    if let Some(StandaloneError::Nothing(_)) = error.downcast_ref() {
        return ExitCode::from(NOTHING);
    }
    match error.downcast_ref() {
        Some(EngineError::Start { code, .. } | EngineError::Exec { code, .. }) => {
            ExitCode::from(u8::try_from(*code).unwrap_or(ENGINE))
        }
        _ => ExitCode::FAILURE,
    }
}

/// Whatever fails at running something is dray's failure, so that nobody takes it for the container's exit code.
pub fn at_running(error: anyhow::Error) -> anyhow::Error {
    let has_code = error.downcast_ref::<Code>().is_some()
        || matches!(
            error.downcast_ref(),
            Some(EngineError::Start { .. } | EngineError::Exec { .. })
        );
    if has_code {
        error
    } else {
        error.context(Code(ENGINE))
    }
}

/// The error with its causes, without the exit code that some of them carry.
pub fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for part in error.chain().map(ToString::to_string) {
        // Most errors say their cause themselves.
        if part.is_empty() || message.ends_with(&part) {
            continue;
        }
        if !message.is_empty() {
            message.push_str(": ");
        }
        message.push_str(&part);
    }
    if error.chain().any(is_read_only) {
        message.push_str(READ_ONLY);
    }
    visible(&message)
}

/// What was given repeats itself in messages; a terminal must not obey it.
pub fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() && !matches!(character, '\n' | '\t') {
            true => visible.extend(character.escape_default()),
            false => visible.push(character),
        }
    }
    visible
}

/// What helps where a disk takes nothing any more.
const READ_ONLY: &str = "; the disk is read-only, as after an error of its filesystem: look into \
                         the kernel's log, check the filesystem and mount it again";

fn is_read_only(error: &(dyn std::error::Error + 'static)) -> bool {
    let system = error.downcast_ref::<std::io::Error>();
    system.is_some_and(|error| error.kind() == std::io::ErrorKind::ReadOnlyFilesystem)
}

/// A container's exit code as ours.
pub fn of_container(code: i32) -> ExitCode {
    ExitCode::from((code & 0xff) as u8)
}

/// Gives an error an exit code; attach with `context`.
#[derive(Debug)]
pub struct Code(pub u8);

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It only carries the code; see `message`.
        f.write_str("")
    }
}
