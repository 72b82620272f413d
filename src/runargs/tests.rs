//! Whole lines of words; that they mean what Docker means is for `tests/run_args_oracle.rs`.

use std::path::Path;

use super::*;
use crate::api::HostConfig;

fn words(line: &str) -> Vec<String> {
    split(line).unwrap()
}

fn host() -> Host {
    Host::at(Path::new("/nonexistent"))
}

fn host_config(line: &str) -> HostConfig {
    RunArgs::parse(&words(line), &host())
        .unwrap()
        .body
        .host_config
}

fn refused(line: &str) -> String {
    RunArgs::parse(&words(line), &host())
        .unwrap_err()
        .to_string()
}

#[test]
fn splits_like_a_shell_without_expanding() {
    for (text, expected) in [
        ("", vec![]),
        (" \t\n ", vec![]),
        ("a b", vec!["a", "b"]),
        ("a  'b c' \"d e\"", vec!["a", "b c", "d e"]),
        ("a''b", vec!["ab"]),
        ("'' \"\"", vec!["", ""]),
        ("a\\ b", vec!["a b"]),
        ("a\\\nb", vec!["ab"]),
        ("\\\na", vec!["a"]),
        ("'a\\b'", vec!["a\\b"]),
        ("\"a\\b\\\"\\$\\`\\\\\"", vec!["a\\b\"$`\\"]),
        ("\"a\\\nb\"", vec!["ab"]),
        (
            "$HOME `id` $(id) * ? ~ # ; | & > <",
            vec![
                "$HOME", "`id`", "$(id)", "*", "?", "~", "#", ";", "|", "&", ">", "<",
            ],
        ),
        ("-e A='x y'z", vec!["-e", "A=x yz"]),
        ("é ü", vec!["é", "ü"]),
    ] {
        assert_eq!(split(text).unwrap(), expected, "{text:?}");
    }
    for (text, error) in [
        (
            "a 'b",
            "run arguments \"a 'b\" have a single quote that is never closed",
        ),
        (
            "a \"b\\\"",
            "run arguments \"a \\\"b\\\\\\\"\" have a double quote that is never closed",
        ),
        ("a\\", "run arguments \"a\\\\\" end in a backslash"),
    ] {
        assert_eq!(split(text).unwrap_err().to_string(), error);
    }
}

/// A small generator: the same numbers in every run, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn text(&mut self, alphabet: &[char], most: usize) -> String {
        (0..self.below(most))
            .map(|_| alphabet[self.below(alphabet.len())])
            .collect()
    }
}

/// Characters that mean something to a shell, and some that do not.
const ALPHABET: [char; 16] = [
    'a', 'b', ' ', '\t', '\n', '\'', '"', '\\', '$', '`', '*', '=', '-', 'é', '#', ';',
];

#[test]
fn what_is_quoted_comes_back() {
    let mut random = Random(1);
    for _ in 0..20_000 {
        let expected: Vec<String> = (0..random.below(5))
            .map(|_| random.text(&ALPHABET, 8))
            .collect();
        let single = |word: &String| format!("'{}'", word.replace('\'', "'\\''"));
        let escaped = |word: &String| {
            // A line break cannot be escaped outside of quotes: the two vanish.
            let word = word.replace(['"', '\\', '$', '`'], "x");
            (format!("\"{word}\""), word)
        };
        let line = expected.iter().map(single).collect::<Vec<_>>().join(" ");
        assert_eq!(split(&line).unwrap(), expected, "{line:?}");
        let (lines, plain): (Vec<_>, Vec<_>) = expected.iter().map(escaped).unzip();
        assert_eq!(split(&lines.join("\n")).unwrap(), plain, "{lines:?}");
    }
}

#[test]
fn any_text_is_split_or_refused_and_splits_the_same_again() {
    let mut random = Random(2);
    for _ in 0..50_000 {
        let text = random.text(&ALPHABET, 24);
        if let Ok(words) = split(&text) {
            let quoted = words
                .iter()
                .map(|w| format!("'{}'", w.replace('\'', "'\\''")));
            let again = quoted.collect::<Vec<_>>().join(" ");
            assert_eq!(split(&again).unwrap(), words, "{text:?}");
        }
    }
}

