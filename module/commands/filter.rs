//! `--filter`, as docker has it: of several values for one key one has to fit, of labels all.

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, bail};
use dray::runargs::value::boolean;

use super::{Context, logs};
use crate::exit::{self, Code};

/// Filters by key.
#[derive(Debug, Default)]
pub struct Filters<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Filters<'a> {
    /// From `KEY=VALUE`; keys that are not `known` are refused by name.
    pub fn parse(words: &'a [String], known: &[&str]) -> anyhow::Result<Filters<'a>> {
        let parse = |word: &'a String| -> anyhow::Result<(&'a str, &'a str)> {
            let malformed = || {
                format!(
                    "invalid argument {word:?} for \"--filter\" flag: bad format of filter (expected name=value)"
                )
            };
            let (key, value) = word
                .split_once('=')
                .with_context(malformed)
                .context(Code(exit::ENGINE))?;
            if !known.contains(&key) {
                bail!("invalid filter {key:?}: {} are there", known.join(", "))
            }
            if matches!(key, "dangling" | "all") && boolean(value).is_err() {
                bail!("invalid filter {word:?}: expected true or false")
            }
            let letter = |b: u8| b.is_ascii_alphanumeric() || b"_.-/".contains(&b);
            let name = value.trim_start_matches('^').trim_end_matches('$');
            if key == "name" && !name.bytes().all(letter) {
                bail!(
                    "invalid filter {word:?}: give a part of the name, with ^ and $ for its ends; other patterns are not \
                     supported"
                )
            }
            Ok((key, value))
        };
        Ok(Filters(words.iter().map(parse).collect::<Result<_, _>>()?))
    }

    /// The values for one key.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &'a str> {
        let all = self.0.iter().filter(move |(known, _)| *known == key);
        all.map(|(_, value)| *value)
    }

    /// Whether a switch is given, and on.
    pub fn switch(&self, key: &str) -> bool {
        self.values(key).any(|value| boolean(value) == Ok(true))
    }

    /// Whether that fits of which `fits` tells for a key and a value.
    pub fn fit(&self, fits: impl Fn(&str, &str) -> bool) -> bool {
        self.0.iter().all(|(key, value)| match *key {
            "label" | "label!" => fits(key, value),
            key => self.values(key).any(|value| fits(key, value)),
        })
    }

    /// Whether labels are as they have to be.
    pub fn fit_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        self.fit(|key, value| match key {
            "label" => label_fits(value, labels),
            "label!" => !label_fits(value, labels),
            _ => true,
        })
    }

    /// Before when things have to have been made, if that is said.
    pub fn until(&self, context: &Context<'_>) -> anyhow::Result<Option<SystemTime>> {
        let until = self.values("until").next();
        until
            .map(|text| logs::moment(text, context.host.now()))
            .transpose()
    }
}

/// `KEY=VALUE` of options such as `--label`, where a value may be left out.
pub fn labels(words: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let split = |word: &String| match word.split_once('=').unwrap_or((word, "")) {
        ("", _) => Err(anyhow!(
            "invalid argument {word:?} for \"--label\" flag: invalid label '{word}': empty name"
        ))
        .context(Code(exit::ENGINE)),
        (name, value) => Ok((name.to_owned(), value.to_owned())),
    };
    words.iter().map(split).collect()
}

/// Whether labels have `KEY` or `KEY=VALUE`.
pub fn label_fits(value: &str, labels: &BTreeMap<String, String>) -> bool {
    let (name, value) = match value.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (value, None),
    };
    let found = labels.get(name);
    found.is_some_and(|found| value.is_none_or(|value| value == found))
}

/// Whether `part` is in a name; `^` and `$` stand for its ends. Docker's containers have a slash before theirs.
pub fn name_fits(part: &str, name: &str) -> bool {
    let start = part.strip_prefix('^');
    let rest = start.unwrap_or(part);
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let end = rest.strip_suffix('$');
    let text = end.unwrap_or(rest);
    match (start.is_some(), end.is_some()) {
        (true, true) => name == text,
        (true, false) => name.starts_with(text),
        (false, true) => name.ends_with(text),
        (false, false) => name.contains(text),
    }
}

/// Whether something was made before `until`.
pub fn is_older(created: &str, until: Option<SystemTime>) -> bool {
    let created = dray::engine::parse_time(created);
    until.is_none_or(|until| created.is_some_and(|created| created < until))
}
