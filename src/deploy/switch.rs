//! `ArtifactInstall` and `ArtifactCommit`: from the prepared candidate to a trial, and from the trial to what is committed.

use super::error::DeployError;
use super::inbox::Inbox;
use super::journal::Generation;
use super::plan;
use super::site::Site;
use super::state::{State, Verb};
use super::steps::carry_out;
use super::wait::{Since, say_log_end, until_good};

/// Stops what runs, starts the candidate and waits until it is good. What fails here is put right by `ArtifactRollback`,
/// which every client asks for next, and by the next `Download` or boot if it does not.
pub(super) fn switch(site: &mut Site<'_>, inbox: &Inbox) -> Result<(), DeployError> {
    let record = site.journal.record();
    let (candidate, what) = match record.state {
        State::Switching => (record.trial.clone(), "being installed"),
        _ => (record.candidate.clone(), "prepared"),
    };
    let candidate = candidate.ok_or(DeployError::Refused {
        verb: Verb::ArtifactInstall,
        state: State::Idle,
    })?;
    must_be_this(inbox, &candidate, Verb::ArtifactInstall, what)?;

    site.journal.update(|record| {
        record.state = State::Switching;
        record.candidate = None;
        record.unsettled = false;
        record.trial = Some(candidate.clone());
    })?;

    let steps = plan::switch(&site.present()?, &candidate);
    carry_out(site, &steps).inspect_err(|_| say_logs_of_exited(site, &candidate))?;
    site.say(&format!(
        "waiting until healthy (at most {} s) or up for {} s: artifact {}",
        candidate.health.timeout_s, candidate.health.stable_s, candidate.artifact
    ));
    until_good(site, &candidate, Since::Start)?;

    site.journal.update(|record| record.state = State::Trial)?;
    site.say(&format!(
        "on trial until it is committed: artifact {}",
        candidate.artifact
    ));
    Ok(())
}

/// The install was made before; this call only reports it, if it is about the same artifact.
pub(super) fn confirm_trial(site: &Site<'_>, inbox: &Inbox) -> Result<(), DeployError> {
    let Some(trial) = &site.journal.record().trial else {
        return Err(DeployError::NothingOnTrial);
    };
    must_be_this(inbox, trial, Verb::ArtifactInstall, "on trial")?;
    until_good(site, trial, Since::Now)?;
    site.say(&format!("installed already: artifact {}", trial.artifact));
    Ok(())
}

/// Makes the trial the committed generation, if it is still good. The one before stays for a client that is killed now and
/// then asks for a rollback.
pub(super) fn commit(site: &mut Site<'_>) -> Result<(), DeployError> {
    let Some(trial) = site.journal.record().trial.clone() else {
        return Err(DeployError::NothingOnTrial);
    };
    until_good(site, &trial, Since::Now)?;
    site.journal.update(|record| {
        record.previous = record.committed.take();
        record.committed = record.trial.take();
        record.candidate = None;
        record.state = State::Committed;
    })?;
    site.say(&format!("committed: artifact {}", trial.artifact));
    Ok(())
}

/// A commit that finds nothing on trial succeeds only if this very artifact is the committed one: to any other it would say
/// that something runs which does not.
pub(super) fn confirm_committed(site: &Site<'_>, inbox: &Inbox) -> Result<(), DeployError> {
    let record = site.journal.record();
    match &record.committed {
        Some(committed) if committed.is_of(inbox.request) => {
            site.say(&format!(
                "committed already: artifact {}",
                committed.artifact
            ));
            Ok(())
        }
        _ => Err(DeployError::NothingOnTrial),
    }
}

/// Two clients, or one that lost its memory, can prepare one artifact and install another.
fn must_be_this(
    inbox: &Inbox,
    there: &Generation,
    verb: Verb,
    what: &'static str,
) -> Result<(), DeployError> {
    if there.is_of(inbox.request) {
        return Ok(());
    }
    Err(DeployError::OtherArtifact {
        verb,
        there: there.artifact.clone(),
        what,
    })
}

/// A container that dies while the others are being started makes the start fail; its output says why.
fn say_logs_of_exited(site: &Site<'_>, generation: &Generation) {
    for service in &generation.services {
        match site.engine.find(&service.container) {
            Ok(container)
                if !container.status.is_attended() && !container.outcome.finished_at.is_empty() =>
            {
                say_log_end(site, &container);
            }
            _ => {}
        }
    }
}
