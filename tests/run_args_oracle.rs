//! Docker's own client as the judge of the run arguments' parser.
//!
//! `tests/fixtures/run_args/*.txt` hold command lines; `docker-28.2.2.json` holds what Docker's client made of them: the body
//! of its create call, or its error; `docker-28.2.2-run-help.txt` holds its list of options. The plain tests compare dray with that record. The ignored one asks a real client
//! again, through a server that answers just enough of Docker's API, and compares the record with it; with `DRAY_RECORD=1`
//! it writes the record anew.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test reads its environment and writes its fixture"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use dray::host::Host;
use dray::runargs::{RunArgs, describe, explain, split};
use serde_json::{Map, Value, json};

mod docker_client;

const FOLDER: &str = "tests/fixtures/run_args";
const RECORD: &str = "tests/fixtures/run_args/docker-28.2.2.json";
const HELP: &str = "tests/fixtures/run_args/docker-28.2.2-run-help.txt";
const OWN_WORDS: &str = "tests/fixtures/run_args/own-words.txt";

/// The lines of one list, without comments.
fn lines(list: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(FOLDER).join(list)).unwrap();
    text.lines()
        .filter(|line| !line.starts_with('#') && (!line.is_empty() || list == "wrong.txt"))
        .map(str::to_owned)
        .collect()
}

/// The environment that both sides see.
fn environment() -> BTreeMap<String, String> {
    [("KNOWN", "known value"), ("PATH", "/usr/bin:/bin")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn host() -> Host {
    let mut host = Host::at(Path::new("/nonexistent"));
    host.env = environment()
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    host
}

fn record() -> Value {
    serde_json::from_str(&std::fs::read_to_string(RECORD).unwrap()).unwrap()
}

/// A create body without zero values, sets as sorted lists, and free of what depends on the machine or on chance: Docker's
/// client sends `-e` and `-v` in random order.
fn normalized(mut body: Value) -> Value {
    for key in ["ExposedPorts", "Volumes"] {
        if let Some(set) = body.get(key).and_then(Value::as_object) {
            let mut keys: Vec<String> = set.keys().cloned().collect();
            keys.sort();
            body[key] = json!(keys);
        }
    }
    let host = &mut body["HostConfig"];
    if let Some(host) = host.as_object_mut() {
        // The size of the terminal that the client runs in.
        host.remove("ConsoleSize");
        for key in ["MaskedPaths", "ReadonlyPaths"] {
            // An empty list is not the same as none here.
            if host.get(key).is_some_and(|paths| *paths == json!([])) {
                host.insert(key.to_owned(), json!("none"));
            }
        }
    }
    for list in ["/Env", "/HostConfig/Binds"] {
        if let Some(Value::Array(entries)) = body.pointer_mut(list) {
            entries.sort_by_key(Value::to_string);
        }
    }
    let folder = std::env::current_dir().unwrap();
    let parent = folder.parent().unwrap().to_str().unwrap();
    let text = serde_json::to_string(&without_zeros(body)).unwrap();
    let text = text
        .replace(folder.to_str().unwrap(), "/cwd/project")
        .replace(parent, "/cwd");
    serde_json::from_str(&text).unwrap()
}

fn without_zeros(value: Value) -> Value {
    let members = match value {
        Value::Object(members) => members,
        Value::Array(entries) => return entries.into_iter().map(without_zeros).collect(),
        other => return other,
    };
    let kept: Map<String, Value> = members
        .into_iter()
        .map(|(key, value)| (key, without_zeros(value)))
        .filter(|(_, value)| !is_zero(value))
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .collect();
    Value::Object(kept)
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) => false,
    }
}

/// dray's answer in the record's form.
fn ours(line: &str) -> Result<Value, String> {
    let words = split(line).map_err(|error| error.to_string())?;
    let args = RunArgs::parse_run(&words, &host()).map_err(|error| error.to_string())?;
    let body = explain(&words, &host()).map_err(|error| error.to_string())?;
    Ok(json!({ "name": args.name.unwrap_or_default(), "body": normalized(body) }))
}

