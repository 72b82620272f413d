//! When a started generation counts as good. A container with a health check has to become healthy in time; one without
//! has to stay up through the stability window. An exit before that is a failure whatever the restart policy would make of
//! it: a program that dies at once must not be committed because something starts it over and over.

use std::time::{Duration, Instant};

use super::error::DeployError;
use super::journal::{Generation, Health};
use super::site::Site;
use crate::engine::logs::{self, Filter};
use crate::engine::{Container, Event, Status};
use crate::sys::process::ProcessId;

/// Most time between two looks at whether the verb is to end: an abort comes from outside the engine's events.
const ABORT_LATENCY: Duration = Duration::from_millis(200);

/// Lines of a failed container's log that go to the deployment's log.
const LOG_LINES: usize = 10;

/// What a look at one container says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It needs no more looks.
    Good,
    /// It is fine so far and has this long to go.
    Wait(Duration),
    /// It ended.
    Exited,
    /// It ended, and runs again.
    Restarted,
    /// Its health check failed.
    Unhealthy,
    /// Its health check has not succeeded in time.
    Late,
}

/// What [`verdict`] looks at.
#[derive(Debug, Clone, Copy)]
struct Look<'a> {
    status: Status,
    /// Whether its first process is there; its monitor may not have come to saying that it is not.
    alive: bool,
    /// Restarts since the waiting began.
    restarts: u32,
    /// The health check's word; `None` without one.
    health: Option<&'a str>,
    /// How long the process has been up.
    up: Duration,
    /// How long has been waited.
    waited: Duration,
}

fn verdict(look: Look<'_>, limits: Health) -> Verdict {
    // Whoever paused it did so on purpose, and as Docker has it it runs.
    if !matches!(look.status, Status::Running | Status::Paused) {
        return Verdict::Exited;
    }
    if look.restarts > 0 {
        return Verdict::Restarted;
    }
    if !look.alive {
        // What it was the next event tells.
        return Verdict::Wait(ABORT_LATENCY);
    }
    let timeout = Duration::from_secs(limits.timeout_s);
    let stable = Duration::from_secs(limits.stable_s);
    match look.health {
        Some("healthy") => Verdict::Good,
        Some("unhealthy") => Verdict::Unhealthy,
        Some(_) if look.waited >= timeout => Verdict::Late,
        Some(_) => Verdict::Wait(timeout - look.waited),
        None if look.up >= stable => Verdict::Good,
        None => Verdict::Wait(stable - look.up),
    }
}

/// From when on a restart counts as a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// The containers have just been started.
    Start,
    /// They were good once; a restart long ago is what their policy is for.
    Now,
}

/// Waits until every container of the generation is good. The first that is not ends the waiting, and the end of its log
/// has been said then.
///
/// The time that a container has been up already counts, so for a commit long after its install this is one look.
pub(super) fn until_good(
    site: &Site<'_>,
    generation: &Generation,
    since: Since,
) -> Result<(), DeployError> {
    let begun = site.host.instant();
    let ids: Vec<&str> = generation
        .services
        .iter()
        .map(|s| s.container.as_str())
        .collect();
    // Before the first look, so that nothing happens between a look and the wait for what comes next.
    let mut watch = site.engine.watch(&ids)?;
    let mut known = vec![0; ids.len()];
    if since == Since::Now {
        for (count, id) in known.iter_mut().zip(&ids) {
            *count = site.engine.find(id)?.outcome.restart_count;
        }
    }
    loop {
        site.hold.check()?;
        let Some(left) = look_at_all(site, generation, &known, begun)? else {
            return Ok(());
        };
        let event = watch.next(Some(left.min(ABORT_LATENCY)))?;
        if let Some(Event::Exited {
            id,
            code,
            oom_killed,
        }) = event
        {
            let mut container = site.engine.find(&id)?;
            // Its policy may have started it again by now, and a container whose monitor was killed looks as it did before:
            // the event is what counts.
            container.outcome.exit_code = code;
            container.outcome.oom_killed = oom_killed;
            return Err(explain(
                site,
                &container,
                Verdict::Exited,
                generation.health,
            ));
        }
    }
}

/// One look at each; the longest time that is still to go.
fn look_at_all(
    site: &Site<'_>,
    generation: &Generation,
    known_restarts: &[u32],
    begun: Instant,
) -> Result<Option<Duration>, DeployError> {
    let mut left = None;
    for (service, known) in generation.services.iter().zip(known_restarts) {
        let container = site.engine.find(&service.container)?;
        let init = container.now.as_ref().and_then(|now| now.init.as_ref());
        let look = Look {
            status: container.status,
            restarts: container.outcome.restart_count.saturating_sub(*known),
            health: container.health().map(|health| health.status.as_str()),
            alive: init.is_some_and(ProcessId::is_alive),
            up: init.map_or(Duration::ZERO, |init| init.age().unwrap_or_default()),
            waited: begun.elapsed(),
        };
        match verdict(look, generation.health) {
            Verdict::Good => {}
            Verdict::Wait(time) => left = left.max(Some(time)),
            bad => return Err(explain(site, &container, bad, generation.health)),
        }
    }
    Ok(left)
}

