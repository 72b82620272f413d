//! The `process` part: what runs, as whom, with which environment and limits.

use serde_json::{Value, json};

use super::{Account, SpecError, SpecInput, capabilities};
use crate::api::{Config, Ulimit};
use crate::runargs::ulimit;

/// Docker's search path, for images that set none.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything below `process` except what `security` adds, and the OOM score, which the engine sets itself.
pub(super) fn process(input: &SpecInput<'_>, capabilities: &[String]) -> Result<Value, SpecError> {
    let config = &input.body.config;
    let host = &input.body.host_config;
    Ok(json!({
        "terminal": config.tty,
        "user": user_json(input.account),
        "args": args(config)?,
        "env": environment(config, &[], input.hostname, &input.account.home),
        "cwd": working_directory(config)?,
        "capabilities": capabilities::sets(capabilities),
        "rlimits": limits(&host.ulimits)?,
    }))
}

/// `process.user`.
pub fn user_json(account: &Account) -> Value {
    json!({ "uid": account.uid, "gid": account.gid, "additionalGids": account.additional_gids })
}

/// What runs, and its arguments.
pub(super) fn args(config: &Config) -> Result<Vec<String>, SpecError> {
    let entrypoint = config
        .entrypoint
        .as_deref()
        // `--entrypoint ""` resets the image's entry point.
        .filter(|words| !matches!(words, [one] if one.is_empty()))
        .unwrap_or_default();
    let command = config.cmd.as_deref().unwrap_or_default();
    let words: Vec<String> = entrypoint.iter().chain(command).cloned().collect();
    match words.is_empty() {
        true => Err(SpecError::NoCommand),
        false => Ok(words),
    }
}

fn working_directory(config: &Config) -> Result<&str, SpecError> {
    match config.working_dir.as_str() {
        "" => Ok("/"),
        path if path.starts_with('/') => Ok(path),
        path => Err(SpecError::WorkingDirectory(path.to_owned())),
    }
}

/// What Docker's daemon adds, over that the container's own, over both what is `given` to one process.
pub fn environment(config: &Config, given: &[String], hostname: &str, home: &str) -> Vec<String> {
    let mut env = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if config.tty {
        env.push("TERM=xterm".to_owned());
    }
    let mut env = over(over(env, &config.env), given);
    // Runtimes add it last, only where nothing else set it.
    if !config
        .env
        .iter()
        .chain(given)
        .any(|entry| name(entry) == "HOME")
    {
        env.push(format!("HOME={home}"));
    }
    env
}

/// Docker's rule: the last of several equal names wins, at the place of the first; a name alone takes away what is below, but
/// not what was `given` beside it, such as by a file of variables.
fn over(mut env: Vec<String>, given: &[String]) -> Vec<String> {
    let below = env.len();
    let mut places: std::collections::HashMap<String, usize> = env
        .iter()
        .enumerate()
        .map(|(place, entry)| (name(entry).to_owned(), place))
        .collect();
    let mut removed = std::collections::HashSet::new();
    for entry in given {
        let known = places.get(name(entry)).copied();
        match (entry.contains('='), known) {
            (true, Some(place)) => {
                removed.remove(&place);
                env[place].clone_from(entry);
            }
            (true, None) => {
                places.insert(name(entry).to_owned(), env.len());
                env.push(entry.clone());
            }
            (false, Some(place)) if place < below => {
                removed.insert(place);
            }
            (false, _) => {}
        }
    }
    let mut place = 0;
    env.retain(|_| {
        place += 1;
        !removed.contains(&(place - 1))
    });
    env
}

fn name(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _)| name)
}

fn limits(ulimits: &[Ulimit]) -> Result<Vec<Value>, SpecError> {
    ulimits
        .iter()
        .map(|limit| {
            if !ulimit::NAMES.contains(&limit.name.as_str()) {
                return Err(SpecError::UnknownLimit(limit.name.clone()));
            }
            // -1 is unlimited, which is the largest unsigned number.
            let unsigned = |value: i64| value as u64;
            Ok(json!({
                "type": format!("RLIMIT_{}", limit.name.to_uppercase()),
                "soft": unsigned(limit.soft),
                "hard": unsigned(limit.hard),
            }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_the_environment_in_dockers_order() {
        let env = |entries: &[&str], tty: bool| {
            let config = Config {
                env: entries.iter().map(|e| (*e).to_owned()).collect(),
                tty,
                ..Default::default()
            };
            environment(&config, &[], "h", "/root")
        };
        let config = Config {
            env: ["A=1", "B=2"].map(str::to_owned).into(),
            ..Default::default()
        };
        let given = ["B=3", "A", "C=4"].map(str::to_owned);
        assert_eq!(
            environment(&config, &given, "h", "/root"),
            [DEFAULT_PATH, "HOSTNAME=h", "B=3", "C=4", "HOME=/root"]
        );
        assert_eq!(env(&[], false), [DEFAULT_PATH, "HOSTNAME=h", "HOME=/root"]);
        assert_eq!(
            env(&["A=1", "PATH=/x", "A=2", "HOSTNAME"], true),
            ["PATH=/x", "TERM=xterm", "A=2", "HOME=/root"]
        );
        assert_eq!(
            env(&["HOME=/h", "B", "PATH"], false),
            ["HOSTNAME=h", "HOME=/h"]
        );
        assert_eq!(env(&["HOME"], false), [DEFAULT_PATH, "HOSTNAME=h"]);
        assert_eq!(
            env(&["A", "A=1", "A"], false),
            [DEFAULT_PATH, "HOSTNAME=h", "A=1", "HOME=/root"]
        );
    }
}
