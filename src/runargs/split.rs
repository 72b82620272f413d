//! One line of text to words, as a POSIX shell does it, but without any expansion: no variables, no globs, no commands.

use super::RunArgsError;
use super::error::shown;

/// Splits at blanks, tabs and line breaks; honours single quotes, double quotes and backslashes.
///
/// Everything that a shell would expand (`$HOME`, `*`, `` `date` ``) or act on (`;`, `|`, `#`) is an ordinary character.
pub fn split(text: &str) -> Result<Vec<String>, RunArgsError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err(RunArgsError::Quote(shown(text), "single quote")),
                    }
                }
            }
            '"' => quoted(word.get_or_insert_default(), &mut rest)
                .ok_or_else(|| RunArgsError::Quote(shown(text), "double quote"))?,
            '\\' => match rest.next() {
                // A line continuation leaves nothing behind.
                Some('\n') => {}
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err(RunArgsError::Backslash(shown(text))),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The inside of double quotes, up to and including the closing one; `None` if there is none.
fn quoted(word: &mut String, rest: &mut std::str::Chars<'_>) -> Option<()> {
    loop {
        match rest.next()? {
            '"' => return Some(()),
            '\\' => match rest.next()? {
                '\n' => {}
                c @ ('"' | '\\' | '$' | '`') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}
