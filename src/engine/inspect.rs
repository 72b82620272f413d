//! `dray inspect`: a container under the names of Docker's API.

mod settings;
mod zero;

use serde_json::{Value, json};

use super::files;
use super::record::MountPoint;
use super::{Container, Engine, EngineError, Folders, Record, Status, logs, share, spec};
use crate::api::Mount;
use crate::runargs::volume::Bind;
use crate::sys::cgroup;

impl Engine {
    /// Docker's inspect document.
    pub fn inspect(&self, container: &Container) -> Result<Value, EngineError> {
        let Container {
            record,
            outcome,
            status,
            ..
        } = container;
        let config = &record.body.config;
        let words: Vec<&String> = config
            .entrypoint
            .iter()
            .chain(&config.cmd)
            .flatten()
            .collect();
        let folders = self.folders(&record.id);
        let log_path = match record.body.host_config.log_config.driver.as_str() {
            driver if logs::unreadable(driver).is_some() => String::new(),
            "local" => shown(&folders.state, "logs/local.log"),
            _ => shown(&folders.state, "logs/json.log"),
        };
        let mut state = json!({
            "Status": status.word(),
            // As with Docker, also while it pauses before it is started again.
            "Running": matches!(status, Status::Running | Status::Paused | Status::Restarting),
            "Paused": *status == Status::Paused,
            "Restarting": status.word() == "restarting",
            "OOMKilled": outcome.oom_killed,
            "Dead": false,
            "Pid": container.pid().unwrap_or(0),
            "ExitCode": if matches!(status, Status::Running | Status::Paused) { 0 } else { outcome.exit_code },
            "Error": outcome.error,
            "StartedAt": or_never(&outcome.started_at),
            "FinishedAt": or_never(&outcome.finished_at),
        });
        if let Some(health) = container.last_health() {
            state["Health"] = json!(health);
        }
        let (names, hostname) = names_of(self, record);
        // As in Docker they are there from the first start on.
        let name_file = |name: &str| match names.run.join(name).exists() {
            true => shown(&names.run, name),
            false => String::new(),
        };
        let [config, host_config] = asked_for(record, hostname)?;
        Ok(json!({
            "Id": record.id,
            "Created": record.created,
            "Path": words.first().map_or("", |word| word.as_str()),
            "Args": words.iter().skip(1).collect::<Vec<_>>(),
            "State": state,
            "Image": record.image,
            "ImageDigest": Some(record.image_digest).filter(|digest| *digest != record.image),
            "ResolvConfPath": name_file("resolv.conf"),
            "HostnamePath": name_file("hostname"),
            "HostsPath": name_file("hosts"),
            "LogPath": log_path,
            "Name": format!("/{}", record.name),
            "RestartCount": outcome.restart_count,
            "Driver": "overlay2",
            "Platform": "linux",
            "MountLabel": "",
            "ProcessLabel": "",
            "AppArmorProfile": "",
            // Who executes something here keeps no id of it.
            "ExecIDs": null,
            "Owner": record.owner,
            "HostConfig": host_config,
            "GraphDriver": self.graph_driver(container, &folders),
            "Mounts": record.mounts.iter().map(|mount| mount_document(record, mount)).collect::<Vec<_>>(),
            "Config": config,
            "NetworkSettings": settings::document(self, container)?,
        }))
    }

    /// Where the container's files are. The whole of them is mounted where its own processes see it only: from outside there
    /// is a way through its first one.
    fn graph_driver(&self, container: &Container, folders: &Folders) -> Value {
        let mut lower = vec![shown(&folders.state, "top")];
        // Of a damaged image the rest is shown all the same.
        let layers = self.images.lower_dirs(&container.record.layers);
        let layers = layers.unwrap_or_default();
        lower.extend(layers.iter().map(|layer| layer.display().to_string()));
        let merged = match container.pid() {
            Some(pid) => format!("/proc/{pid}/root"),
            None => shown(&folders.run, "rootfs"),
        };
        json!({
            "Data": {
                "ID": container.record.id,
                "LowerDir": lower.join(":"),
                "MergedDir": merged,
                "UpperDir": shown(&folders.state, "upper"),
                "WorkDir": shown(&folders.state, "work"),
            },
            "Name": "overlay2",
        })
    }
}

fn shown(folder: &std::path::Path, rest: &str) -> String {
    folder.join(rest).display().to_string()
}

/// The folders that hold a container's name files, and its host name: those of the container whose network it shares.
fn names_of(engine: &Engine, record: &Record) -> (Folders, String) {
    let owner = share::network_owner(engine, record);
    let record = owner.as_ref().unwrap_or(record);
    (engine.folders(&record.id), files::hostname(engine, record))
}

/// `Config` and `HostConfig`, with what Docker has where nobody asked for anything.
fn asked_for(record: &Record, hostname: String) -> Result<[Value; 2], EngineError> {
    let as_json = |error: serde_json::Error| EngineError::system("write JSON")(error.into());
    let body = &record.body;
    let mut config = serde_json::to_value(&body.config).map_err(as_json)?;
    if body.config.hostname.is_empty() {
        config["Hostname"] = hostname.into();
    }
    let mut host = serde_json::to_value(&body.host_config).map_err(as_json)?;
    if body.host_config.network_mode == "default" {
        host["NetworkMode"] = "bridge".into();
    }
    if body.host_config.memory > 0 && body.host_config.memory_swap == 0 {
        host["MemorySwap"] = body.host_config.memory.saturating_mul(2).into();
    }
    if body.host_config.oom_kill_disable.is_none() && !cgroup::is_unified() {
        host["OomKillDisable"] = false.into();
    }
    if !body.host_config.privileged {
        let cpus = files::kernel()?.possible_cpus;
        host["MaskedPaths"] = spec::masked_paths(&body.host_config, cpus).into();
        host["ReadonlyPaths"] = spec::readonly_paths(&body.host_config).into();
    }
    Ok([
        zero::over(zero::CONFIG, config)?,
        zero::over(zero::HOST, host)?,
    ])
}

/// One of `Mounts`.
fn mount_document(record: &Record, mount: &MountPoint) -> Value {
    let mut document = json!(mount);
    document["Mode"] = json!(mode_of(record, mount));
    if mount.kind == "bind" && mount.propagation.is_empty() {
        document["Propagation"] = "rprivate".into();
    }
    if mount.kind == "volume" {
        document["Driver"] = "local".into();
    }
    document
}

/// What `--volume` said after the target. Of a volume that is asked for Docker says `z` where nobody said anything.
fn mode_of(record: &Record, mount: &MountPoint) -> String {
    let host = &record.body.host_config;
    let unsaid = match mount.kind == "volume" && (!mount.anonymous || is_long(&host.mounts, mount))
    {
        true => "z",
        false => "",
    };
    let said = host.binds.iter().find_map(|text| {
        let bind = Bind::parse(text).ok()?;
        let mode = text.split(':').nth(2)?;
        (bind.target == mount.destination).then(|| mode.to_owned())
    });
    said.unwrap_or_else(|| unsaid.to_owned())
}

fn is_long(mounts: &[Mount], mount: &MountPoint) -> bool {
    mounts.iter().any(|long| long.target == mount.destination)
}

/// Docker's word for a time that never was.
fn or_never(time: &str) -> &str {
    if time.is_empty() {
        "0001-01-01T00:00:00Z"
    } else {
        time
    }
}
