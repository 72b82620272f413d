//! `--restart`.

use crate::api::RestartPolicy;

/// `no`, `always`, `unless-stopped`, `on-failure[:count]`.
pub(super) fn parse(text: &str) -> Result<RestartPolicy, String> {
    let (name, count) = text.split_once(':').unwrap_or((text, ""));
    if name.is_empty() && text.starts_with(':') {
        return Err("invalid restart policy format: no policy provided before colon".to_owned());
    }
    let maximum_retry_count = match count {
        "" => 0,
        count => super::value::decimal(count).map_err(|_| {
            "invalid restart policy format: maximum retry count must be an integer".to_owned()
        })?,
    };
    Ok(RestartPolicy {
        name: name.to_owned(),
        maximum_retry_count,
    })
}

/// What Docker's daemon asks of a policy.
pub(super) fn check(policy: &RestartPolicy) -> Result<(), String> {
    let count = policy.maximum_retry_count;
    match policy.name.as_str() {
        "on-failure" if count < 0 => {
            Err("invalid restart policy: maximum retry count cannot be negative".to_owned())
        }
        "always" | "unless-stopped" | "no" | "" if count != 0 => Err(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
                .to_owned(),
        ),
        "always" | "unless-stopped" | "no" | "" | "on-failure" => Ok(()),
        unknown => Err(format!(
            "invalid restart policy: unknown policy '{unknown}'; use one of 'no', 'always', 'on-failure', or \
             'unless-stopped'"
        )),
    }
}
