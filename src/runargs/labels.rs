//! `--label` and `--label-file`.

use super::RunArgsError;
use super::draft::Draft;
use super::environment::read_file;

/// `key[=value]`; a key has no blanks, those before it go unnoticed.
pub(super) fn label(text: &str) -> Result<String, String> {
    let key = text.split_once('=').map_or(text, |(key, _)| key);
    let key = key.trim_start_matches([' ', '\t']);
    if key.is_empty() {
        return Err(format!("invalid label '{text}': empty name"));
    }
    if key.contains([' ', '\t']) {
        return Err(format!("label '{key}' contains whitespaces"));
    }
    Ok(text.to_owned())
}

/// The files' labels, then those of `--label`; the last of equal keys counts.
pub(super) fn place(draft: &mut Draft<'_>) -> Result<(), RunArgsError> {
    let mut labels = Vec::new();
    for path in &draft.label_files {
        // Unlike a variable, a label without a value has nowhere to get one from and is dropped.
        labels.extend(read_file(path, &draft.outside, |_| None)?);
    }
    labels.append(&mut draft.labels);
    let pairs = labels
        .iter()
        .map(|label| label.split_once('=').unwrap_or((label, "")));
    draft.config().labels = pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_keys() {
        for (text, expected) in [
            ("a", Ok("a")),
            (" a=b c", Ok(" a=b c")),
            ("", Err("invalid label '': empty name")),
            ("=x", Err("invalid label '=x': empty name")),
            ("a b=c", Err("label 'a b' contains whitespaces")),
        ] {
            assert_eq!(
                label(text),
                expected.map(str::to_owned).map_err(str::to_owned),
                "{text}"
            );
        }
    }
}
