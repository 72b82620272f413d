//! dray's command line in full: what clap reads, and in place of what others read, what these take.

use clap::{Arg, ArgAction, Command};
use dray::runargs::{self, GROUPS, Row};

use crate::commands::words::{OTHERS, SAME};
use crate::commands::{self, run};

/// The words whose options are those of docker run, which clap does not know.
pub const OF_RUN: [&str; 3] = ["run", "create", "explain"];

/// The whole command line, without what is hidden.
pub fn command() -> Command {
    let parsed = commands::command();
    let words = parsed.get_subcommands().filter(|one| !one.is_hide_set());
    let words = words.filter_map(|word| in_full(&parsed, word.get_name()));
    without_words(&parsed)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
        .subcommands(words)
}

/// The words of one of docker's groups and what each stands for, in the order in which help lists them.
pub fn meant(group: &str) -> Vec<(&'static str, &'static [&'static str])> {
    let others = OTHERS.iter().filter(|(of, ..)| *of == group);
    let same = SAME.iter().filter(|(of, _)| *of == group);
    let same = same.flat_map(|(_, words)| words.split(' '));
    others
        .map(|(_, word, others)| (*word, *others))
        .chain(same.map(|word| (word, &[][..])))
        .collect()
}

/// The word that stands for a further one: of `ls` in `container` it is `ps`, of one that is the same everywhere itself.
pub fn target(word: &'static str, others: &[&'static str]) -> &'static str {
    others.first().copied().unwrap_or(word)
}

/// The options of docker run under this heading that `word` takes, each with its meaning.
pub fn under(heading: &str, word: &str) -> Vec<(Row, String)> {
    let foreign: &[&str] = if word == "create" {
        &run::ONLY_RUN
    } else {
        &[]
    };
    let group = GROUPS.iter().filter(|(name, _)| *name == heading);
    let options = group.flat_map(|(_, options)| *options);
    let own = options.filter(|(name, _)| !foreign.contains(name));
    let found = own.filter_map(|(name, meaning)| {
        let row = runargs::describe().find(|row| row.name == *name)?;
        let limit = row.limit.map(|limit| format!("; {limit}"));
        Some((row, format!("{meaning}{}", limit.unwrap_or_default())))
    });
    found.collect()
}

/// One of the words as clap knows it, hidden ones too, with what it does not know.
fn in_full(parsed: &Command, word: &str) -> Option<Command> {
    if let Some(word) = OF_RUN.into_iter().find(|known| *known == word) {
        return Some(of_run(word));
    }
    let command = parsed.find_subcommand(word)?;
    let Some((group, _)) = SAME.iter().find(|(group, _)| *group == word) else {
        return Some(shown(command));
    };
    let words = meant(group).into_iter().filter_map(|(word, others)| {
        let command = in_full(parsed, target(word, others))?;
        Some(command.name(word))
    });
    let group = Command::new(*group).about(command.get_about().cloned().unwrap_or_default());
    Some(group.disable_help_subcommand(true).subcommands(words))
}

fn of_run(word: &'static str) -> Command {
    let mut command = Command::new(word)
        .about(run::does(word))
        .disable_help_flag(true);
    for (heading, _) in GROUPS {
        for (row, meaning) in under(heading, word) {
            command = command.arg(option(&row, meaning).help_heading(*heading));
        }
    }
    let image = Arg::new("IMAGE").required(true);
    let run = Arg::new("COMMAND").action(ArgAction::Append);
    command
        .arg(image.help("What it is made from: a name, a digest or an id"))
        .arg(run.help("What it runs in place of the image's command, with arguments"))
}

fn option(row: &Row, meaning: String) -> Arg {
    let arg = Arg::new(row.name).long(row.name).help(meaning);
    let arg = match row.short {
        Some(letter) => arg.short(letter),
        None => arg,
    };
    match row.kind {
        "" => arg.action(ArgAction::SetTrue),
        kind => arg.action(ArgAction::Append).value_name(kind),
    }
}

/// A command without what is hidden in it, which the completions would show.
fn shown(command: &Command) -> Command {
    let words = command.get_subcommands().filter(|one| !one.is_hide_set());
    without_words(command).subcommands(words.map(shown))
}

fn without_words(command: &Command) -> Command {
    // clap takes names only that stay as long as the program.
    let keep = |name: &str| -> &'static str { name.to_owned().leak() };
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let bare = Command::new(keep(command.get_name()))
        .about(command.get_about().cloned().unwrap_or_default())
        .visible_aliases(command.get_visible_aliases().map(keep))
        .disable_help_subcommand(true)
        .args(args.cloned());
    match command.get_long_about().cloned() {
        Some(about) => bare.long_about(about),
        None => bare,
    }
}
