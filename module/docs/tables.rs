//! What is written down as a table elsewhere: the exit codes beside the code that decides on them, the files of a device in
//! the README.

use anyhow::Context as _;

use crate::page::{Block, Part};

/// Where exit codes are decided and written down.
const EXIT: &str = include_str!("../exit.rs");

/// Where the files of a device are written down.
const README: &str = include_str!("../../README.md");

/// The table of exit codes: what goes for `word`, or all of it with the words that it goes for.
pub fn exit_status(word: Option<&str>) -> anyhow::Result<Part> {
    let rows = rows(EXIT, "//! | code | meaning |", "//! ").context("no table of exit codes")?;
    let mut terms = Vec::new();
    for row in rows {
        let [code, meaning] = &row[..] else {
            anyhow::bail!("a row of exit codes is not a code and a meaning: {row:?}");
        };
        let parts = meaning
            .split("; ")
            .filter_map(|part| match part.split_once(": ") {
                Some((words, text)) if part.starts_with('`') => match word {
                    None => Some(part.to_owned()),
                    Some(word) => {
                        let mut words = words.split(", ");
                        let own = words.any(|one| one.trim_matches('`') == word);
                        own.then(|| text.to_owned())
                    }
                },
                _ => Some(part.to_owned()),
            });
        let parts: Vec<String> = parts.collect();
        if !parts.is_empty() {
            terms.push((code.clone(), parts.join("; ")));
        }
    }
    Ok(Part::new("Exit status", Block::Terms(terms)))
}

/// The files of a device.
pub fn files() -> anyhow::Result<Vec<(String, String)>> {
    let rows = rows(README, "| where | what | described in |", "");
    let rows = rows.context("README has no table of files")?;
    let settings = (
        "/etc/dray/dray.ini".to_owned(),
        "settings, see `dray.ini`(5)".to_owned(),
    );
    let files = rows.into_iter().map(|row| {
        let cell = |at: usize| row.get(at).cloned().unwrap_or_default();
        (cell(0).replace('`', ""), cell(1))
    });
    Ok(std::iter::once(settings).chain(files).collect())
}

/// The cells of each row of the table with this head.
fn rows(text: &str, head: &str, margin: &str) -> Option<Vec<Vec<String>>> {
    let (_, below) = text.split_once(head)?;
    let lines = below.lines().skip(2);
    let lines = lines.map_while(|line| line.strip_prefix(margin)?.strip_prefix("| "));
    let cells = |line: &str| {
        let line = line.trim_end_matches(" |");
        line.split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    Some(lines.map(cells).collect())
}
