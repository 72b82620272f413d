//! What stands after `--`: options that the script handed on to `mender-artifact write module-image`.
//!
//! One table row per option. Those that mean something for this module are honoured; the others are refused by name,
//! because an artifact without what was asked for is worse than none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dray::artifact::compression::Compression;
use dray::artifact::header::{Header, Software};

use crate::refusal::Refusal;
use crate::size::Size;

/// What the options after `--` say.
#[derive(Debug)]
pub struct Extra {
    /// Names, groups, depends and provides.
    pub header: Header,
    /// Given as `--compatible-types` instead of `--device-type`.
    pub compatible_types: Vec<String>,
    /// Parts of the software version key.
    pub software: Software,
    /// Whether the artifact clears older versions of the same software.
    pub default_clears: bool,
    /// Another output file.
    pub output: Option<PathBuf>,
    /// Packing, if it is given.
    pub compression: Option<Compression>,
    /// State scripts, or folders of them.
    pub scripts: Vec<PathBuf>,
    /// Payload files.
    pub files: Vec<PathBuf>,
    /// Private key.
    pub key: Option<PathBuf>,
    /// Size from which on a warning is due.
    pub warn_size: Option<Size>,
    /// Size from which on there is no artifact.
    pub max_size: Option<Size>,
    /// Whether progress is not to be shown.
    pub is_silent: bool,
    /// Where on the line each key was provided, and where a part of the software version came last: the later one wins.
    provided_at: BTreeMap<String, usize>,
    software_at: usize,
    at: usize,
}

enum Meaning {
    Value(fn(&mut Extra, String) -> Result<(), String>),
    Switch(fn(&mut Extra, bool)),
    Refused(&'static str),
}

use Meaning::{Refused, Switch, Value};

const OURS: &str = "docker-artifact-gen sets it itself";
const ROOTFS: &str = "it is for rootfs images only";
const AUGMENT: &str = "a signature does not cover it, so a device must not act on it";
const PKCS11: &str = "give the token's own tool instead, before '--': --sign-command 'pkcs11-tool --login --sign \
                      --mechanism SHA256-RSA-PKCS --id ID', for EC keys 'openssl dgst -sha256 -binary | pkcs11-tool \
                      --login --sign --mechanism ECDSA --id ID'";

/// mender-artifact's names, long and short; a name of one letter is a short option.
const OPTIONS: &[(&[&str], Meaning)] = &[
    (
        &["artifact-name", "name", "n"],
        Value(|e, v| set(&mut e.header.artifact_name, v)),
    ),
    (
        &["device-type", "t"],
        Value(|e, v| add(&mut e.header.device_types, v)),
    ),
    (
        &["compatible-types", "c"],
        Value(|e, v| add(&mut e.compatible_types, v)),
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
    (&["provides", "p"], Value(provide)),
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
        Value(|e, v| software(e, v, |s| &mut s.name)),
    ),
    (
        &["software-version"],
        Value(|e, v| software(e, v, |s| &mut s.version)),
    ),
    (
        &["software-filesystem"],
        Value(|e, v| software(e, v, |s| &mut s.filesystem)),
    ),
    (&["compression"], Value(compression)),
    (&["version", "v"], Value(version)),
    (
        &["script", "s"],
        Value(|e, v| {
            e.scripts.push(v.into());
            Ok(())
        }),
    ),
    (
        &["file", "f"],
        Value(|e, v| {
            e.files.push(v.into());
            Ok(())
        }),
    ),
    (&["key", "k"], Value(|e, v| set(&mut e.key, Some(v.into())))),
    (
        &["warn-artifact-size"],
        Value(|e, v| Size::parse(&v).map(|size| e.warn_size = Some(size))),
    ),
    (
        &["max-artifact-size"],
        Value(|e, v| Size::parse(&v).map(|size| e.max_size = Some(size))),
    ),
    (
        &["no-default-clears-provides"],
        Switch(|e, on| e.default_clears = !on),
    ),
    (
        &["no-default-software-version"],
        Switch(|e, on| e.software.has_no_default = on),
    ),
    (&["no-progress"], Switch(|e, on| e.is_silent = on)),
    (&["type", "T", "meta-data", "m"], Refused(OURS)),
    (&["key-pkcs11"], Refused(PKCS11)),
    (
        &["gcp-kms-key"],
        Refused(
            "give the service's own tool instead, before '--': --sign-command 'gcloud kms asymmetric-sign --location L \
             --keyring R --key K --version V --digest-algorithm sha256 --input-file /dev/stdin --signature-file /dev/stdout'",
        ),
    ),
    (
        &["vault-transit-key"],
        Refused(
            "give the service's own tool instead, before '--': --sign-command 'vault write -field=signature \
             transit/sign/KEY/sha2-256 input=$(base64 -w0) signature_algorithm=pkcs1v15 | cut -d: -f3'",
        ),
    ),
    (
        &["azure-key"],
        Refused(
            "give the service's own tool instead, before '--': --sign-command 'az keyvault key sign --id ID --algorithm \
             RS256 --digest $(openssl dgst -sha256 -binary | base64 -w0) --query signature -o tsv'",
        ),
    ),
    (
        &["keyfactor-signserver-worker", "device-public-key"],
        Refused(
            "give a program that signs instead, before '--': --sign-command CMD gets the bytes to sign and prints the \
             signature",
        ),
    ),
    (
        &[
            "augment-type",
            "augment-depends",
            "augment-provides",
            "augment-meta-data",
            "augment-file",
        ],
        Refused(AUGMENT),
    ),
    (
        &[
            "no-checksum-provide",
            "legacy-rootfs-image-checksum",
            "ssh-args",
            "S",
            "tmp",
        ],
        Refused(ROOTFS),
    ),
];

impl Extra {
    fn new() -> Extra {
        Extra {
            header: Header::default(),
            compatible_types: Vec::new(),
            software: Software::default(),
            default_clears: true,
            output: None,
            compression: None,
            scripts: Vec::new(),
            files: Vec::new(),
            key: None,
            warn_size: None,
            max_size: None,
            is_silent: false,
            provided_at: BTreeMap::new(),
            software_at: 0,
            at: 0,
        }
    }

