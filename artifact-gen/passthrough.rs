//! What stands after `--`: options that the script handed on to `mender-artifact write module-image`.
//!
//! One table row per option. Those that only touch the header are honoured; the others are refused by name, because an
//! artifact without what was asked for is worse than none.

use std::path::PathBuf;

use dray::artifact::header::{Header, Software};
use dray::artifact::writer::Compression;

use crate::refusal::Refusal;

/// What the options after `--` say.
#[derive(Debug)]
pub struct Extra {
    /// Names, groups, depends and provides.
    pub header: Header,
    /// Parts of the software version key.
    pub software: Software,
    /// Whether the artifact provides its software version.
    pub default_software_version: bool,
    /// Whether it clears older versions of the same software.
    pub default_clears: bool,
    /// Another output file.
    pub output: Option<PathBuf>,
    /// Packing.
    pub compression: Compression,
}

enum Meaning {
    Value(fn(&mut Extra, String) -> Result<(), String>),
    Switch(fn(&mut Extra)),
    Refused(&'static str),
}

use Meaning::{Refused, Switch, Value};

const OURS: &str = "docker-artifact-gen sets it itself";
const LATER: &str = "it comes in a later release";
const SIGN: &str =
    "signing comes in a later release; until then run 'mender-artifact sign' on the finished file";

/// mender-artifact's names, long and short; a name of one letter is a short option.
const OPTIONS: &[(&[&str], Meaning)] = &[
    (
        &["artifact-name", "name", "n"],
        Value(|e, v| set(&mut e.header.artifact_name, v)),
    ),
    (
        &["device-type", "t", "compatible-types", "c"],
        Value(|e, v| add(&mut e.header.device_types, v)),
    ),
    (
        &["output-path", "o"],
        Value(|e, v| set(&mut e.output, Some(v.into()))),
    ),
    (
        &["artifact-name-depends", "N"],
        Value(|e, v| add(&mut e.header.depends_names, v)),
    ),
    (
        &["provides-group", "g"],
        Value(|e, v| set(&mut e.header.group, Some(v))),
    ),
    (
        &["depends-groups", "G"],
        Value(|e, v| add(&mut e.header.depends_groups, v)),
    ),
    (
        &["provides", "p"],
        Value(|e, v| pair(&v).map(|(k, v)| drop(e.header.provides.insert(k, v)))),
    ),
    (
        &["depends", "d"],
        Value(|e, v| pair(&v).map(|(k, v)| drop(e.header.depends.insert(k, v)))),
    ),
    (
        &["clears-provides"],
        Value(|e, v| add(&mut e.header.clears_provides, v)),
    ),
    (
        &["software-name"],
        Value(|e, v| set(&mut e.software.name, Some(v))),
    ),
    (
        &["software-version"],
        Value(|e, v| set(&mut e.software.version, Some(v))),
    ),
    (
        &["software-filesystem"],
        Value(|e, v| set(&mut e.software.filesystem, Some(v))),
    ),
    (&["compression"], Value(compression)),
    (&["version", "v"], Value(version)),
    (
        &["no-default-clears-provides"],
        Switch(|e| e.default_clears = false),
    ),
    (
        &["no-default-software-version"],
        Switch(|e| e.default_software_version = false),
    ),
    (&["no-progress"], Switch(|_| ())),
    (&["type", "T", "meta-data", "m"], Refused(OURS)),
    (
        &[
            "key",
            "k",
            "gcp-kms-key",
            "vault-transit-key",
            "keyfactor-signserver-worker",
        ],
        Refused(SIGN),
    ),
    (&["script", "s", "file", "f"], Refused(LATER)),
    (&["warn-artifact-size", "max-artifact-size"], Refused(LATER)),
    (
        &[
            "augment-type",
            "augment-depends",
            "augment-provides",
            "augment-meta-data",
            "augment-file",
        ],
        Refused("a signature does not cover it, so a device must not act on it"),
    ),
];

/// Reads the words as mender-artifact's own flag parser does: one or two dashes, the value after `=` or as next word.
pub fn parse(words: &[String]) -> Result<Extra, Refusal> {
    let mut extra = Extra {
        header: Header::default(),
        software: Software::default(),
        default_software_version: true,
        default_clears: true,
        output: None,
        compression: Compression::default(),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let refuse = |problem: &str| Refusal::usage(format!("{word} after '--': {problem}"));
        let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
            return Err(refuse("not an option; images go before '--'"));
        };
        let (name, attached) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (name, None),
        };
        let Some((_, meaning)) = OPTIONS.iter().find(|(names, _)| names.contains(&name)) else {
            return Err(refuse(
                "mender-artifact has no such option for module images",
            ));
        };
        match meaning {
            Refused(why) => return Err(refuse(why)),
            Switch(_) if attached.is_some() => return Err(refuse("takes no value")),
            Switch(apply) => apply(&mut extra),
            Value(apply) => {
                let value = attached
                    .or_else(|| words.next().cloned())
                    .filter(|value| !value.is_empty())
                    .ok_or_else(|| refuse("needs a value"))?;
                apply(&mut extra, value).map_err(|problem| refuse(&problem))?;
            }
        }
    }
    Ok(extra)
}

