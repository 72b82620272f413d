//! `Download`: everything slow or likely to fail, while the old containers run. What it leaves is a complete candidate, or
//! nothing.

use std::path::Path;

use super::error::DeployError;
use super::fetch::fetch_all;
use super::inbox::Inbox;
use super::journal::{Generation, Health, Service};
use super::recover::{Previous, discard_candidate, keep_what_came, settle};
use super::request::{self, Wanted};
use super::site::Site;
use super::state::State;
use super::streams;
use crate::api::Mount;
use crate::artifact::payload::{Carried, Payload};
use crate::engine::network::is_bridge;
use crate::engine::{Container, CreateRequest, Owner, Together};
use crate::images::Freight;

/// Settles what is left of the deployment before, then makes the candidate.
pub(super) fn prepare(site: &mut Site<'_>, inbox: Inbox, tree: &Path) -> Result<(), DeployError> {
    match settle(site, Previous::Drop) {
        Ok(()) => {}
        Err(error @ (DeployError::Journal(_) | DeployError::Hold(_))) => return Err(error),
        // A device whose committed containers no longer start can only be helped by an update: go on.
        Err(error) => site.say(&format!("failed to settle the deployment before: {error}")),
    }
    let payload = inbox.payload?;
    for key in &payload.unknown_keys {
        site.say(&format!("ignoring unknown meta-data key {key:?}"));
    }
    let wanted = request::wanted(&payload, site.host)?;
    wanted
        .iter()
        .flat_map(|w| &w.notes)
        .for_each(|note| site.say(note));
    for wanted in &wanted {
        for line in site.engine.discarded(&wanted.body)? {
            site.say(&format!("run_args of {}: {line}", wanted.label));
        }
    }
    check_device(site, &wanted)?;
    site.journal.refill()?;

    let number = site.journal.record().next;
    let candidate = Generation {
        number,
        artifact: inbox.artifact,
        request: inbox.request,
        health: health(site, &payload),
        services: Vec::new(),
    };
    site.journal.update(|record| {
        record.next += 1;
        // What could not be settled can only be a way back that failed: everything else is the journal's alone.
        record.unsettled = record.state == State::RollingBack;
        record.state = State::Downloading;
        record.candidate = Some(candidate);
    })?;

    let made = freight(site, tree, &payload)
        .and_then(|freight| make(site, number, &wanted, freight.as_ref()))
        .and_then(|services| record_prepared(site, services));
    if let Err(error) = &made {
        if error.is_broken_off() {
            keep_what_came(site);
        }
        // The first error is the one that matters; what this leaves behind goes with the next settling.
        if let Err(error) = discard_candidate(site) {
            site.say(&format!("failed to remove the candidate: {error}"));
        }
    }
    made
}

/// The images that the artifact brings along, if it does.
fn freight(
    site: &Site<'_>,
    tree: &Path,
    payload: &Payload,
) -> Result<Option<Freight<'static>>, DeployError> {
    match payload.payload {
        None => Ok(None),
        Some(Carried::OciLayout) => {
            site.say("the artifact brings its images along");
            let freight = streams::open(tree, &payload.assumes);
            site.hold.check()?;
            Ok(Some(freight?))
        }
    }
}

fn health(site: &Site<'_>, payload: &Payload) -> Health {
    let settings = &site.settings.health;
    Health {
        timeout_s: payload
            .health
            .timeout_s
            .unwrap_or(settings.timeout.as_secs()),
        stable_s: payload.health.stable_s.unwrap_or(settings.stable.as_secs()),
    }
}

