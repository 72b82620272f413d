//! The README names only what is there, and leaves out no setting.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and writes the table anew when it is asked to"
)]

use std::fs;
use std::path::Path;

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Words in backticks and link targets that look like paths of this repository.
fn paths(readme: &str) -> Vec<&str> {
    let tops = ["src/", "module/", "artifact-gen/", "tests/", "yocto/"];
    readme
        .split(|c: char| c.is_whitespace() || "`()[],;".contains(c))
        .filter(|word| tops.iter().any(|top| word.starts_with(top)))
        .map(|word| word.trim_end_matches(['.', ':']))
        .collect()
}

#[test]
fn every_path_exists() {
    let readme = file("README.md");
    let named = paths(&readme);
    assert!(named.len() > 15, "{named:?}");
    for path in named {
        let found = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        assert!(found.exists(), "README names {path}");
    }
}

/// The table of settings against the shipped file, which its own test compares with the code.
#[test]
fn the_settings_are_those_of_the_shipped_file() {
    let table: Vec<(String, String)> = file("README.md")
        .lines()
        .skip_while(|line| *line != "## Configuration")
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cell = |at| {
                let cell = line.split('|').nth(at).unwrap().trim();
                // A key without a default shows an example in both places.
                cell.trim_start_matches("none, such as ")
                    .trim_matches('`')
                    .to_owned()
            };
            (cell(2), cell(3))
        })
        .collect();
    let shipped: Vec<(String, String)> = file("module/dist/dray.ini")
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once(" = "))
        .filter(|(key, _)| !key.starts_with(' '))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    assert!(shipped.len() > 10, "{shipped:?}");
    assert_eq!(table, shipped);
}

/// The table of docker run's options, from the code's.
fn options() -> String {
    let mut text =
        "| option | value | what it sets, or why it is refused |\n|---|---|---|\n".to_owned();
    for row in dray::runargs::describe() {
        let short = row
            .short
            .map(|letter| format!("`-{letter}`, "))
            .unwrap_or_default();
        let kind = match row.kind {
            "" => "switch",
            kind => kind,
        };
        let meaning = match (row.refused, row.limit) {
            (Some(reason), _) => format!("**refused**: {reason}"),
            (None, Some(limit)) => format!("{}; {limit}", row.sets),
            (None, None) => row.sets.to_owned(),
        };
        text += &format!("| {short}`--{}` | {kind} | {meaning} |\n", row.name);
    }
    text
}

/// The table of options against the code's. `DRAY_RECORD=1` writes it anew.
#[test]
fn the_options_are_those_of_the_code() {
    let readme = file("README.md");
    let (before, rest) = readme
        .split_once("## Options of docker run\n")
        .expect("the section");
    let start = rest.find("| option |").unwrap();
    let end = rest[start..].find("\n\n").unwrap() + start + 1;
    if std::env::var_os("DRAY_RECORD").is_some() {
        let (head, tail) = (&rest[..start], &rest[end..]);
        let text = format!(
            "{before}## Options of docker run\n{head}{}{tail}",
            options()
        );
        fs::write(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"),
            text,
        )
        .unwrap();
        return;
    }
    assert_eq!(
        rest[start..end],
        options(),
        "the code's table has changed: run this test with DRAY_RECORD=1"
    );
}
