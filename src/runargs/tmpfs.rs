//! Mount options of `--tmpfs`, as Docker's daemon reads them.

/// What each tmpfs starts from.
const DEFAULTS: [&str; 4] = ["noexec", "nosuid", "nodev", "rprivate"];

/// Options that take a value.
const WITH_VALUE: [&str; 7] = [
    "size",
    "mode",
    "uid",
    "gid",
    "nr_inodes",
    "nr_blocks",
    "mpol",
];

/// Flags in groups that exclude each other: the last one given of a group counts.
const FLAGS: [&[&str]; 12] = [
    &["ro", "rw"],
    &["suid", "nosuid"],
    &["dev", "nodev"],
    &["exec", "noexec"],
    &["sync", "async"],
    &["dirsync"],
    &["mand", "nomand"],
    &["atime", "noatime"],
    &["diratime", "nodiratime"],
    &["relatime", "norelatime"],
    &["strictatime", "nostrictatime"],
    &[
        "private",
        "rprivate",
        "shared",
        "rshared",
        "slave",
        "rslave",
        "unbindable",
        "runbindable",
    ],
];

/// Docker's defaults with `options` (separated by commas) over them, each thing said once, the last one winning.
///
/// The error is the option that is none.
pub fn merge(options: &str) -> Result<Vec<String>, String> {
    let given = options.split(',').filter(|_| !options.is_empty());
    let mut kept: Vec<(String, String)> = Vec::new();
    for option in DEFAULTS.into_iter().chain(given) {
        if option == "defaults" {
            continue;
        }
        let key = key(option).ok_or_else(|| option.to_owned())?;
        kept.retain(|(known, _)| *known != key);
        kept.push((key, option.to_owned()));
    }
    Ok(kept.into_iter().map(|(_, option)| option).collect())
}

/// What the option is about; `None` if it is no tmpfs option.
fn key(option: &str) -> Option<String> {
    if let Some(group) = FLAGS.iter().find(|group| group.contains(&option)) {
        return Some(group[0].to_owned());
    }
    let (name, value) = option.split_once('=')?;
    let known = WITH_VALUE.contains(&name) && is_value(name, value);
    known.then(|| name.to_owned())
}

/// What the kernel takes; it would name neither the option nor the mount.
fn is_value(name: &str, value: &str) -> bool {
    let number = |text: &str, base: u32| u64::from_str_radix(text, base).is_ok();
    match name {
        "mode" => number(value, 8),
        "uid" | "gid" => value.parse::<u32>().is_ok(),
        "mpol" => true,
        _ => number(
            value.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G', '%']),
            10,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_over_dockers_defaults() {
        for (options, expected) in [
            ("", "noexec nosuid nodev rprivate"),
            ("defaults", "noexec nosuid nodev rprivate"),
            (
                "rw,size=64m,mode=1777",
                "noexec nosuid nodev rprivate rw size=64m mode=1777",
            ),
            ("exec,suid", "nodev rprivate exec suid"),
            (
                "size=1,size=2,ro,rw",
                "noexec nosuid nodev rprivate size=2 rw",
            ),
            (
                "uid=1000,gid=1000,nr_inodes=10k",
                "noexec nosuid nodev rprivate uid=1000 gid=1000 nr_inodes=10k",
            ),
        ] {
            assert_eq!(merge(options).unwrap().join(" "), expected, "{options}");
        }
        for (options, culprit) in [
            ("huge=always", "huge=always"),
            ("size", "size"),
            ("bind", "bind"),
            ("remount", "remount"),
            ("ro,,rw", ""),
            ("size=x", "size=x"),
            ("size=", "size="),
            ("mode=9", "mode=9"),
            ("uid=bob", "uid=bob"),
        ] {
            assert_eq!(merge(options).unwrap_err(), culprit, "{options}");
        }
    }
}
