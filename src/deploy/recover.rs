//! Putting right what an earlier run left, the way back, and removal of what nothing needs. Everything here is meant to be
//! run again after a kill at any instruction.

use super::error::DeployError;
use super::hold::{Claimant, Hold};
use super::journal::{Generation, Health, Service};
use super::meter::Meter;
use super::plan::{self, Step};
use super::site::{Site, folders};
use super::state::State;
use super::steps::attempt;
use super::{Context, Size};
use crate::engine::Container;

/// Whether a committed deployment's predecessor may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Previous {
    /// A client may still ask for it: after a cut in `ArtifactCommit` they all do.
    Keep,
    /// The deployment is over for every client.
    Drop,
}

/// `ArtifactRollback`: a candidate that never ran goes; if anything else ran, back to the committed generation.
pub(super) fn roll_back(site: &mut Site<'_>) -> Result<(), DeployError> {
    let record = site.journal.record();
    let nothing_ran = matches!(record.state, State::Downloading | State::Prepared)
        && record.trial.is_none()
        && !record.unsettled;
    if nothing_ran {
        keep_what_came(site);
        discard_candidate(site)
    } else {
        go_back(site)
    }
}

/// Settles and removes: the end of a deployment. Layers and blobs that nothing pins any more go too.
pub(super) fn clean_up(site: &mut Site<'_>) -> Result<(), DeployError> {
    let settled = settle(site, Previous::Drop);
    // Worth trying whatever became of the rest: a full disk is what most often made it fail.
    let in_use = site.engine.layers_in_use().map_err(DeployError::from);
    match in_use.and_then(|in_use| Ok(site.images().collect_old(&in_use)?)) {
        Ok(collected) if collected.bytes > 0 => site.say(&format!(
            "freed {} by removing {} unused layers and {} blobs",
            Size(collected.bytes),
            collected.layers.len() + collected.damaged.len(),
            collected.blobs.len()
        )),
        Ok(_) => {}
        // Another scope's download, say; the next `Cleanup` collects.
        Err(error) => site.say(&format!("failed to collect unused layers: {error}")),
    }
    settled?;
    if site.journal.exists() {
        site.journal.refill()?;
    }
    Ok(())
}

/// Brings the scope to [`State::Idle`], or to [`State::Trial`] or [`State::Committed`] where a client may still decide:
/// an unfinished install or rollback is rolled back, a candidate that never ran is dropped.
pub(super) fn settle(site: &mut Site<'_>, previous: Previous) -> Result<(), DeployError> {
    keep_what_came(site);
    if matches!(
        site.journal.record().state,
        State::Downloading | State::Prepared
    ) {
        discard_candidate(site)?;
    }
    match site.journal.record().state {
        State::Switching | State::RollingBack => go_back(site)?,
        State::Committed if previous == Previous::Drop => {
            // Worth a word, but nothing that a deployment could fail of.
            if let Err(error) = keep_previous(site) {
                site.say(&format!("failed to keep the images before: {error}"));
            }
            if let Err(error) = site.images().end_notes(&site.pin_prefix()) {
                site.say(&format!("failed to forget a broken-off download: {error}"));
            }
            if let Err(error) = Meter::forget(site) {
                site.say(&format!("failed to forget what was fetched: {error}"));
            }
            site.journal.update(|record| {
                record.previous = None;
                record.state = State::Idle;
            })?;
        }
        State::Idle | State::Downloading | State::Prepared | State::Trial | State::Committed => {}
    }
    purge(site)
}

/// The images of the generation that is about to be dropped stay if the settings say so, and those of the one before it
/// do not.
fn keep_previous(site: &Site<'_>) -> Result<(), DeployError> {
    let previous = site.previous_pin();
    match &site.journal.record().previous {
        Some(dropped) if site.settings.store.keep_previous => {
            site.images()
                .copy_pin(&site.pin(dropped.number), &previous)?;
        }
        Some(_) => site.images().unpin(&previous)?,
        // The first deployment has none.
        None => {}
    }
    Ok(())
}

/// What has come of a download that was broken off need not come again when a client tries once more. Worth a word where it
/// fails, and no more: what puts a device right must not hang on it.
pub(super) fn keep_what_came(site: &Site<'_>) {
    let record = site.journal.record();
    if let (State::Downloading, Some(candidate)) = (record.state, &record.candidate) {
        let (pin, scope) = (site.pin(candidate.number), site.pin_prefix());
        if let Err(error) = site.images().keep_for_a_while(&pin, &scope) {
            site.say(&format!("failed to note what has come so far: {error}"));
        }
    }
}

/// Drops the candidate; what runs goes on running. Leaves [`State::RollingBack`] if the way back failed before.
pub(super) fn discard_candidate(site: &mut Site<'_>) -> Result<(), DeployError> {
    site.journal.update(|record| {
        record.candidate = None;
        record.state = match &record.trial {
            _ if record.unsettled => State::RollingBack,
            Some(_) => State::Trial,
            None => State::Idle,
        };
    })?;
    purge(site)
}

