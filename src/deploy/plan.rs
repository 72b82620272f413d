//! From what is there to what should run: the ordered steps of a switch and of the way back. Pure.
//!
//! A scope's containers share names over generations: the one that runs has the name the artifact gave, every other one
//! has it with its generation's number behind ([`parked`]). Names move before the old containers stop, so that no disk
//! write lies in the gap between old and new.

use std::collections::BTreeSet;

use super::journal::Generation;

/// One container of the scope as the engine reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Its id.
    pub id: String,
    /// The generation that made it.
    pub generation: u64,
    /// The name it has now.
    pub name: String,
    /// Whether it has a process, or the engine is about to give it one again.
    pub running: bool,
}

/// One change to the scope's containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Bring everything up to the last instant before the first instruction of these containers.
    Prepare(Vec<String>),
    /// Give a container another name.
    Rename {
        /// The container.
        id: String,
        /// The name it gets.
        to: String,
    },
    /// Ask these to stop, all at once.
    Stop(Vec<String>),
    /// Stop the old ones, and let the new ones run as soon as they have ended.
    Replace {
        /// What runs.
        old: Vec<String>,
        /// What is to run, in this order.
        new: Vec<String>,
    },
    /// Remove one that is stopped.
    Remove(String),
}

/// The name of a container whose generation does not run.
pub fn parked(name: &str, generation: u64) -> String {
    format!("{name}.g{generation}")
}

/// From whatever runs to `target`, with the shortest gap. Stops at the first step that fails.
///
/// Containers of `target` that run already were started by an install that was cut: they start anew.
pub fn switch(present: &[Present], target: &Generation) -> Vec<Step> {
    let ours = ids(target);
    let (again, others): (Vec<_>, Vec<_>) = present
        .iter()
        .filter(|p| p.running)
        .partition(|p| ours.contains(p.id.as_str()));
    let mut steps = Vec::new();
    steps.extend(stop(again));
    steps.push(Step::Prepare(start_order(target)));
    steps.extend(renames(present, Some(target)));
    steps.push(Step::Replace {
        old: others.into_iter().map(|p| p.id.clone()).collect(),
        new: start_order(target),
    });
    steps
}

/// Back to `target`, or to nothing: every other container of the scope goes. Every step is tried, also after one that
/// failed.
pub fn restore(present: &[Present], target: Option<&Generation>) -> Vec<Step> {
    let ours = target.map(ids).unwrap_or_default();
    let others: Vec<_> = present
        .iter()
        .filter(|p| !ours.contains(p.id.as_str()))
        .collect();
    let mut steps = renames(present, target);
    let old: Vec<String> = others
        .iter()
        .filter(|p| p.running)
        .map(|p| p.id.clone())
        .collect();
    let mut new = target.map(start_order).unwrap_or_default();
    new.retain(|id| !present.iter().any(|p| p.running && p.id == *id));
    if !old.is_empty() || !new.is_empty() {
        steps.push(Step::Replace { old, new });
    }
    steps.extend(remove(others.into_iter()));
    steps
}

/// Removal of all containers whose generation is not in `keep`.
pub fn discard(present: &[Present], keep: &[u64]) -> Vec<Step> {
    let gone: Vec<_> = present
        .iter()
        .filter(|p| !keep.contains(&p.generation))
        .collect();
    let mut steps: Vec<Step> = stop(gone.iter().copied().filter(|p| p.running).collect())
        .into_iter()
        .collect();
    steps.extend(remove(gone.into_iter()));
    steps
}

fn ids(target: &Generation) -> BTreeSet<&str> {
    target
        .services
        .iter()
        .map(|s| s.container.as_str())
        .collect()
}

fn start_order(target: &Generation) -> Vec<String> {
    target
        .services
        .iter()
        .map(|s| s.container.clone())
        .collect()
}

fn stop(running: Vec<&Present>) -> Option<Step> {
    let ids: Vec<String> = running.into_iter().map(|p| p.id.clone()).collect();
    (!ids.is_empty()).then_some(Step::Stop(ids))
}

fn remove<'a>(gone: impl Iterator<Item = &'a Present>) -> impl Iterator<Item = Step> {
    gone.map(|p| Step::Remove(p.id.clone()))
}

/// Names that other generations have and `target` wants are parked, then `target`'s containers get theirs.
fn renames(present: &[Present], target: Option<&Generation>) -> Vec<Step> {
    let Some(target) = target else {
        return Vec::new();
    };
    let ours = ids(target);
    let wanted: BTreeSet<&str> = target
        .services
        .iter()
        .filter_map(|s| s.name.as_deref())
        .collect();
    let park = present
        .iter()
        .filter(|p| wanted.contains(p.name.as_str()) && !ours.contains(p.id.as_str()))
        .map(|p| Step::Rename {
            id: p.id.clone(),
            to: parked(&p.name, p.generation),
        });
    let claim = target.services.iter().filter_map(|service| {
        let name = service.name.as_ref()?;
        let has = present.iter().find(|p| p.id == service.container)?;
        (has.name != *name).then(|| Step::Rename {
            id: service.container.clone(),
            to: name.clone(),
        })
    });
    park.chain(claim).collect()
}

#[cfg(test)]
mod tests;
