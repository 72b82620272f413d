//! `--log-driver` and `--log-opt`: which drivers there are, the options of each, and the template of a tag.

use std::collections::BTreeMap;

use super::RunArgsError;
use super::draft::Draft;
use super::{syslog, value};

/// The drivers that dray has and the options that each honours.
const DRIVERS: [(&str, &[&str]); 5] = [
    (
        "json-file",
        &[
            "compress",
            "env",
            "env-regex",
            "labels",
            "labels-regex",
            "max-buffer-size",
            "max-file",
            "max-size",
            "mode",
            "tag",
        ],
    ),
    (
        "local",
        &[
            "compress",
            "max-buffer-size",
            "max-file",
            "max-size",
            "mode",
        ],
    ),
    ("none", &[]),
    (
        "syslog",
        &[
            "max-buffer-size",
            "mode",
            "syslog-address",
            "syslog-facility",
            "syslog-format",
            "syslog-tls-ca-cert",
            "syslog-tls-cert",
            "syslog-tls-key",
            "syslog-tls-skip-verify",
            "tag",
        ],
    ),
    (
        "journald",
        &[
            "env",
            "env-regex",
            "labels",
            "labels-regex",
            "max-buffer-size",
            "mode",
            "tag",
        ],
    ),
];

/// Largest `max-size` of files that are compressed, the default of `local`: the monitor does nothing else meanwhile.
pub const MAX_COMPRESSED: u64 = 20 << 20;

/// What a tag's template may name, as Docker calls it.
const TAG_FIELDS: [&str; 7] = [
    ".ID",
    ".FullID",
    ".Name",
    ".ImageID",
    ".ImageFullID",
    ".ImageName",
    ".DaemonName",
];

/// Places driver and options, each checked: a limit that is misread would fill the device's disk.
pub(super) fn place(draft: &mut Draft<'_>) -> Result<(), RunArgsError> {
    let given = std::mem::take(&mut draft.log_options);
    let driver = draft.host().log_config.driver.clone();
    if driver == "none" && !given.is_empty() {
        return Err(format!("invalid logging opts for driver {driver}").into());
    }
    // An empty name is the configured default; it is checked again when that is known.
    let driver = match &driver[..] {
        "" => "json-file",
        driver => driver,
    };
    let Some(known) = options(driver) else {
        return Err(unsupported("log-driver", no_driver(driver)));
    };
    let mut options = BTreeMap::new();
    for option in &given {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if !known.contains(&name) {
            return Err(unsupported("log-opt", no_option(driver, name)));
        }
        check(name, value)?;
        options.insert(name.to_owned(), value.to_owned());
    }
    check_together(driver, &options)?;
    draft.host().log_config.config = options;
    Ok(())
}

/// The options of a driver; `None` if dray does not have it.
pub fn options(driver: &str) -> Option<&'static [&'static str]> {
    let found = DRIVERS.iter().find(|(name, _)| *name == driver);
    found.map(|(_, options)| *options)
}

/// Says which drivers there are, after Docker's words.
pub fn no_driver(driver: &str) -> String {
    let names: Vec<&str> = DRIVERS.iter().map(|(name, _)| *name).collect();
    let instead = any_of(&names);
    format!("logger: no log driver named '{driver}' is registered; use {instead}")
}

/// Says which options there are, after Docker's words.
pub fn no_option(driver: &str, name: &str) -> String {
    let known = options(driver).unwrap_or_default();
    let instead = match name {
        _ if name.starts_with("cache-") => {
            "; dray keeps no second copy of what goes elsewhere, so leave it out"
        }
        "env" | "env-regex" | "labels" | "labels-regex" if known.contains(&"syslog-address") => {
            "; Docker's driver does nothing with it; use tag"
        }
        _ => "",
    };
    let said = format!("unknown log opt '{name}' for {driver} log driver");
    match known {
        [] => format!("{said}, which has none"),
        known => format!("{said}, which has {}{instead}", known.join(", ")),
    }
}

fn any_of(names: &[&str]) -> String {
    match names {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        names => names.concat(),
    }
}

