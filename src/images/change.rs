//! Instructions of a Dockerfile that change an image's configuration, for `import --change`.

use serde_json::{Map, Value, json};

use crate::runargs::volume::clean;
use crate::runargs::{signal, split, value};

/// Nanoseconds of the shortest time that a health check may name; 0 is none.
const SHORTEST: i64 = 1_000_000;

/// Why an instruction is refused.
#[derive(Debug, thiserror::Error)]
#[error("change {text:?} is refused: {reason}")]
pub struct ChangeError {
    /// What was given.
    text: String,
    /// What is wrong with it.
    reason: String,
}

/// Changes the `config` of an image as `text`, one instruction, says.
pub fn change(config: &mut Map<String, Value>, text: &str) -> Result<(), ChangeError> {
    apply(config, text.trim()).map_err(|reason| ChangeError {
        text: text.chars().take(200).collect(),
        reason,
    })
}

fn apply(config: &mut Map<String, Value>, text: &str) -> Result<(), String> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let word = word.to_ascii_uppercase();
    let rest = rest.trim();
    let known = [
        "CMD",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "HEALTHCHECK",
        "LABEL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ];
    if word == "ONBUILD" {
        return Err("nothing is built from images here".to_owned());
    }
    if !known.contains(&word.as_str()) {
        return Err(format!("{word:?} is none of {}", known.join(", ")));
    }
    if rest.is_empty() {
        return Err(format!("{word} needs a value"));
    }
    match word.as_str() {
        "CMD" => set(config, "Cmd", command(rest)),
        "ENTRYPOINT" => {
            set(config, "Entrypoint", command(rest));
            // As docker: what was meant for another program goes.
            config.remove("Cmd");
        }
        "ENV" => environment(config, &pairs(rest)?),
        "LABEL" => {
            for (key, value) in pairs(rest)? {
                put(config, "Labels", key, value.into());
            }
        }
        "EXPOSE" => {
            for port in words(rest)? {
                for port in ports(&port)? {
                    put(config, "ExposedPorts", port, json!({}));
                }
            }
        }
        "VOLUME" => {
            for path in list(rest).map_or_else(|| words(rest), Ok)? {
                put(config, "Volumes", path, json!({}));
            }
        }
        "HEALTHCHECK" => set(config, "Healthcheck", health(rest)?),
        "WORKDIR" => {
            let before = config.get("WorkingDir").and_then(Value::as_str);
            let folder = folder(before.unwrap_or_default(), rest);
            set(config, "WorkingDir", folder.into());
        }
        "USER" => set(config, "User", rest.into()),
        _ => match signal::number(rest) {
            Some(_) => set(config, "StopSignal", rest.into()),
            None => return Err(format!("{rest:?} is no signal")),
        },
    }
    Ok(())
}

fn set(config: &mut Map<String, Value>, key: &str, value: Value) {
    config.insert(key.to_owned(), value);
}

/// Sets a member of the object under `key`.
fn put(config: &mut Map<String, Value>, key: &str, name: String, value: Value) {
    match config.get_mut(key).and_then(Value::as_object_mut) {
        Some(object) => drop(object.insert(name, value)),
        None => set(config, key, json!({ name: value })),
    }
}

/// A list of words as JSON.
fn list(text: &str) -> Option<Vec<String>> {
    text.starts_with('[')
        .then(|| serde_json::from_str(text).ok())
        .flatten()
}

/// A command as a list, or a line for the shell.
fn command(text: &str) -> Value {
    match list(text) {
        Some(words) => json!(words),
        None => json!(["/bin/sh", "-c", text]),
    }
}

fn words(text: &str) -> Result<Vec<String>, String> {
    split(text).map_err(|error| error.to_string())
}

/// `KEY=VALUE…`, or the old form `KEY VALUE`, of one pair.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let words = words(text)?;
    if words.first().is_some_and(|word| !word.contains('=')) {
        let (key, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        return match value.trim() {
            "" => Err(format!("{key:?} has no value")),
            value => Ok(vec![(key.to_owned(), value.to_owned())]),
        };
    }
    let pair = |word: String| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{word:?} is not of the form KEY=VALUE")),
    };
    words.into_iter().map(pair).collect()
}

fn environment(config: &mut Map<String, Value>, pairs: &[(String, String)]) {
    let before = config.get("Env").and_then(Value::as_array);
    let mut all: Vec<Value> = before.cloned().unwrap_or_default();
    for (key, value) in pairs {
        let is_same = |one: &Value| {
            let name = one.as_str().and_then(|one| one.split_once('='));
            name.is_some_and(|(name, _)| name == key)
        };
        let entry = Value::from(format!("{key}={value}"));
        match all.iter_mut().find(|one| is_same(one)) {
            Some(one) => *one = entry,
            None => all.push(entry),
        }
    }
    set(config, "Env", all.into());
}

