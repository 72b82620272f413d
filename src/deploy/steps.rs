//! The planner's steps, done by the engine: all or up to the first failure on the way forth, all of them on the way back.

use super::error::DeployError;
use super::plan::Step;
use super::site::Site;
use crate::engine::{EngineError, Prepared, Remove};

/// Does the steps in order and stops at the first that fails, or when the verb is to end.
pub(super) fn carry_out(site: &Site<'_>, steps: &[Step]) -> Result<(), DeployError> {
    let mut prepared = None;
    for step in steps {
        site.hold.check()?;
        one(site, step, &mut prepared)?;
    }
    Ok(())
}

/// Does every step, whatever became of the one before; returns what failed, the first first. Only an abort ends it early.
pub(super) fn attempt(site: &Site<'_>, steps: &[Step]) -> Result<Vec<DeployError>, DeployError> {
    let mut failures = Vec::new();
    for step in steps {
        site.hold.check()?;
        let done = match step {
            Step::Replace { old, new } => replace_what_can(site, old, new),
            step => one(site, step, &mut None).map_err(|error| vec![error]),
        };
        for error in done.err().into_iter().flatten() {
            site.say(&format!("failed: {error}"));
            failures.push(error);
        }
    }
    Ok(failures)
}

fn one<'a>(
    site: &'a Site<'_>,
    step: &Step,
    prepared: &mut Option<Prepared<'a>>,
) -> Result<(), DeployError> {
    match step {
        Step::Prepare(ids) => {
            site.say(&format!("preparing {}", names(site, ids)));
            *prepared = Some(site.engine.prepare(&borrowed(ids))?);
        }
        Step::Rename { id, to } => site.engine.rename(id, to)?,
        Step::Stop(ids) => {
            site.say(&format!("stopping {}", names(site, ids)));
            site.engine.stop_all(&borrowed(ids), None)?;
        }
        Step::Replace { old, new } => {
            say_replacement(site, old, new);
            let prepared = match prepared.take() {
                Some(prepared) => prepared,
                None => site.engine.prepare(&borrowed(new))?,
            };
            prepared.start_after(&borrowed(old))?;
        }
        Step::Remove(id) => {
            site.say(&format!(
                "removing {}",
                names(site, std::slice::from_ref(id))
            ));
            let how = Remove {
                force: true,
                volumes: true,
            };
            match site.engine.remove(id, how) {
                // Somebody else was faster.
                Err(EngineError::Gone(_)) => {}
                removed => removed?,
            }
        }
    }
    Ok(())
}

/// All at once; if that fails, one by one, so that a broken container does not keep the others down.
fn replace_what_can(
    site: &Site<'_>,
    old: &[String],
    new: &[String],
) -> Result<(), Vec<DeployError>> {
    say_replacement(site, old, new);
    let together = || -> Result<(), DeployError> {
        Ok(site
            .engine
            .prepare(&borrowed(new))?
            .start_after(&borrowed(old))?)
    };
    let first = match together() {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let mut failures = Vec::new();
    failures.extend(
        site.engine
            .stop_all(&borrowed(old), None)
            .err()
            .map(DeployError::from),
    );
    for id in new.iter().filter(|id| !is_up(site, id)) {
        if let Err(error) = site.engine.start(id) {
            failures.push(error.into());
            // The next boot tries again, as if nobody had stopped it for the switch.
            failures.extend(site.engine.intend(id).err().map(DeployError::from));
        }
    }
    // With one container the second error is the first again.
    match failures.is_empty() {
        true => {
            site.say(&format!(
                "started one by one, because together they failed: {first}"
            ));
            Ok(())
        }
        false => Err(failures),
    }
}

fn say_replacement(site: &Site<'_>, old: &[String], new: &[String]) {
    if !old.is_empty() {
        site.say(&format!("stopping {}", names(site, old)));
    }
    if !new.is_empty() {
        site.say(&format!("starting {}", names(site, new)));
    }
}

/// Whether it runs; of one whose monitor was killed, the records still say so until it is settled.
fn is_up(site: &Site<'_>, id: &str) -> bool {
    site.engine.settle_one(id).is_ok()
        && site
            .engine
            .find(id)
            .is_ok_and(|container| container.status.is_attended())
}

fn borrowed(ids: &[String]) -> Vec<&str> {
    ids.iter().map(String::as_str).collect()
}

/// "container web" or "containers web, db"; an id's beginning for one that cannot be read.
pub(super) fn names(site: &Site<'_>, ids: &[String]) -> String {
    let names: Vec<String> = ids
        .iter()
        .map(|id| match site.engine.find(id) {
            Ok(container) => container.record.name,
            Err(_) => id.chars().take(12).collect(),
        })
        .collect();
    format!(
        "container{} {}",
        if names.len() == 1 { "" } else { "s" },
        names.join(", ")
    )
}
