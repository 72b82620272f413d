//! The pages of `docker-artifact-gen`.

use anyhow::{Context as _, bail};
use clap::{Command, CommandFactory as _};

use crate::help::{Help, entries};
use crate::page::{Block, Page, Part};
use crate::refusal::EXIT_CODES;
use crate::{File, args, existing, manual};

const NAME: &str = "docker-artifact-gen";

/// The whole command line: the options, and the words for artifacts that exist.
pub fn command() -> anyhow::Result<Command> {
    let mut root = Help::read(manual::HELP).explain(args::Words::command())?;
    let help = Help::read(existing::HELP);
    for word in existing::Words::command().get_subcommands() {
        let about = meaning(&help, word.get_name())?;
        root = root.subcommand(help.explain(word.clone())?.about(about));
    }
    Ok(root.disable_help_subcommand(true))
}

/// All pages.
pub fn pages() -> anyhow::Result<Vec<File>> {
    let mut command = command()?;
    command.build();
    let mut files = vec![whole(&command)?.file()?];
    for word in command.get_subcommands() {
        files.push(of_word(word)?.file()?);
    }
    Ok(files)
}

fn whole(command: &Command) -> anyhow::Result<Page> {
    let help = Help::read(manual::HELP);
    let (about, prose) = help.prose.split_first().context("the help is empty")?;
    let usage = help.usage.iter().map(|line| match line.split_once("  ") {
        Some((form, comment)) => format!("{form} ({})", comment.trim()),
        None => line.clone(),
    });
    let prose = prose.iter().cloned().map(Block::Prose);
    let mut parts = vec![
        Part::new("Synopsis", Block::Lines(usage.collect())),
        Part {
            title: "Description".to_owned(),
            blocks: prose.collect(),
        },
        options(command),
    ];
    for (heading, lines) in &help.sections {
        if heading != "Options" {
            parts.push(section(heading, lines)?);
        }
    }
    parts.push(exit_status());
    let words = command.get_subcommands();
    let words = words.map(|word| format!("`{NAME}-{}`(1)", word.get_name()));
    let others = ["`dray`(1)".to_owned(), "`dray.ini`(5)".to_owned()];
    let others: Vec<String> = words.chain(others).collect();
    parts.push(Part::new("See also", Block::Prose(others.join(", "))));
    Ok(Page {
        name: NAME.to_owned(),
        section: "1",
        about: about.trim_end_matches('.').to_owned(),
        parts,
    })
}

fn of_word(command: &Command) -> anyhow::Result<Page> {
    let help = Help::read(existing::HELP);
    let word = command.get_name();
    let start = format!("{NAME} {word} ");
    let usage = help.usage.iter().filter(|line| line.starts_with(&start));
    let does = meaning(&help, word)?;
    let about = does.split(';').next().unwrap_or_default().to_owned();
    let does = format!("`{NAME} {word}` {does}.");
    let prose = help.prose.into_iter().chain([does]).map(Block::Prose);
    let see = format!("`{NAME}`(1)");
    Ok(Page {
        name: format!("{NAME}-{word}"),
        section: "1",
        about,
        parts: vec![
            Part::new("Synopsis", Block::Lines(usage.cloned().collect())),
            Part {
                title: "Description".to_owned(),
                blocks: prose.collect(),
            },
            options(command),
            exit_status(),
            Part::new("See also", Block::Prose(see)),
        ],
    })
}

/// What the help says of one of the words.
fn meaning(help: &Help, word: &str) -> anyhow::Result<String> {
    let found = help.words.iter().find(|(name, _)| name == word);
    let (_, meaning) = found.with_context(|| format!("the help says nothing of {word}"))?;
    Ok(meaning.clone())
}

fn options(command: &Command) -> Part {
    Part::new("Options", Block::Options(Box::new(command.clone()), None))
}

/// A section of the help, whose lines are of one kind or another.
fn section(heading: &str, lines: &[String]) -> anyhow::Result<Part> {
    let plain = || lines.iter().map(|line| line.trim_start().to_owned());
    // What stands in brackets is no part of the heading.
    let (title, more) = match heading.split_once(" (") {
        Some((title, more)) => (title, Some(more.trim_end_matches(')').to_owned())),
        None => (heading, None),
    };
    let block = match title {
        "Environment" => Block::Terms(entries(lines)),
        "Examples" | "Signing by command" => {
            let unindented = lines.iter().map(|line| line.get(2..).unwrap_or(line));
            Block::Lines(unindented.map(str::to_owned).collect())
        }
        "Registries" | "Images inside the Artifact" => {
            Block::Prose(plain().collect::<Vec<_>>().join(" "))
        }
        "Options for mender-artifact that are understood after '--'" => {
            let options = lines.iter().flat_map(|line| line.trim().split("  "));
            Block::Lines(options.map(str::to_owned).collect())
        }
        unknown => bail!("how does the section {unknown:?} of the help look on a page?"),
    };
    let more = more.map(|more| Block::Prose(format!("{more}:")));
    Ok(Part {
        title: title.to_owned(),
        blocks: more.into_iter().chain([block]).collect(),
    })
}

fn exit_status() -> Part {
    let codes: Vec<&str> = EXIT_CODES.lines().skip(1).collect();
    Part::new("Exit status", Block::Terms(entries(&codes)))
}
