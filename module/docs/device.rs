//! The pages of `dray`: one for it, one for each of its words.

use anyhow::Context as _;
use clap::Command;
use dray::runargs::{self, GROUPS};

use crate::File;
use crate::commands::words::{REFUSED, SAME};
use crate::commands::{self, examples, refused};
use crate::page::{self, Block, Page, Part};
use crate::tables::{exit_status, files};
use crate::words::{self, OF_RUN, meant, target};

/// All pages.
pub fn pages() -> anyhow::Result<Vec<File>> {
    let mut root = words::command();
    root.build();
    let mut files = vec![whole(&root)?.file()?];
    for word in root.get_subcommands() {
        files.push(of_word(word, &root)?.file()?);
        let of_group = meant(word.get_name());
        for inner in word.get_subcommands() {
            let name = inner.get_name();
            let known = of_group.iter().find(|(known, _)| *known == name);
            files.push(match known.map(|(word, others)| target(word, others)) {
                // Its own page is that of the word that it stands for.
                Some(other) if !other.contains(' ') => {
                    page::link(&page_name(inner), &format!("dray-{other}"))
                }
                _ => of_word(inner, word)?.file()?,
            });
        }
    }
    Ok(files)
}

/// What a command is called as a page: `dray-network-create`.
fn page_name(command: &Command) -> String {
    path(command).replace(' ', "-")
}

/// The word that it is: `network create`.
fn word(command: &Command) -> &str {
    path(command).strip_prefix("dray ").unwrap_or_default()
}

/// How it is called: `dray network create`.
fn path(command: &Command) -> &str {
    command.get_bin_name().unwrap_or_else(|| command.get_name())
}

fn whole(root: &Command) -> anyhow::Result<Page> {
    let parsed = commands::command();
    let about = parsed.get_about().map(ToString::to_string);
    let after = parsed.get_after_help().map(ToString::to_string);
    let after = after.context("dray's help says nothing of its names and settings")?;
    let mut blocks = vec![Block::Prose(
        "`dray help` lists the words below; each has a page of its own, such as `dray-run`(1)."
            .to_owned(),
    )];
    blocks.extend(after.lines().map(str::to_owned).map(Block::Prose));
    let refused = REFUSED
        .iter()
        .map(|(words, reason)| (words.replace(' ', ", "), (*reason).to_owned()));
    let synopsis = vec!["dray COMMAND".to_owned(), "docker STATE DIR".to_owned()];
    let see = ["docker-artifact-gen", "dray-run"].map(|name| format!("`{name}`(1)"));
    Ok(Page {
        name: "dray".to_owned(),
        section: "1",
        about: about.unwrap_or_default(),
        parts: vec![
            Part::new("Synopsis", Block::Lines(synopsis)),
            Part {
                title: "Description".to_owned(),
                blocks,
            },
            list(root),
            options(root),
            not_honoured("", refused.collect()),
            exit_status(None)?,
            Part::new("Files", Block::Terms(files()?)),
            Part::new(
                "See also",
                Block::Prose(format!("{}, `dray.ini`(5)", see.join(", "))),
            ),
        ],
    })
}

fn of_word(command: &Command, above: &Command) -> anyhow::Result<Page> {
    let word = word(command);
    let about = command.get_about().map(ToString::to_string);
    let about = about.with_context(|| format!("{word} says nothing of itself"))?;
    let is_group = SAME.iter().any(|(group, _)| *group == word);
    let parts = vec![
        Part::new("Synopsis", Block::Lines(vec![synopsis(command, word)])),
        description(command, &about),
        list(command),
        // The help of these lists none.
        if is_group {
            Part::none("Options")
        } else {
            options(command)
        },
        not_honoured(word, Vec::new()),
        exit_status(Some(word))?,
        examples(word),
        see_also(command, above),
    ];
    Ok(Page {
        name: page_name(command),
        section: "1",
        about,
        parts,
    })
}

fn synopsis(command: &Command, word: &str) -> String {
    if OF_RUN.contains(&word) {
        return format!("dray {word} [OPTIONS] IMAGE [COMMAND] [ARG...]");
    }
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage: ").to_owned()
}

fn description(command: &Command, about: &str) -> Part {
    let long = command.get_long_about().map(ToString::to_string);
    let text = long.filter(|text| !text.is_empty());
    let text = text.unwrap_or_else(|| about.to_owned());
    let mut blocks: Vec<Block> = text
        .split("\n\n")
        .map(|paragraph| {
            Block::Prose(format!(
                "{}.",
                paragraph.replace('\n', " ").trim_end_matches('.')
            ))
        })
        .collect();
    let name = command.get_name();
    let above = path(command).strip_suffix(name).unwrap_or_default();
    let aliases = command.get_visible_aliases();
    let mut aliases: Vec<String> = aliases.map(|alias| format!("{above}{alias}")).collect();
    for (group, _) in SAME.iter().filter(|_| above == "dray ") {
        let words = meant(group).into_iter();
        let same = words.filter(|(word, others)| target(word, others) == name);
        aliases.extend(same.map(|(word, _)| format!("dray {group} {word}")));
    }
    if !aliases.is_empty() {
        let aliases = aliases.join("`, `");
        blocks.push(Block::Prose(format!("The same as `{aliases}`.")));
    }
    Part {
        title: "Description".to_owned(),
        blocks,
    }
}

