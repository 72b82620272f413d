//! The function `printf` of templates: `%s`, `%v`, `%q`, `%d`, `%t`, `%f` and `%x` with width and precision.

use std::iter::Peekable;
use std::str::Chars;

use anyhow::bail;
use serde_json::Value;

use super::value::shown;

/// No terminal is wider.
const MAX_WIDTH: usize = 1000;

/// `form` with its verbs replaced by the arguments, as Go does it.
pub fn printf(form: &str, arguments: &[Value]) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut arguments = arguments.iter();
    let mut letters = form.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        if letters.next_if_eq(&'%').is_some() {
            text.push('%');
            continue;
        }
        let left = letters.next_if_eq(&'-').is_some();
        let zero = !left && letters.next_if_eq(&'0').is_some();
        let width = digits(&mut letters).unwrap_or(0).min(MAX_WIDTH);
        let has_precision = letters.next_if_eq(&'.').is_some();
        let precision = has_precision.then(|| digits(&mut letters).unwrap_or(0).min(MAX_WIDTH));
        let Some(verb) = letters.next() else {
            bail!("template: printf's {form:?} ends in a % without a verb");
        };
        let Some(argument) = arguments.next() else {
            bail!("template: printf's {form:?} has more verbs than arguments");
        };
        let part = one(verb, precision, argument)?;
        let missing = width.saturating_sub(part.chars().count());
        match (left, zero && argument.is_number()) {
            (true, _) => text += &(part + &" ".repeat(missing)),
            (false, true) => text += &("0".repeat(missing) + &part),
            (false, false) => text += &(" ".repeat(missing) + &part),
        }
    }
    if arguments.next().is_some() {
        bail!("template: printf's {form:?} has fewer verbs than arguments");
    }
    Ok(text)
}

fn digits(letters: &mut Peekable<Chars<'_>>) -> Option<usize> {
    let mut text = String::new();
    while let Some(digit) = letters.next_if(char::is_ascii_digit) {
        text.push(digit);
    }
    text.parse().ok()
}

fn one(verb: char, precision: Option<usize>, argument: &Value) -> anyhow::Result<String> {
    let cut = |text: String| match precision {
        Some(count) => text.chars().take(count).collect(),
        None => text,
    };
    Ok(match (verb, argument) {
        ('v', other) if !other.is_string() => shown(other),
        ('s' | 'v', Value::String(text)) => cut(text.clone()),
        ('s', all @ Value::Array(_)) => shown(all),
        ('q', Value::String(text)) => format!("{:?}", cut(text.clone())),
        ('t', Value::Bool(switch)) => switch.to_string(),
        ('d', Value::Number(number)) if !number.is_f64() => number.to_string(),
        ('x', Value::Number(number)) if number.is_u64() => {
            format!("{:x}", number.as_u64().unwrap_or_default())
        }
        ('f', Value::Number(number)) if number.is_f64() => {
            format!(
                "{:.*}",
                precision.unwrap_or(6),
                number.as_f64().unwrap_or_default()
            )
        }
        (verb @ ('s' | 'q' | 't' | 'd' | 'x' | 'f'), other) => {
            bail!("template: printf's %{verb} does not fit {}", shown(other))
        }
        (verb, _) => bail!(
            "template: printf's %{verb} is not supported by dray: %s, %v, %q, %d, %t, %f and %x are"
        ),
    })
}
