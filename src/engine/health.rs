//! Health: when the next probe is due and what a probe's result means. Pure; the probe itself is an exec.

use std::time::Duration;

use super::record::{Health, Probe};
use crate::api::Config;
use crate::oci::Healthcheck;

/// Probes that are kept, as Docker keeps them.
pub const KEPT_PROBES: usize = 5;
/// Bytes of a probe's output that are kept, as Docker keeps them.
pub const KEPT_OUTPUT: usize = 4096;

/// A health check with Docker's defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The command.
    pub command: Vec<String>,
    /// Between two probes.
    pub interval: Duration,
    /// Until a probe counts as failed.
    pub timeout: Duration,
    /// After the start, in which failures do not count.
    pub start_period: Duration,
    /// Between two probes in the start period.
    pub start_interval: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
}

impl Check {
    /// The check of a container; `None` where there is none or it is switched off.
    pub fn of(config: &Config) -> Option<Check> {
        let usual = ["/bin/sh".to_owned(), "-c".to_owned()];
        let shell = match &config.shell[..] {
            [] => &usual,
            shell => shell,
        };
        Check::new(config.healthcheck.as_ref(), shell)
    }

    /// `None` where there is no check or it is switched off. `shell` runs a `CMD-SHELL` line.
    fn new(healthcheck: Option<&Healthcheck>, shell: &[String]) -> Option<Check> {
        let check = healthcheck?;
        let command = match check.test.split_first() {
            Some((kind, words)) if kind == "CMD" && !words.is_empty() => words.to_vec(),
            Some((kind, [line])) if kind == "CMD-SHELL" => {
                shell.iter().cloned().chain([line.clone()]).collect()
            }
            _ => return None,
        };
        let or = |nanoseconds: i64, default: u64| match u64::try_from(nanoseconds) {
            Ok(n) if n > 0 => Duration::from_nanos(n),
            _ => Duration::from_secs(default),
        };
        Some(Check {
            command,
            interval: or(check.interval, 30),
            timeout: or(check.timeout, 30),
            start_period: or(check.start_period, 0),
            start_interval: or(check.start_interval, 5),
            retries: u32::try_from(check.retries)
                .ok()
                .filter(|r| *r > 0)
                .unwrap_or(3),
        })
    }

    /// Time until the next probe, `since_start` after the container's start.
    pub fn pause(&self, health: &Health, since_start: Duration) -> Duration {
        if health.status == "starting" && since_start < self.start_period {
            self.start_interval
        } else {
            self.interval
        }
    }

    /// Takes a probe's result into account; true if the status changed.
    pub fn judge(&self, health: &mut Health, probe: Probe, since_start: Duration) -> bool {
        let before = health.status.clone();
        if probe.exit_code == 0 {
            health.failing_streak = 0;
            health.status = "healthy".into();
        } else if !(health.status == "starting" && since_start < self.start_period) {
            health.failing_streak += 1;
            if health.failing_streak >= self.retries {
                health.status = "unhealthy".into();
            }
        }
        health.log.push(probe);
        let surplus = health.log.len().saturating_sub(KEPT_PROBES);
        health.log.drain(..surplus);
        health.status != before
    }
}

/// Health of a container that has just been started.
pub fn starting() -> Health {
    Health {
        status: "starting".into(),
        failing_streak: 0,
        log: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(start_period: u64, retries: i64) -> Check {
        let check = Healthcheck {
            test: vec!["CMD".into(), "true".into()],
            start_period: start_period as i64 * 1_000_000_000,
            retries,
            ..Healthcheck::default()
        };
        Check::new(Some(&check), &[]).unwrap()
    }

    #[test]
    fn words_become_a_command() {
        let shell = ["/bin/sh".to_owned(), "-c".to_owned()];
        for (test, command) in [
            (vec!["CMD", "a", "b c"], Some(vec!["a", "b c"])),
            (
                vec!["CMD-SHELL", "a | b"],
                Some(vec!["/bin/sh", "-c", "a | b"]),
            ),
            (vec!["NONE"], None),
            (vec!["CMD"], None),
            (vec![], None),
        ] {
            let healthcheck = Healthcheck {
                test: test.into_iter().map(String::from).collect(),
                ..Healthcheck::default()
            };
            let got = Check::new(Some(&healthcheck), &shell).map(|c| c.command);
            assert_eq!(
                got,
                command.map(|c| c.into_iter().map(String::from).collect()),
                "{healthcheck:?}"
            );
        }
    }

    #[test]
    fn verdicts() {
        // start period s, retries, [(seconds since start, exit code, status after, streak after)]
        for (period, retries, probes) in [
            (
                0,
                3,
                vec![
                    (1, 1, "starting", 1),
                    (2, 1, "starting", 2),
                    (3, 1, "unhealthy", 3),
                    (4, 0, "healthy", 0),
                ],
            ),
            (
                10,
                1,
                vec![
                    (1, 1, "starting", 0),
                    (9, 1, "starting", 0),
                    (11, 1, "unhealthy", 1),
                ],
            ),
            (
                10,
                2,
                vec![
                    (1, 0, "healthy", 0),
                    (2, 1, "healthy", 1),
                    (3, -1, "unhealthy", 2),
                ],
            ),
        ] {
            let check = check(period, retries);
            let mut health = starting();
            for (seconds, exit_code, status, streak) in probes {
                check.judge(
                    &mut health,
                    Probe {
                        exit_code,
                        ..Probe::default()
                    },
                    Duration::from_secs(seconds),
                );
                assert_eq!(
                    (health.status.as_str(), health.failing_streak),
                    (status, streak),
                    "{seconds}"
                );
            }
        }
    }

    #[test]
    fn only_the_last_probes_are_kept() {
        let (check, mut health) = (check(0, 3), starting());
        for exit_code in 0..9 {
            check.judge(
                &mut health,
                Probe {
                    exit_code,
                    ..Probe::default()
                },
                Duration::ZERO,
            );
        }
        assert_eq!(
            health.log.iter().map(|p| p.exit_code).collect::<Vec<_>>(),
            [4, 5, 6, 7, 8]
        );
    }

    #[test]
    fn probes_are_denser_while_starting() {
        let check = check(10, 3);
        let mut health = starting();
        assert_eq!(
            check.pause(&health, Duration::from_secs(1)),
            Duration::from_secs(5)
        );
        assert_eq!(
            check.pause(&health, Duration::from_secs(11)),
            Duration::from_secs(30)
        );
        health.status = "healthy".into();
        assert_eq!(
            check.pause(&health, Duration::from_secs(1)),
            Duration::from_secs(30)
        );
    }
}
