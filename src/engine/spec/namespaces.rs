//! Namespaces: which are new, the host's, or joined.

use serde_json::{Value, json};

use super::{Namespace, Namespaces, SpecError, path_text};
use crate::api::HostConfig;

impl Namespaces {
    /// What the configuration asks for, as far as it can be said without looking at other containers: `container:` modes
    /// come out as [`Namespace::New`] and are for the caller to replace.
    pub fn of(host: &HostConfig) -> Namespaces {
        let shared = |mode: &str| match mode {
            "host" => Namespace::Host,
            _ => Namespace::New,
        };
        Namespaces {
            network: shared(&host.network_mode),
            pid: shared(&host.pid_mode),
            ipc: shared(&host.ipc_mode),
            uts: shared(&host.uts_mode),
            // Without a word, as in older records, private; new ones say it, with Docker's default for the kernel.
            cgroup: shared(&host.cgroupns_mode),
        }
    }
}

/// `linux.namespaces`.
pub(super) fn list(namespaces: &Namespaces) -> Result<Vec<Value>, SpecError> {
    let mut list = vec![json!({ "type": "mount" })];
    for (kind, namespace) in [
        ("network", &namespaces.network),
        ("uts", &namespaces.uts),
        ("pid", &namespaces.pid),
        ("ipc", &namespaces.ipc),
        ("cgroup", &namespaces.cgroup),
    ] {
        match namespace {
            Namespace::New => list.push(json!({ "type": kind })),
            Namespace::Host => {}
            Namespace::Join(path) => list.push(json!({ "type": kind, "path": path_text(path)? })),
        }
    }
    Ok(list)
}
