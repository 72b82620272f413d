//! The manual pages and completions of `dray-docs` against the help of both programs, and against what reads them.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; the helpers of a test program count as no test"
)]

#[path = "common/help.rs"]
mod help;

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::Scratch;

const DRAY: &str = env!("CARGO_BIN_EXE_dray");
const GENERATOR: &str = env!("CARGO_BIN_EXE_docker-artifact-gen");

/// Words that have options of docker run, whose help lists the refused ones too.
const OF_RUN: [&str; 3] = ["run", "create", "explain"];

fn made() -> Scratch {
    let scratch = Scratch::new("docs");
    let output = docs(&[scratch.path()]);
    assert!(output.status.success(), "{output:?}");
    scratch
}

fn docs(words: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dray-docs"));
    command.args(words).output().unwrap()
}

fn said(program: &str, words: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.args(words).env("DRAY_CONFIG", "/dev/null").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The files below a folder, by their paths in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// A manual page: its terms and its lines of text by section.
struct Page {
    terms: Vec<(String, String)>,
    lines: Vec<(String, String)>,
}

impl Page {
    fn read(folder: &Path, name: &str) -> Page {
        let path = folder.join(format!("man1/{name}.1"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Some(other) = text.strip_prefix(".so man1/") {
            return Page::read(folder, other.trim_end().strip_suffix(".1").unwrap());
        }
        let (mut terms, mut lines) = (Vec::new(), Vec::new());
        let mut section = String::new();
        let mut is_term = false;
        for line in text.lines() {
            if let Some(title) = line.strip_prefix(".SH ") {
                section = title.trim_matches('"').to_owned();
            } else if !line.starts_with(['.', '\'']) {
                let into = if is_term { &mut terms } else { &mut lines };
                into.push((section.clone(), plain(line)));
            }
            is_term = line == ".TP";
        }
        Page { terms, lines }
    }

    fn terms<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a str> {
        let own = self.terms.iter().filter(move |(name, _)| name == section);
        own.map(|(_, term)| term.as_str())
    }

    fn text(&self, section: &str) -> String {
        let own = self.lines.iter().filter(|(name, _)| name == section);
        let lines: Vec<&str> = own.map(|(_, line)| line.as_str()).collect();
        lines.join("\n")
    }

    /// Long names of the options in a section.
    fn options<'a>(&'a self, section: &'a str) -> BTreeSet<&'a str> {
        let names = self.terms(section).flat_map(|term| term.split([' ', ',']));
        let names = names.filter_map(|word| word.strip_prefix("--"));
        names
            .map(|name| name.split(['=', '[']).next().unwrap())
            .collect()
    }
}

/// A line as it is printed.
fn plain(line: &str) -> String {
    let escapes = [
        ("\\fB", ""),
        ("\\fI", ""),
        ("\\fR", ""),
        ("\\&", ""),
        ("\\*(Aq", "'"),
        ("\\(ga", "`"),
        ("\\(ha", "^"),
        ("\\(ti", "~"),
        ("\\-", "-"),
        ("\\[u2026]", "…"),
        ("\\\\", "\\"),
    ];
    let plain = escapes
        .iter()
        .fold(line.to_owned(), |text, (escape, sign)| {
            text.replace(escape, sign)
        });
    assert!(
        !plain.contains("\\["),
        "an escape that is not known: {plain}"
    );
    plain
}

fn set<'a>(words: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    words.into_iter().collect()
}

/// The page of one word of dray, and of the words below it: nothing of the help is missing, and nothing is there besides.
/// The names of all these pages.
fn compare(folder: &Path, words: &[&str]) -> BTreeSet<String> {
    let text = said(DRAY, &[words, &["--help"]].concat());
    let name = [&["dray"], words].concat().join("-");
    let page = Page::read(folder, &name);
    let inner = set(help::words(&text));
    assert_eq!(set(page.terms("COMMANDS")), inner, "{name}");
    let said = set(text.lines().filter_map(help::option));
    let mut options = page.options("OPTIONS");
    if matches!(words, [word] | ["container", word] if OF_RUN.contains(word)) {
        options.extend(page.options("NOT HONOURED"));
        assert!(options.len() > 90, "{options:?}");
    }
    assert_eq!(options, said, "{name}");
    let example = text.lines().filter(|line| line.starts_with("  dray "));
    let examples: Vec<&str> = example.map(str::trim_start).collect();
    assert_eq!(page.text("EXAMPLES"), examples.join("\n"), "{name}");
    assert!(
        page.terms("EXIT STATUS").any(|code| code == "125"),
        "{name}"
    );
    assert!(!page.text("SYNOPSIS").is_empty() && !page.text("DESCRIPTION").is_empty());
    let mut names = BTreeSet::from([name]);
    for word in inner {
        names.extend(compare(folder, &[words, &[word]].concat()));
    }
    names
}

#[test]
fn every_word_of_dray_has_a_page_with_what_its_help_says_and_no_more() {
    let scratch = made();
    let names = compare(scratch.path(), &[]);
    assert!(names.len() > 80, "{names:?}");
    let found = fs::read_dir(scratch.path().join("man1")).unwrap();
    let found = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found: BTreeSet<String> = found
        .filter_map(|name| Some(name.strip_suffix(".1")?.to_owned()))
        .filter(|name| !name.starts_with("docker-artifact-gen"))
        .collect();
    assert_eq!(found, names);
    // What help says besides: the words that are refused, and whose exit codes there are.
    let page = Page::read(scratch.path(), "dray");
    let refused = said(DRAY, &["--help"]);
    let (_, refused) = refused.split_once("refused by name:\n").unwrap();
    for line in refused.lines() {
        let (words, reason) = line.trim_start().split_once(": ").unwrap();
        assert!(
            page.terms("NOT HONOURED").any(|term| term == words),
            "{words}"
        );
        assert!(page.text("NOT HONOURED").contains(reason), "{reason}");
    }
    let codes = |name: &str| {
        let page = Page::read(scratch.path(), name);
        page.terms("EXIT STATUS").collect::<Vec<_>>().join(" ")
    };
    assert_eq!(codes("dray"), "0 1 2 64 125 126 127 other");
    assert_eq!(codes("dray-ps"), "0 1 125");
    assert_eq!(codes("dray-network-inspect"), "0 1 64 125");
    assert_eq!(codes("dray-run"), "0 1 125 126 127 other");
}

#[test]
fn the_pages_of_the_generator_say_what_its_help_says() {
    let scratch = made();
    let page = Page::read(scratch.path(), "docker-artifact-gen");
    let text = said(GENERATOR, &["--help"]);
    let (_, below) = text.split_once("\nOptions:\n").unwrap();
    let (options, _) = below.split_once("\n\n").unwrap();
    let listed = set(options.lines().filter_map(help::option));
    assert!(listed.len() > 15, "{options}");
    assert_eq!(page.options("OPTIONS"), listed);
    // Every heading is there, and every word below them.
    let printed = shown(&scratch.path().join("man1/docker-artifact-gen.1"));
    let printed = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in text.lines().filter(|line| !line.contains("Options:")) {
        for part in line
            .split("  ")
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            // As options are written on a page, and headings.
            let found = match part.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
                // Which the words of manual pages have another name for.
                Some("Exit codes") => printed.contains("EXIT STATUS"),
                Some(heading) => {
                    let title = heading.split(" (").next().unwrap();
                    printed.contains(&title.to_uppercase())
                }
                None if help::option(line).is_some() => true,
                None => part
                    .trim_end_matches(['.', '\\', ' '])
                    .split("Usage: ")
                    .all(|part| printed.contains(part)),
            };
            assert!(found, "{part:?} of {line:?}");
        }
    }
    let shared = said(GENERATOR, &["sign", "--help"]);
    let shared = set(shared.lines().filter_map(help::option));
    let words = ["sign", "validate", "read"];
    let pages =
        words.map(|word| Page::read(scratch.path(), &format!("docker-artifact-gen-{word}")));
    let all = pages.iter().flat_map(|page| page.options("OPTIONS"));
    assert_eq!(set(all), shared);
    for (word, page) in words.iter().zip(&pages) {
        let usage = format!("docker-artifact-gen {word} ");
        assert!(page.text("SYNOPSIS").starts_with(&usage), "{word}");
        assert!(page.text("DESCRIPTION").contains(&usage), "{word}");
        let codes: Vec<&str> = page.terms("EXIT STATUS").collect();
        assert_eq!(codes, ["0", "1", "2", "3", "4"], "{word}");
    }
}

