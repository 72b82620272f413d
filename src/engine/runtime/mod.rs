//! The runtime: a bundle to a process. Everything libcontainer does happens in processes that dray starts for it alone,
//! because it changes its caller (dumpable flag, OOM score, current folder) and must not run beside threads.

mod confine;
mod filter;
mod libcontainer;

pub use confine::Confinement;
pub use libcontainer::{Bundle, First, Stdio, create, exec, forget, start};

/// Refuses a filter that cannot be compiled; `filters` is where compiled ones are kept.
pub fn check_filter(filter: serde_json::Value, filters: &std::path::Path) -> Result<(), String> {
    let filter: filter::Filter = serde_json::from_value(filter).map_err(|e| e.to_string())?;
    filter.flags()?;
    filter.program(filters).map(drop)
}

/// Exit code of the command line when the engine itself failed; Docker's number.
pub const EXIT_ENGINE: i32 = 125;
/// The command cannot be executed.
pub const EXIT_NOT_EXECUTABLE: i32 = 126;
/// The command does not exist.
pub const EXIT_NOT_FOUND: i32 = 127;

/// What a container's state has where Docker knows nothing better.
const EXIT_UNKNOWN: i32 = 128;

/// The exit code in the state of a container whose start failed with this message; Docker's numbers, which are not those of
/// its client.
pub fn state_code(reason: &str) -> i32 {
    match exit_code(reason) {
        EXIT_ENGINE if reason.to_lowercase().contains("not a directory") => EXIT_NOT_FOUND,
        EXIT_ENGINE => EXIT_UNKNOWN,
        code => code,
    }
}

/// The exit code that Docker's client has for a failure with this message.
pub fn exit_code(reason: &str) -> i32 {
    if reason.contains("executable file not found") || reason.contains("no such file or directory")
    {
        EXIT_NOT_FOUND
    } else if [
        "permission denied",
        "exec format error",
        "operation not permitted",
    ]
    .iter()
    .any(|known| reason.contains(known))
    {
        EXIT_NOT_EXECUTABLE
    } else {
        EXIT_ENGINE
    }
}