fn explain(
    site: &Site<'_>,
    container: &Container,
    verdict: Verdict,
    limits: Health,
) -> DeployError {
    say_log_end(site, container);
    let name = container.name().to_owned();
    match verdict {
        Verdict::Unhealthy => {
            let probe = container.health().and_then(|health| health.log.last());
            DeployError::Unhealthy {
                name,
                reason: probe.map_or_else(
                    || "its health check failed".to_owned(),
                    |probe| match (probe.exit_code, probe.output.trim()) {
                        (-1, _) => "its health check did not end in time".to_owned(),
                        (code, "") => format!("its health check exited with status {code}"),
                        (code, output) => {
                            format!("its health check exited with status {code}: {output}")
                        }
                    },
                ),
            }
        }
        Verdict::Late => DeployError::NotHealthyInTime {
            name,
            seconds: limits.timeout_s,
        },
        Verdict::Restarted => DeployError::Restarted {
            name,
            status: container.outcome.exit_code,
            why: ending(container),
        },
        Verdict::Good | Verdict::Wait(_) | Verdict::Exited => DeployError::Exited {
            name,
            status: container.outcome.exit_code,
            why: ending(container),
        },
    }
}

/// What is known about an exit beside its status.
fn ending(container: &Container) -> String {
    let outcome = &container.outcome;
    if !outcome.error.is_empty() {
        format!(": {}", outcome.error)
    } else if outcome.oom_killed {
        ": killed for lack of memory".to_owned()
    } else {
        String::new()
    }
}

/// The end of the container's log, for an operator who sees nothing but the deployment's log.
pub(super) fn say_log_end(site: &Site<'_>, container: &Container) {
    let name = container.name();
    if let Some(why) = logs::unreadable(&container.record.body.host_config.log_config.driver) {
        return site.say(&format!("container {name} {why}"));
    }
    let mut lines = Vec::new();
    let filter = Filter {
        tail: Some(LOG_LINES),
        ..Filter::default()
    };
    let read = logs::read(
        &site.engine.folders(container.id()).state.join("logs"),
        &filter,
        |entry| {
            lines.push(entry.text);
            Ok(())
        },
    );
    match read {
        // The verb has failed already, for a better reason.
        Err(error) => site.say(&format!(
            "failed to read the log of container {name}: {error}"
        )),
        Ok(mut follow) => {
            for damage in follow.take_damage() {
                site.say(&damage);
            }
            if lines.is_empty() {
                return site.say(&format!("no output: container {name}"));
            }
            site.say(&format!("last lines of output: container {name}"));
            for line in lines {
                site.say(&format!("{name} | {}", line.trim_end()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Health = Health {
        timeout_s: 120,
        stable_s: 10,
    };

    #[test]
    fn verdicts() {
        use Status::*;
        let s = Duration::from_secs;
        for (status, restarts, health, up, waited, expected) in [
            // Without health check: up through the window, however long was waited.
            (Running, 0, None, 0, 0, Verdict::Wait(s(10))),
            (Running, 0, None, 4, 4, Verdict::Wait(s(6))),
            (Running, 0, None, 10, 10, Verdict::Good),
            (Running, 0, None, 5000, 0, Verdict::Good),
            // An exit is a failure, also when the policy has started it again.
            (Exited, 0, None, 0, 1, Verdict::Exited),
            (Restarting, 0, None, 0, 1, Verdict::Exited),
            (Running, 1, None, 60, 1, Verdict::Restarted),
            (Running, 1, Some("healthy"), 60, 1, Verdict::Restarted),
            (Created, 0, None, 0, 0, Verdict::Exited),
            (Prepared, 0, None, 0, 0, Verdict::Exited),
            // With health check: only its word counts.
            (Running, 0, Some("starting"), 60, 60, Verdict::Wait(s(60))),
            (Running, 0, Some("starting"), 120, 120, Verdict::Late),
            (Running, 0, Some("healthy"), 1, 1, Verdict::Good),
            (Running, 0, Some("healthy"), 300, 300, Verdict::Good),
            (Running, 0, Some("unhealthy"), 30, 30, Verdict::Unhealthy),
        ] {
            let look = Look {
                status,
                alive: true,
                restarts,
                health,
                up: s(up),
                waited: s(waited),
            };
            assert_eq!(verdict(look, LIMITS), expected, "{look:?}");
            if matches!(expected, Verdict::Good | Verdict::Wait(_)) {
                let dead = Look {
                    alive: false,
                    ..look
                };
                assert_eq!(
                    verdict(dead, LIMITS),
                    Verdict::Wait(ABORT_LATENCY),
                    "{dead:?}"
                );
            }
        }
    }
}