    /// Whether the software version goes over a value that was provided for its key: what comes last wins.
    pub fn software_overrides(&self, key: &str) -> bool {
        let provided = self.provided_at.get(key);
        provided.is_some_and(|provided| self.software_at > *provided)
    }
}

/// Reads the words as mender-artifact's own flag parser does: one or two dashes, the value after `=` or as next word.
pub fn parse(words: &[String]) -> Result<Extra, Refusal> {
    let mut extra = Extra::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        extra.at += 1;
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
            Switch(apply) => match attached.as_deref() {
                None | Some("true" | "TRUE" | "True" | "t" | "T" | "1") => apply(&mut extra, true),
                Some("false" | "FALSE" | "False" | "f" | "F" | "0") => apply(&mut extra, false),
                Some(_) => return Err(refuse("takes no value but true or false")),
            },
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

fn provide(extra: &mut Extra, value: String) -> Result<(), String> {
    let (key, value) = pair(&value)?;
    extra.provided_at.insert(key.clone(), extra.at);
    extra.header.provides.insert(key, value);
    Ok(())
}

fn software(
    extra: &mut Extra,
    value: String,
    part: fn(&mut Software) -> &mut Option<String>,
) -> Result<(), String> {
    extra.software_at = extra.at;
    set(part(&mut extra.software), Some(value))
}

/// Split at the first colon, as mender-artifact does.
fn pair(value: &str) -> Result<(String, String), String> {
    match value.split_once(':') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{value:?} is not KEY:VALUE")),
    }
}

fn compression(extra: &mut Extra, value: String) -> Result<(), String> {
    let compression = Compression::by_name(&value).ok_or_else(|| {
        format!(
            "{value:?} is not one of none, gzip, lzma, zstd_fastest, zstd_fast, zstd_better, zstd_best"
        )
    })?;
    set(&mut extra.compression, Some(compression))
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
        assert!(extra.software.has_no_default && extra.default_clears);
        assert_eq!(extra.header.group.as_deref(), Some("beta"));
        assert_eq!(extra.compression, Some(Compression::None));
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
                &["--augment-file", "x"],
                "Error: --augment-file after '--': a signature does not cover it, so a device must not act on it",
            ),
            (
                &["--ssh-args", "x"],
                "Error: --ssh-args after '--': it is for rootfs images only",
            ),
            (
                &["--compression", "bzip2"],
                "Error: --compression after '--': \"bzip2\" is not one of none, gzip, lzma, zstd_fastest, zstd_fast, \
                 zstd_better, zstd_best",
            ),
            (
                &["--max-artifact-size", "5 MB"],
                "Error: --max-artifact-size after '--': \"5 MB\" is not a size such as 5MB, 1.5GB or 5000000",
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
                &["--no-default-clears-provides=maybe"],
                "Error: --no-default-clears-provides=maybe after '--': takes no value but true or false",
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
    fn the_later_word_about_a_software_version_wins() {
        let provided = ["-p", "rootfs-image.docker.version:7"];
        let named = ["--software-version", "8"];
        let other = ["-p", "other.version:1"];
        let overrides = |words: &[[&str; 2]]| {
            let extra = parsed(&words.concat()).unwrap();
            extra.software_overrides("rootfs-image.docker.version")
        };
        assert!(overrides(&[provided, named]));
        assert!(overrides(&[provided, named, other]));
        assert!(!overrides(&[named, provided]));
        assert!(!overrides(&[provided]));
        assert!(!overrides(&[named]));
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
