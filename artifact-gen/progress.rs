//! What goes on, for a person who waits.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, IsTerminal, Read, stderr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::size::Size;

/// Pause between two drawings.
const PAUSE: Duration = Duration::from_millis(200);

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

    /// Begins to count bytes of which so many are to come.
    pub fn meter(&self, total: u64) -> Rc<Meter> {
        Rc::new(Meter {
            is_shown: self.is_shown,
            total,
            done: Cell::new(0),
            begun: Instant::now(),
            drawn: RefCell::new(None),
        })
    }
}

/// Bytes that come, drawn in place.
#[derive(Debug)]
pub struct Meter {
    is_shown: bool,
    total: u64,
    done: Cell<u64>,
    begun: Instant,
    /// When it was last drawn; what it drew is on the terminal's last line then.
    drawn: RefCell<Option<Instant>>,
}

impl Meter {
    /// Counts what is read of `content`.
    pub fn counted(self: &Rc<Meter>, content: Box<dyn Read>) -> Box<dyn Read> {
        Box::new(Counted {
            content,
            meter: Rc::clone(self),
        })
    }

    fn count(&self, bytes: u64) {
        self.done.set(self.done.get() + bytes);
        let mut drawn = self.drawn.borrow_mut();
        let last = drawn.unwrap_or(self.begun);
        if self.is_shown && last.elapsed() >= PAUSE {
            eprint!("\r{}\x1b[K", self.line(self.begun.elapsed()));
            *drawn = Some(Instant::now());
        }
    }

    fn line(&self, passed: Duration) -> String {
        let (done, total) = (self.done.get(), self.total);
        let rate = (done as f64 / passed.as_secs_f64()) as u64;
        let mut line = format!("{} of {}, {}/s", Size(done), Size(total), Size(rate));
        if let Some(left) = total
            .saturating_sub(done)
            .checked_div(rate)
            .filter(|s| *s > 0)
        {
            line += &format!(", {left} s left");
        }
        line
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // What is said next has a line of its own.
        if self.drawn.borrow().is_some() {
            eprint!("\r{}\x1b[K\n", self.line(self.begun.elapsed()));
        }
    }
}

struct Counted {
    content: Box<dyn Read>,
    meter: Rc<Meter>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.meter.count(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_rate_and_an_end() {
        let progress = Progress { is_shown: false };
        let meter = progress.meter(10_000_000);
        let mut content = meter.counted(Box::new(io::repeat(1).take(2_500_000)));
        io::copy(&mut content, &mut io::sink()).unwrap();
        assert_eq!(
            meter.line(Duration::from_secs(5)),
            "2.5 MB of 10.0 MB, 500.0 KB/s, 15 s left"
        );
        meter.count(7_500_000);
        assert_eq!(
            meter.line(Duration::from_secs(10)),
            "10.0 MB of 10.0 MB, 1.0 MB/s"
        );
        assert_eq!(
            progress.meter(7).line(Duration::from_secs(1)),
            "0 B of 7 B, 0 B/s"
        );
    }
}
