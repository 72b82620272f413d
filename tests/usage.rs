//! Wrong words: exit codes and messages as docker's client has them. The plain test compares dray with the table, the ignored
//! one docker's client.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test reads its environment, and a broken set-up should panic"
)]

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Output};

use dray::runargs::split;

#[expect(dead_code, reason = "another test asks it about docker run")]
mod docker_client;

/// Words, the exit code, and docker's message with its own name taken out; `=` before dray's own words.
const TABLE: &[(&str, i32, &str)] = &[
    ("--bogus", 125, "unknown flag: --bogus"),
    ("-z", 125, "unknown shorthand flag: 'z' in -z"),
    ("--bogus ps", 125, "unknown flag: --bogus"),
    ("nonsense", 1, "unknown command: dray nonsense"),
    ("pss", 1, "=unknown command: dray pss; did you mean ps?"),
    ("compse", 1, "unknown command: dray compse"),
    (
        "container nonsense",
        1,
        "=unknown command: dray container nonsense; see dray container --help",
    ),
    (
        "container --bogus",
        125,
        "=unknown flag: --bogus; see dray container --help",
    ),
    (
        "network nonsense",
        1,
        "unknown command: dray network nonsense",
    ),
    (
        "network lss",
        1,
        "=unknown command: dray network lss; did you mean ls?",
    ),
    (
        "volume nonsense",
        1,
        "unknown command: dray volume nonsense",
    ),
    ("volume --bogus", 125, "unknown flag: --bogus"),
    ("ps --bogus", 125, "unknown flag: --bogus"),
    ("ps --al", 125, "=unknown flag: --al; did you mean --all?"),
    ("ps -z", 125, "unknown shorthand flag: 'z' in -z"),
    ("ps -aqz", 125, "unknown shorthand flag: 'z' in -z"),
    ("ps extra", 1, "'dray ps' accepts no arguments"),
    (
        "ps -a -a --all=true extra",
        1,
        "'dray ps' accepts no arguments",
    ),
    (
        "ps --last x",
        125,
        "invalid argument \"x\" for \"-n, --last\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
    ),
    ("ps -n", 125, "=flag needs an argument: -n, --last"),
    ("ps --format", 125, "flag needs an argument: --format"),
    (
        "ps --all=maybe",
        125,
        "invalid argument \"maybe\" for \"-a, --all\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
    ),
    (
        "ps --filter name",
        125,
        "=invalid argument \"name\" for \"--filter\" flag: bad format of filter (expected name=value)",
    ),
    ("images a b", 1, "'dray images' requires at most 1 argument"),
    ("images --bogus", 125, "unknown flag: --bogus"),
    ("logs", 1, "'dray logs' requires 1 argument"),
    ("logs a b", 1, "'dray logs' requires 1 argument"),
    ("logs --tail", 125, "=flag needs an argument: -n, --tail"),
    (
        "logs -f=x a",
        125,
        "invalid argument \"x\" for \"-f, --follow\" flag: strconv.ParseBool: parsing \"x\": invalid syntax",
    ),
    ("exec", 1, "'dray exec' requires at least 2 arguments"),
    ("exec web", 1, "'dray exec' requires at least 2 arguments"),
    ("exec --bogus web x", 125, "unknown flag: --bogus"),
    ("exec -e", 125, "=flag needs an argument: -e, --env"),
    (
        "exec --privileged=maybe web x",
        125,
        "invalid argument \"maybe\" for \"--privileged\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
    ),
    (
        "exec --env-file /nonexistent web sh",
        1,
        "=failed to read \"/nonexistent\": No such file or directory (os error 2)",
    ),
    (
        "run",
        1,
        "=an image is missing: [OPTIONS] IMAGE [COMMAND] [ARG...]",
    ),
    (
        "run -d",
        1,
        "=an image is missing: [OPTIONS] IMAGE [COMMAND] [ARG...]",
    ),
    ("run --bogus x", 125, "unknown flag: --bogus"),
    (
        "run --memory x img",
        125,
        "invalid argument \"x\" for \"-m, --memory\" flag: invalid size: 'x'",
    ),
    ("run -e", 125, "flag needs an argument: 'e' in -e"),
    ("run -zd img", 125, "unknown shorthand flag: 'z' in -zd"),
    (
        "create",
        1,
        "=an image is missing: [OPTIONS] IMAGE [COMMAND] [ARG...]",
    ),
    ("create --bogus", 125, "unknown flag: --bogus"),
    (
        "create --env-file /nonexistent img",
        125,
        "=failed to read \"/nonexistent\": No such file or directory (os error 2)",
    ),
    ("start", 1, "'dray start' requires at least 1 argument"),
    ("start --bogus", 125, "unknown flag: --bogus"),
    (
        "start -a a b",
        1,
        "you cannot start and attach multiple containers at once",
    ),
    ("stop", 1, "'dray stop' requires at least 1 argument"),
    (
        "stop -t x web",
        125,
        "invalid argument \"x\" for \"-t, --timeout\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
    ),
    ("restart", 1, "'dray restart' requires at least 1 argument"),
    ("kill", 1, "'dray kill' requires at least 1 argument"),
    (
        "kill --signal",
        125,
        "=flag needs an argument: -s, --signal",
    ),
    ("rm", 1, "'dray rm' requires at least 1 argument"),
    (
        "rm -f=x y",
        125,
        "invalid argument \"x\" for \"-f, --force\" flag: strconv.ParseBool: parsing \"x\": invalid syntax",
    ),
    ("rename a", 1, "'dray rename' requires 2 arguments"),
    ("rename a b c", 1, "'dray rename' requires 2 arguments"),
    ("wait", 1, "'dray wait' requires at least 1 argument"),
    ("wait --bogus", 125, "unknown flag: --bogus"),
    ("pause", 1, "'dray pause' requires at least 1 argument"),
    ("attach a b", 1, "'dray attach' requires 1 argument"),
    ("cp a", 1, "'dray cp' requires 2 arguments"),
    ("cp --bogus a b", 125, "unknown flag: --bogus"),
    ("top", 1, "'dray top' requires at least 1 argument"),
    (
        "port",
        1,
        "'dray port' requires at least 1 and at most 2 arguments",
    ),
    ("stats --bogus", 125, "unknown flag: --bogus"),
    ("inspect", 1, "'dray inspect' requires at least 1 argument"),
    (
        "inspect --type=bad x",
        1,
        "=unknown type: \"bad\": must be one of container, image, network, volume",
    ),
    ("inspect --type", 125, "flag needs an argument: --type"),
    (
        "network create",
        1,
        "'dray network create' requires 1 argument",
    ),
    (
        "network create a b",
        1,
        "'dray network create' requires 1 argument",
    ),
    (
        "network create --opt",
        125,
        "=flag needs an argument: -o, --opt",
    ),
    (
        "network create --label =x a",
        125,
        "invalid argument \"=x\" for \"--label\" flag: invalid label '=x': empty name",
    ),
    (
        "network create --ipv6=maybe a",
        125,
        "invalid argument \"maybe\" for \"--ipv6\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
    ),
    (
        "network rm",
        1,
        "'dray network rm' requires at least 1 argument",
    ),
    ("network ls x", 1, "'dray network ls' accepts no arguments"),
    (
        "network connect a",
        1,
        "'dray network connect' requires 2 arguments",
    ),
    (
        "network prune x",
        1,
        "'dray network prune' accepts no arguments",
    ),
    (
        "volume create a b",
        1,
        "'dray volume create' requires at most 1 argument",
    ),
    (
        "volume create --label =x a",
        125,
        "invalid argument \"=x\" for \"--label\" flag: invalid label '=x': empty name",
    ),
    ("volume ls x", 1, "'dray volume ls' accepts no arguments"),
    (
        "volume rm",
        1,
        "'dray volume rm' requires at least 1 argument",
    ),
    (
        "volume prune --filter x",
        125,
        "invalid argument \"x\" for \"--filter\" flag: bad format of filter (expected name=value)",
    ),
    ("pull", 1, "'dray pull' requires 1 argument"),
    ("pull a b", 1, "'dray pull' requires 1 argument"),
    (
        "pull BAD",
        1,
        "=image reference \"BAD\" has upper-case letters in the repository name; it must be lower case",
    ),
    ("load extra", 1, "'dray load' accepts no arguments"),
    ("load -i", 125, "=flag needs an argument: -i, --input"),
    ("save", 1, "'dray save' requires at least 1 argument"),
    ("save --bogus x", 125, "unknown flag: --bogus"),
    (
        "import",
        1,
        "='dray import' requires at least 1 and at most 2 arguments",
    ),
    ("history", 1, "'dray history' requires 1 argument"),
    (
        "history --human=x a",
        125,
        "invalid argument \"x\" for \"-H, --human\" flag: strconv.ParseBool: parsing \"x\": invalid syntax",
    ),
    ("login a b", 1, "'dray login' requires at most 1 argument"),
    ("login -u", 125, "=flag needs an argument: -u, --username"),
    ("logout --bogus", 125, "unknown flag: --bogus"),
    ("rmi", 1, "'dray rmi' requires at least 1 argument"),
    ("tag a", 1, "'dray tag' requires 2 arguments"),
    ("version x", 1, "'dray version' accepts no arguments"),
    ("info --bogus", 125, "unknown flag: --bogus"),
    ("container rm", 1, "='dray rm' requires at least 1 argument"),
    (
        "image ls a b",
        1,
        "='dray images' requires at most 1 argument",
    ),
    (
        "image prune x",
        1,
        "'dray image prune' accepts no arguments",
    ),
];

