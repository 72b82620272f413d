//! What goes on, for a person who waits.

use std::fmt;
use std::io::{IsTerminal, stderr};

/// Says what is done, if somebody is looking.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    is_shown: bool,
}

impl Progress {
    /// On a terminal, unless it is unwanted.
    pub fn new(is_wanted: bool) -> Progress {
        Progress {
            is_shown: is_wanted && stderr().is_terminal(),
        }
    }

    /// One step.
    pub fn say(&self, step: fmt::Arguments<'_>) {
        if self.is_shown {
            eprintln!("{step}");
        }
    }
}
