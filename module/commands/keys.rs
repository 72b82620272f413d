//! Looks for the keys that detach from a terminal.

use dray::runargs::keys;

/// The keys, and how many of them have been pressed so far.
#[derive(Debug)]
pub struct Keys {
    keys: Vec<u8>,
    matched: usize,
}

impl Keys {
    /// The keys of `--detach-keys`, or Docker's own.
    pub fn new(option: Option<&str>) -> anyhow::Result<Keys> {
        let keys = keys::parse(option.unwrap_or_default()).map_err(anyhow::Error::msg)?;
        Ok(Keys { keys, matched: 0 })
    }

    /// What is to be passed on, and whether all the keys were pressed.
    pub fn filter(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(input.len());
        for byte in input {
            if *byte != self.keys[self.matched] {
                out.extend(&self.keys[..self.matched]);
                self.matched = 0;
            }
            if *byte != self.keys[self.matched] {
                out.push(*byte);
                continue;
            }
            self.matched += 1;
            if self.matched == self.keys.len() {
                self.matched = 0;
                return (out, true);
            }
        }
        (out, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_detach_are_not_passed_on() {
        for (option, pieces, passed, detached) in [
            ("", vec![&b"abc"[..]], &b"abc"[..], false),
            ("", vec![b"a\x10\x11b"], b"a", true),
            ("", vec![b"a\x10", b"\x11"], b"a", true),
            ("", vec![b"\x10a"], b"\x10a", false),
            ("", vec![b"\x10\x10\x11"], b"\x10", true),
            ("q", vec![b"abq"], b"ab", true),
            ("ctrl-x,x,y", vec![b"\x18x\x18xy"], b"\x18x", true),
        ] {
            let mut keys = Keys::new(Some(option)).unwrap();
            let (mut out, mut gone) = (Vec::new(), false);
            for piece in &pieces {
                let (more, done) = keys.filter(piece);
                out.extend(more);
                gone |= done;
            }
            assert_eq!((&out[..], gone), (passed, detached), "{pieces:?}");
        }
    }
}