fn words(line: &str) -> Vec<String> {
    split(line).unwrap()
}

/// Exit code and the first line of what dray says against these words.
fn dray(line: &str) -> (Option<i32>, String) {
    said(
        Command::new(env!("CARGO_BIN_EXE_dray"))
            .args(words(line))
            .env("DRAY_CONFIG", "/dev/null")
            .output()
            .unwrap(),
    )
}

fn said(output: Output) -> (Option<i32>, String) {
    let said = String::from_utf8(output.stderr).unwrap();
    let line = said.lines().next().unwrap_or_default();
    (output.status.code(), line.to_owned())
}

#[test]
fn wrong_words_are_refused_with_dockers_codes_and_messages() {
    for (line, code, message) in TABLE {
        let message = message.strip_prefix('=').unwrap_or(message);
        let wanted = (Some(*code), format!("dray: {message}"));
        assert_eq!(dray(line), wanted, "{line}");
    }
}

#[test]
#[ignore = "needs Docker's client 28.2.2 on the PATH"]
fn docker_itself_says_what_the_table_says() {
    let docker = docker_client::Docker::start("28.2.2", BTreeMap::new());
    for (line, code, message) in TABLE {
        let (docker_code, said) = self::said(docker.run(&words(line)));
        assert_eq!(docker_code, Some(*code), "{line}: {said}");
        if !message.starts_with('=') {
            let said = said.strip_prefix("docker: ").unwrap_or(&said);
            assert_eq!(said.replace("docker", "dray"), *message, "{line}");
        }
    }
}

