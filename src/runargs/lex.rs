//! Words to options, by the rules of the library that Docker's client uses: `--name value`, `--name=value`, `-n value`,
//! `-nvalue`, `-n=value`, switches bundled as `-dit` and set as `--name=false`, an end at `--` or at the first other word.

use super::RunArgsError;
use super::draft::Draft;
use super::error::shown;
use super::options::{self, Opt, Support};

/// Applies the options at the front of `words` and says how many words that were, a `--` included.
pub(super) fn scan(words: &[String], draft: &mut Draft<'_>) -> Result<usize, RunArgsError> {
    let mut next = 0;
    while let Some(word) = words.get(next) {
        if !word.starts_with('-') || word == "-" {
            return Ok(next);
        }
        next += 1;
        let mut rest = words[next..].iter();
        match word.strip_prefix("--") {
            Some("") => return Ok(next),
            Some(long) => apply_long(long, word, &mut rest, draft)?,
            None => apply_shorts(&word[1..], &mut rest, draft)?,
        }
        next = words.len() - rest.len();
    }
    Ok(next)
}

type Rest<'w> = std::slice::Iter<'w, String>;

fn apply_long(
    long: &str,
    word: &str,
    rest: &mut Rest<'_>,
    draft: &mut Draft<'_>,
) -> Result<(), RunArgsError> {
    if long.starts_with(['-', '=']) {
        return Err(RunArgsError::Syntax(shown(word)));
    }
    let (name, attached) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (long, None),
    };
    let option = options::by_name(name).ok_or_else(|| RunArgsError::Unknown(shown(name)))?;
    let value = match attached {
        Some(value) => value,
        None if option.is_switch() => "true",
        None => rest
            .next()
            .ok_or_else(|| RunArgsError::NeedsArgument(shown(word)))?,
    };
    apply(option, value, draft)
}

fn apply_shorts(
    mut shorts: &str,
    rest: &mut Rest<'_>,
    draft: &mut Draft<'_>,
) -> Result<(), RunArgsError> {
    while let Some(letter) = shorts.chars().next() {
        let option = options::by_short(letter)
            .ok_or_else(|| RunArgsError::UnknownShort(letter, shown(shorts)))?;
        let tail = &shorts[letter.len_utf8()..];
        match tail.strip_prefix('=').filter(|value| !value.is_empty()) {
            Some(value) => return apply(option, value, draft),
            None if option.is_switch() => {
                apply(option, "true", draft)?;
                shorts = tail;
            }
            None if !tail.is_empty() => return apply(option, tail, draft),
            None => {
                let value = rest.next().ok_or_else(|| {
                    RunArgsError::NeedsArgument(format!("{letter:?} in -{}", shown(shorts)))
                })?;
                return apply(option, value, draft);
            }
        }
    }
    Ok(())
}

fn apply(option: &'static Opt, value: &str, draft: &mut Draft<'_>) -> Result<(), RunArgsError> {
    let set = match option.support {
        Support::Yes(set) => set,
        // `--gpus` with a value and `--use-api-socket=false` alike: what is refused is refused by name.
        Support::No(reason) => {
            return Err(RunArgsError::Unsupported {
                option: option.name.to_owned(),
                reason: reason.to_owned(),
            });
        }
    };
    draft.args.given.insert(option.name);
    set(draft, value).map_err(|reason| RunArgsError::Invalid {
        value: shown(value),
        flag: option.flag(),
        reason,
    })
}
