//! Docker's words that are others here, those of its groups `container`, `image` and `system`; and those that there are not.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};

use super::usage;
use crate::exit::{self, Code};

/// Words of docker's groups that are the same outside of them.
pub const SAME: [(&str, &str); 3] = [
    (
        "container",
        "attach cp create exec kill logs pause port rename restart rm run start stats stop top unpause wait",
    ),
    ("image", "history import load pull save tag"),
    ("system", "info"),
];

/// Words of docker's groups that are others outside of them.
pub const OTHERS: [(&str, &str, &[&str]); 14] = [
    ("container", "inspect", &["inspect", "--type=container"]),
    ("container", "list", &["ps"]),
    ("container", "ls", &["ps"]),
    ("container", "prune", &["container prune"]),
    ("container", "ps", &["ps"]),
    ("container", "remove", &["rm"]),
    ("image", "inspect", &["inspect", "--type=image"]),
    ("image", "list", &["images"]),
    ("image", "ls", &["images"]),
    ("image", "prune", &["image prune"]),
    ("image", "remove", &["rmi"]),
    ("image", "rm", &["rmi"]),
    ("system", "df", &["system df"]),
    ("system", "prune", &["system prune"]),
];

/// Docker's words that are refused, in groups or not, and the reason with what to use instead.
pub const REFUSED: [(&str, &str); 11] = [
    ("build builder buildx", MADE_ELSEWHERE),
    ("push", "devices only pull: push from a workstation"),
    (
        "compose",
        "not built yet; use run, or an artifact with several containers",
    ),
    (
        "checkpoint",
        "processes are not kept on disk; use stop and start",
    ),
    ("export", "not built yet; use cp, or exec with tar"),
    ("diff update", "not built yet"),
    (
        "events",
        "nobody is there to see them; use wait, logs -f, or ps --format json",
    ),
    (
        "context",
        "there is no daemon to talk to; run dray on the device itself",
    ),
    (
        "config node secret service stack swarm",
        "there is no swarm; deployments to a fleet are Mender's",
    ),
    (
        "manifest search trust",
        "registries are not browsed here; pull by name or digest, then inspect",
    ),
    (
        "plugin",
        "there are none: volumes, networks and logs are built in",
    ),
];

const MADE_ELSEWHERE: &str =
    "images are made elsewhere: build on a workstation and push to a registry";

/// The words that `words` stand for; those that there are not are refused by name.
pub fn meant(words: &[OsString]) -> anyhow::Result<Vec<OsString>> {
    let mut words = words.to_vec();
    if words.first().is_some_and(|word| word == "help") {
        // Asked after the words or before them.
        words.rotate_left(1);
        let last = words.len() - 1;
        words[last] = "--help".into();
    }
    let text = |at: usize| words.get(at).and_then(|word| word.to_str());
    let (Some(first), second) = (text(0), text(1)) else {
        return Ok(words);
    };
    let Some((_, same)) = SAME.iter().find(|(group, _)| *group == first) else {
        refuse(first, first)?;
        return Ok(words);
    };
    let Some(word) = second else {
        return Ok(words);
    };
    if word.starts_with('-') {
        return match word {
            "-h" | "--help" => Ok(words),
            flag => Err(anyhow!("unknown flag: {flag}; see dray {first} --help"))
                .context(Code(exit::ENGINE)),
        };
    }
    if same.split(' ').any(|known| known == word) {
        return Ok(words.split_off(1));
    }
    let is_meant = |(group, name, _): &&(&str, &str, _)| *group == first && *name == word;
    if let Some((_, _, others)) = OTHERS.iter().find(is_meant) {
        let rest = words.split_off(2);
        return Ok(others.iter().map(OsString::from).chain(rest).collect());
    }
    // Outside of the group the word is Mender's.
    if (first, word) == ("container", "commit") {
        bail!("container commit is not supported: {MADE_ELSEWHERE}");
    }
    refuse(word, &format!("{first} {word}"))?;
    let own = OTHERS.iter().filter(|(group, ..)| *group == first);
    let known = own.map(|(_, known, _)| *known).chain(same.split(' '));
    let hint = usage::hint("", word, known);
    bail!("unknown command: dray {first} {word}{hint}; see dray {first} --help")
}

fn refuse(word: &str, said: &str) -> anyhow::Result<()> {
    let is_meant = |(words, _): &&(&str, &str)| words.split(' ').any(|refused| refused == word);
    match REFUSED.iter().find(is_meant) {
        Some((_, reason)) => bail!("{said} is not supported: {reason}"),
        None => Ok(()),
    }
}

/// Prints the help of one of docker's groups.
pub fn group_help(group: &str) -> ExitCode {
    let own = OTHERS.iter().filter(|(of, ..)| *of == group);
    let own = own.map(|(_, word, others)| format!("  {word:10}{}\n", others.join(" ")));
    let same = SAME.iter().find(|(of, _)| *of == group);
    let same = same.into_iter().flat_map(|(_, same)| same.split(' '));
    let same = same.filter(|word| !word.is_empty());
    let same = same.map(|word| format!("  {word:10}{word}\n"));
    print!(
        "Docker's group of words, each the same as one without it\n\nUsage: dray {group} COMMAND\n\nCommands:\n{}",
        own.chain(same).collect::<String>()
    );
    ExitCode::SUCCESS
}

/// What of docker's there is not, for those who ask for help.
pub fn refused() -> String {
    let line =
        |(words, reason): &(&str, &str)| format!("  {}: {reason}\n", words.replace(' ', ", "));
    let lines: String = REFUSED.iter().map(line).collect();
    format!("\nDocker's words that are refused by name:\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_left_out_and_help_goes_to_the_end() {
        for (words, wanted) in [
            ("ps -a", Ok("ps -a")),
            ("help", Ok("--help")),
            ("help run", Ok("run --help")),
            ("help network ls", Ok("network ls --help")),
            ("container ls -a", Ok("ps -a")),
            ("container inspect web", Ok("inspect --type=container web")),
            ("container exec -it web sh", Ok("exec -it web sh")),
            ("container", Ok("container")),
            ("help image", Ok("image --help")),
            ("image rm -f x", Ok("rmi -f x")),
            ("system info", Ok("info")),
            ("image pull x", Ok("pull x")),
            ("nonsense", Ok("nonsense")),
            (
                "container lss",
                Err(
                    "unknown command: dray container lss; did you mean ls?; see dray container --help",
                ),
            ),
            (
                "container nonsense",
                Err("unknown command: dray container nonsense; see dray container --help"),
            ),
            (
                "image build .",
                Err(
                    "image build is not supported: images are made elsewhere: build on a workstation and push to a registry",
                ),
            ),
            (
                "push x",
                Err("push is not supported: devices only pull: push from a workstation"),
            ),
        ] {
            let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            let got = meant(&words).map_err(|error| exit::message(&error));
            let got = got.map(|words| words.join(" ".as_ref()).into_string().unwrap());
            assert_eq!(got, wanted.map(str::to_owned).map_err(str::to_owned));
        }
    }
}
