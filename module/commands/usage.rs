//! Wrong words: docker's messages for them and its exit codes, 125 for a flag that does not exist or has a wrong value and 1
//! for the rest.

use std::error::Error as _;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, Error};
use dray::runargs::value::boolean;

use super::refused;
use crate::exit;

/// Words whose templates docker's client reads before it asks for anything.
const TEMPLATES: [&str; 5] = [
    "info",
    "inspect",
    "network inspect",
    "version",
    "volume inspect",
];

/// The words as they are read: a switch may be written `--all=true`, and anything said twice, as docker's may.
pub fn tolerant(command: Command) -> Command {
    let switch = |arg: Arg| match arg.get_action() {
        ArgAction::SetTrue => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_value("false")
            .default_missing_value("true")
            .value_parser(boolean),
        _ => arg,
    };
    command
        .args_override_self(true)
        .mut_args(switch)
        .mut_subcommands(tolerant)
}

/// The words up to the first option, asking for help.
pub fn asking(words: &[OsString]) -> Vec<OsString> {
    named(words).cloned().chain(["--help".into()]).collect()
}

/// The words up to the first option: what comes after is its value, or was not read any more.
fn named(words: &[OsString]) -> impl Iterator<Item = &OsString> {
    words
        .iter()
        .take_while(|word| !word.as_encoded_bytes().starts_with(b"-"))
}

/// Says what is wrong with `words`, those after the program's name.
pub fn refuse(mut root: Command, words: &[OsString], error: &Error) -> ExitCode {
    root.build();
    let mut command = &root;
    for word in named(words).filter_map(|word| word.to_str()) {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    let path = command.get_bin_name().unwrap_or("dray").to_owned();
    let (message, code) = judge(command, &path, error);
    let usage = command.clone().render_usage();
    eprintln!("dray: {message}\n\n{usage}\n\nRun '{path} --help' for more information");
    ExitCode::from(code)
}

fn judge(command: &Command, path: &str, error: &Error) -> (String, u8) {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        Some(ContextValue::Strings(texts)) => texts.first().map_or("", String::as_str),
        _ => "",
    };
    let name = said(ContextKind::InvalidArg);
    let refused = |option: &str| {
        let word = path.strip_prefix("dray").unwrap_or_default().trim_start();
        refused::reason(word, option)
    };
    match error.kind() {
        ErrorKind::UnknownArgument if let Some((option, reason)) = refused(name) => (
            format!("--{option} is not supported: {reason}"),
            exit::ENGINE,
        ),
        ErrorKind::InvalidUtf8 => ("an argument is not UTF-8".to_owned(), exit::ENGINE),
        ErrorKind::InvalidSubcommand => {
            let word = said(ContextKind::InvalidSubcommand);
            if let Some((word, reason)) = refused(word) {
                let group = path.strip_prefix("dray ").unwrap_or(path);
                return (format!("{group} {word} is not supported: {reason}"), 1);
            }
            let known = command.get_subcommands().filter(|one| !one.is_hide_set());
            let hint = hint("", word, known.map(Command::get_name));
            (format!("unknown command: {path} {word}{hint}"), 1)
        }
        ErrorKind::UnknownArgument if name.starts_with("--") => {
            let known = command.get_arguments().filter_map(Arg::get_long);
            let hint = hint("--", &name[2..], known);
            (format!("unknown flag: {name}{hint}"), exit::ENGINE)
        }
        ErrorKind::UnknownArgument if name.starts_with('-') => {
            let letter = &name[1..];
            let message = format!("unknown shorthand flag: '{letter}' in {name}");
            (message, exit::ENGINE)
        }
        ErrorKind::UnknownArgument | ErrorKind::MissingRequiredArgument => {
            (format!("'{path}' {}", wanted(command)), 1)
        }
        _ => match argument(command, name) {
            Some(arg) => of_flag(arg, path, said(ContextKind::InvalidValue), error),
            None => (error.to_string(), exit::ENGINE),
        },
    }
}