fn set<T>(place: &mut T, value: T) -> Result<(), String> {
    *place = value;
    Ok(())
}

fn add(list: &mut Vec<String>, value: String) -> Result<(), String> {
    list.push(value);
    Ok(())
}

/// Split at the first colon, as mender-artifact does.
fn pair(value: &str) -> Result<(String, String), String> {
    match value.split_once(':') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{value:?} is not KEY:VALUE")),
    }
}

fn compression(extra: &mut Extra, value: String) -> Result<(), String> {
    extra.compression = match value.as_str() {
        "gzip" => Compression::Gzip,
        "none" => Compression::None,
        other => {
            return Err(format!(
                "{other:?} comes in a later release; gzip and none are there"
            ));
        }
    };
    Ok(())
}

fn version(_: &mut Extra, value: String) -> Result<(), String> {
    match value.as_str() {
        "3" => Ok(()),
        other => Err(format!(
            "format version {other:?} is not written; only 3 is"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Extra, String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        parse(&words).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn values_come_attached_or_as_the_next_word() {
        for words in [
            [
                "-p",
                "a:b:c",
                "--provides=x:",
                "-N",
                "one",
                "--artifact-name-depends=two",
            ],
            [
                "--provides",
                "a:b:c",
                "-p=x:",
                "-artifact-name-depends",
                "one",
                "-N=two",
            ],
        ] {
            let extra = parsed(&words).unwrap();
            assert_eq!(extra.header.provides["a"], "b:c");
            assert_eq!(extra.header.provides["x"], "");
            assert_eq!(extra.header.depends_names, ["one", "two"]);
        }
    }

    #[test]
    fn switches_do_not_swallow_the_next_option() {
        let extra = parsed(&[
            "--no-default-software-version",
            "-g",
            "beta",
            "--compression",
            "none",
        ])
        .unwrap();
        assert!(!extra.default_software_version && extra.default_clears);
        assert_eq!(extra.header.group.as_deref(), Some("beta"));
        assert_eq!(extra.compression, Compression::None);
    }

    #[test]
    fn refusals_name_the_option_and_the_way_out() {
        for (words, line) in [
            (
                &["-T", "podman"][..],
                "Error: -T after '--': docker-artifact-gen sets it itself",
            ),
            (
                &["--meta-data=x"],
                "Error: --meta-data=x after '--': docker-artifact-gen sets it itself",
            ),
            (
                &["-s", "x"],
                "Error: -s after '--': it comes in a later release",
            ),
            (
                &["-k", "key.pem"],
                "Error: -k after '--': signing comes in a later release; \
                 until then run 'mender-artifact sign' on the finished file",
            ),
            (
                &["--compression", "lzma"],
                "Error: --compression after '--': \"lzma\" comes in a later release; gzip and none are there",
            ),
            (
                &["-v", "2"],
                "Error: -v after '--': format version \"2\" is not written; only 3 is",
            ),
            (
                &["-d", "novalue"],
                "Error: -d after '--': \"novalue\" is not KEY:VALUE",
            ),
            (&["-g"], "Error: -g after '--': needs a value"),
            (
                &["--no-default-clears-provides=1"],
                "Error: --no-default-clears-provides=1 after '--': takes no value",
            ),
            (
                &["--frobnicate"],
                "Error: --frobnicate after '--': mender-artifact has no such option for module images",
            ),
            (
                &["nginx"],
                "Error: nginx after '--': not an option; images go before '--'",
            ),
        ] {
            assert_eq!(parsed(words).unwrap_err(), line);
        }
    }

    #[test]
    fn no_option_stands_in_two_rows() {
        let mut names: Vec<&str> = OPTIONS
            .iter()
            .flat_map(|(names, _)| names.iter().copied())
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