/// A page as a reader sees it, on a line as long as it takes.
fn shown(page: &Path) -> String {
    let mut groff = Command::new("groff");
    groff
        .args(["-k", "-man", "-Tutf8", "-rLL=1000n", "-P-cbou"])
        .arg(page);
    let output = groff.output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.replace(['‘', '’'], "'").replace(['‐', '−'], "-")
}

#[test]
fn the_page_of_the_settings_has_every_key_of_the_shipped_file() {
    let scratch = made();
    let page = fs::read_to_string(scratch.path().join("man5/dray.ini.5")).unwrap();
    let shipped = include_str!("../module/dist/dray.ini");
    let keys = shipped.lines().filter_map(|line| line.strip_prefix('#'));
    let keys: Vec<&str> = keys.filter(|key| !key.starts_with(' ')).collect();
    assert!(keys.len() > 30, "{keys:?}");
    let printed: Vec<String> = page.lines().map(plain).collect();
    for key in keys {
        assert_eq!(
            printed.iter().filter(|line| *line == key).count(),
            1,
            "{key}"
        );
    }
}

#[test]
fn nobody_who_reads_the_pages_has_anything_against_them() {
    let scratch = made();
    let mut count = 0;
    for (name, content) in files(scratch.path()) {
        if !name.starts_with("man1") && !name.starts_with("man5") {
            continue;
        }
        count += 1;
        let path = scratch.path().join(&name);
        let mut groff = Command::new("groff");
        groff.args(["-k", "-man", "-ww", "-z"]).arg(&path);
        let output = groff.current_dir(scratch.path()).output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{name:?}: {output:?}"
        );
        if content.starts_with(b".so ") {
            continue;
        }
        let mut mandoc = Command::new("mandoc");
        mandoc.args(["-T", "lint", "-W", "warning"]).arg(&path);
        let output = mandoc.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        // There is none, so that the same sources give the same bytes.
        let problems = said.lines().filter(|line| !line.contains("missing date"));
        assert_eq!(problems.count(), 0, "{said}");
    }
    assert!(count > 90, "{count}");
}

