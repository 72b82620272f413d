//! State scripts: their names say when Mender's client runs them.

/// States around which an artifact's own scripts run; those of `Idle`, `Sync` and `Download` belong to the device.
const STATES: [&str; 6] = [
    "ArtifactInstall",
    "ArtifactReboot",
    "ArtifactCommit",
    "ArtifactRollback",
    "ArtifactRollbackReboot",
    "ArtifactFailure",
];

/// Longest name: with its folder it has to fit into the hundred bytes of a tar header, where the C++ client looks for it.
pub const MAX_NAME: usize = 90;

/// Most scripts of one artifact; each runs on every update.
pub const MAX_SCRIPTS: usize = 100;

/// Why a name is not one that a client would run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScriptError {
    /// Not of the form that all clients look for.
    #[error(
        "state script {0:?} must be named STATE_Enter, _Leave or _Error, then _ and two digits, then perhaps _ and a \
         text, such as ArtifactInstall_Enter_05_wifi"
    )]
    Form(String),
    /// The form is right, but an artifact cannot have it.
    #[error(
        "state script {name:?} is for the state {state:?}; those of an artifact are ArtifactInstall, ArtifactReboot, \
         ArtifactCommit, ArtifactRollback, ArtifactRollbackReboot and ArtifactFailure"
    )]
    State {
        /// The whole name.
        name: String,
        /// Its first part.
        state: String,
    },
    /// Longer than [`MAX_NAME`].
    #[error("state script {0:?} has a name longer than {MAX_NAME} bytes")]
    Long(String),
}

/// Whether a name has the form that all clients look for, whatever its state.
pub fn is_form(name: &str) -> bool {
    state_of(name).is_some()
}

/// The state, if the name has the form.
fn state_of(name: &str) -> Option<&str> {
    let mut parts = name.splitn(3, '_');
    let (state, when, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (order, text) = match rest.split_once('_') {
        Some((order, text)) => (order, Some(text)),
        None => (rest, None),
    };
    let two_digits = order.len() == 2 && order.bytes().all(|byte| byte.is_ascii_digit());
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
    let sound = text.is_none_or(|text| !text.is_empty() && text.bytes().all(plain));
    let letters = !state.is_empty() && state.bytes().all(|byte| byte.is_ascii_alphabetic());
    let action = matches!(when, "Enter" | "Leave" | "Error");
    (letters && action && two_digits && sound).then_some(state)
}

/// Refuses a name that a client would not run, or that not every client can read.
pub fn check_name(name: &str) -> Result<(), ScriptError> {
    let Some(state) = state_of(name) else {
        return Err(ScriptError::Form(name.chars().take(MAX_NAME).collect()));
    };
    if !STATES.contains(&state) {
        let (name, state) = (name.to_owned(), state.to_owned());
        return Err(ScriptError::State { name, state });
    }
    match name.len() > MAX_NAME {
        false => Ok(()),
        true => Err(ScriptError::Long(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_clients_run() {
        for name in [
            "ArtifactInstall_Enter_00",
            "ArtifactCommit_Leave_99_x",
            "ArtifactRollbackReboot_Error_05_wifi-driver_2.sh",
        ] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in [
            "",
            "install.sh",
            "ArtifactInstall",
            "ArtifactInstall_Enter",
            "ArtifactInstall_Enter_1",
            "ArtifactInstall_Enter_001",
            "ArtifactInstall_Enter_0a",
            "ArtifactInstall_enter_01",
            "ArtifactInstall_Enter_01_",
            "ArtifactInstall_Enter_01_a b",
            "ArtifactInstall_Enter_01_a/b",
            "ArtifactInstall_Enter_01.sh",
            "x ArtifactInstall_Enter_01",
            "../ArtifactInstall_Enter_01",
        ] {
            assert_eq!(check_name(name), Err(ScriptError::Form(name.to_owned())));
        }
        let state = |name: &str| ScriptError::State {
            name: name.to_owned(),
            state: "Download".to_owned(),
        };
        assert_eq!(
            check_name("Download_Enter_01"),
            Err(state("Download_Enter_01"))
        );
        let long = format!("ArtifactInstall_Enter_01_{}", "x".repeat(MAX_NAME));
        assert_eq!(check_name(&long), Err(ScriptError::Long(long.clone())));
    }
}
