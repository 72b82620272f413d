//! The limit of bytes a second that all connections of a client share.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What may be fetched at once, as a time at the limit: short enough to be smooth, long enough to be cheap.
const BURST: Duration = Duration::from_millis(1000 / BURSTS);
/// So many of them make a second.
const BURSTS: u64 = 20;

/// A bucket of tokens, kept as the moment at which everything fetched so far is paid for.
#[derive(Debug)]
pub(super) struct Limiter {
    /// Bytes a second.
    rate: Option<u64>,
    paid: Mutex<Option<Instant>>,
}

impl Limiter {
    pub(super) fn new(rate: Option<u64>) -> Limiter {
        Limiter {
            rate,
            paid: Mutex::default(),
        }
    }

    /// Pays for up to `wanted` bytes that are about to be read: how many may be, and how long to wait before.
    pub(super) fn pay(&self, wanted: usize, now: Instant) -> (usize, Duration) {
        let Some(rate) = self.rate else {
            return (wanted, Duration::ZERO);
        };
        let chunk = usize::try_from(rate / BURSTS).unwrap_or(usize::MAX).max(1);
        let bytes = wanted.min(chunk);
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        // Time that nobody used is lost but for one burst.
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = paid.map_or(now, |paid| paid.max(earliest));
        *paid = Some(from + cost(bytes, rate));
        (bytes, from.saturating_duration_since(now))
    }

    /// Takes back what was paid for bytes that did not come.
    pub(super) fn refund(&self, bytes: usize) {
        let Some(rate) = self.rate else {
            return;
        };
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        *paid = paid.and_then(|paid| paid.checked_sub(cost(bytes, rate)));
    }
}

fn cost(bytes: usize, rate: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / rate as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What so many connections fetch in two seconds of a clock that only they move.
    fn fetched_in_two_seconds(rate: u64, connections: usize, pause: Duration) -> f64 {
        let limiter = Limiter::new(Some(rate));
        let start = Instant::now();
        let end = start + Duration::from_secs(2);
        let mut ready = vec![start; connections];
        let mut bytes = 0;
        loop {
            let next = (0..connections).min_by_key(|n| ready[*n]).unwrap();
            let now = ready[next];
            if now >= end {
                return bytes as f64 / rate as f64;
            }
            // Connections deliver unevenly, and some data only after a while.
            let (most, wait) = limiter.pay(65_536, now);
            if now + wait < end {
                let read = most.min(1400 + bytes % 20_000);
                limiter.refund(most - read);
                bytes += read;
            }
            ready[next] = now + wait.max(pause);
        }
    }

    #[test]
    fn the_limit_is_kept_within_a_twentieth() {
        for rate in [1_000, 100_000, 512_000, 100_000_000] {
            for connections in [1, 3, 32] {
                let used = fetched_in_two_seconds(rate, connections, Duration::from_micros(1));
                assert!(
                    (1.9..=2.1).contains(&used),
                    "{rate} with {connections}: {used} s worth"
                );
            }
        }
        // Idle time is not saved up.
        let limiter = Limiter::new(Some(1000));
        let start = Instant::now();
        assert_eq!(limiter.pay(65_536, start), (50, Duration::ZERO));
        let later = start + Duration::from_secs(60);
        let payments = [(); 3].map(|()| limiter.pay(50, later).1.as_millis());
        assert_eq!(payments, [0, 0, 50]);
        assert_eq!(
            Limiter::new(None).pay(1 << 30, start),
            (1 << 30, Duration::ZERO)
        );
    }
}