#[test]
fn the_same_sources_give_the_same_bytes() {
    let (one, other) = (made(), made());
    // Over what is there already as well.
    assert!(docs(&[one.path()]).status.success());
    let (one, other) = (files(one.path()), files(other.path()));
    assert!(one == other);
    assert!(one.len() > 95, "{}", one.len());
}

#[test]
fn a_folder_is_needed_and_has_to_be_one() {
    let scratch = Scratch::new("docs");
    let file = scratch.path().join("file");
    drop(
        fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .open(&file)
            .unwrap(),
    );
    for (words, wanted) in [
        (&[][..], "dray-docs: usage: dray-docs FOLDER\n"),
        (&[&*file, &*file], "dray-docs: usage: dray-docs FOLDER\n"),
        (&[&*file], "dray-docs: failed to write "),
    ] {
        let output = docs(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with(wanted), "{said}");
    }
}

/// What the Yocto layer installs of them.
#[test]
fn the_recipe_takes_what_there_is() {
    let scratch = made();
    let name = concat!(
        "yocto/recipes-containers/dray/dray_",
        env!("CARGO_PKG_VERSION"),
        ".bb"
    );
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let recipe = fs::read_to_string(recipe).unwrap();
    let taken = recipe.split_whitespace();
    let taken: Vec<&str> = taken
        .filter_map(|word| word.strip_prefix("$docs/"))
        .collect();
    let wanted = [
        "man1/dray*.1",
        "man5/dray.ini.5",
        "completions/bash/dray",
        "completions/zsh/_dray",
        "completions/fish/dray.fish",
    ];
    assert_eq!(taken, wanted);
    for file in &taken[1..] {
        assert!(scratch.path().join(file).is_file(), "{file}");
    }
}