/// The argument that clap calls `--last <COUNT>`.
fn argument<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command
        .get_arguments()
        .find(|arg| arg.to_string() == name || name.starts_with(&format!("{arg} ")))
}

fn of_flag(arg: &Arg, path: &str, value: &str, error: &Error) -> (String, u8) {
    let long = arg.get_long().unwrap_or_default();
    if value.is_empty() {
        let message = match arg.get_short() {
            Some(short) => format!("flag needs an argument: -{short}, --{long}"),
            None => format!("flag needs an argument: --{long}"),
        };
        return (message, exit::ENGINE);
    }
    let known = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(known)) => Some(known.join(", ")),
        _ => None,
    };
    // Docker looks at these only after all flags.
    if long == "type" {
        let known = known.unwrap_or_default();
        return (
            format!("unknown type: {value:?}: must be one of {known}"),
            1,
        );
    }
    let reason = match (known, error.source()) {
        (Some(known), _) => format!("must be one of {known}"),
        (None, Some(reason)) => reason.to_string(),
        (None, None) => "invalid value".to_owned(),
    };
    if long == "format" && error.source().is_some() {
        let word = path.split_once(' ').map_or("", |(_, word)| word);
        let code = if TEMPLATES.contains(&word) {
            exit::TEMPLATE
        } else {
            1
        };
        return (reason, code);
    }
    let flag = match arg.get_short() {
        Some(short) => format!("-{short}, --{long}"),
        None => format!("--{long}"),
    };
    let message = format!("invalid argument {value:?} for \"{flag}\" flag: {reason}");
    (message, exit::ENGINE)
}

/// How many arguments a word takes.
fn wanted(command: &Command) -> String {
    let places: Vec<&Arg> = command.get_positionals().collect();
    let least = places.iter().filter(|arg| arg.is_required_set()).count();
    let takes_all = |arg: &&Arg| matches!(arg.get_action(), ArgAction::Append);
    let of = |count: usize| format!("{count} argument{}", if count == 1 { "" } else { "s" });
    match (least, places.len()) {
        (0, 0) => "accepts no arguments".to_owned(),
        (least, _) if places.last().is_some_and(takes_all) => {
            format!("requires at least {}", of(least))
        }
        (least, most) if least == most => format!("requires {}", of(most)),
        (0, most) => format!("requires at most {}", of(most)),
        (least, most) => format!("requires at least {least} and at most {}", of(most)),
    }
}

/// The known word that was probably meant.
pub fn hint<'a>(start: &str, word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = known.map(|known| (distance(word, known), known));
    match near.filter(|(steps, _)| *steps <= NEAR).min() {
        Some((_, known)) => format!("; did you mean {start}{known}?"),
        None => String::new(),
    }
}

/// As many letters wrong are still taken for a slip, as in docker's own library for its words.
const NEAR: usize = 2;

/// How many letters have to be put in, left out or exchanged to make one word the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (line, a) in one.chars().enumerate() {
        let mut corner = line;
        row[0] = line + 1;
        for (column, b) in other.chars().enumerate() {
            let exchanged = corner + usize::from(a != b);
            corner = row[column + 1];
            row[column + 1] = exchanged.min(corner + 1).min(row[column] + 1);
        }
    }
    row[other.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_known_for_what_was_meant() {
        for (word, steps) in [("ps", 0), ("pss", 1), ("sp", 2), ("stats", 4), ("", 2)] {
            assert_eq!(distance(word, "ps"), steps, "{word}");
            assert_eq!(distance("ps", word), steps, "{word}");
        }
        let known = || ["start", "stats", "stop"].into_iter();
        assert_eq!(hint("", "strat", known()), "; did you mean start?");
        assert_eq!(hint("--", "stopp", known()), "; did you mean --stop?");
        assert_eq!(hint("", "nonsense", known()), "");
    }
}