#[test]
fn a_group_without_a_word_and_dray_without_any_show_help() {
    for line in [
        "",
        "network",
        "volume",
        "container",
        "image",
        "--help",
        "-h",
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_dray"))
            .args(words(line))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}: {output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("\nCommands:\n"), "{line}: {said}");
    }
    for flag in ["--version", "-v", "-V"] {
        let output = Command::new(env!("CARGO_BIN_EXE_dray"))
            .arg(flag)
            .output()
            .unwrap();
        let wanted = format!("dray {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted);
    }
}

/// Those who call several at once get whole messages, not pieces of each: every one is one write, here one datagram.
#[test]
fn a_message_is_one_write() {
    for line in ["ps --bogus", "nonsense", "kill -s 99 web"] {
        let (heard, told) = UnixDatagram::pair().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_dray"))
            .args(words(line))
            .env("DRAY_CONFIG", "/dev/null")
            .stderr(OwnedFd::from(told))
            .spawn()
            .unwrap();
        assert!(!child.wait().unwrap().success(), "{line}");
        let mut piece = [0; 4096];
        let length = heard.recv(&mut piece).unwrap();
        let said = str::from_utf8(&piece[..length]).unwrap();
        assert!(
            said.starts_with("dray: ") && said.ends_with('\n'),
            "{said:?}"
        );
        heard.set_nonblocking(true).unwrap();
        assert!(heard.recv(&mut piece).is_err(), "{line}: more than one");
    }
}

/// Options of docker's client that come before its words. Docker obeys these, so they are in no table that it is asked about.
const BEFORE_THE_WORD: &[(&str, &str)] = &[
    (
        "-D ps",
        "--debug is not supported: what went wrong is said on stderr in any case; leave it out",
    ),
    (
        "--log-level debug ps",
        "--log-level is not supported: what went wrong is said on stderr in any case; leave it out",
    ),
    (
        "-H x ps",
        "--host is not supported: there is no daemon to talk to; run dray on the device itself",
    ),
    (
        "--context x ps",
        "--context is not supported: there is no daemon to talk to; run dray on the device itself",
    ),
];

#[test]
fn options_before_the_word_are_refused_with_the_reason() {
    for (line, message) in BEFORE_THE_WORD {
        let wanted = (Some(125), format!("dray: {message}"));
        assert_eq!(dray(line), wanted, "{line}");
    }
}
