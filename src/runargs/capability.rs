//! Linux capabilities: names, numbers, and the spellings that `--cap-add` and `--cap-drop` accept.

/// All capabilities without their `CAP_` prefix; a capability's number is its place in this list.
pub const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// One word of `--cap-add` or `--cap-drop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// `ALL`.
    All,
    /// One capability, by number.
    One(u8),
}

/// In any case, with or without `CAP_`; `None` if there is no such capability.
pub fn parse(word: &str) -> Option<Capability> {
    let upper = word.to_uppercase();
    if upper == "ALL" {
        return Some(Capability::All);
    }
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let number = NAMES.iter().position(|known| *known == name)?;
    u8::try_from(number).ok().map(Capability::One)
}

/// The words in full, sorted, each once; what is no capability stays recognizable.
pub(super) fn normalized(words: &[String]) -> Vec<String> {
    let full = |word: &String| match word.to_uppercase() {
        name if name == "ALL" || name.starts_with("CAP_") => name,
        name => format!("CAP_{name}"),
    };
    let sorted: std::collections::BTreeSet<String> = words.iter().map(full).collect();
    sorted.into_iter().collect()
}

/// The full name of a capability: `CAP_CHOWN`.
pub fn name(number: u8) -> Option<String> {
    NAMES
        .get(usize::from(number))
        .map(|name| format!("CAP_{name}"))
}

/// The full names of a set with one bit for each capability.
pub fn names(set: u64) -> Vec<String> {
    (0..64)
        .filter(|number| set >> number & 1 == 1)
        .filter_map(name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_dockers_spellings_and_nothing_else() {
        for (word, expected) in [
            ("all", Some(Capability::All)),
            ("CAP_CHOWN", Some(Capability::One(0))),
            ("chown", Some(Capability::One(0))),
            ("cap_sys_admin", Some(Capability::One(21))),
            ("Checkpoint_Restore", Some(Capability::One(40))),
            ("CAP_ALL", None),
            ("CAP_CAP_CHOWN", None),
            ("SYS-ADMIN", None),
            ("", None),
        ] {
            assert_eq!(parse(word), expected, "{word}");
        }
        assert_eq!(name(27).as_deref(), Some("CAP_MKNOD"));
        assert_eq!(name(41), None);
        assert_eq!(
            names(1 << 63 | 1 << 40 | 1),
            ["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"]
        );
    }
}
