//! `--security-opt`: profiles are read from their files, system paths are turned into their API fields.

use super::RunArgsError;
use super::draft::Draft;
use super::security;

/// Handled by the client: it becomes two empty lists of the create call.
const SYSTEM_PATHS: &str = "systempaths=unconfined";

/// Reads seccomp profiles and moves `systempaths=unconfined` to where Docker's API has it.
pub(super) fn place(draft: &mut Draft<'_>) -> Result<(), RunArgsError> {
    let mut options = Vec::new();
    for option in std::mem::take(&mut draft.host().security_opt) {
        if option == SYSTEM_PATHS {
            draft.host().masked_paths = Some(Vec::new());
            draft.host().readonly_paths = Some(Vec::new());
            continue;
        }
        options.push(
            match option
                .strip_prefix("seccomp=")
                .or(option.strip_prefix("seccomp:"))
            {
                Some(value) => seccomp(draft, value)?.unwrap_or(option),
                None => option,
            },
        );
    }
    security::parse(&options)?;
    draft.host().security_opt = options;
    Ok(())
}

/// A path is replaced by the content of the file; `None` leaves the option as it is.
fn seccomp(draft: &Draft<'_>, value: &str) -> Result<Option<String>, RunArgsError> {
    if value.is_empty() {
        return Err("Invalid --security-opt: \"seccomp=\"".to_owned().into());
    }
    if matches!(value, "unconfined" | "builtin") {
        return Ok(None);
    }
    let Some(bytes) = draft.outside.read(value)? else {
        return Ok(None);
    };
    let profile: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| {
        format!("compacting json for seccomp profile ({value}) failed: {error}")
    })?;
    Ok(Some(format!("seccomp={profile}")))
}