#[test]
fn right_lines_mean_what_docker_means() {
    let record = record();
    let lines = lines("right.txt");
    assert!(lines.len() >= 200, "{} lines", lines.len());
    for line in lines {
        let ours = ours(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(ours, record["right"][&line], "{line}");
    }
}

/// `dray explain`, the program, on every line: nothing on the way from its command line changes the words.
#[test]
fn the_program_reads_its_words_like_the_library() {
    for list in ["right.txt", "wrong.txt"] {
        for line in lines(list) {
            let explained = Command::new(env!("CARGO_BIN_EXE_dray"))
                .arg("explain")
                .args(split(&line).unwrap())
                .env_clear()
                .envs(environment())
                .output()
                .unwrap();
            match ours(&line) {
                Ok(expected) => {
                    let body: Value = serde_json::from_slice(&explained.stdout)
                        .unwrap_or_else(|error| panic!("{line}: {error}: {explained:?}"));
                    assert_eq!(normalized(body), expected["body"], "{line}");
                }
                Err(reason) => {
                    let said = String::from_utf8(explained.stderr).unwrap();
                    assert_eq!(said, format!("dray: {reason}\n"), "{line}");
                    // An image is an argument, and no flag.
                    let code = if reason.contains("an image is missing") {
                        1
                    } else {
                        125
                    };
                    assert_eq!(explained.status.code(), Some(code), "{line}");
                    assert!(explained.stdout.is_empty(), "{line}");
                }
            }
        }
    }
}

#[test]
fn wrong_lines_are_refused_in_dockers_words() {
    assert!(lines("wrong.txt").len() >= 100);
    // The list of exceptions is a fixture, so that a change of words is seen and weighed.
    assert_eq!(
        own_words(&record()),
        std::fs::read_to_string(OWN_WORDS).unwrap()
    );
}

/// The wrong lines for which dray's words differ from Docker's.
fn own_words(record: &Value) -> String {
    let mut own = String::new();
    for line in lines("wrong.txt") {
        let refused = ours(&line).expect_err(&line);
        let docker = record["wrong"][&line].as_str();
        let docker = docker.unwrap_or_else(|| panic!("{line:?} has no record"));
        if refused != docker {
            own += &format!("{line}\n    docker: {docker}\n    dray:   {refused}\n");
        }
    }
    own
}

#[test]
fn what_dockers_daemon_refuses_is_refused_here_too() {
    for line in lines("daemon.txt") {
        let refused = ours(&line).expect_err(&line);
        assert!(
            !refused.is_empty() && !refused.contains('\n'),
            "{line}: {refused}"
        );
    }
}

#[test]
fn what_is_not_built_is_refused_by_name_with_a_reason() {
    for line in lines("refused.txt") {
        let refused = ours(&line).expect_err(&line);
        let words = split(&line).unwrap();
        let name = words[0].trim_start_matches('-');
        let start = format!("option --{name} is not supported by dray: ");
        assert!(
            refused.starts_with(&start) && refused.len() > start.len() + 20,
            "{line}: {refused}"
        );
    }
}

#[test]
fn ten_thousand_options_are_no_burden() {
    let start = std::time::Instant::now();
    let mut words: Vec<String> = (0..5_000)
        .flat_map(|n| {
            [
                format!("-eNAME{n}=value"),
                format!("-v/host/{n}:/container/{n}:ro"),
            ]
        })
        .collect();
    words.push("img".to_owned());
    let args = RunArgs::parse_run(&words, &host()).unwrap();
    assert_eq!(args.body.config.env.len(), 5_000);
    assert_eq!(args.body.host_config.binds.len(), 5_000);
    // Milliseconds when built for release; the bound only catches work that grows with the square.
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}

#[test]
fn every_option_of_dockers_help_is_in_the_table() {
    docker_knows_the_same_options(&std::fs::read_to_string(HELP).unwrap());
}

/// Asks a real client; see the head of this file.
#[test]
#[ignore = "needs Docker's client 28.2.2 on the PATH"]
fn docker_itself_says_what_the_record_says() {
    let mut docker = docker_client::Docker::start("28.2.2", environment());
    let help = docker.help();
    let mut surprises = Vec::new();
    let mut right = Map::new();
    for line in lines("right.txt") {
        match docker.create(&split(&line).unwrap()) {
            Ok((name, body)) => {
                right.insert(line, json!({ "name": name, "body": normalized(body) }));
            }
            Err(refused) => surprises.push(format!("{line}: {refused}")),
        }
    }
    let mut wrong = Map::new();
    for line in lines("wrong.txt") {
        match docker.create(&split(&line).unwrap()) {
            Ok((_, body)) => surprises.push(format!("{line}: taken as {body}")),
            Err(refused) => {
                wrong.insert(line, json!(refused));
            }
        }
    }
    // What is refused here for reasons of our own, Docker's client does take; but not for a Linux server what is Windows'.
    let elsewhere = ["--cpu-count", "--cpu-percent", "--io-max"];
    for line in lines("daemon.txt").iter().chain(&lines("refused.txt")) {
        let answer = docker.create(&split(line).unwrap());
        if answer.is_err() != elsewhere.iter().any(|option| line.starts_with(option)) {
            surprises.push(format!("{line}: {answer:?}"));
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    let said = json!({ "right": right, "wrong": wrong });
    if std::env::var_os("DRAY_RECORD").is_some() {
        let text = serde_json::to_string_pretty(&said).unwrap() + "\n";
        std::fs::write(RECORD, text).unwrap();
        std::fs::write(OWN_WORDS, own_words(&said)).unwrap();
        std::fs::write(HELP, &help).unwrap();
    }
    assert_eq!(help, std::fs::read_to_string(HELP).unwrap());
    assert_eq!(said, record());
}

/// Every option of the client's help is in our table, with a value or without as there, and the other way round.
fn docker_knows_the_same_options(help: &str) {
    let option = |line: &str| -> Option<(String, bool)> {
        // `-m, --memory bytes   text`; a wrapped text may start with a dash too.
        let (short, long) = line.trim_start().split_once("--")?;
        let (name, rest) = long.split_once(' ').filter(|_| short.len() <= 4)?;
        Some((name.to_owned(), rest.starts_with(' ')))
    };
    let docker: BTreeMap<String, bool> = help.lines().filter_map(option).collect();
    // Older spellings, and what the help shows for a Windows server only.
    let hidden = [
        "dns-opt",
        "net",
        "net-alias",
        "cpu-count",
        "cpu-percent",
        "io-maxbandwidth",
        "io-maxiops",
    ];
    let ours: BTreeMap<String, bool> = describe()
        .map(|row| (row.name.to_owned(), row.kind.is_empty()))
        .filter(|(name, _)| !hidden.contains(&name.as_str()))
        .collect();
    assert_eq!(ours, docker);
}
