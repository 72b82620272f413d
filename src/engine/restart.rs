//! Restart policy: how a container ended and what was asked for, to what happens next. Pure.

use std::time::Duration;

use crate::api::RestartPolicy;

/// First pause before a restart; doubles with each restart in a row.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause before a restart.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A run of this length makes the next pause the first one again.
pub const STEADY: Duration = Duration::from_secs(10);

/// What happens to a container that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is started again after this pause.
    Restart(Duration),
    /// It stays as it is.
    Stay,
}

/// One end of a container.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// As a shell reports it.
    pub exit_code: i32,
    /// How long it ran.
    pub ran: Duration,
    /// The pause before it was started; zero for a first start.
    pub paused: Duration,
    /// Restarts by policy so far.
    pub restarts: u32,
    /// Somebody stopped it.
    pub stopped: bool,
}

/// Docker's decision: the pause doubles from 100 ms to a minute and starts anew after a run of 10 s.
pub fn decide(policy: &RestartPolicy, end: &End) -> Next {
    let wanted = match policy.name.as_str() {
        "always" | "unless-stopped" => true,
        "on-failure" => {
            let most = policy.maximum_retry_count;
            end.exit_code != 0 && (most == 0 || i64::from(end.restarts) < most)
        }
        _ => false,
    };
    if end.stopped || !wanted {
        return Next::Stay;
    }
    let steady = end.ran >= STEADY || end.paused.is_zero();
    Next::Restart(if steady {
        FIRST_PAUSE
    } else {
        (end.paused * 2).min(LONGEST_PAUSE)
    })
}

/// Whether a container that is not running is started at boot. Docker starts `always` even if somebody stopped it.
pub fn at_boot(policy: &RestartPolicy, meant_to_run: bool) -> bool {
    match policy.name.as_str() {
        "always" => true,
        "unless-stopped" | "on-failure" => meant_to_run,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, most: i64) -> RestartPolicy {
        RestartPolicy {
            name: name.into(),
            maximum_retry_count: most,
        }
    }

    #[test]
    fn decisions() {
        let ms = Duration::from_millis;
        let restart = |pause| Next::Restart(ms(pause));
        // policy, most, exit code, ran ms, paused ms, restarts, stopped, next
        for (name, most, exit_code, ran, paused, restarts, stopped, next) in [
            ("", 0, 1, 5, 0, 0, false, Next::Stay),
            ("no", 0, 1, 5, 0, 0, false, Next::Stay),
            ("always", 0, 0, 5, 0, 0, false, restart(100)),
            ("always", 0, 0, 5, 100, 1, false, restart(200)),
            ("always", 0, 0, 5, 51_200, 10, false, restart(60_000)),
            ("always", 0, 0, 9_999, 400, 3, false, restart(800)),
            ("always", 0, 0, 10_000, 400, 3, false, restart(100)),
            ("always", 0, 0, 5, 100, 1, true, Next::Stay),
            ("unless-stopped", 0, 137, 5, 0, 0, false, restart(100)),
            ("unless-stopped", 0, 137, 5, 0, 0, true, Next::Stay),
            ("on-failure", 0, 0, 5, 0, 0, false, Next::Stay),
            ("on-failure", 0, 1, 5, 0, 1000, false, restart(100)),
            ("on-failure", 3, 1, 5, 200, 2, false, restart(400)),
            ("on-failure", 3, 1, 5, 400, 3, false, Next::Stay),
        ] {
            let end = End {
                exit_code,
                ran: ms(ran),
                paused: ms(paused),
                restarts,
                stopped,
            };
            assert_eq!(decide(&policy(name, most), &end), next, "{name} {end:?}");
        }
    }

    #[test]
    fn boot() {
        for (name, meant, starts) in [
            ("", true, false),
            ("no", true, false),
            ("always", true, true),
            ("always", false, true),
            ("unless-stopped", true, true),
            ("unless-stopped", false, false),
            ("on-failure", true, true),
            ("on-failure", false, false),
        ] {
            assert_eq!(at_boot(&policy(name, 0), meant), starts, "{name} {meant}");
        }
    }
}
