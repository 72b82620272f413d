//! `--log-driver` and `--log-opt`.

use std::collections::BTreeMap;

use super::RunArgsError;
use super::draft::Draft;
use super::value;

/// The drivers that dray has; an empty name is the configured default.
const DRIVERS: [&str; 4] = ["", "json-file", "local", "none"];

/// The options that they honour.
const OPTIONS: [&str; 2] = ["max-size", "max-file"];

/// Places driver and options, each checked: a limit that is misread would fill the device's disk.
pub(super) fn place(draft: &mut Draft<'_>) -> Result<(), RunArgsError> {
    let given = std::mem::take(&mut draft.log_options);
    let driver = draft.host().log_config.driver.clone();
    if driver == "none" && !given.is_empty() {
        return Err(format!("invalid logging opts for driver {driver}").into());
    }
    if !DRIVERS.contains(&driver.as_str()) {
        return Err(unsupported(
            "log-driver",
            format!("there is no driver {driver:?}; use json-file, local or none"),
        ));
    }
    let mut options = BTreeMap::new();
    for option in &given {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if !OPTIONS.contains(&name) {
            return Err(unsupported(
                "log-opt",
                format!("there is no option {name:?}; max-size and max-file exist"),
            ));
        }
        check(name, value)?;
        options.insert(name.to_owned(), value.to_owned());
    }
    draft.host().log_config.config = options;
    Ok(())
}

fn check(name: &str, text: &str) -> Result<(), String> {
    let valid = match name {
        "max-size" => value::bytes(text).is_ok_and(|size| size > 0),
        _ => value::decimal(text).is_ok_and(|files| files > 0),
    };
    match valid {
        true => Ok(()),
        false => Err(format!(
            "invalid value {text:?} for log option {name}: it has to be a positive number"
        )),
    }
}

fn unsupported(option: &str, reason: String) -> RunArgsError {
    RunArgsError::Unsupported {
        option: option.to_owned(),
        reason,
    }
}
