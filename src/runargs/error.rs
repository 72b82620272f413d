//! Why words are refused. Where Docker's client refuses them too, the text is its own.

use std::path::PathBuf;

/// Longest part of a word that an error message repeats.
const SHOWN: usize = 200;

/// Why run arguments are refused.
#[derive(Debug, thiserror::Error)]
pub enum RunArgsError {
    /// A quote was opened and not closed.
    #[error("run arguments {0:?} have a {1} that is never closed")]
    Quote(String, &'static str),
    /// A backslash with nothing after it.
    #[error("run arguments {0:?} end in a backslash")]
    Backslash(String),
    /// `--x` that is none of `docker run`'s options.
    #[error("unknown flag: --{0}")]
    Unknown(String),
    /// `-x` that is none of `docker run`'s options.
    #[error("unknown shorthand flag: {0:?} in -{1}")]
    UnknownShort(char, String),
    /// `--=x` and the like.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// The last word is an option that needs a value.
    #[error("flag needs an argument: {0}")]
    NeedsArgument(String),
    /// A value that its option does not take.
    #[error("invalid argument {value:?} for {flag:?} flag: {reason}")]
    Invalid {
        /// The value, shortened.
        value: String,
        /// The option as Docker's help shows it.
        flag: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An option of `docker run` that dray does not honour.
    #[error("option --{option} is not supported by dray: {reason}")]
    Unsupported {
        /// The option's long name.
        option: String,
        /// Why, and what to do instead.
        reason: String,
    },
    /// Values that are wrong together, or that Docker's daemon would refuse.
    #[error("{0}")]
    Refused(String),
    /// A file of environment variables or labels cannot be read.
    #[error("failed to read {path:?}: {source}")]
    File {
        /// As given.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that is read but makes no sense.
    #[error("invalid env file ({path}): {reason}")]
    Variables {
        /// As given.
        path: String,
        /// What is wrong, with the line.
        reason: String,
    },
    /// A word that is neither an option nor an option's value, where no image is expected.
    #[error(
        "{0:?} is neither an option nor an option's value; run arguments hold options only, the image is named elsewhere"
    )]
    Stray(String),
    /// No image where one is expected.
    #[error("an image is missing: [OPTIONS] IMAGE [COMMAND] [ARG...]")]
    NoImage,
    /// The image is not a reference.
    #[error("invalid image: {0}")]
    Image(crate::oci::ReferenceError),
    /// `--help`.
    #[error("--help asks for usage: [OPTIONS] IMAGE [COMMAND] [ARG...]")]
    Help,
}

/// As much of a text as an error message repeats.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

impl From<String> for RunArgsError {
    fn from(refusal: String) -> RunArgsError {
        RunArgsError::Refused(refusal)
    }
}
