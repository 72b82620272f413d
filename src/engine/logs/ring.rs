//! Lines that wait in memory: for a receiver that is away, and with `mode=non-blocking` for a slow one, so that the container
//! need not. What does not fit takes the place of the oldest, and is counted.

use std::collections::VecDeque;

use super::Stream;

/// What a line takes besides its text.
const OVERHEAD: usize = size_of::<Line>() + 32;

/// Room for so many lines is kept in one that is empty.
const KEPT: usize = 4;

/// A line that waits.
#[derive(Debug)]
pub(super) struct Line {
    pub stream: Stream,
    pub text: Vec<u8>,
    pub time: String,
}

/// The lines that wait, the oldest first.
#[derive(Debug)]
pub(super) struct Ring {
    lines: VecDeque<Line>,
    bytes: usize,
    limit: usize,
    /// Lines that had to make room.
    dropped: u64,
}

impl Ring {
    /// One that never takes more than `limit` bytes, except for a single line.
    pub fn new(limit: usize) -> Ring {
        Ring {
            lines: VecDeque::new(),
            bytes: 0,
            limit,
            dropped: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn push(&mut self, line: Line) {
        let size = line.text.len() + OVERHEAD;
        while self.bytes + size > self.limit && self.pop().is_some() {
            self.dropped += 1;
        }
        self.bytes += size;
        self.lines.push_back(line);
    }

    /// Puts back what was popped.
    pub fn put_back(&mut self, line: Line) {
        self.bytes += line.text.len() + OVERHEAD;
        self.lines.push_front(line);
    }

    /// Counts one more line that is lost.
    pub fn count_lost(&mut self) {
        self.dropped += 1;
    }

    /// Gives up what is left.
    pub fn give_up(&mut self) {
        while self.pop().is_some() {
            self.dropped += 1;
        }
    }

    /// How many lines were lost so far.
    pub fn lost(&self) -> u64 {
        self.dropped
    }

    pub fn pop(&mut self) -> Option<Line> {
        let line = self.lines.pop_front()?;
        self.bytes -= line.text.len() + OVERHEAD;
        if self.lines.is_empty() {
            // A monitor that waits for days keeps no room.
            self.lines.shrink_to(KEPT);
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_make_room() {
        let line = |number: usize| Line {
            stream: Stream::Stdout,
            text: vec![number as u8; 100],
            time: String::new(),
        };
        let mut ring = Ring::new(3 * (100 + OVERHEAD));
        (0..10).for_each(|number| ring.push(line(number)));
        assert_eq!(ring.lost(), 7);
        assert_eq!(ring.pop().unwrap().text[0], 7);
        ring.push(line(10));
        let long = Line {
            text: vec![99; 5000],
            ..line(0)
        };
        ring.push(long);
        ring.push(line(11));
        let kept: Vec<u8> = std::iter::from_fn(|| Some(ring.pop()?.text[0])).collect();
        assert_eq!(kept, [11]);
        assert_eq!((ring.bytes, ring.is_empty(), ring.lost()), (0, true, 11));
        ring.push(line(1));
        let popped = ring.pop().unwrap();
        ring.put_back(popped);
        ring.give_up();
        assert_eq!((ring.bytes, ring.is_empty(), ring.lost()), (0, true, 12));
    }
}
