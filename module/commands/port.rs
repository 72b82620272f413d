//! `dray port`: the published ports of a container.

use std::process::ExitCode;

use clap::Args;
use dray::engine::network::docker_ports;

use super::{Context, ports, with};

#[derive(Debug, Args)]
pub struct Words {
    /// Name or id
    container: String,
    /// PORT[/PROTOCOL] in the container: only where that one is to be found
    port: Option<String>,
}

/// `dray port`
pub fn run(context: &Context<'_>, words: &Words) -> anyhow::Result<ExitCode> {
    let engine = context.engine_to_look()?;
    let wanted = words.port.as_ref().map(|port| match port.contains('/') {
        true => port.to_ascii_lowercase(),
        false => format!("{port}/tcp"),
    });
    let published = with(&engine, &words.container, |found| {
        let attachments = engine.network().find(found.id())?;
        Ok(docker_ports(&attachments, &found.record.body))
    })?;
    let mut lines = Vec::new();
    for (port, bindings) in published {
        for binding in bindings.into_iter().flatten() {
            let place = ports::place(&binding.host_ip, &binding.host_port);
            match &wanted {
                None => lines.push(format!("{port} -> {place}")),
                Some(wanted) if *wanted == port => lines.push(place),
                Some(_) => {}
            }
        }
    }
    if let (Some(wanted), true) = (wanted, lines.is_empty()) {
        anyhow::bail!(
            "no public port {wanted:?} published for {}",
            words.container
        );
    }
    lines.iter().for_each(|line| println!("{line}"));
    Ok(ExitCode::SUCCESS)
}
