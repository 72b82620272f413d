//! The files by which a container knows names: hosts, resolv.conf, hostname. They lie in its run folder and are mounted into it.
//!
//! Where the host's servers change, by DHCP say, those of a running container follow, unless it changed its file itself:
//!
//! ```text
//! <run>/containers/<id>/resolv.conf         what the container sees, and may write
//! <run>/containers/<id>/resolv.conf.given   what it was given last: the same, or it is left alone
//! ```

use std::io;
use std::path::{Path, PathBuf};

use super::{NetworkMode, write};
use crate::engine::network::names::{self, HostFiles, HostsInput};
use crate::engine::network::{Attachment, NetworkError};
use crate::engine::record::{Folders, Record};
use crate::engine::{Engine, EngineError, networks};

/// What a container was given as its resolv.conf.
const GIVEN: &str = "resolv.conf.given";

/// The container's host name.
pub fn hostname(engine: &Engine, record: &Record) -> String {
    let config = &record.body.config;
    match NetworkMode::of(record) {
        _ if !config.hostname.is_empty() => config.hostname.clone(),
        NetworkMode::Host => {
            crate::sys::process::hostname().unwrap_or_else(|_| engine.host().boot_id.clone())
        }
        _ => record.id[..12].to_owned(),
    }
}

/// The files by which a container knows names: its own, or those of the container whose network it shares.
pub(super) struct NameFiles {
    pub hostname: String,
    /// `hosts`, `resolv.conf` and `hostname`.
    pub paths: [PathBuf; 3],
}

impl NameFiles {
    pub fn of(engine: &Engine, record: &Record, folders: &Folders) -> NameFiles {
        NameFiles {
            hostname: hostname(engine, record),
            paths: ["hosts", "resolv.conf", "hostname"].map(|name| folders.run.join(name)),
        }
    }
}

/// Writes all three, before anybody has them.
pub(super) fn write_names(
    engine: &Engine,
    record: &Record,
    folders: &Folders,
) -> Result<(), EngineError> {
    let hostname = names::hostname(&hostname(engine, record));
    write(&folders.run.join("hostname"), &hostname)?;
    write_hosts(engine, record, folders, None)?;
    let resolv_conf = resolv_conf(engine, record)?;
    write(&folders.run.join("resolv.conf"), &resolv_conf)?;
    write(&folders.run.join(GIVEN), &resolv_conf)
}

fn resolv_conf(engine: &Engine, record: &Record) -> Result<String, EngineError> {
    let host_files = host_files(engine)?;
    let config = &record.body.host_config;
    Ok(match NetworkMode::of(record) {
        NetworkMode::Host => names::resolv_conf_of_host(&host_files, config),
        _ => names::resolv_conf(&host_files, config, networks::have_v6(engine, record)?),
    })
}

impl Engine {
    /// Gives running containers the name servers that the host has by now; the names of those for which that changed
    /// something. One that wrote its file itself keeps it, as with Docker.
    pub fn follow_name_servers(&self) -> Result<Vec<String>, EngineError> {
        let mut followed = Vec::new();
        for container in self.list()? {
            if !container.status.is_attended() {
                continue;
            }
            let _lock = self.lock(container.id())?;
            match follow(self, &container.record) {
                Ok(true) => followed.push(container.record.name),
                // Ended meanwhile.
                Ok(false) | Err(EngineError::Gone(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(followed)
    }
}

fn follow(engine: &Engine, record: &Record) -> Result<bool, EngineError> {
    let folders = engine.folders(&record.id);
    let [seen, given] = ["resolv.conf", GIVEN].map(|name| folders.run.join(name));
    let (Some(has), Some(was)) = (read(&seen)?, read(&given)?) else {
        // It shares the files of another one, or has none any more.
        return Ok(false);
    };
    let now = resolv_conf(engine, record)?;
    let is_ours = has == was || has == now.as_bytes();
    if now.as_bytes() == was || !is_ours {
        return Ok(false);
    }
    // In this order: killed between the two, the next call finds what it wanted to write itself.
    write(&seen, &now)?;
    write(&given, &now)?;
    Ok(true)
}

/// Writes `/etc/hosts` anew, in place: the container holds the file by a mount.
pub fn write_hosts(
    engine: &Engine,
    record: &Record,
    folders: &Folders,
    attachment: Option<&Attachment>,
) -> Result<(), EngineError> {
    let config = &record.body.host_config;
    let hosts = match NetworkMode::of(record) {
        NetworkMode::Host => names::hosts_of_host(&host_files(engine)?, &config.extra_hosts),
        _ => names::hosts(&HostsInput {
            hostname: &hostname(engine, record),
            domainname: &record.body.config.domainname,
            addresses: &attachment.map_or_else(Vec::new, |all| all.addresses().collect()),
            extra_hosts: &config.extra_hosts,
            host_gateway: match attachment {
                Some(attachment) => attachment.gateway,
                None => engine.network().gateway()?,
            },
        }),
    };
    let hosts = hosts.map_err(|error| EngineError::Unsupported {
        option: "--add-host".into(),
        reason: error.to_string(),
    })?;
    write(&folders.run.join("hosts"), &hosts)
}

/// The host's own name files.
fn host_files(engine: &Engine) -> Result<HostFiles, EngineError> {
    HostFiles::read(engine.host()).map_err(|error| NetworkError::from(error).into())
}

/// `None` if there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, EngineError> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(EngineError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}
