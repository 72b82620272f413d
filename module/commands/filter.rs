//! `--filter`, as docker has it: of several values for one key one has to fit, of labels all.

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, bail};
use dray::runargs::value::boolean;
use regex_lite::Regex;

use super::{Context, logs};
use crate::exit::{self, Code};

/// Filters by key.
#[derive(Debug, Default)]
pub struct Filters<'a>(Vec<(&'static str, &'a str)>);

/// Docker's filters that choose nothing here.
const NOTHING_TO_CHOOSE: [(&str, &str); 3] = [
    ("is-task", "there is no swarm, so no container is a task"),
    ("isolation", "only Windows has it"),
    ("node", "there is no swarm, so there are no nodes"),
];

impl<'a> Filters<'a> {
    /// From `KEY=VALUE`; keys that are not `known` are refused by name.
    pub fn parse(words: &'a [String], known: &[&'static str]) -> anyhow::Result<Filters<'a>> {
        // Docker's client takes an empty one for none.
        let words = words.iter().filter(|word| !word.is_empty());
        let filters = Filters(
            words
                .map(|word| pair(word, known))
                .collect::<anyhow::Result<_>>()?,
        );
        let switches = |on: bool| {
            let mut values = filters.values("dangling");
            values.any(|value| boolean(value) == Ok(on))
        };
        if switches(true) && switches(false) {
            bail!("invalid filter \"dangling\": it cannot be both true and false");
        }
        Ok(filters)
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

    /// Before when things have to have been made, if that is said; of several times the first.
    pub fn until(&self, context: &Context<'_>) -> anyhow::Result<Option<SystemTime>> {
        let times = self.values("until");
        let times = times.map(|text| logs::moment(text, context.host.now()));
        Ok(times.collect::<anyhow::Result<Vec<_>>>()?.into_iter().min())
    }
}

/// One filter: docker's client does not mind spaces around its parts, nor capitals in its key.
fn pair<'a>(word: &'a str, known: &[&'static str]) -> anyhow::Result<(&'static str, &'a str)> {
    let malformed = || {
        format!(
            "invalid argument {word:?} for \"--filter\" flag: bad format of filter (expected name=value)"
        )
    };
    let (key, value) = word
        .split_once('=')
        .with_context(malformed)
        .context(Code(exit::ENGINE))?;
    let (key, value) = (key.trim(), value.trim());
    let Some(key) = known.iter().find(|known| known.eq_ignore_ascii_case(key)) else {
        if let Some((key, reason)) = NOTHING_TO_CHOOSE.iter().find(|(name, _)| *name == key) {
            bail!("filter {key:?} is not supported: {reason}; leave it out")
        }
        bail!("invalid filter {key:?}: {} are there", known.join(", "))
    };
    if matches!(*key, "dangling" | "all") && boolean(value).is_err() {
        bail!("invalid filter {word:?}: expected true or false")
    }
    if matches!(*key, "id" | "name")
        && let Err(error) = Regex::new(value)
    {
        bail!("invalid filter {word:?}: {error}")
    }
    Ok((*key, value))
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

/// Whether an expression fits a part of a name or id, as docker has it.
pub fn name_fits(expression: &str, name: &str) -> bool {
    // One that cannot be read was refused before.
    expression == name || Regex::new(expression).is_ok_and(|regex| regex.is_match(name))
}

/// Whether something was made before `until`.
pub fn is_older(created: &str, until: Option<SystemTime>) -> bool {
    let created = dray::engine::parse_time(created);
    until.is_none_or(|until| created.is_some_and(|created| created < until))
}
