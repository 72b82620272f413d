//! `--help` of every word: all its options, each with what it means; those of docker run beside docker's own list.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking; the helpers of a test program count as no test"
)]

#[path = "common/help.rs"]
mod help;

use std::collections::BTreeSet;
use std::process::Command;

use help::{option, words};

/// What Docker's client says, as recorded for `run_args_oracle`.
const DOCKER: &str = include_str!("fixtures/run_args/docker-28.2.2-run-help.txt");

/// All words of Docker's client with their options, as recorded; the ignored test asks the client.
const OPTIONS: &str = include_str!("fixtures/docker-28.2.2-options.txt");

const ONE_PLATFORM: &str = "an image is for one platform here";
const CLUSTER: &str = "there is no swarm, and no volumes of a cluster";
const NO_DAEMON: &str = "there is no daemon to talk to";

/// Docker's options that are refused by name: word, options, how the reason begins. All others of its words are honoured.
/// Those of `run` and `create` are in a table of their own, which the README shows.
const REFUSED: [(&str, &str, &str); 26] = [
    (
        "commit",
        "author change message pause",
        "images are made elsewhere, on a workstation",
    ),
    (
        "docker",
        "config context host tls tlscacert tlscert tlskey tlsverify",
        NO_DAEMON,
    ),
    (
        "docker",
        "debug log-level",
        "what went wrong is said on stderr in any case",
    ),
    (
        "pull",
        "all-tags",
        "a device has room for the images that it runs",
    ),
    (
        "images",
        "tree",
        "an image is for one platform here and has no branches",
    ),
    (
        "container start",
        "checkpoint checkpoint-dir",
        "processes are not kept on disk",
    ),
    ("image history", "platform", ONE_PLATFORM),
    ("image inspect", "platform", ONE_PLATFORM),
    (
        "image ls",
        "tree",
        "an image is for one platform here and has no branches",
    ),
    (
        "image pull",
        "all-tags",
        "a device has room for the images that it runs",
    ),
    (
        "image rm",
        "no-prune",
        "an image has no parents that could stay",
    ),
    ("image rm", "platform", ONE_PLATFORM),
    (
        "network connect",
        "driver-opt",
        "an interface has no options here",
    ),
    (
        "network connect",
        "gw-priority",
        "the way outside is the network that was named first",
    ),
    (
        "network connect",
        "link-local-ip",
        "addresses that no router passes on",
    ),
    (
        "network create",
        "attachable ingress scope",
        "there is no swarm: each network is this device's own",
    ),
    (
        "network create",
        "aux-address",
        "addresses are kept free by --ip-range",
    ),
    (
        "network create",
        "config-from config-only",
        "a network is no pattern for others",
    ),
    (
        "network create",
        "ipam-driver ipam-opt",
        "addresses are given out by dray itself",
    ),
    (
        "network inspect",
        "verbose",
        "there is no swarm to tell more about",
    ),
    (
        "volume create",
        "availability group limit-bytes required-bytes scope secret sharing topology-preferred topology-required type",
        CLUSTER,
    ),
    ("volume ls", "cluster", CLUSTER),
    ("history", "platform", ONE_PLATFORM),
    ("rmi", "no-prune", "an image has no parents that could stay"),
    ("rmi", "platform", ONE_PLATFORM),
    (
        "start",
        "checkpoint checkpoint-dir",
        "processes are not kept on disk",
    ),
];

/// Docker's words that are refused as a whole, by name and with a reason, whatever their options.
const REFUSED_WORDS: &str = "build push search builder checkpoint container_commit container_diff container_export \
     container_update context image_build image_push manifest plugin system_events trust \
     volume_update config node secret service stack swarm diff events export update";