/// What bash offers for the last of these words, sourcing the file as it does itself.
fn offered(folder: &Path, words: &[&str]) -> BTreeSet<String> {
    const SCRIPT: &str = r#"
        source "$1" || exit; name=$2; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        function=$(complete -p "$name" | sed 's/.* -F \([^ ]*\) .*/\1/')
        "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let file = folder.join("completions/bash").join(words[0]);
    let mut bash = Command::new("bash");
    // An empty folder: where nothing is known, names of files are offered.
    bash.args(["--norc", "-c", SCRIPT, "bash"])
        .arg(file)
        .args(words);
    let output = bash.current_dir(folder.join("man5")).output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes_words_options_and_values() {
    let scratch = made();
    let offered = |words: &[&str]| offered(scratch.path(), words);
    let wanted = |words: &str| words.split_whitespace().map(str::to_owned).collect();
    let exact: &[(&[&str], &str)] = &[
        (&["dray", "re"], "restart rename"),
        (&["dray", "monitor"], ""),
        (&["dray", "run", "--re"], "--read-only --restart"),
        (&["dray", "run", "--gpu"], ""),
        (&["dray", "create", "--det"], ""),
        (&["dray", "explain", "--det"], "--detach --detach-keys"),
        (
            &["dray", "container", "run", "--health-s"],
            "--health-start-period --health-start-interval",
        ),
        (&["dray", "container", "p"], "prune ps pause port"),
        (&["dray", "network", "d"], "disconnect"),
        (
            &["dray", "network", "create", "--ip"],
            "--ip-range --ipv4 --ipv6",
        ),
        (
            &["dray", "inspect", "--type", ""],
            "container image network volume",
        ),
        (&["dray", "verify", "--pa"], ""),
        (
            &["docker-artifact-gen", "--s"],
            "--software-name --software-version --software-filesystem --sign-command",
        ),
        (&["docker-artifact-gen", "--format", ""], "text json"),
        (&["docker-artifact-gen", "sign", "--f"], "--force"),
        (&["docker-artifact-gen", "v"], "validate"),
    ];
    for (words, offers) in exact {
        let wanted: BTreeSet<String> = wanted(offers);
        assert_eq!(offered(words), wanted, "{words:?}");
    }
    // All of docker run's options, and all words.
    let run = said(DRAY, &["run", "--help"]);
    let (honoured, _) = run.split_once("\nNot honoured").unwrap();
    let long = honoured.lines().filter_map(help::option);
    let long: BTreeSet<String> = long.map(|name| format!("--{name}")).collect();
    assert_eq!(offered(&["dray", "run", "--"]), long);
    let top = said(DRAY, &["--help"]);
    let mut top: BTreeSet<String> = help::words(&top).into_iter().map(str::to_owned).collect();
    top.extend(["-h", "--help", "-v", "--version"].map(str::to_owned));
    assert_eq!(offered(&["dray", ""]), top);
}

#[test]
#[ignore = "needs zsh and fish"]
fn zsh_and_fish_can_read_theirs() {
    let scratch = made();
    for (shell, file) in [
        ("zsh", "zsh/_dray"),
        ("zsh", "zsh/_docker-artifact-gen"),
        ("fish", "fish/dray.fish"),
        ("fish", "fish/docker-artifact-gen.fish"),
    ] {
        let file = scratch.path().join("completions").join(file);
        let output = Command::new(shell).arg("-n").arg(&file).output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
    }
}
