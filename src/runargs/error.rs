//! Why words are refused.

/// Why run arguments are refused.
#[derive(Debug, thiserror::Error)]
pub enum RunArgsError {
    /// Only until the parser is complete.
    #[error("run arguments are not built yet")]
    Unbuilt,
    /// A quote was opened and not closed.
    #[error("run arguments {0:?} have a {1} that is never closed")]
    Quote(String, &'static str),
    /// A backslash with nothing after it.
    #[error("run arguments {0:?} end in a backslash")]
    Backslash(String),
}
