//! `--help` of every word: all its options, each with what it means; those of docker run beside docker's own list.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking; the helpers of a test program count as no test"
)]

use std::collections::BTreeSet;
use std::process::Command;

/// What Docker's client says, as recorded for `run_args_oracle`.
const DOCKER: &str = include_str!("fixtures/run_args/docker-28.2.2-run-help.txt");

fn dray(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dray"))
        .args(words)
        .env("DRAY_CONFIG", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Long name of the option that a line of help begins with.
fn option(line: &str) -> Option<&str> {
    let text = line.trim_start();
    // What goes on below an option may begin with one too, further in.
    if line.len() - text.len() > 6 {
        return None;
    }
    let start = text.split("--").next()?;
    let is_start = start.is_empty() || (start.len() == 4 && start.starts_with('-'));
    let name = text.strip_prefix(start).filter(|_| is_start)?;
    let name = name.strip_prefix("--")?;
    name.split([' ', '=', '[']).next().filter(|n| !n.is_empty())
}

/// The words in the list of commands of `--help`.
fn words(help: &str) -> Vec<&str> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| !line.is_empty());
    list.filter_map(|line| line.split_whitespace().next())
        .collect()
}

/// What is written as docker's users do is no mistake when help is asked for.
#[test]
fn help_does_not_mind_how_options_before_it_are_written() {
    for (written, word) in [
        (&["ps", "--all=true", "--help"][..], "ps"),
        (&["rm", "-f", "-f", "--help"], "rm"),
    ] {
        assert_eq!(
            dray(written),
            dray(&[word, "--help"]).as_str(),
            "{written:?}"
        );
    }
}

#[test]
fn run_names_every_option_of_dockers_with_its_meaning_or_the_reason_against_it() {
    let docker: BTreeSet<&str> = DOCKER.lines().filter_map(option).collect();
    assert!(docker.len() >= 100, "{docker:?}");
    let help = dray(&["run", "--help"]);
    let (honoured, refused) = help
        .split_once("\nNot honoured, and refused by name:\n")
        .unwrap();
    let named: BTreeSet<&str> = help.lines().filter_map(option).collect();
    assert_eq!(docker.difference(&named).count(), 0, "{help}");
    let table = dray::runargs::describe();
    for row in table {
        let part = if row.refused.is_some() {
            refused
        } else {
            honoured
        };
        let lines: Vec<&str> = part
            .lines()
            .filter(|l| option(l) == Some(row.name))
            .collect();
        assert_eq!(lines.len(), 1, "--{} in {help}", row.name);
        let (flag, meaning) = lines[0].trim_start().split_once("  ").expect(row.name);
        assert!(
            flag.ends_with(format!("--{} {}", row.name, row.kind).trim_end()),
            "{flag}"
        );
        assert!(meaning.trim().len() > 4, "{}", lines[0]);
    }
    // Asked for anywhere before the image, and by the words that take the same.
    assert_eq!(
        dray(&["run", "-it", "--name", "x", "--help", "image"]),
        help
    );
    let create = dray(&["create", "--help"]);
    let create: BTreeSet<&str> = create.lines().filter_map(option).collect();
    let only_run: Vec<_> = named.difference(&create).collect();
    assert_eq!(only_run, [&"detach", &"detach-keys", &"sig-proxy"]);
    for words in [
        &["create", "-d", "image"][..],
        &["create", "--sig-proxy=false", "image"],
        &["create", "--detach-keys=a", "image"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_dray"))
            .args(words)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(125), "{words:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("dray: unknown flag: --"), "{said}");
    }
}

#[test]
fn every_word_says_what_it_does_and_what_its_options_mean() {
    let help = dray(&["--help"]);
    let all = words(&help);
    assert!(all.len() > 20, "{help}");
    let mut count = 0;
    for word in all {
        let own = dray(&[word, "--help"]);
        let mut pages = vec![own.clone()];
        pages.extend(
            words(&own)
                .into_iter()
                .map(|inner| dray(&[word, inner, "--help"])),
        );
        for page in pages {
            let lines: Vec<&str> = page.lines().collect();
            assert!(!lines[0].is_empty(), "{word}: {page}");
            assert!(page.contains("Usage: dray"), "{word}: {page}");
            for (number, line) in lines.iter().enumerate() {
                if option(line).is_none() {
                    continue;
                }
                count += 1;
                // On the same line, or where that is too long below it.
                let here = line
                    .trim_start()
                    .split_once("  ")
                    .map(|(_, rest)| rest.trim());
                let below = lines.get(number + 1).copied().unwrap_or_default();
                let below = below.starts_with("          ").then(|| below.trim());
                let meaning = here.or(below).unwrap_or_default();
                assert!(meaning.len() > 3, "{word}: {line:?} means nothing");
            }
        }
    }
    assert!(count > 150, "{count} options");
}

#[test]
fn a_message_shows_what_a_terminal_would_obey() {
    let output = Command::new(env!("CARGO_BIN_EXE_dray"))
        .args(["explain", "--stop-signal", "a\u{1b}[2Jb", "img"])
        .env("DRAY_CONFIG", "/dev/null")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "dray: invalid signal: a\\u{1b}[2Jb\n");
}