/// `80`, `80/udp`, `8000-8010/tcp`.
fn ports(text: &str) -> Result<Vec<String>, String> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let bounds = (first.parse::<u16>(), last.parse::<u16>());
    match bounds {
        (Ok(first), Ok(last))
            if first > 0 && first <= last && ["tcp", "udp", "sctp"].contains(&&*protocol) =>
        {
            Ok((first..=last)
                .map(|port| format!("{port}/{protocol}"))
                .collect())
        }
        _ => Err(format!(
            "{text:?} is no port such as 80, 53/udp or 8000-8010"
        )),
    }
}

fn folder(before: &str, text: &str) -> String {
    match text.starts_with('/') {
        true => clean(text),
        false => clean(&format!("{before}/{text}")),
    }
}

fn health(text: &str) -> Result<Value, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(json!({"Test": ["NONE"]}));
    }
    let mut check = Map::new();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option
            .split_once(char::is_whitespace)
            .unwrap_or((option, ""));
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let member = match name {
            "interval" => "Interval",
            "timeout" => "Timeout",
            "start-period" => "StartPeriod",
            "start-interval" => "StartInterval",
            "retries" => "Retries",
            _ => return Err(format!("--{name} is no option of HEALTHCHECK")),
        };
        let number = match name {
            "retries" => value::integer(value)?,
            _ => value::duration(value)?,
        };
        // Docker's words.
        match name {
            "retries" if number < 0 => {
                return Err(format!("--retries cannot be negative ({number})"));
            }
            "retries" => {}
            _ if number != 0 && number < SHORTEST => {
                return Err(format!("Interval {name:?} cannot be less than 1ms"));
            }
            _ => {}
        }
        check.insert(member.to_owned(), number.into());
        rest = after.trim_start();
    }
    let words = rest.split_once(char::is_whitespace);
    let command = words.filter(|(word, _)| word.eq_ignore_ascii_case("cmd"));
    let (_, command) = command.ok_or("HEALTHCHECK needs CMD or NONE")?;
    let test = match list(command.trim()) {
        Some(words) => [vec!["CMD".to_owned()], words].concat(),
        None => vec!["CMD-SHELL".to_owned(), command.trim().to_owned()],
    };
    check.insert("Test".to_owned(), json!(test));
    Ok(check.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_change_what_they_name() {
        let mut config = Map::new();
        for text in [
            "CMD gone",
            "ENTRYPOINT [\"/init\", \"a b\"]",
            "cmd echo $HOME",
            "ENV A=b B='c d'",
            "ENV A more words",
            "LABEL x=\"1 2\" y=",
            "EXPOSE 80 53/udp 8000-8001",
            "VOLUME [\"/data\"]",
            "VOLUME /a /b",
            "USER 1000:1000",
            "WORKDIR /srv/./x",
            "WORKDIR ../y",
            "STOPSIGNAL SIGINT",
            "HEALTHCHECK --interval=5s --retries=2 CMD wget -q localhost",
        ] {
            change(&mut config, text).unwrap();
        }
        assert_eq!(
            Value::from(config),
            json!({
                "Entrypoint": ["/init", "a b"],
                "Cmd": ["/bin/sh", "-c", "echo $HOME"],
                "Env": ["A=more words", "B=c d"],
                "Labels": {"x": "1 2", "y": ""},
                "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}},
                "Volumes": {"/data": {}, "/a": {}, "/b": {}},
                "User": "1000:1000",
                "WorkingDir": "/srv/y",
                "StopSignal": "SIGINT",
                "Healthcheck": {"Interval": 5_000_000_000_i64, "Retries": 2, "Test": ["CMD-SHELL", "wget -q localhost"]},
            })
        );
    }

    #[test]
    fn what_is_none_is_refused_with_its_reason() {
        for (text, reason) in [
            ("RUN x", "\"RUN\" is none of CMD"),
            ("ONBUILD RUN x", "nothing is built"),
            ("CMD", "CMD needs a value"),
            ("ENV A", "\"A\" has no value"),
            ("ENV A=b c", "\"c\" is not of the form"),
            ("ENV A='b", "single quote"),
            ("EXPOSE 0", "is no port"),
            ("EXPOSE 9-8", "is no port"),
            ("EXPOSE 80/icmp", "is no port"),
            (
                "HEALTHCHECK --interval=-1s CMD x",
                "Interval \"interval\" cannot be less than 1ms",
            ),
            (
                "HEALTHCHECK --start-period=1us CMD x",
                "\"start-period\" cannot be less",
            ),
            ("HEALTHCHECK --retries=-1 CMD x", "cannot be negative (-1)"),
            ("HEALTHCHECK --wait=1s CMD x", "--wait is no option"),
            ("STOPSIGNAL HELLO", "is no signal"),
            ("HEALTHCHECK x", "needs CMD or NONE"),
        ] {
            let error = change(&mut Map::new(), text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
