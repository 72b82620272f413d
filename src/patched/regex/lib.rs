//! The interface of `regex` that our dependencies use, from `regex-lite`.

pub use regex_lite::{Captures, Error, Regex, RegexBuilder};
