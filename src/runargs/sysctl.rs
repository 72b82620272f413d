//! `--sysctl`.

/// System settings outside `net.` and `fs.mqueue.` that belong to a namespace.
const IPC_SYSCTLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// `name=value` of a setting that belongs to one of the container's namespaces.
pub(super) fn parse(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| is_network(name) || is_ipc(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("sysctl '{text}' is not allowed"))
}

/// It belongs to the network namespace.
pub(super) fn is_network(sysctl: &str) -> bool {
    sysctl.starts_with("net.")
}

/// It belongs to the IPC namespace.
pub(super) fn is_ipc(sysctl: &str) -> bool {
    sysctl.starts_with("fs.mqueue.") || IPC_SYSCTLS.contains(&sysctl)
}
