//! One attempt to start a container: who waits for it, and what it has from the one before.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::{GO, Report, SHARED, TAKE_OVER};
use crate::sys::lock::Exclusive;
use crate::sys::socket;

/// One attempt to start.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The command that waits for us; absent for a restart by policy.
    pub control: Option<OwnedFd>,
    /// Of a restart by policy: the socket of clients that stay connected, and the container's lock.
    pub earlier: Option<(OwnedFd, Exclusive)>,
    /// Of a restart by policy: the mount namespace that the monitor was started in, if the container needs it.
    pub outside: Option<OwnedFd>,
    /// Restarts by policy so far.
    pub restarts: u32,
    /// The pause before this attempt.
    pub paused: Duration,
}

impl Attempt {
    pub(super) fn first(control: OwnedFd) -> Attempt {
        Attempt {
            control: Some(control),
            earlier: None,
            outside: None,
            restarts: 0,
            paused: Duration::ZERO,
        }
    }

    /// The lock is held until the program runs, so that whoever stops the container finds either no attempt or a program
    /// that hears the signal.
    pub(super) fn again(
        (listener, lock): (OwnedFd, Exclusive),
        outside: Option<OwnedFd>,
        restarts: u32,
        paused: Duration,
    ) -> Attempt {
        Attempt {
            control: None,
            earlier: Some((listener, lock)),
            outside,
            restarts,
            paused,
        }
    }

    /// What somebody waits for, so that the container's first process must not keep it open.
    pub(super) fn shared(&self) -> Vec<RawFd> {
        match &self.earlier {
            None => SHARED.to_vec(),
            Some((_, lock)) => vec![lock.as_fd().as_raw_fd()],
        }
    }

    /// Tells the command that waits.
    pub(super) fn report(&self, report: &Report) {
        if let Some(control) = &self.control {
            // Nobody may be left to hear it: a killed command does not stop the container.
            let _ = socket::send(control.as_fd(), &report.encode());
        }
    }

    /// Waits for the word to go: whether the container takes over its scope's ports. `None` if the command has given up or
    /// died.
    pub(super) fn wait_for_go(&self) -> Option<bool> {
        let Some(control) = &self.control else {
            // Who restarts by policy may have been replaced meanwhile.
            return Some(false);
        };
        let mut buffer = [0; 8];
        let length = socket::receive(control.as_fd(), &mut buffer, true).ok()??;
        match &buffer[..length] {
            GO => Some(false),
            TAKE_OVER => Some(true),
            _ => None,
        }
    }
}
