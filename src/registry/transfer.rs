//! What all requests for one image have in common: until when they may last, whether anybody still wants it, and what
//! broken connections have cost.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::Problem;
use super::mirrors::Learnt;
use crate::host::Host;
use crate::sys::terminate;

/// How often a pause looks whether it still has a purpose.
const SLICE: Duration = Duration::from_millis(50);

/// One image on its way.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    /// When it has to be here, and what was allowed for it.
    deadline: Option<(Instant, Duration)>,
    given_up: AtomicBool,
    /// Whether nobody waits for the first answer.
    is_unattended: bool,
    crowd: Arc<Crowd>,
    is_counted: bool,
    refetched: AtomicU64,
    resumed: AtomicU64,
    learnt: Mutex<Learnt>,
}

/// All transfers of a client: a connection serves each of them, and is of no use once nobody waits.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    begun: AtomicUsize,
    given_up: AtomicUsize,
}

impl Crowd {
    /// Whether nobody waits any more: this process was asked to end, or all transfers were given up.
    pub(super) fn is_gone(&self) -> bool {
        let begun = self.begun.load(Relaxed);
        terminate::requested() || (begun > 0 && begun == self.given_up.load(Relaxed))
    }
}

impl Transfer {
    /// Begins now, and has to end within `deadline`.
    pub(super) fn begin(
        host: &Host,
        deadline: Option<Duration>,
        crowd: &Arc<Crowd>,
        is_unattended: bool,
    ) -> Transfer {
        crowd.begun.fetch_add(1, Relaxed);
        let until = |allowed| Some((host.instant().checked_add(allowed)?, allowed));
        Transfer {
            deadline: deadline.and_then(until),
            crowd: Arc::clone(crowd),
            is_counted: true,
            is_unattended,
            given_up: AtomicBool::default(),
            refetched: AtomicU64::default(),
            resumed: AtomicU64::default(),
            learnt: Mutex::default(),
        }
    }

    /// Whether it is worth waiting for long until this registry answers.
    pub(super) fn is_patient(&self, registry: &str) -> bool {
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_unattended || learnt.has_answered(registry)
    }

    /// Nobody wants it any more.
    pub(super) fn give_up(&self) {
        if !self.given_up.swap(true, Relaxed) && self.is_counted {
            self.crowd.given_up.fetch_add(1, Relaxed);
        }
    }

    /// Fails once there is no reason to go on.
    pub(super) fn check(&self, now: Instant) -> Result<(), Problem> {
        if self.given_up.load(Relaxed) || self.crowd.is_gone() {
            return Err(Problem::GivenUp);
        }
        match self.deadline {
            Some((until, allowed)) if now >= until => Err(Problem::Deadline(allowed)),
            _ => Ok(()),
        }
    }

    /// Waits, and fails as soon as there is no reason to.
    pub(super) fn pause(&self, host: &Host, time: Duration) -> Result<(), Problem> {
        let end = host.instant() + time;
        loop {
            let now = host.instant();
            self.check(now)?;
            if now >= end {
                return Ok(());
            }
            std::thread::sleep((end - now).min(SLICE));
        }
    }

    /// How long there is still time; without a deadline as long as one likes.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let (until, _) = self.deadline?;
        Some(until.saturating_duration_since(now))
    }

    pub(super) fn count_refetched(&self, bytes: u64) {
        self.refetched.fetch_add(bytes, Relaxed);
    }

    pub(super) fn count_resumed(&self) {
        self.resumed.fetch_add(1, Relaxed);
    }

    /// What is known about mirrors.
    pub(super) fn learnt(&self) -> &Mutex<Learnt> {
        &self.learnt
    }

    pub(super) fn refetched(&self) -> u64 {
        self.refetched.load(Relaxed)
    }

    pub(super) fn resumed(&self) -> u64 {
        self.resumed.load(Relaxed)
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if self.is_counted {
            if *self.given_up.get_mut() {
                self.crowd.given_up.fetch_sub(1, Relaxed);
            }
            self.crowd.begun.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host::at(std::path::Path::new("/nowhere"))
    }

    #[test]
    fn a_pause_ends_with_its_purpose() {
        let (host, crowd) = (host(), Arc::default());
        let transfer = Transfer::begin(&host, Some(Duration::ZERO), &crowd, false);
        let ended = transfer
            .pause(&host, Duration::from_secs(3600))
            .unwrap_err();
        assert_eq!(
            ended.to_string(),
            "the download took longer than the 0 s it may take ([download] deadline in the settings)"
        );
        let transfer = Transfer::begin(&host, Some(Duration::from_secs(9)), &crowd, false);
        transfer.pause(&host, Duration::ZERO).unwrap();
        transfer.give_up();
        let ended = transfer
            .pause(&host, Duration::from_secs(3600))
            .unwrap_err();
        assert_eq!(ended.to_string(), "the download was given up");
    }

    #[test]
    fn connections_end_with_the_last_who_waits() {
        let (host, crowd) = (host(), Arc::default());
        assert!(!Crowd::is_gone(&crowd), "requests without a transfer");
        let [one, two] = [(); 2].map(|()| Transfer::begin(&host, None, &crowd, false));
        one.give_up();
        one.give_up();
        assert!(!Crowd::is_gone(&crowd) && one.check(host.instant()).is_err());
        two.check(host.instant()).unwrap();
        drop(two);
        assert!(Crowd::is_gone(&crowd));
        drop(one);
        assert!(!Crowd::is_gone(&crowd));
    }
}
