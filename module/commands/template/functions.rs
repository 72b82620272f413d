//! The functions of templates: Go's own and docker's.

use std::cmp::Ordering;

use anyhow::{anyhow, bail};
use serde_json::{Value, json};

use super::printf::printf;
use super::value::{is_something, shown};

/// Those that there are.
pub const NAMES: [&str; 23] = [
    "and", "eq", "ge", "gt", "index", "join", "json", "le", "len", "lower", "lt", "ne", "not",
    "or", "pad", "print", "printf", "println", "slice", "split", "title", "truncate", "upper",
];

/// Those of Go's that are refused by name: for web pages, and for values that are functions.
pub const REFUSED: [&str; 4] = ["call", "html", "js", "urlquery"];

/// Those that leave a column's heading as it is.
pub const KEPT_IN_HEADINGS: [&str; 7] = [
    "join", "json", "lower", "split", "title", "truncate", "upper",
];

/// What a function makes of its arguments.
pub fn call(name: &str, arguments: &[Value]) -> anyhow::Result<Value> {
    Ok(match (name, arguments) {
        ("json", [value]) => value.to_string().into(),
        ("print", all) => print(all).into(),
        ("println", all) => {
            let all: Vec<String> = all.iter().map(shown).collect();
            format!("{}\n", all.join(" ")).into()
        }
        ("printf", [form, all @ ..]) => printf(text(name, form)?, all)?.into(),
        ("not", [value]) => (!is_something(value)).into(),
        ("len", [value]) => match value {
            Value::Null => 0.into(),
            Value::String(text) => text.len().into(),
            Value::Array(all) => all.len().into(),
            Value::Object(all) => all.len().into(),
            other => bail!("template: len of {}", shown(other)),
        },
        ("index", [thing, keys @ ..]) => keys.iter().try_fold(thing.clone(), index)?,
        ("slice", [thing, bounds @ ..]) if bounds.len() <= 2 => slice(thing, bounds)?,
        ("eq", [one, others @ ..]) if !others.is_empty() => {
            let mut equal = false;
            for other in others {
                equal |= compare(one, other)? == Ordering::Equal;
            }
            equal.into()
        }
        ("ne", [one, other]) => (compare(one, other)? != Ordering::Equal).into(),
        ("lt", [one, other]) => compare(one, other)?.is_lt().into(),
        ("le", [one, other]) => compare(one, other)?.is_le().into(),
        ("gt", [one, other]) => compare(one, other)?.is_gt().into(),
        ("ge", [one, other]) => compare(one, other)?.is_ge().into(),
        ("lower", [one]) => text(name, one)?.to_lowercase().into(),
        ("upper", [one]) => text(name, one)?.to_uppercase().into(),
        ("title", [one]) => title(text(name, one)?).into(),
        ("split", [one, between]) => {
            let parts = text(name, one)?.split(text(name, between)?);
            parts.collect::<Vec<_>>().into()
        }
        ("join", [all, between]) => {
            let all = all.as_array().map_or(&[][..], Vec::as_slice);
            let all: anyhow::Result<Vec<&str>> = all.iter().map(|one| text(name, one)).collect();
            all?.join(text(name, between)?).into()
        }
        ("truncate", [one, count]) => {
            let (one, count) = (text(name, one)?, number(name, count)?);
            cut(one, count).into()
        }
        ("pad", [one, before, after]) => match text(name, one)? {
            "" => "".into(),
            one => {
                let blanks =
                    |count| Ok::<_, anyhow::Error>(" ".repeat(number(name, count)?.min(MAX_PAD)));
                format!("{}{one}{}", blanks(before)?, blanks(after)?).into()
            }
        },
        _ => bail!(
            "template: {} is a wrong number of arguments for {name}",
            arguments.len()
        ),
    })
}

/// No terminal is wider.
const MAX_PAD: usize = 1000;

/// Blanks stand between two of which neither is a text.
fn print(all: &[Value]) -> String {
    let mut text = String::new();
    for (at, one) in all.iter().enumerate() {
        if at > 0 && !one.is_string() && !all[at - 1].is_string() {
            text.push(' ');
        }
        text += &shown(one);
    }
    text
}

fn index(thing: Value, key: &Value) -> anyhow::Result<Value> {
    match (&thing, key) {
        (Value::Array(all), Value::Number(place)) => {
            let found = place.as_u64().and_then(|place| all.get(place as usize));
            found
                .cloned()
                .ok_or_else(|| anyhow!("template: index out of range: {place} of {}", all.len()))
        }
        // As in Go's maps, where what they would hold is known: texts or something larger.
        (Value::Object(all), Value::String(name)) => Ok(match all.get(name) {
            Some(found) => found.clone(),
            None if all.values().all(Value::is_string) => "".into(),
            None => Value::Null,
        }),
        (thing, key) => bail!("template: there is no {} in {:?}", shown(key), shown(thing)),
    }
}

fn slice(thing: &Value, bounds: &[Value]) -> anyhow::Result<Value> {
    let whole = match thing {
        Value::String(text) => text.len(),
        Value::Array(all) => all.len(),
        other => bail!("template: slice of {}", shown(other)),
    };
    let bound = |at: usize, usual| bounds.get(at).map_or(Ok(usual), |one| number("slice", one));
    let (from, to) = (bound(0, 0)?, bound(1, whole)?);
    let found = match thing {
        Value::String(text) => text.get(from..to).map(Value::from),
        other => other
            .as_array()
            .and_then(|all| all.get(from..to))
            .map(|all| json!(all)),
    };
    found.ok_or_else(|| anyhow!("template: slice out of range: {from} to {to} of {whole}"))
}

fn compare(one: &Value, other: &Value) -> anyhow::Result<Ordering> {
    let found = match (one, other) {
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Null, _) => Some(Ordering::Less),
        (_, Value::Null) => Some(Ordering::Greater),
        (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => Some(one.cmp(&other)),
            _ => one.as_f64().partial_cmp(&other.as_f64()),
        },
        _ => None,
    };
    found.ok_or_else(|| {
        let (one, other) = (shown(one), shown(other));
        anyhow!("template: {one:?} and {other:?} are of kinds that are not compared")
    })
}

/// At most so many bytes, and no part of a letter.
fn cut(text: &str, bytes: usize) -> &str {
    let bytes = bytes.min(text.len());
    let ends = (0..=bytes).rev().find(|at| text.is_char_boundary(*at));
    &text[..ends.unwrap_or_default()]
}

/// Each word with a capital.
fn title(text: &str) -> String {
    let mut title = String::with_capacity(text.len());
    for letter in text.chars() {
        let within = |before: char| before.is_alphanumeric() || before == '_';
        match title.ends_with(within) {
            true => title.push(letter),
            false => title.extend(letter.to_uppercase()),
        }
    }
    title
}

/// An argument that has to be a text.
pub fn text<'a>(name: &str, value: &'a Value) -> anyhow::Result<&'a str> {
    value.as_str().ok_or_else(|| {
        anyhow!(
            "template: {name} takes a text, and {} is none",
            shown(value)
        )
    })
}

fn number(name: &str, value: &Value) -> anyhow::Result<usize> {
    let number = value
        .as_u64()
        .and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| {
        anyhow!(
            "template: {name} takes a number, and {} is none",
            shown(value)
        )
    })
}