/// Checks the value of an option that its driver has. Docker's words, then what is expected.
pub fn check(name: &str, text: &str) -> Result<(), String> {
    let expected = match name {
        "max-size" if text == "-1" => return Ok(()),
        "max-size" => {
            return check_size(
                text,
                "max-size must be a positive number",
                "10m, or -1 for no bound",
            );
        }
        "max-file" => {
            return match value::decimal(text) {
                Ok(files) if files > 0 => Ok(()),
                Ok(_) => Err("max-file cannot be less than 1".to_owned()),
                Err(_) => Err(format!(
                    "max-file: parsing {text:?}: invalid syntax; it is a number of files, at least 1"
                )),
            };
        }
        "compress" if value::boolean(text).is_ok() => return Ok(()),
        "compress" => {
            return Err(format!(
                "compress: parsing {text:?}: invalid syntax; use true or false"
            ));
        }
        "max-buffer-size" => {
            return check_size(text, "max-buffer-size must be a positive number", "4m")
                .map_err(|said| format!("error parsing option max-buffer-size: {said}"));
        }
        "mode" if ["", "blocking", "non-blocking"].contains(&text) => return Ok(()),
        "mode" => {
            return Err(format!(
                "logger: logging mode not supported: {text}; use blocking or non-blocking"
            ));
        }
        "syslog-address" => return syslog::address(text).map(drop),
        "syslog-facility" => return syslog::facility(text).map(drop),
        "syslog-format" => return syslog::format(text).map(drop),
        "syslog-tls-ca-cert" | "syslog-tls-cert" | "syslog-tls-key" if text.starts_with('/') => {
            return Ok(());
        }
        "syslog-tls-ca-cert" | "syslog-tls-cert" | "syslog-tls-key" => "an absolute path",
        "syslog-tls-skip-verify" if value::boolean(text).is_ok() => return Ok(()),
        "syslog-tls-skip-verify" => "true or false",
        "env-regex" | "labels-regex" => match regex_lite::Regex::new(text) {
            Ok(_) => return Ok(()),
            Err(error) => {
                return Err(format!(
                    "invalid value {text:?} for log option {name}: {error}"
                ));
            }
        },
        "tag" => return expand_tag(text, |_| String::new()).map(drop),
        _ => return Ok(()),
    };
    Err(format!(
        "invalid value {text:?} for log option {name}: it has to be {expected}"
    ))
}

fn check_size(text: &str, not_positive: &str, such_as: &str) -> Result<(), String> {
    match value::bytes(text) {
        Ok(size) if size > 0 => Ok(()),
        Ok(_) => Err(format!("{not_positive}, such as {such_as}")),
        Err(_) => Err(format!("invalid size: '{text}'; use one such as {such_as}")),
    }
}

/// Checks what the options of a driver say together.
pub fn check_together(driver: &str, options: &BTreeMap<String, String>) -> Result<(), String> {
    let given = |name: &str| options.get(name).map_or("", String::as_str);
    if options.contains_key("max-buffer-size") && given("mode") != "non-blocking" {
        return Err(
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'".to_owned(),
        );
    }
    let tls = options.keys().find(|name| name.starts_with("syslog-tls-"));
    if let Some(name) = tls.filter(|_| !given("syslog-address").starts_with("tcp+tls://")) {
        return Err(format!(
            "log option {name} needs a syslog-address that begins with tcp+tls://"
        ));
    }
    if options.contains_key("syslog-tls-cert") != options.contains_key("syslog-tls-key") {
        return Err(
            "log options syslog-tls-cert and syslog-tls-key belong together: give both".to_owned(),
        );
    }
    let compress = value::boolean(given("compress")).unwrap_or(false);
    if compress && (given("max-file") == "1" || given("max-size") == "-1") {
        return Err(match driver {
            "local" if given("max-file") == "1" => {
                "compression cannot be enabled when max file count is 1"
            }
            _ => "compress cannot be true when max-file is less than 2 or max-size is not set",
        }
        .to_owned());
    }
    let size = value::bytes(given("max-size")).ok();
    let size = size.and_then(|size| u64::try_from(size).ok());
    if compress && size.is_some_and(|size| size > MAX_COMPRESSED) {
        return Err(format!(
            "compress cannot be true when max-size is more than {}m, because the container's monitor compresses and would \
             do nothing else for too long; use a smaller max-size and a larger max-file, or leave compress out",
            MAX_COMPRESSED >> 20
        ));
    }
    Ok(())
}

/// Fills in the fields of a tag's template, such as `{{.Name}}`.
pub fn expand_tag(template: &str, value: impl Fn(&str) -> String) -> Result<String, String> {
    let mut tag = String::new();
    let mut rest = template;
    while let Some((before, field)) = rest.split_once("{{") {
        tag.push_str(before);
        let Some((field, after)) = field.split_once("}}") else {
            return Err(format!(
                "invalid log tag {template:?}: a {{{{ is not closed"
            ));
        };
        if !TAG_FIELDS.contains(&field.trim()) {
            return Err(format!(
                "invalid log tag {template:?}: {:?} is none of {}",
                field.trim(),
                TAG_FIELDS.join(", ")
            ));
        }
        tag.push_str(&value(field.trim()));
        rest = after;
    }
    Ok(tag + rest)
}

