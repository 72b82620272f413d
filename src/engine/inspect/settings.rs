//! `NetworkSettings`: what the container has on its networks, or just which they are.

use serde_json::{Value, json};

use super::zero;
use crate::api::EndpointSettings;
use crate::engine::files::{self, NetworkMode};
use crate::engine::network::{Attachment, DEFAULT, docker_ports, id_of_built_in};
use crate::engine::{Container, Engine, EngineError, Record, networks};
use crate::oci::Digest;

/// The whole of it.
pub(super) fn document(engine: &Engine, container: &Container) -> Result<Value, EngineError> {
    let record = &container.record;
    let attachments = match container.pid() {
        Some(_) => engine.network().find(&record.id)?,
        None => Vec::new(),
    };
    let mut wanted = networks::of(record);
    let mode = NetworkMode::of(record);
    if matches!(mode, NetworkMode::Host | NetworkMode::None) {
        let names = container.networks().into_iter();
        wanted.extend(names.map(|name| (name, EndpointSettings::default())));
    }
    let mut settings = json!({ "Ports": docker_ports(&attachments, &record.body) });
    if let Some(pid) = container.pid().filter(|_| mode != NetworkMode::Container) {
        settings["SandboxID"] = json!(record.id);
        // Ours have no name: this is where they can be entered.
        settings["SandboxKey"] = json!(format!("/proc/{pid}/ns/net"));
    }
    // Docker's from the time before there were others: the default network alone.
    if let Some(default) = attachments.iter().find(|a| a.network == DEFAULT) {
        settings["EndpointID"] = json!(endpoint_id(record, &id_of_built_in(DEFAULT)));
        add_addresses(&mut settings, default);
    }
    for (name, wanted) in &wanted {
        let attachment = attachments.iter().find(|a| a.network == *name);
        settings["Networks"][name] = endpoint(engine, record, (name, wanted), attachment)?;
    }
    zero::over(zero::NETWORKS, settings)
}

/// One network: what was asked for there, and what the container has.
fn endpoint(
    engine: &Engine,
    record: &Record,
    (name, wanted): (&str, &EndpointSettings),
    attachment: Option<&Attachment>,
) -> Result<Value, EngineError> {
    let mut endpoint = json!(wanted);
    let is_defined = NetworkMode::of(record) == NetworkMode::Bridge && name != DEFAULT;
    let network = match is_defined {
        // It may have been removed while the container did not run.
        true => engine.network().defined().find(name).ok().map(|n| n.id),
        false => Some(id_of_built_in(name)),
    };
    if is_defined {
        let hostname = files::hostname(engine, record);
        endpoint["DNSNames"] = json!(networks::docker_names(record, wanted, &hostname));
    }
    if let Some(network) = network.filter(|_| attachment.is_some() || !is_bridged(record)) {
        endpoint["EndpointID"] = json!(endpoint_id(record, &network));
        endpoint["NetworkID"] = json!(network);
    }
    if let Some(attachment) = attachment {
        add_addresses(&mut endpoint, attachment);
    }
    zero::over(zero::ENDPOINT, endpoint)
}

fn is_bridged(record: &Record) -> bool {
    NetworkMode::of(record) == NetworkMode::Bridge
}

/// Nothing of ours needs it; it is the same for as long as the container is on that network.
fn endpoint_id(record: &Record, network: &str) -> String {
    Digest::of(format!("{} {network}", record.id).as_bytes()).hex()
}

fn add_addresses(place: &mut Value, attachment: &Attachment) {
    place["IPAddress"] = json!(attachment.ip);
    place["IPPrefixLen"] = json!(attachment.prefix);
    place["Gateway"] = json!(attachment.gateway);
    place["MacAddress"] = json!(attachment.mac);
    if let Some(v6) = &attachment.v6 {
        place["GlobalIPv6Address"] = json!(v6.ip);
        place["GlobalIPv6PrefixLen"] = json!(v6.prefix);
        place["IPv6Gateway"] = json!(v6.gateway);
    }
}
