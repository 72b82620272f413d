//! `--env` and `--env-file`, and the format of such files.

use std::collections::HashMap;

use super::RunArgsError;
use super::draft::Draft;
use super::outside::Outside;
use crate::host::Host;

/// Longest line of a file of variables; Docker's client stops at the same length.
const MAX_LINE: usize = 64 << 10;

/// `NAME=value` as it is; a bare `NAME` with the value it has here, or bare if it has none.
pub(super) fn variable(text: &str, outside: &Outside<'_>) -> Result<String, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    if name.is_empty() {
        return Err(format!("invalid environment variable: {text}"));
    }
    Ok(match value {
        Some(_) => text.to_owned(),
        None => outside
            .variable(name)
            .map_or_else(|| text.to_owned(), |value| format!("{name}={value}")),
    })
}

/// The files' variables in order, then those of `--env`, each name once with its last value.
pub(super) fn place(draft: &mut Draft<'_>) -> Result<(), RunArgsError> {
    let mut variables = Vec::new();
    for path in &draft.env_files {
        let lookup = |name: &str| draft.outside.variable(name);
        variables.extend(read_file(path, &draft.outside, lookup)?);
    }
    let mut places: HashMap<String, usize> = HashMap::new();
    for variable in std::mem::take(&mut draft.env) {
        let name = variable
            .split_once('=')
            .map_or(variable.as_str(), |(name, _)| name);
        match places.get(name) {
            Some(place) => variables[*place] = variable,
            None => {
                places.insert(name.to_owned(), variables.len());
                variables.push(variable);
            }
        }
    }
    draft.config().env = variables;
    Ok(())
}

/// The variables of `exec`'s `--env-file` and `--env`, in this order.
pub fn collect(
    variables: &[String],
    files: &[String],
    host: &Host,
) -> Result<Vec<String>, RunArgsError> {
    let outside = Outside::here(host);
    let mut all = Vec::new();
    for path in files {
        all.extend(read_file(path, &outside, |name| outside.variable(name))?);
    }
    for text in variables {
        all.push(variable(text, &outside)?);
    }
    Ok(all)
}

/// The `name=value` lines of a file; nothing if the file belongs to another machine.
pub(super) fn read_file(
    path: &str,
    outside: &Outside<'_>,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>, RunArgsError> {
    let Some(bytes) = outside.read(path)? else {
        return Ok(Vec::new());
    };
    parse_lines(&bytes, lookup).map_err(|reason| RunArgsError::Variables {
        path: path.to_owned(),
        reason,
    })
}

/// Blank lines and lines that start with `#` are skipped; a line without `=` gets the value that `lookup` finds, or is
/// dropped. Whitespace before a name goes, everything after the `=` stays.
fn parse_lines(
    bytes: &[u8],
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>, String> {
    let mut variables = Vec::new();
    let lines = bytes.split(|byte| *byte == b'\n');
    for (index, line) in lines.enumerate() {
        if line.len() >= MAX_LINE {
            return Err("bufio.Scanner: token too long".to_owned());
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Ok(text) = std::str::from_utf8(line) else {
            return Err(format!(
                "invalid utf8 bytes at line {}: {line:?}",
                index + 1
            ));
        };
        let text = match index {
            0 => text.strip_prefix('\u{feff}').unwrap_or(text),
            _ => text,
        };
        let text = text.trim_start();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (name, valued) = match text.split_once('=') {
            Some((name, _)) => (name, true),
            None => (text, false),
        };
        if name.is_empty() {
            return Err(format!("no variable name on line '{text}'"));
        }
        if name.contains([' ', '\t']) {
            return Err(format!("variable '{name}' contains whitespaces"));
        }
        if valued {
            variables.push(text.to_owned());
        } else if let Some(value) = lookup(name) {
            variables.push(format!("{name}={value}"));
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Vec<String>, String> {
        parse_lines(bytes, |name| (name == "KNOWN").then(|| "here".to_owned()))
    }

    #[test]
    fn reads_files_as_docker_does() {
        let file = b"\xef\xbb\xbfA=1\r\n# comment\n\n  B= two \n\tC=\"quoted\"\nKNOWN\nUNKNOWN\nD==\nA=2\n\xc2\xa0E=5";
        assert_eq!(
            parse(file).unwrap(),
            [
                "A=1",
                "B= two ",
                "C=\"quoted\"",
                "KNOWN=here",
                "D==",
                "A=2",
                "E=5"
            ]
        );
    }

    #[test]
    fn refuses_what_docker_refuses() {
        let long = format!("A={}", "x".repeat(65536));
        for (file, error) in [
            (b"A=1\n=2" as &[u8], "no variable name on line '=2'"),
            (b"A B=1", "variable 'A B' contains whitespaces"),
            (b"A =1", "variable 'A ' contains whitespaces"),
            (
                b"A=1\nB=\xff",
                "invalid utf8 bytes at line 2: [66, 61, 255]",
            ),
            (
                b"\xff\xfeA\x00",
                "invalid utf8 bytes at line 1: [255, 254, 65, 0]",
            ),
            (long.as_bytes(), "bufio.Scanner: token too long"),
        ] {
            assert_eq!(parse(file), Err(error.to_owned()));
        }
    }
}