fn dray(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dray"))
        .args(words)
        .env("DRAY_CONFIG", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What is written as docker's users do is no mistake when help is asked for.
#[test]
fn help_does_not_mind_how_options_before_it_are_written() {
    for (written, word) in [
        (&["ps", "--all=true", "--help"][..], "ps"),
        (&["rm", "-f", "-f", "--help"], "rm"),
    ] {
        assert_eq!(
            dray(written),
            dray(&[word, "--help"]).as_str(),
            "{written:?}"
        );
    }
}

#[test]
fn run_names_every_option_of_dockers_with_its_meaning_or_the_reason_against_it() {
    let docker: BTreeSet<&str> = DOCKER.lines().filter_map(option).collect();
    assert!(docker.len() >= 100, "{docker:?}");
    let help = dray(&["run", "--help"]);
    let (honoured, refused) = help
        .split_once("\nNot honoured, and refused by name:\n")
        .unwrap();
    let named: BTreeSet<&str> = help.lines().filter_map(option).collect();
    assert_eq!(docker.difference(&named).count(), 0, "{help}");
    let table = dray::runargs::describe();
    for row in table {
        let part = if row.refused.is_some() {
            refused
        } else {
            honoured
        };
        let lines: Vec<&str> = part
            .lines()
            .filter(|l| option(l) == Some(row.name))
            .collect();
        assert_eq!(lines.len(), 1, "--{} in {help}", row.name);
        let (flag, meaning) = lines[0].trim_start().split_once("  ").expect(row.name);
        assert!(
            flag.ends_with(format!("--{} {}", row.name, row.kind).trim_end()),
            "{flag}"
        );
        assert!(meaning.trim().len() > 4, "{}", lines[0]);
    }
    // Asked for anywhere before the image, and by the words that take the same.
    assert_eq!(
        dray(&["run", "-it", "--name", "x", "--help", "image"]),
        help
    );
    let create = dray(&["create", "--help"]);
    let create: BTreeSet<&str> = create.lines().filter_map(option).collect();
    let only_run: Vec<_> = named.difference(&create).collect();
    assert_eq!(only_run, [&"detach", &"detach-keys", &"sig-proxy"]);
    for words in [
        &["create", "-d", "image"][..],
        &["create", "--sig-proxy=false", "image"],
        &["create", "--detach-keys=a", "image"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_dray"))
            .args(words)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(125), "{words:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("dray: unknown flag: --"), "{said}");
    }
}

/// What dray says against these words; nothing if it has nothing against them.
fn refusal(words: &[&str]) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_dray"))
        .args(words)
        .env("DRAY_CONFIG", "/dev/null")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (!output.status.success()).then(|| said.lines().next().unwrap_or_default().to_owned())
}

/// Every option of every word of docker's is honoured, or refused by name: none is unknown.
#[test]
fn every_option_of_every_word_of_dockers_is_honoured_or_refused_by_name() {
    let (mut options, mut refused, mut words) = (0, Vec::new(), Vec::new());
    for line in OPTIONS.lines().filter(|line| !line.starts_with('#')) {
        let (word, list) = match line.strip_prefix("docker ") {
            Some(list) => ("docker", list),
            None => line.split_once(':').unwrap_or((line, "")),
        };
        let path: Vec<&str> = word.split(' ').filter(|part| *part != "docker").collect();
        let help = [&path[..], &["--help"]].concat();
        if let Some(said) = refusal(&help) {
            let wanted = format!("dray: {word} is not supported: ");
            assert!(
                said.starts_with(&wanted) && said.len() > wanted.len() + 8,
                "{said}"
            );
            words.push(word.replace(' ', "_"));
            continue;
        }
        let help = dray(&help);
        let honoured: BTreeSet<&str> = help.lines().filter_map(option).collect();
        for one in list.split_whitespace() {
            options += 1;
            let (name, letter) = one.split_once('/').unwrap_or((one, ""));
            let (name, value) = match name.strip_suffix('=') {
                Some(name) => (name, &["value"][..]),
                None => (name, &[][..]),
            };
            if honoured.contains(name) {
                let short = help
                    .lines()
                    .find(|line| option(line) == Some(name))
                    .unwrap();
                let short = short.trim_start().strip_prefix('-').unwrap();
                assert!(
                    letter.is_empty() || short.starts_with(letter),
                    "{word} -{letter}: {short}"
                );
                continue;
            }
            let long = format!("--{name}");
            let said = refusal(&[&path[..], &[&long], value].concat()).unwrap();
            let start = format!("dray: --{name} is not supported: ");
            let reason = said
                .strip_prefix(&start)
                .unwrap_or_else(|| panic!("{word}: {said}"));
            refused.push((word, name, reason.to_owned()));
            if !letter.is_empty() {
                let short = format!("-{letter}");
                let by_letter = refusal(&[&path[..], &[&short], value].concat());
                assert_eq!(by_letter.as_ref(), Some(&said), "{word} {short}");
            }
        }
    }
    assert!(options > 150, "{options}");
    assert_eq!(words.join(" "), REFUSED_WORDS);
    let known = REFUSED.iter().flat_map(|(word, options, reason)| {
        options
            .split(' ')
            .map(move |option| (*word, option, *reason))
    });
    let known: BTreeSet<_> = known.collect();
    assert_eq!(refused.len(), known.len(), "{refused:?}");
    for (word, name, reason) in &refused {
        let meant = known.iter().find(|(w, n, _)| (w, n) == (word, name));
        let (_, _, start) = meant.unwrap_or_else(|| panic!("{word} --{name}: {reason}"));
        assert!(reason.starts_with(start), "{word} --{name}: {reason}");
    }
}

#[test]
#[ignore = "needs Docker's client 28.2.2 on the PATH"]
fn docker_has_the_words_and_options_that_are_recorded() {
    let docker = |words: &[&str]| {
        let output = Command::new("docker")
            .args(words)
            .arg("--help")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let top = docker(&[]);
    let mut recorded: BTreeSet<String> = BTreeSet::from(["run".into(), "create".into()]);
    for line in OPTIONS.lines().filter(|line| !line.starts_with('#')) {
        let (word, list) = match line.strip_prefix("docker ") {
            Some(list) => ("docker", list),
            None => line.split_once(':').unwrap_or((line, "")),
        };
        let path: Vec<&str> = word.split(' ').filter(|part| *part != "docker").collect();
        recorded.extend(path.first().map(|first| (*first).to_owned()));
        if !line.contains(':') && word != "docker" {
            continue;
        }
        let help = docker(&path);
        let there: BTreeSet<&str> = help.lines().filter_map(option).collect();
        let names = list
            .split_whitespace()
            .map(|one| one.split(['=', '/']).next().unwrap());
        assert_eq!(names.collect::<BTreeSet<_>>(), there, "{word}");
    }
    let lists = top
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let there = lists.filter_map(|line| line.split_whitespace().next());
    let there = there.filter(|word| !word.starts_with('-') && !word.ends_with('*'));
    assert_eq!(there.map(str::to_owned).collect::<BTreeSet<_>>(), recorded);
}

#[test]
fn every_word_says_what_it_does_and_what_its_options_mean() {
    let help = dray(&["--help"]);
    let all = words(&help);
    assert!(all.len() > 20, "{help}");
    for group in ["container", "image", "network", "system", "volume"] {
        assert!(all.contains(&group), "{group}: {help}");
    }
    let mut count = 0;
    for word in all {
        let own = dray(&[word, "--help"]);
        let mut pages = vec![own.clone()];
        pages.extend(
            words(&own)
                .into_iter()
                .map(|inner| dray(&[word, inner, "--help"])),
        );
        for page in pages {
            let lines: Vec<&str> = page.lines().collect();
            assert!(!lines[0].is_empty(), "{word}: {page}");
            assert!(page.contains("Usage: dray"), "{word}: {page}");
            for (number, line) in lines.iter().enumerate() {
                if option(line).is_none() {
                    continue;
                }
                count += 1;
                // On the same line, or where that is too long below it.
                let here = line
                    .trim_start()
                    .split_once("  ")
                    .map(|(_, rest)| rest.trim());
                let below = lines.get(number + 1).copied().unwrap_or_default();
                let below = below.starts_with("          ").then(|| below.trim());
                let meaning = here.or(below).unwrap_or_default();
                assert!(meaning.len() > 3, "{word}: {line:?} means nothing");
            }
        }
    }
    assert!(count > 150, "{count} options");
}

#[test]
fn a_message_shows_what_a_terminal_would_obey() {
    let output = Command::new(env!("CARGO_BIN_EXE_dray"))
        .args(["explain", "--stop-signal", "a\u{1b}[2Jb", "img"])
        .env("DRAY_CONFIG", "/dev/null")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "dray: invalid signal: a\\u{1b}[2Jb\n");
}
