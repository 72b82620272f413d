//! All options of `docker run` (28.x) in one table: name, letter, kind of value, what it sets, and how or why not.

mod help;
mod table;

use super::draft::Draft;
use table::OPTIONS;

pub use help::{GROUPS, help};

/// One option.
pub(super) struct Opt {
    /// Long name.
    pub(super) name: &'static str,
    /// Letter.
    short: Option<char>,
    /// Kind of value as Docker's help calls it; empty for a switch.
    kind: &'static str,
    /// Where it ends up in the create call; what it does for options that stay with the client.
    sets: &'static str,
    /// How it is honoured.
    pub(super) support: Support,
}

/// How an option is honoured.
#[derive(Clone, Copy)]
pub(super) enum Support {
    /// Takes the value; the error is the reason why not.
    Yes(Setter),
    /// Not at all, and why.
    No(&'static str),
}

const NETWORKS: &str = "`bridge`, `host`, `none`, `container:NAME` or one's own; link-local-ip, driver-opt and gw-priority are refused";

/// What of a supported option's values is refused, and why.
const LIMITS: &[(&str, &str)] = &[
    (
        "disable-content-trust",
        "`false` is refused: there is no Notary; pin the image by digest",
    ),
    (
        "isolation",
        "anything but `default` is refused: Linux has no other",
    ),
    (
        "log-driver",
        "`json-file`, `local`, `none`, `syslog` or `journald`",
    ),
    ("mount", "`bind`, `volume` and `tmpfs`"),
    ("net", NETWORKS),
    ("network", NETWORKS),
    (
        "publish",
        "`[::1]` and link-local addresses are refused: the kernel passes nothing on from there",
    ),
    ("runtime", "`runc` or nothing: dray is the runtime"),
    ("volume-driver", "`local` or nothing: there is no other"),
];

type Setter = fn(&mut Draft<'_>, &str) -> Result<(), String>;

impl Opt {
    /// Takes no value of its own.
    pub(super) fn is_switch(&self) -> bool {
        self.kind.is_empty()
    }

    /// As Docker's messages show it: `-m, --memory`.
    pub(super) fn flag(&self) -> String {
        match self.short {
            Some(letter) => format!("-{letter}, --{}", self.name),
            None => format!("--{}", self.name),
        }
    }
}

/// The option of this long name.
pub(super) fn by_name(name: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.name == name)
}

/// The option of this letter.
pub(super) fn by_short(letter: char) -> Option<&'static Opt> {
    OPTIONS.iter().find(|option| option.short == Some(letter))
}

/// One row of the table, for whoever lists the options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Long name.
    pub name: &'static str,
    /// Letter.
    pub short: Option<char>,
    /// Kind of value as Docker's help calls it; empty for a switch.
    pub kind: &'static str,
    /// Where it ends up in the create call; what it does for options that stay with the client.
    pub sets: &'static str,
    /// Why it is refused, if it is.
    pub refused: Option<&'static str>,
    /// Which of its values are not taken, if it is supported otherwise.
    pub limit: Option<&'static str>,
}

/// All options of `docker run`, by name.
pub fn describe() -> impl Iterator<Item = Row> {
    OPTIONS.iter().map(|option| Row {
        name: option.name,
        short: option.short,
        kind: option.kind,
        sets: option.sets,
        refused: match option.support {
            Support::Yes(_) => None,
            Support::No(reason) => Some(reason),
        },
        limit: LIMITS
            .iter()
            .find(|(name, _)| *name == option.name)
            .map(|(_, limit)| *limit),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_there_once_and_in_order() {
        // `docker run --help` of 28.2 lists 104, and there are three older spellings of them.
        assert_eq!(OPTIONS.len(), 107);
        assert!(OPTIONS.is_sorted_by(|a, b| a.name < b.name));
        let letters: std::collections::BTreeSet<_> =
            OPTIONS.iter().filter_map(|o| o.short).collect();
        assert_eq!(letters.into_iter().collect::<String>(), "Pacdehilmpqtuvw");
    }

    #[test]
    fn limits_are_those_of_supported_options() {
        for (name, _) in LIMITS {
            let row = describe().find(|row| row.name == *name).unwrap();
            assert_eq!(row.refused, None, "{name}");
        }
    }

    #[test]
    fn every_refusal_says_why_in_a_sentence_of_its_own() {
        for row in describe() {
            assert!(!row.sets.is_empty(), "{}", row.name);
            if let Some(reason) = row.refused {
                assert!(
                    reason.len() > 20 && !reason.ends_with('.'),
                    "{}: {reason}",
                    row.name
                );
            }
        }
    }
}
