//! `dray inspect`: a container under the names of Docker's API.

use serde_json::{Value, json};

use super::files::NetworkMode;
use super::logs;
use super::network::{Attachment, docker_ports};
use super::{Container, Engine, EngineError, Record, Status, networks};
use crate::api::EndpointSettings;

impl Engine {
    /// Docker's inspect document.
    pub fn inspect(&self, container: &Container) -> Result<Value, EngineError> {
        let Container {
            record,
            outcome,
            now,
            status,
            ..
        } = container;
        let body = serde_json::to_value(&record.body)
            .map_err(|e| EngineError::system("write JSON")(e.into()))?;
        let mut config = body;
        let host_config = config
            .as_object_mut()
            .and_then(|c| c.remove("HostConfig"))
            .unwrap_or_default();
        if let Some(config) = config.as_object_mut() {
            config.remove("NetworkingConfig");
        }
        let words: Vec<&String> = record
            .body
            .config
            .entrypoint
            .iter()
            .chain(&record.body.config.cmd)
            .flatten()
            .collect();
        let folder = self.folders(&record.id).state.join("logs");
        let log_path = match record.body.host_config.log_config.driver.as_str() {
            driver if logs::unreadable(driver).is_some() => String::new(),
            "local" => folder.join("local.log").display().to_string(),
            _ => folder.join("json.log").display().to_string(),
        };
        let mut state = json!({
            "Status": status.word(),
            "Running": matches!(status, Status::Running | Status::Paused),
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
        if let Some(health) = container.health() {
            state["Health"] = json!(health);
        }
        let attached = match now {
            Some(now) if now.init.is_some() => self.network.find(&record.id)?,
            _ => Vec::new(),
        };
        let network = network_settings(record, &attached);
        Ok(json!({
            "Id": record.id,
            "Created": record.created,
            "Path": words.first().map_or("", |word| word.as_str()),
            "Args": words.iter().skip(1).collect::<Vec<_>>(),
            "State": state,
            "Image": record.image,
            "ImageDigest": Some(record.image_digest).filter(|digest| *digest != record.image),
            "Name": format!("/{}", record.name),
            "RestartCount": outcome.restart_count,
            "Driver": "overlay",
            "Platform": "linux",
            "LogPath": log_path,
            "Owner": record.owner,
            "HostConfig": host_config,
            "Mounts": record.mounts,
            "Config": config,
            "NetworkSettings": network,
        }))
    }
}

/// Docker's word for a time that never was.
fn or_never(time: &str) -> &str {
    if time.is_empty() {
        "0001-01-01T00:00:00Z"
    } else {
        time
    }
}

/// `NetworkSettings`: what the container has on its networks, or just which they are.
fn network_settings(record: &Record, attachments: &[Attachment]) -> Value {
    let mut wanted = networks::of(record);
    let mode = NetworkMode::of(record);
    if matches!(mode, NetworkMode::Host | NetworkMode::None) {
        let name = record.body.host_config.network_mode.clone();
        wanted.push((name, EndpointSettings::default()));
    }
    let mut settings = json!({ "Ports": {}, "Networks": {} });
    if let Some(first) = attachments.first() {
        settings = json!({
            "IPAddress": first.ip,
            "IPPrefixLen": first.prefix,
            "Gateway": first.gateway,
            "MacAddress": first.mac,
            "Bridge": first.bridge,
            "Ports": docker_ports(attachments, &record.body),
            "Networks": {},
        });
        add_v6(&mut settings, Some(first));
    }
    for (name, wanted) in &wanted {
        let attachment = attachments.iter().find(|a| a.network == *name);
        settings["Networks"][name] = endpoint(wanted, attachment);
    }
    settings
}

/// One network: what was asked for there, and what the container has.
fn endpoint(wanted: &EndpointSettings, attachment: Option<&Attachment>) -> Value {
    let mut endpoint = json!(wanted);
    endpoint["IPAddress"] = json!(attachment.map_or_else(String::new, |a| a.ip.to_string()));
    endpoint["Gateway"] = json!(attachment.map_or_else(String::new, |a| a.gateway.to_string()));
    add_v6(&mut endpoint, attachment);
    if let Some(attachment) = attachment {
        endpoint["IPPrefixLen"] = json!(attachment.prefix);
        endpoint["MacAddress"] = json!(attachment.mac);
    }
    endpoint
}

/// What a container has of IPv6, under Docker's names.
fn add_v6(place: &mut Value, attachment: Option<&Attachment>) {
    let v6 = attachment.and_then(|attachment| attachment.v6.as_ref());
    place["GlobalIPv6Address"] = json!(v6.map_or_else(String::new, |v6| v6.ip.to_string()));
    place["GlobalIPv6PrefixLen"] = json!(v6.map_or(0, |v6| v6.prefix));
    place["IPv6Gateway"] = json!(v6.map_or_else(String::new, |v6| v6.gateway.to_string()));
}
