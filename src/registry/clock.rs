//! What time it is for certificates, on devices that begin each life in 1970.
//!
//! The time used is the system's, but never before the floor: when this program was built, and the latest beginning of a
//! certificate that an authority vouched for. That beginning is a signed time: an authority says by it that the day has
//! come. (The `Date` of a server is not signed by anybody.) It is kept in `<state>/seen-time`, in seconds since 1970, so
//! that a device without a clock does not fall back to its build; whoever owns the state folder may remove it.
//!
//! While the system's clock is behind the floor it is known to be wrong, and only how early it can be at the earliest
//! is known. A certificate that begins later than that is then judged as if today were its first day: if all else is
//! right, its authority has told us the time. One that ended before the floor is refused, as ever. With a clock that may
//! be right nothing of this happens, and a certificate of the future is refused.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use crate::host::{self, Host};
use crate::sys;

/// Where the floor is kept below the state folder.
const FILE: &str = "seen-time";
/// A step of the floor that is worth a write.
const WORTH: u64 = 24 * 60 * 60;

/// A clock with a floor; in seconds since 1970.
#[derive(Debug)]
pub(super) struct Clock {
    system: fn() -> SystemTime,
    floor: AtomicU64,
    file: Option<PathBuf>,
}

impl Clock {
    /// The host's, with what it remembers.
    pub(super) fn new(host: &Host) -> Clock {
        let file = host.state.join(FILE);
        // Without it, or with something else in it, the build has to do.
        let seen = std::fs::read_to_string(&file).ok();
        let seen = seen.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Clock {
            system: host.clock,
            floor: AtomicU64::new(seconds(host.built).max(seen)),
            file: Some(file),
        }
    }

    /// One that remembers nothing.
    pub(super) fn forgetful() -> Clock {
        Clock {
            system: host::system_clock,
            floor: AtomicU64::new(seconds(host::built())),
            file: None,
        }
    }

    /// What the system says.
    pub(super) fn system(&self) -> u64 {
        seconds((self.system)())
    }

    /// What counts.
    pub(super) fn now(&self) -> u64 {
        self.system().max(self.floor.load(Relaxed))
    }

    /// Whether the system's clock is known to be wrong.
    pub(super) fn is_behind(&self) -> bool {
        self.system() < self.floor.load(Relaxed)
    }

    /// An authority vouched for a certificate that begins at this time.
    pub(super) fn learn(&self, begins: u64) {
        let before = self.floor.fetch_max(begins, Relaxed);
        let Some(file) = &self.file else {
            return;
        };
        if begins < before.saturating_add(WORTH) {
            return;
        }
        // A help for later; a pull does not fail for it. On a workstation there is no such folder.
        let _ = sys::fs::replace(file, 0o600, format!("{begins}\n").as_bytes());
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.now())))
    }
}

/// Seconds since 1970; a time before is none.
pub(super) fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// A time for people.
pub(super) fn shown(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok();
    let time = time.and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    time.map_or_else(
        || format!("{seconds} s after 1970"),
        |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_1970() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(12)
    }

    #[test]
    fn the_floor_only_rises_and_is_remembered() {
        let dir = std::env::temp_dir().join(format!("dray-clock-{}", std::process::id()));
        let mut host = Host::at(&dir);
        host.clock = at_1970;
        host.built = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        sys::fs::create_dirs(&host.state).unwrap();
        let clock = Clock::new(&host);
        assert_eq!((clock.system(), clock.now()), (12, 1_000_000));
        assert!(clock.is_behind());
        clock.learn(500_000);
        assert_eq!(Clock::new(&host).now(), 1_000_000);
        clock.learn(3_000_000);
        clock.learn(2_000_000);
        assert_eq!(
            (clock.now(), Clock::new(&host).now()),
            (3_000_000, 3_000_000)
        );
        // Damage is as good as absence.
        sys::fs::replace(&host.state.join(FILE), 0o600, b"\xff 7").unwrap();
        assert_eq!(Clock::new(&host).now(), 1_000_000);
        host.clock = || SystemTime::UNIX_EPOCH + Duration::from_secs(9_000_000);
        let clock = Clock::new(&host);
        assert_eq!((clock.now(), clock.is_behind()), (9_000_000, false));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn times_are_for_people() {
        assert_eq!(shown(12), "1970-01-01 00:00:12 UTC");
        assert_eq!(shown(u64::MAX), "18446744073709551615 s after 1970");
    }
}