/// Back to the committed generation, or after a commit to the one before it.
fn go_back(site: &mut Site<'_>) -> Result<(), DeployError> {
    // The engine has small files of its own to write on the way.
    site.journal.spend_reserve()?;
    site.journal.update(|record| {
        if record.state == State::Committed {
            record.committed = record.previous.take();
        }
        record.state = State::RollingBack;
        record.trial = None;
        record.candidate = None;
        record.unsettled = false;
    })?;
    let target = site.journal.record().committed.clone();
    match &target {
        Some(target) => site.say(&format!("going back to artifact {}", target.artifact)),
        None => site.say("going back to where nothing was installed"),
    }

    let steps = plan::restore(&site.present()?, target.as_ref());
    let (back, remove): (Vec<_>, Vec<_>) = steps
        .into_iter()
        .partition(|step| !matches!(step, Step::Remove(_)));
    let mut failures = attempt(site, &back)?.into_iter();
    if let Some(first) = failures.next() {
        return Err(DeployError::Restore {
            first: Box::new(first),
            others: failures.count(),
        });
    }
    site.journal.update(|record| record.state = State::Idle)?;
    // What cannot be removed now goes in `Cleanup`; what matters runs.
    attempt(site, &remove)?;
    purge(site)
}

/// Removes every container and pin whose generation the journal does not name.
fn purge(site: &Site<'_>) -> Result<(), DeployError> {
    let kept = site.kept();
    let failures = attempt(site, &plan::discard(&site.present()?, &kept))?;
    for pin in site.images().pins()? {
        let number = pin
            .holder
            .strip_prefix(&site.pin_prefix())
            .and_then(|n| n.parse::<u64>().ok());
        if number.is_some_and(|number| !kept.contains(&number)) {
            site.images().unpin(&pin.holder)?;
        }
    }
    failures.into_iter().next().map_or(Ok(()), Err)
}

/// For a scope whose journal is gone: the newest generation that runs, or else the newest, becomes the committed one.
pub(super) fn adopt(site: &mut Site<'_>) -> Result<(), DeployError> {
    let containers = site.containers()?;
    let number = |c: &Container| c.record.owner.as_ref().map_or(0, |owner| owner.generation);
    let Some(newest) = containers.iter().map(number).max() else {
        return Ok(());
    };
    let running = containers
        .iter()
        .filter(|c| c.status.is_attended())
        .map(number)
        .max();
    let adopted = running.unwrap_or(newest);
    site.say(&format!(
        "journal of scope {:?} is missing: taking generation {adopted} as the committed one",
        site.scope
    ));
    let services = containers
        .into_iter()
        .filter(|c| number(c) == adopted)
        .map(|c| Service {
            name: Some(c.record.name),
            container: c.record.id,
            image: c.record.body.config.image,
            digest: c.record.image_digest,
        })
        .collect();
    let committed = Generation {
        number: adopted,
        artifact: "unknown".to_owned(),
        request: None,
        health: Health {
            timeout_s: site.settings.health.timeout.as_secs(),
            stable_s: site.settings.health.stable.as_secs(),
        },
        services,
    };
    site.journal.update(|record| {
        record.next = newest + 1;
        record.committed = Some(committed);
    })?;
    Ok(())
}

/// What a device does after it started, before any client and without network: settles every scope, then starts what has
/// to run. A scope that somebody is at work on comes when all others are done, and after `meanwhile`. Says what failed;
/// returns the first failure, after everything was tried.
pub fn boot(context: &Context<'_>, meanwhile: impl FnOnce()) -> Result<(), DeployError> {
    let mut first = None;
    let mut later = Vec::new();
    let mut boot = |scope: &str| {
        if let Err(error) = boot_scope(context, scope) {
            (context.say)(&format!("boot of scope {scope:?} failed: {error}"));
            first.get_or_insert(error);
        }
    };
    for scope in scopes(context) {
        match Hold::at_work(context.host, &scope) {
            Some(work) => later.push((scope, work)),
            None => boot(&scope),
        }
    }
    meanwhile();
    for (scope, work) in later {
        (context.say)(&format!("waiting for scope {scope:?}: {work}"));
        boot(&scope);
    }
    first.map_or(Ok(()), Err)
}

fn boot_scope(context: &Context<'_>, scope: &str) -> Result<(), DeployError> {
    let is_first = !Hold::was_taken(context.host, scope);
    let mut site = Site::open(context, scope, Claimant::Boot)?;
    // Since the device started somebody has been here, who may be between two verbs: his candidate is in nobody's way.
    let is_between = !is_first
        && matches!(
            site.journal.record().state,
            State::Downloading | State::Prepared
        );
    let settled = match is_between {
        true => site.hold.give_back().map_err(DeployError::from),
        false => settle(&mut site, Previous::Keep),
    };
    let failures = attempt(&site, &start_again(&site)?)?;
    settled?;
    failures.into_iter().next().map_or(Ok(()), Err)
}

/// What the generation that has to run needs: its containers that are down, except those that somebody stopped and those
/// whose restart policy says that they stay down.
fn start_again(site: &Site<'_>) -> Result<Vec<Step>, DeployError> {
    let Some(running) = site.journal.record().running() else {
        return Ok(Vec::new());
    };
    let containers = site.containers()?;
    let down = |service: &&Service| {
        containers
            .iter()
            .any(|c| c.id() == service.container && !c.status.is_attended() && c.starts_at_boot())
    };
    let ids: Vec<String> = running
        .services
        .iter()
        .filter(down)
        .map(|s| s.container.clone())
        .collect();
    Ok(if ids.is_empty() {
        Vec::new()
    } else {
        vec![Step::Replace {
            old: Vec::new(),
            new: ids,
        }]
    })
}

/// Every scope that was ever deployed to.
fn scopes(context: &Context<'_>) -> Vec<String> {
    // A device without the folder has no deployments yet.
    let entries = std::fs::read_dir(folders(context.host))
        .into_iter()
        .flatten();
    let mut scopes: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    scopes.sort();
    scopes
}