fn unsupported(option: &str, reason: String) -> RunArgsError {
    RunArgsError::Unsupported {
        option: option.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_filled_in() {
        let value = |field: &str| field[1..].to_lowercase();
        for (template, tag) in [
            ("", Ok("")),
            ("plain", Ok("plain")),
            ("{{.ImageName}}/{{ .Name }}", Ok("imagename/name")),
            ("x{{.ID}}y", Ok("xidy")),
            ("{{.ID", Err("a {{ is not closed")),
            ("{{.Hostname}}", Err("\".Hostname\" is none of .ID, ")),
            ("{{json .ID}}", Err("\"json .ID\" is none of .ID, ")),
        ] {
            match (expand_tag(template, value), tag) {
                (Ok(got), Ok(tag)) => assert_eq!(got, tag, "{template}"),
                (Err(got), Err(part)) => assert!(got.contains(part), "{template}: {got}"),
                other => panic!("{template}: {other:?}"),
            }
        }
    }

    #[test]
    fn every_option_of_every_driver_is_checked() {
        for (name, right, wrong) in [
            ("max-size", vec!["1", "10m", "-1"], vec!["0", "x", "-2", ""]),
            ("max-file", vec!["1", "9"], vec!["0", "x", "-1", ""]),
            ("compress", vec!["false", "true", "1"], vec!["yes", ""]),
            ("max-buffer-size", vec!["4m"], vec!["0", "x", ""]),
            ("mode", vec!["blocking", "non-blocking", ""], vec!["slow"]),
            ("tag", vec!["", "{{.ID}}"], vec!["{{.X}}"]),
            (
                "syslog-address",
                vec!["", "udp://a", "tcp+tls://a"],
                vec!["a", "tls://a"],
            ),
            ("syslog-facility", vec!["", "local0"], vec!["loud"]),
            ("syslog-format", vec!["", "rfc5424"], vec!["json"]),
            ("env", vec!["A,B", ""], vec![]),
            ("labels", vec!["a,b", ""], vec![]),
        ] {
            for value in right {
                assert_eq!(check(name, value), Ok(()), "{name}={value}");
            }
            for value in wrong {
                assert!(check(name, value).is_err(), "{name}={value}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_docker_s_words() {
        let compressed = |driver: &str, more: &str| {
            let (name, value) = more.split_once('=').unwrap();
            let options = [("compress", "true"), (name, value)];
            let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
            check_together(driver, &options.into()).unwrap_err()
        };
        for (said, wanted) in [
            (
                no_driver("x"),
                "logger: no log driver named 'x' is registered",
            ),
            (
                no_option("json-file", "x"),
                "unknown log opt 'x' for json-file log driver",
            ),
            (
                no_option("none", "x"),
                "unknown log opt 'x' for none log driver, which has none",
            ),
            (
                check("max-size", "0").unwrap_err(),
                "max-size must be a positive number",
            ),
            (check("max-size", "x").unwrap_err(), "invalid size: 'x'"),
            (
                check("max-file", "0").unwrap_err(),
                "max-file cannot be less than 1",
            ),
            (
                check("max-file", "x").unwrap_err(),
                "max-file: parsing \"x\": invalid syntax",
            ),
            (
                check("compress", "x").unwrap_err(),
                "compress: parsing \"x\": invalid syntax",
            ),
            (
                check("mode", "x").unwrap_err(),
                "logger: logging mode not supported: x",
            ),
            (
                check("max-buffer-size", "x").unwrap_err(),
                "error parsing option max-buffer-size: invalid size: 'x'",
            ),
            (
                check("syslog-address", "x").unwrap_err(),
                "syslog-address should be in form proto://address, got x",
            ),
            (
                check("syslog-address", "http://x").unwrap_err(),
                "unsupported scheme: 'http'",
            ),
            (
                check("syslog-facility", "x").unwrap_err(),
                "invalid syslog facility",
            ),
            (
                check("syslog-format", "x").unwrap_err(),
                "Invalid syslog format",
            ),
            (
                compressed("json-file", "max-file=1"),
                "compress cannot be true when max-file is less than 2 or max-size is not set",
            ),
            (
                compressed("local", "max-file=1"),
                "compression cannot be enabled when max file count is 1",
            ),
        ] {
            assert!(said.starts_with(wanted), "{said}");
        }
    }

    #[test]
    fn what_would_take_too_long_is_not_compressed_on_request() {
        for (compress, size, refused) in [
            ("true", "20m", false),
            ("true", "20971521", true),
            ("1", "1g", true),
            ("false", "1g", false),
        ] {
            let options = [("compress", compress), ("max-size", size)];
            let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let checked = check_together("local", &options.into());
            assert_eq!(checked.is_err(), refused, "{compress} {size}: {checked:?}");
        }
    }
}
