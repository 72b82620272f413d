//! How long to wait for a registry, and how often to ask again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};
use std::time::Duration;

use super::Client;
use super::error::{Problem, RegistryError};
use crate::config::DownloadSettings;

/// Time limits towards registries.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// Without a single byte, be it of the answer's head or of its body. Registries that pull through from another one
    /// are silent for long.
    pub stall: Duration,
    /// Time of waiting after which a body's rate is judged.
    pub window: Duration,
    /// Least bytes in such a window. Slow links are welcome (GSM has 1,000 bytes a second), drips are not.
    pub least: u64,
    /// How often a failed request is repeated before anything has come of its registry and somebody waits for it, how often
    /// the beginning of a blob is fetched again for nothing, and how often a refusal is doubted after some of it has come.
    pub retries: u32,
    /// How often in a row a request is repeated, or a blob gone on with, in vain.
    pub resumptions: u32,
    /// Pause before the first repetition; each further one is three times as long.
    pub pause: Duration,
    /// Longest pause, also of those a registry may ask for with `Retry-After` when a transfer begins.
    pub longest_pause: Duration,
    /// For the transfer of one image, all in all.
    pub deadline: Option<Duration>,
    /// Bytes a second, all connections together.
    pub rate: Option<u64>,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience::of(&DownloadSettings::default())
    }
}

/// How long a body is watched before its rate is judged.
const WINDOW: Duration = Duration::from_secs(60);

impl Patience {
    /// What the settings want.
    pub fn of(settings: &DownloadSettings) -> Patience {
        Patience {
            connect: Duration::from_secs(15).min(settings.deadline),
            stall: Duration::from_secs(60).min(settings.deadline),
            window: WINDOW,
            least: settings.least_rate.saturating_mul(WINDOW.as_secs()),
            retries: settings.retries.min(3),
            resumptions: settings.retries,
            pause: Duration::from_millis(300),
            longest_pause: Duration::from_secs(60),
            deadline: Some(settings.deadline),
            rate: settings.rate,
        }
    }

    /// The pause before repetition number `attempt` (from 0), up to a quarter longer than the last one's multiple, so
    /// that a fleet does not come back in step.
    pub(super) fn pause(&self, attempt: u32) -> Duration {
        let longest = self.longest_pause / 5 * 4;
        let pause = self
            .pause
            .saturating_mul(3u32.saturating_pow(attempt))
            .min(longest);
        // RandomState is seeded by the system; good enough to spread clients, and needs no crate.
        let random = RandomState::new().build_hasher().finish() % 256;
        pause + pause / 1024 * u32::try_from(random).unwrap_or(0)
    }
}

/// A body whose errors name registry and blob, and which has to flow, but not faster than it may.
pub(super) struct Body {
    inner: Box<dyn Read + Send>,
    client: Client,
    registry: String,
    subject: String,
    /// Time spent waiting and bytes received in the current window. What the reader's owner does in between does not
    /// count: a slow disk is not a slow registry.
    waited: Duration,
    received: u64,
}

impl Body {
    /// For `names`: the registry and what was asked for.
    pub(super) fn new(
        client: &Client,
        (registry, subject): (&str, &str),
        inner: Box<dyn Read + Send>,
    ) -> Body {
        Body {
            inner,
            client: client.clone(),
            registry: registry.to_owned(),
            subject: subject.to_owned(),
            waited: Duration::ZERO,
            received: 0,
        }
    }

    fn broken(&self, kind: io::ErrorKind, problem: Problem) -> io::Error {
        let error = RegistryError {
            registry: self.registry.clone(),
            subject: self.subject.clone(),
            problem: Box::new(problem),
        };
        io::Error::new(kind, error)
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Client { fetcher, transfer } = &self.client;
        let (host, patience) = (&fetcher.host, &fetcher.patience);
        let (most, pause) = fetcher.limiter.pay(buffer.len(), host.instant());
        if !pause.is_zero() {
            transfer
                .pause(host, pause)
                .map_err(|problem| self.broken(io::ErrorKind::Other, problem))?;
        }
        let start = host.instant();
        let read = self
            .inner
            .read(&mut buffer[..most])
            .map_err(|error| self.broken(error.kind(), Problem::Interrupted(cause(&error))))?;
        fetcher.limiter.refund(most - read);
        self.waited += host.instant().saturating_duration_since(start);
        self.received += read as u64;
        if self.waited >= patience.window {
            if self.received < patience.least && read > 0 {
                let problem = Problem::TooSlow {
                    bytes: self.received,
                    window: self.waited,
                };
                return Err(self.broken(io::ErrorKind::TimedOut, problem));
            }
            self.waited = Duration::ZERO;
            self.received = 0;
        }
        Ok(read)
    }
}

/// What a transport error says, without the crate's own prefix.
pub(super) fn cause(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("io: ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_spread() {
        let patience = Patience::default();
        for (attempt, least) in [(0, 300), (1, 900), (2, 2700), (5, 48_000), (99, 48_000)] {
            let least = Duration::from_millis(least);
            let pauses: Vec<Duration> = (0..100).map(|_| patience.pause(attempt)).collect();
            assert!(
                pauses
                    .iter()
                    .all(|pause| (least..=least + least / 4).contains(pause)),
                "{pauses:?}"
            );
            assert!(
                pauses.iter().any(|pause| *pause != pauses[0]),
                "a fleet comes back in step"
            );
        }
    }
}
