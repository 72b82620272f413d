//! `--health-*` and `--no-healthcheck`.

use super::draft::Draft;
use crate::oci::Healthcheck;

/// Shortest time that Docker's daemon accepts, nanoseconds.
const MIN: i64 = 1_000_000;

/// Nothing given leaves the image's check alone.
pub(super) fn place(draft: &mut Draft<'_>) -> Result<(), String> {
    let health = std::mem::take(&mut draft.health);
    let mut check = health.check;
    if !health.command.is_empty() {
        check.test = vec!["CMD-SHELL".to_owned(), health.command];
    }
    let given = check != Healthcheck::default();
    if health.none && given {
        return Err("--no-healthcheck conflicts with --health-* options".to_owned());
    }
    if health.none {
        check.test = vec!["NONE".to_owned()];
    }
    for (name, value) in [
        ("--health-interval", check.interval),
        ("--health-timeout", check.timeout),
        ("--health-retries", check.retries),
        ("--health-start-period", check.start_period),
        ("--health-start-interval", check.start_interval),
    ] {
        if value < 0 {
            return Err(format!("{name} cannot be negative"));
        }
        if (1..MIN).contains(&value) && name != "--health-retries" {
            return Err(format!("{name} cannot be less than 1ms"));
        }
    }
    draft.config().healthcheck = (given || health.none).then_some(check);
    Ok(())
}
