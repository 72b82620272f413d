//! Patterns for names, those of Go's `path.Match`: `*` and `?` for anything but `/`, `[a-z]`, `[^a-z]` and `\`.

use std::str::Chars;

/// What docker's daemon says of a pattern that is none.
const MALFORMED: &str = "syntax error in pattern";

/// One part of a pattern.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    /// Any number of letters but `/`.
    Many,
    /// One letter but `/`.
    One,
    /// This letter.
    Letter(char),
    /// A letter within one of these bounds, or within none of them.
    Class(Vec<(char, char)>, bool),
}

/// A pattern.
#[derive(Debug, Clone)]
pub struct Pattern(Vec<Part>);

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Pattern, &'static str> {
        let mut letters = text.chars();
        let mut parts = Vec::new();
        while let Some(letter) = letters.next() {
            parts.push(match letter {
                '*' => Part::Many,
                '?' => Part::One,
                '[' => class(&mut letters)?,
                '\\' => Part::Letter(letters.next().ok_or(MALFORMED)?),
                letter => Part::Letter(letter),
            });
        }
        Ok(Pattern(parts))
    }

    /// Whether it fits the whole of a name.
    pub fn fits(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut part, mut at) = (0, 0);
        // Where to go on if what follows the last `*` does not fit: that one takes a letter more.
        let mut again = None;
        loop {
            match self.0.get(part) {
                Some(Part::Many) => {
                    part += 1;
                    again = Some((part, at));
                    continue;
                }
                Some(one) if name.get(at).is_some_and(|letter| one.fits(*letter)) => {
                    (part, at) = (part + 1, at + 1);
                    continue;
                }
                None if at == name.len() => return true,
                _ => {}
            }
            match again {
                Some((after, taken)) if name.get(taken).is_some_and(|letter| *letter != '/') => {
                    again = Some((after, taken + 1));
                    (part, at) = (after, taken + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Part {
    fn fits(&self, letter: char) -> bool {
        match self {
            Part::Many | Part::One => letter != '/',
            Part::Letter(wanted) => letter == *wanted,
            Part::Class(bounds, negated) => {
                let is_in = bounds
                    .iter()
                    .any(|(low, high)| (low..=high).contains(&&letter));
                is_in != *negated
            }
        }
    }
}

/// What follows a `[`.
fn class(letters: &mut Chars<'_>) -> Result<Part, &'static str> {
    let mut rest = letters.clone();
    let negated = rest.next() == Some('^');
    if negated {
        *letters = rest;
    }
    let mut bounds = Vec::new();
    loop {
        let low = letters.next().ok_or(MALFORMED)?;
        if low == ']' && !bounds.is_empty() {
            return Ok(Part::Class(bounds, negated));
        }
        let low = bound(low, letters)?;
        let mut rest = letters.clone();
        let high = match rest.next() {
            Some('-') => {
                *letters = rest;
                let high = letters.next().ok_or(MALFORMED)?;
                bound(high, letters)?
            }
            _ => low,
        };
        bounds.push((low, high));
    }
}

fn bound(letter: char, letters: &mut Chars<'_>) -> Result<char, &'static str> {
    match letter {
        '-' | ']' => Err(MALFORMED),
        '\\' => letters.next().ok_or(MALFORMED),
        letter => Ok(letter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of Go's own test of `path.Match`, and what docker's users write.
    #[test]
    fn patterns_fit_what_gos_fit() {
        for (pattern, name, fits) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^b-d]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[x\\-]", "x", true),
            ("[x\\-]", "-", true),
            ("[x\\-]", "z", false),
            ("[\\-x]", "x", true),
            ("*x", "xxx", true),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*/*", "foo/bar", true),
            ("*/*", "reg:5000/x/y", false),
            ("*:latest", "busybox:latest", true),
            ("[^a]", "/", true),
        ] {
            assert_eq!(
                Pattern::parse(pattern).unwrap().fits(name),
                fits,
                "{pattern} {name}"
            );
        }
        for pattern in [
            "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "\\", "a\\", "[a-",
            "[]", "[\\",
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap_err(), MALFORMED, "{pattern}");
        }
    }
}