#[test]
fn any_words_are_taken_or_refused() {
    let mut random = Random(3);
    let names: Vec<String> = describe().map(|row| format!("--{}", row.name)).collect();
    let letters: Vec<char> = "acdehilmpqtuvwP=-x:/,.10é".chars().collect();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..50_000 {
        let mut words = Vec::new();
        for _ in 0..random.below(4) {
            words.push(match random.below(4) {
                0 => names[random.below(names.len())].clone(),
                1 => format!(
                    "{}={}",
                    names[random.below(names.len())],
                    random.text(&letters, 8)
                ),
                2 => format!("-{}", random.text(&letters, 6)),
                _ => random.text(&letters, 10),
            });
        }
        match RunArgs::check(&words) {
            Ok(_) => taken += 1,
            Err(error) => {
                refused += 1;
                let text = error.to_string();
                assert!(
                    !text.is_empty() && !text.contains('\n'),
                    "{words:?}: {text:?}"
                );
            }
        }
    }
    assert!(
        taken > 5_000 && refused > 5_000,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn options_only_means_options_only() {
    assert_eq!(
        refused("-d img"),
        "\"img\" is neither an option nor an option's value; run arguments hold options only, the image is named elsewhere"
    );
    assert_eq!(
        refused("--cidfile /x"),
        "option --cidfile is not supported by dray: a deployment's containers have no one place for their ids; leave it out"
    );
    assert!(RunArgs::parse(&words("-d --"), &host()).unwrap().detach);
    assert_eq!(RunArgs::parse(&[], &host()).unwrap().image, None);
    let help = RunArgs::parse_run(&words("--help"), &host()).unwrap_err();
    assert!(matches!(help, RunArgsError::Help));
}

#[test]
fn a_given_default_can_be_told_from_none() {
    let parse = |line: &str| RunArgs::parse(&words(line), &host()).unwrap();
    assert!(!parse("").given("restart"));
    assert!(parse("--restart no").given("restart"));
    assert_eq!(
        parse("").body.host_config.restart_policy,
        parse("--restart no").body.host_config.restart_policy
    );
    assert!(parse("-v /a:/b").given("volume"));
}

#[test]
fn order_is_kept_where_dockers_client_loses_it() {
    let args = RunArgs::parse(
        &words("-e B=1 -e A=1 -e B=2 -v /z:/z -v /a:/a -v /z:/z"),
        &host(),
    )
    .unwrap();
    assert_eq!(args.body.config.env, ["B=2", "A=1"]);
    assert_eq!(args.body.host_config.binds, ["/z:/z", "/a:/a"]);
}

#[test]
fn words_for_another_machine_touch_nothing_of_this_one() {
    let line = "--env-file /nonexistent/x --label-file /nonexistent/y -e HOME -v ./data:/data \
                --mount type=bind,src=../a,target=/b --security-opt seccomp=/nonexistent/z";
    let args = RunArgs::check(&words(line)).unwrap();
    assert_eq!(args.body.config.env, ["HOME"]);
    assert_eq!(args.body.host_config.binds, ["./data:/data"]);
    assert_eq!(args.body.host_config.mounts[0].source, "../a");
    assert_eq!(
        args.body.host_config.security_opt,
        ["seccomp=/nonexistent/z"]
    );
    assert!(RunArgs::check(&words("-v /a:b")).is_err());
}

#[test]
fn docker_would_have_warned() {
    let warnings = |line: &str| RunArgs::parse(&words(line), &host()).unwrap().warnings;
    assert_eq!(
        warnings("--network host -p 80:80 --dns 127.0.0.53"),
        [
            "Published ports are discarded when using host network mode",
            "Localhost DNS (127.0.0.53) may fail in containers."
        ]
    );
    assert_eq!(warnings("-p 80:80"), [""; 0]);
    assert_eq!(warnings("--oom-kill-disable").len(), 1);
}

#[test]
fn system_paths_become_two_empty_lists() {
    let host =
        host_config("--security-opt systempaths=unconfined --security-opt no-new-privileges");
    assert_eq!(host.masked_paths, Some(vec![]));
    assert_eq!(host.readonly_paths, Some(vec![]));
    assert_eq!(host.security_opt, ["no-new-privileges"]);
    assert_eq!(host_config("").masked_paths, None);
}