/// The words of a command.
fn list(command: &Command) -> Part {
    let of_group = meant(word(command));
    let terms = command.get_subcommands().map(|word| {
        let name = word.get_name();
        let about = word
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        let other = of_group.iter().find(|(known, _)| *known == name);
        let text = match other {
            Some((word, [])) => format!("The same as `dray {word}`"),
            Some((_, others)) if !others[0].contains(' ') => {
                format!("The same as `dray {}`", others.join(" "))
            }
            _ => about,
        };
        let aliases: Vec<&str> = word.get_visible_aliases().collect();
        let text = match aliases.is_empty() {
            true => text,
            false => format!("{text}; also called `{}`", aliases.join("`, `")),
        };
        (name.to_owned(), text)
    });
    let terms: Vec<(String, String)> = terms.collect();
    if terms.is_empty() {
        return Part::none("Commands");
    }
    Part::new("Commands", Block::Terms(terms))
}

fn options(command: &Command) -> Part {
    let with = |heading| Block::Options(Box::new(command.clone()), heading);
    let mut blocks = vec![with(None)];
    if OF_RUN.contains(&word(command)) {
        for (heading, _) in GROUPS {
            blocks.push(Block::Heading((*heading).to_owned()));
            blocks.push(with(Some(*heading)));
        }
    }
    Part {
        title: "Options".to_owned(),
        blocks,
    }
}

/// What docker has and this word has not.
fn not_honoured(word: &str, mut terms: Vec<(String, String)>) -> Part {
    for (_, names, reason) in refused::OPTIONS.iter().filter(|(of, ..)| *of == word) {
        let names = names.split(' ').map(|name| match name.split_once('/') {
            Some((long, letter)) => format!("-{letter}, --{long}"),
            // Of this group it is a word.
            None if word == "volume" => name.to_owned(),
            None => format!("--{name}"),
        });
        let names: Vec<String> = names.collect();
        terms.push((names.join(", "), (*reason).to_owned()));
    }
    if OF_RUN.contains(&word) {
        let rows = runargs::describe().filter_map(|row| Some((row, row.refused?)));
        terms.extend(rows.map(|(row, reason)| {
            (
                format!("--{} {}", row.name, row.kind).trim_end().to_owned(),
                reason.to_owned(),
            )
        }));
    }
    if terms.is_empty() {
        return Part::none("Not honoured");
    }
    let said = "What docker has besides is refused by name:".to_owned();
    Part {
        title: "Not honoured".to_owned(),
        blocks: vec![Block::Prose(said), Block::Terms(terms)],
    }
}

fn examples(word: &str) -> Part {
    let of_run = examples::OF_RUN.iter().filter(|(known, _)| *known == word);
    let lines = examples::EXAMPLES
        .iter()
        .filter(|(known, _)| *known == word);
    let lines = lines.flat_map(|(_, lines)| lines.iter().copied());
    let lines = lines.chain(of_run.map(|(_, line)| *line));
    let lines: Vec<String> = lines.map(|line| format!("dray {line}")).collect();
    match lines.is_empty() {
        true => Part::none("Examples"),
        false => Part::new("Examples", Block::Lines(lines)),
    }
}

fn see_also(command: &Command, above: &Command) -> Part {
    let mut names = vec!["dray".to_owned()];
    if !word(above).is_empty() {
        names.push(page_name(above));
        names.extend(inner_pages(above));
    }
    names.extend(inner_pages(command));
    if OF_RUN.contains(&word(command)) {
        names.extend(OF_RUN.iter().map(|word| format!("dray-{word}")));
        names.push("docker-artifact-gen".to_owned());
    }
    let mut others: Vec<String> = Vec::new();
    for name in names {
        let shown = format!("`{name}`(1)");
        if name != page_name(command) && !others.contains(&shown) {
            others.push(shown);
        }
    }
    Part::new("See also", Block::Prose(others.join(", ")))
}

/// The pages of the words of a command; of docker's groups those of the words that they stand for.
fn inner_pages(command: &Command) -> Vec<String> {
    let of_group = meant(word(command));
    let inner = command.get_subcommands().map(|inner| {
        let known = of_group.iter().find(|(word, _)| *word == inner.get_name());
        let target = known.map(|(word, others)| target(word, others));
        target.map_or_else(
            || page_name(inner),
            |word| format!("dray-{}", word.replace(' ', "-")),
        )
    });
    inner.collect()
}
