//! The README names only what is there, and leaves out no setting.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

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
