//! What stays when the monitor executes itself anew: its descriptors, named by number in the arguments.

use std::os::fd::RawFd;
use std::time::Duration;

/// What the first life hands to the second: descriptors by number, which stay open over the execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Handover {
    /// The container's first process.
    pub init: i32,
    /// A handle on it.
    pub pidfd: RawFd,
    /// Its output, or its terminal.
    pub output: RawFd,
    /// Its error output; absent with a terminal.
    pub error: Option<RawFd>,
    /// Its input, if that is kept open.
    pub input: Option<RawFd>,
    /// Where clients connect.
    pub listener: RawFd,
    /// The mount namespace that the monitor was started in, if restarts need it.
    pub outside: Option<RawFd>,
    /// The pause before this start.
    pub paused: Duration,
}

impl Handover {
    /// As arguments.
    pub fn encode(&self) -> Vec<String> {
        let optional = |fd: Option<RawFd>| fd.unwrap_or(-1);
        let numbers = [
            self.init,
            self.pidfd,
            self.output,
            optional(self.error),
            optional(self.input),
            self.listener,
            optional(self.outside),
            self.paused.as_millis() as i32,
        ];
        numbers.iter().map(i32::to_string).collect()
    }

    /// `None` for words that are not ours.
    pub fn decode(words: &[String]) -> Option<Handover> {
        let numbers: Vec<i32> = words
            .iter()
            .map(|word| word.parse().ok())
            .collect::<Option<_>>()?;
        let [init, pidfd, output, error, input, listener, outside, paused] = numbers[..] else {
            return None;
        };
        let optional = |fd: i32| (fd >= 0).then_some(fd);
        let paused = Duration::from_millis(u64::try_from(paused).ok()?);
        Some(Handover {
            init,
            pidfd,
            output,
            error: optional(error),
            input: optional(input),
            listener,
            outside: optional(outside),
            paused,
        })
    }

    /// Every descriptor that must stay open.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let optional = self.error.into_iter().chain(self.input).chain(self.outside);
        [self.pidfd, self.output, self.listener]
            .into_iter()
            .chain(optional)
            .collect()
    }
}