/// What other containers and processes of this device have: names and ports.
fn check_device(site: &Site<'_>, wanted: &[Wanted]) -> Result<(), DeployError> {
    let all = site.engine.list()?;
    let ours = |c: &&Container| {
        c.record
            .owner
            .as_ref()
            .is_some_and(|owner| owner.scope == site.scope)
    };
    for name in wanted.iter().filter_map(|w| w.name.as_ref()) {
        if let Some(other) = all.iter().filter(|c| !ours(c)).find(|c| c.name() == name) {
            return Err(DeployError::ForeignName {
                name: name.clone(),
                holder: other.id().chars().take(12).collect(),
                scope: site.scope.to_owned(),
            });
        }
    }
    for wanted in wanted {
        check_binds(wanted)?;
    }
    let own: Vec<&str> = all.iter().filter(ours).map(|c| c.id()).collect();
    let network = site.engine.network();
    if wanted
        .iter()
        .any(|w| is_bridge(&w.body.host_config.network_mode))
    {
        network.check_support()?;
        for chain in network.obstacles()? {
            site.say(&format!(
                "packets of containers may be dropped: chain {chain} has policy drop, and needs a rule that accepts bridge {}",
                site.engine.settings().network.bridge
            ));
        }
    }
    let all: Vec<_> = wanted
        .iter()
        .map(|w| (w.name.as_deref(), &w.body))
        .collect();
    let together = Together {
        scope: site.scope,
        all: &all,
    };
    for wanted in wanted {
        site.engine.check_networks(&wanted.body)?;
        site.engine.check_links(&wanted.body, Some(together))?;
        site.engine.check_limits(&wanted.body.host_config)?;
    }
    // All together, so that two services of one deployment do not ask for the same port.
    let mut published = Vec::new();
    for wanted in wanted {
        published.extend(site.engine.published(&wanted.body)?);
    }
    network.check(&published, &own)?;
    Ok(())
}

/// The engine would refuse the same when it creates the container, after the image was fetched.
fn check_binds(wanted: &Wanted) -> Result<(), DeployError> {
    let created = |mount: &Mount| {
        mount
            .bind_options
            .as_ref()
            .is_some_and(|o| o.create_mountpoint)
    };
    let mounts = &wanted.body.host_config.mounts;
    match mounts
        .iter()
        .find(|m| m.kind == "bind" && !created(m) && !Path::new(&m.source).exists())
    {
        None => Ok(()),
        Some(mount) => Err(DeployError::BindSource {
            source_path: mount.source.clone(),
            label: wanted.label.clone(),
        }),
    }
}

/// Fetches, pins and creates, in this order: a record must never name a layer that a collection could take.
fn make(
    site: &Site<'_>,
    number: u64,
    wanted: &[Wanted],
    freight: Option<&Freight<'_>>,
) -> Result<Vec<Service>, DeployError> {
    // Images first: while they come, nothing of the candidate exists.
    let same = |one: &Wanted, other: &Wanted| {
        (&one.image, &one.platform) == (&other.image, &other.platform)
    };
    let mut distinct: Vec<&Wanted> = Vec::new();
    for wanted in wanted {
        if !distinct.iter().any(|other| same(wanted, other)) {
            distinct.push(wanted);
        }
    }
    // What travels comes in its own order.
    if let Some(freight) = freight {
        distinct.sort_by_key(|wanted| freight.position(&wanted.image));
    }
    let images = fetch_all(site, number, &distinct, freight)?;
    let mut services = Vec::new();
    for wanted in wanted {
        site.hold.check()?;
        let mut found = distinct.iter().zip(&images);
        let Some((_, image)) = found.find(|(other, _)| same(wanted, other)) else {
            continue;
        };
        let container = site.engine.create(&CreateRequest {
            body: &wanted.body,
            image,
            name: wanted.name.as_deref(),
            owner: Some(Owner {
                scope: site.scope.to_owned(),
                generation: number,
            }),
            claim_name: false,
        })?;
        site.say(&format!(
            "created container {} for {}",
            &container[..12],
            wanted.label
        ));
        services.push(Service {
            container,
            name: wanted.name.clone(),
            image: wanted.image.to_string(),
            digest: image.digest,
        });
    }
    Ok(services)
}

fn record_prepared(site: &mut Site<'_>, services: Vec<Service>) -> Result<(), DeployError> {
    let count = services.len();
    site.journal.update(|record| {
        record.state = State::Prepared;
        if let Some(candidate) = &mut record.candidate {
            candidate.services = services;
        }
    })?;
    site.say(&format!(
        "prepared {count} container{}",
        if count == 1 { "" } else { "s" }
    ));
    Ok(())
}
