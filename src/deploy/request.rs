//! From an artifact's request to create bodies, and every check that needs no look at the device's containers.
//!
//! The script that this module replaces runs `docker run -dt ${run_args} IMAGE`, so the same two options stand before the
//! words of an artifact without `services`: a container has a terminal unless its words say `--tty=false`. That keeps
//! images alive whose program is a shell, and merges their two output streams into one with CRLF line ends. Services of
//! the `dray` object have a terminal only if they ask for one: pipes cost less memory and keep the streams apart.
//!
//! Options that contradict a deployment are refused by name, because each would fail only later, or for ever wait:
//! `--detach=false`, `--attach` (and by the parser `--cidfile`). `--rm` is what a deployment does anyway: containers that no generation needs
//! any more go in `Cleanup`, and until then a rollback needs them; so it is accepted and said.

use std::collections::BTreeMap;

use crate::api::CreateBody;
use crate::artifact::payload::{Payload, Service};
use crate::host::Host;
use crate::oci::{Platform, PlatformError, Reference};
use crate::runargs::{self, Pull, RunArgs, RunArgsError};

/// A device is expected to run its containers again after a reboot.
const DEFAULT_RESTART: &str = "unless-stopped";

/// One container as it will be created.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// What the log calls it: its name, or its image.
    pub label: String,
    /// Its name while its generation runs.
    pub name: Option<String>,
    /// Its image.
    pub image: Reference,
    /// Where the image is to run; `None` is this device.
    pub platform: Option<Platform>,
    /// Whether the registry is asked.
    pub pull: Pull,
    /// Docker's create body.
    pub body: CreateBody,
    /// What its author should know, one line each.
    pub notes: Vec<String>,
}

/// Why a request cannot be fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The words of one container.
    #[error("run_args of {label}: {source}")]
    RunArgs {
        /// Which container.
        label: String,
        /// What is wrong with them.
        source: RunArgsError,
    },
    /// An option that contradicts a deployment.
    #[error("run_args of {label}: {option} cannot be used in a deployment: {reason}")]
    Option {
        /// Which container.
        label: String,
        /// The option.
        option: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// The text of `--platform`.
    #[error("run_args of {label}: {source}")]
    Platform {
        /// Which container.
        label: String,
        /// What is wrong with it.
        source: PlatformError,
    },
    /// Two containers cannot have one name.
    #[error(
        "two containers of this artifact want the name {name:?}: give each its own run_args in \"dray.services\""
    )]
    SameName {
        /// The name.
        name: String,
    },
    /// Two containers cannot have one host port.
    #[error(
        "two containers of this artifact publish host port {port}: give each its own run_args in \"dray.services\""
    )]
    SamePort {
        /// Address, port and protocol.
        port: String,
    },
}

/// The containers that a request asks for, in the order in which they start.
pub fn wanted(payload: &Payload, host: &Host) -> Result<Vec<Wanted>, RequestError> {
    let all = payload
        .services
        .iter()
        .map(|service| one(service, host))
        .collect::<Result<Vec<_>, _>>()?;
    check_names(&all)?;
    check_ports(&all)?;
    Ok(all)
}

fn one(service: &Service, host: &Host) -> Result<Wanted, RequestError> {
    let label = match &service.name {
        Some(name) => format!("service {name:?}"),
        None => format!("image {}", service.image.familiar()),
    };
    let wrong = |source| RequestError::RunArgs {
        label: label.clone(),
        source,
    };
    let mut words = Vec::new();
    if service.name.is_none() {
        words.push("--tty".to_owned());
    }
    words.extend(runargs::split(&service.run_args).map_err(wrong)?);
    let args = RunArgs::parse(&detached(words), host).map_err(wrong)?;
    refuse_contradictions(&label, &args)?;
    let platform = match &args.platform {
        None => None,
        Some(text) => Some(text.parse().map_err(|source| RequestError::Platform {
            label: label.clone(),
            source,
        })?),
    };
    let mut notes = args.warnings.clone();
    let mut body = args.body.clone();
    body.config.image = service.image.to_string();
    if !service.command.is_empty() {
        body.config.cmd = Some(service.command.clone());
    }
    if std::mem::take(&mut body.host_config.auto_remove) {
        notes.push(format!(
            "run_args of {label}: --rm is not needed: Cleanup removes a container once no rollback can need it"
        ));
    }
    if !args.given("restart") {
        body.host_config.restart_policy.name = DEFAULT_RESTART.to_owned();
    }
    Ok(Wanted {
        label,
        name: args.name.or_else(|| service.name.clone()),
        image: service.image.clone(),
        platform,
        pull: args.pull,
        body,
        notes,
    })
}

/// The words as upstream's script completes them: whatever they say about `--detach` comes after.
fn detached(words: Vec<String>) -> Vec<String> {
    std::iter::once("--detach".to_owned())
        .chain(words)
        .collect()
}

fn refuse_contradictions(label: &str, args: &RunArgs) -> Result<(), RequestError> {
    let refuse = |option, reason| {
        Err(RequestError::Option {
            label: label.to_owned(),
            option,
            reason,
        })
    };
    if !args.detach {
        return refuse("--detach=false", "nobody could attach to the container");
    }
    if args.body.config.attach_stdin
        || args.body.config.attach_stdout
        || args.body.config.attach_stderr
    {
        return refuse("--attach", "nobody could attach to the container");
    }
    Ok(())
}

fn check_names(all: &[Wanted]) -> Result<(), RequestError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in all.iter().filter_map(|wanted| wanted.name.as_ref()) {
        if !seen.insert(name) {
            return Err(RequestError::SameName { name: name.clone() });
        }
    }
    Ok(())
}

/// Fixed host ports that two containers of the request publish. Ranges and free ports sort themselves out at the start.
fn check_ports(all: &[Wanted]) -> Result<(), RequestError> {
    let mut seen: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (port, bindings) in all
        .iter()
        .flat_map(|wanted| &wanted.body.host_config.port_bindings)
    {
        let protocol = port
            .rsplit_once('/')
            .map_or("tcp", |(_, protocol)| protocol);
        for binding in bindings
            .iter()
            .filter(|b| !b.host_port.is_empty() && !b.host_port.contains('-'))
        {
            let addresses = seen.entry((&binding.host_port, protocol)).or_default();
            let every = |address: &str| address.is_empty() || address == "0.0.0.0";
            if addresses
                .iter()
                .any(|other| every(other) || every(&binding.host_ip) || *other == binding.host_ip)
            {
                return Err(RequestError::SamePort {
                    port: format!("{}/{protocol}", binding.host_port),
                });
            }
            addresses.push(&binding.host_ip);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
