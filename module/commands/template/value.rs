//! Values as Go sees them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// As Go prints it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".into(),
        Value::String(text) => text.clone(),
        Value::Array(all) => format!("[{}]", all.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(all) => {
            let pairs = in_order(all).map(|(key, one)| format!("{key}:{}", shown(one)));
            format!("map[{}]", pairs.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

/// A map as Go goes through it: by its keys, where ours keep the order in which they were written.
pub fn in_order(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let sorted: BTreeMap<&String, &Value> = map.iter().collect();
    sorted.into_iter()
}

/// Whether Go takes it for true.
pub fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(switch) => *switch,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => !all.is_empty(),
    }
}
