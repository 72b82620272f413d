//! Why no artifact was made, and the exit code that says so.

use std::fmt;

/// Printed in `--help`; scripts may rely on it.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  the artifact was written, or is valid
  1  an option, a run arg, an image name or a setting is not valid
  2  a registry did not resolve an image, or did not deliver it whole
  3  the artifact could not be written or read, or is larger than it may be
  4  the artifact is damaged, not signed, or signed by somebody else";

/// One line for a person, by who has to act on it. No file was written or changed.
#[derive(Debug)]
pub enum Refusal {
    /// The caller, by asking differently.
    Usage(String),
    /// Whoever runs the registry, or holds its password.
    Registry(String),
    /// Whoever owns the output folder.
    Output(String),
    /// Whoever made the artifact.
    Invalid(String),
}

impl Refusal {
    /// The caller's words, or the settings, are not valid.
    pub fn usage(problem: impl fmt::Display) -> Refusal {
        Refusal::Usage(format!("Error: {problem}"))
    }

    /// The table of [`EXIT_CODES`].
    pub fn exit_code(&self) -> u8 {
        match self {
            Refusal::Usage(_) => 1,
            Refusal::Registry(_) => 2,
            Refusal::Output(_) => 3,
            Refusal::Invalid(_) => 4,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Usage(line) => write!(f, "{line}"),
            Refusal::Registry(problem) | Refusal::Output(problem) | Refusal::Invalid(problem) => {
                write!(f, "Error: {problem}")
            }
        }
    }
}
