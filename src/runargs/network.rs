//! `--network` and `--sysctl`.

use super::RunArgsError;
use super::csv;
use super::draft::Draft;

/// Networks that exist without having been made.
const BUILT_IN: [&str; 4] = ["default", "bridge", "host", "none"];

/// Keys of the long form beside `name`.
const ADVANCED: [&str; 7] = [
    "alias",
    "ip",
    "ip6",
    "mac-address",
    "link-local-ip",
    "driver-opt",
    "gw-priority",
];

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

/// One `--network`.
pub(super) struct Attachment {
    /// `bridge`, `host`, `none`, `container:NAME` or a network's name.
    target: String,
}

/// `name`, or `name=…,key=value,…`.
pub(super) fn parse(text: &str) -> Result<Attachment, String> {
    if !is_long(text) {
        return Ok(Attachment {
            target: text.to_owned(),
        });
    }
    let mut target = String::new();
    for field in csv::fields(text)? {
        let lower = field.to_lowercase();
        let (key, value) = lower
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("invalid field {field}"))?;
        match key.trim() {
            "name" => target = value.trim().to_owned(),
            key if ADVANCED.contains(&key) => {
                return Err(format!(
                    "{key} is not supported by dray: it needs user-defined networks, which are not built yet; leave it out"
                ));
            }
            key => return Err(format!("invalid field key {key}")),
        }
    }
    match target.is_empty() {
        true => Err("network name/id is not specified".to_owned()),
        false => Ok(Attachment { target }),
    }
}

/// A word character on both sides of an equals sign makes it the long form.
fn is_long(text: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    text.as_bytes()
        .windows(3)
        .any(|three| word(&three[0]) && three[1] == b'=' && word(&three[2]))
}

/// Places the network; runs after ports and names are in place, because some networks exclude them.
pub(super) fn place(draft: &mut Draft<'_>) -> Result<(), RunArgsError> {
    let networks = std::mem::take(&mut draft.networks);
    let mut seen = std::collections::BTreeSet::new();
    for network in &networks {
        if network.target.trim().is_empty() {
            return Err("no name set for network".to_owned().into());
        }
        if !seen.insert(&network.target) {
            let twice = format!("network {:?} is specified multiple times", network.target);
            return Err(twice.into());
        }
    }
    let target = match &networks[..] {
        [] => "default",
        [one] => &one.target,
        _ => {
            return Err(unsupported(
                "a container joins one network; give --network once, with bridge, host or none"
                    .to_owned(),
            ));
        }
    };
    if let Some(owner) = target.strip_prefix("container:") {
        if owner.is_empty() {
            return Err("--network container: names no container".to_owned().into());
        }
        check_container_mode(draft)?;
    } else if !BUILT_IN.contains(&target) {
        return Err(unsupported(format!(
            "user-defined networks are not built yet, so there is no {target:?}; use bridge, host or none"
        )));
    }
    draft.host().network_mode = target.to_owned();
    Ok(())
}

fn unsupported(reason: String) -> RunArgsError {
    RunArgsError::Unsupported {
        option: "network".to_owned(),
        reason,
    }
}

/// What a container cannot have of its own when it shares another one's network.
fn check_container_mode(draft: &Draft<'_>) -> Result<(), String> {
    let config = &draft.args.body.config;
    let host = &draft.args.body.host_config;
    for (given, what) in [
        (!config.hostname.is_empty(), "hostname and the network mode"),
        (!host.dns.is_empty(), "dns and the network mode"),
        (
            !host.extra_hosts.is_empty(),
            "custom host-to-IP mapping and the network mode",
        ),
        (
            !host.port_bindings.is_empty() || host.publish_all_ports,
            "port publishing and the container type network mode",
        ),
        (
            !config.exposed_ports.is_empty(),
            "port exposing and the container type network mode",
        ),
    ] {
        if given {
            return Err(format!("conflicting options: {what}"));
        }
    }
    Ok(())
}

/// `name=value` of a setting that belongs to one of the container's namespaces.
pub(super) fn sysctl(text: &str) -> Result<(String, String), String> {
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
