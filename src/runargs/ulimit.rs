//! `--ulimit name=soft[:hard]`.

use crate::api::Ulimit;

/// Resource limits that Docker's clients know, by name.
pub const NAMES: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Without a hard limit it is the soft one; -1 is unlimited.
pub(super) fn parse(text: &str) -> Result<Ulimit, String> {
    let (name, limits) = text
        .split_once('=')
        .ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !NAMES.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let mut parts = limits.split(':');
    let (soft, hard) = (parts.next().unwrap_or_default(), parts.next());
    if parts.next().is_some() {
        return Err(format!(
            "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
        ));
    }
    let number = super::value::decimal;
    let hard = hard.map(number).transpose()?;
    let soft = number(soft)?;
    let hard = hard.unwrap_or(soft);
    if hard != -1 && soft == -1 {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {hard}"
        ));
    }
    if hard != -1 && soft > hard {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        ));
    }
    Ok(Ulimit {
        name: name.to_owned(),
        soft,
        hard,
    })
}
