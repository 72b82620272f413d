//! The help of `docker-artifact-gen`, which is written by hand, taken apart: what it says stands in one place.

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, Command};

/// A text of help.
#[derive(Debug, Default)]
pub struct Help {
    /// Paragraphs.
    pub prose: Vec<String>,
    /// How the program is called, a line each.
    pub usage: Vec<String>,
    /// Words with what they do.
    pub words: Vec<(String, String)>,
    /// What has a heading, the options among them, with its lines.
    pub sections: Vec<(String, Vec<String>)>,
}

/// Deeper than this a line goes on with the one above.
const ENTRY: usize = 6;

impl Help {
    /// Takes `text` apart.
    pub fn read(text: &str) -> Help {
        let mut help = Help::default();
        for block in text.trim_end().split("\n\n") {
            let lines: Vec<&str> = block.lines().collect();
            if let Some(usage) = block.strip_prefix("Usage: ") {
                help.usage = usage.lines().map(|line| line.trim().to_owned()).collect();
            } else if let Some(heading) = lines[0].strip_suffix(':') {
                let rest = lines[1..].iter().map(|line| (*line).to_owned());
                help.sections.push((heading.to_owned(), rest.collect()));
            } else if lines[0].contains("  ") {
                help.words = entries(&lines);
            } else {
                help.prose.push(lines.join(" "));
            }
        }
        help
    }

    /// The lines of a section.
    pub fn section(&self, heading: &str) -> anyhow::Result<&[String]> {
        let found = self.sections.iter().find(|(name, _)| name == heading);
        let (_, lines) = found.with_context(|| format!("the help has no section {heading:?}"))?;
        Ok(lines)
    }

    /// `command` with what the help says of its options and arguments. An option of which it says nothing is an error.
    pub fn explain(&self, command: Command) -> anyhow::Result<Command> {
        let options = entries(self.section("Options")?);
        for option in command.get_opts() {
            if said(&options, option).is_none() {
                bail!("the help says nothing of {option}");
            }
        }
        let explained = command.mut_args(|arg| {
            let takes_value = arg.get_action().takes_values();
            match said(&options, &arg) {
                // It names the default itself.
                Some(meaning) => arg.hide_default_value(takes_value).help(meaning),
                // What comes after `--` stands in the line of usage.
                None => {
                    let hide = arg.is_last_set();
                    arg.hide(hide)
                }
            }
        });
        // Those that clap adds by itself say other things.
        let own = [
            ("help", 'h', ArgAction::Help),
            ("version", 'V', ArgAction::Version),
        ];
        let own = own.into_iter().filter_map(|(long, short, action)| {
            let arg = Arg::new(long).long(long).short(short).action(action);
            said(&options, &arg).map(|meaning| arg.help(meaning))
        });
        let bare = explained.disable_help_flag(true).disable_version_flag(true);
        Ok(bare.args(own))
    }
}

/// What is said of an option or an argument.
fn said(options: &[(String, String)], arg: &Arg) -> Option<String> {
    let name = match arg.get_long() {
        Some(long) => format!("--{long}"),
        None => arg.get_value_names()?.first()?.to_string(),
    };
    let is_of_it = |term: &str| match name.starts_with('-') {
        true => term.split([' ', ',']).any(|word| word == name),
        false => term.split(' ').next() == Some(&name),
    };
    let found = options.iter().find(|(term, _)| is_of_it(term));
    found.map(|(_, meaning)| meaning.clone())
}

/// Terms with their meanings, which begin in one column and go on there.
pub fn entries<S: AsRef<str>>(lines: &[S]) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = Vec::new();
    let columns = lines.iter().filter_map(|line| column(line.as_ref()));
    let column = columns.min().unwrap_or(0);
    for line in lines {
        let line = line.as_ref();
        let text = line.trim();
        match entries.last_mut() {
            Some((_, meaning)) if line.len() - line.trim_start().len() > ENTRY => {
                if !meaning.is_empty() {
                    meaning.push(' ');
                }
                meaning.push_str(text);
            }
            _ => {
                let (term, meaning) = line.split_at_checked(column).unwrap_or((line, ""));
                entries.push((term.trim().to_owned(), meaning.trim().to_owned()));
            }
        }
    }
    entries
}

/// Where the meaning begins in a line that has a term before it.
fn column(line: &str) -> Option<usize> {
    let term = line.len() - line.trim_start().len();
    let gap = line.get(term..)?.find("  ")? + term;
    let meaning = line.get(gap..)?.trim_start();
    (term <= ENTRY).then_some(line.len() - meaning.len())
}
