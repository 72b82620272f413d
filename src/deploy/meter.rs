//! How much a deployment has fetched over all its calls, where the settings limit that (`[download] budget`).
//!
//! ```text
//! deployments/<scope>/fetched.json   {"version":1,"request":"sha256:…","bytes":…}
//! ```
//!
//! A deployment is known by its request, as its meta-data are the same however often it is tried. Without a limit nothing is
//! counted, and the file of an earlier one may be removed. It goes when a deployment of the scope is through.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::error::DeployError;
use super::site::{Site, folder};
use crate::oci::Digest;
use crate::sys::fs;

/// The format this release writes and reads.
const VERSION: u64 = 1;

/// How often what was fetched is written down: what a kill may leave uncounted.
const WRITE_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u64,
    request: Digest,
    bytes: u64,
}

/// Counts what one deployment fetches.
#[derive(Debug)]
pub(super) struct Meter {
    /// None without a limit.
    limited: Option<Limited>,
    fetched: AtomicU64,
}

#[derive(Debug)]
struct Limited {
    path: PathBuf,
    request: Digest,
    limit: u64,
    written: Mutex<Instant>,
}

impl Meter {
    /// Goes on counting for the scope's candidate, and fails if it has had enough.
    pub(super) fn open(site: &Site<'_>) -> Result<Meter, DeployError> {
        let candidate = site.journal.record().candidate.as_ref();
        let request = candidate.and_then(|candidate| candidate.request);
        let Some((limit, request)) = site.settings.download.budget.zip(request) else {
            return Ok(Meter::unlimited());
        };
        let path = path(site);
        let bytes = std::fs::read(&path).unwrap_or_default();
        // Of another deployment, of another release, or damaged: as good as none.
        let known = serde_json::from_slice::<Record>(&bytes).ok();
        let known = known.filter(|known| known.version == VERSION && known.request == request);
        let meter = Meter {
            fetched: AtomicU64::new(known.map_or(0, |known| known.bytes)),
            limited: Some(Limited {
                path,
                request,
                limit,
                written: Mutex::new(site.host.instant()),
            }),
        };
        meter.check()?;
        Ok(meter)
    }

    /// A deployment is through: should it come again, it begins anew.
    pub(super) fn forget(site: &Site<'_>) -> io::Result<()> {
        fs::remove_file(&path(site))
    }

    /// Counts nothing.
    pub(super) fn unlimited() -> Meter {
        Meter {
            limited: None,
            fetched: AtomicU64::default(),
        }
    }

    /// So many bytes have come.
    pub(super) fn count(&self, bytes: u64) {
        let fetched = self.fetched.fetch_add(bytes, Relaxed) + bytes;
        let Some(limited) = &self.limited else {
            return;
        };
        let mut written = limited
            .written
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if written.elapsed() >= WRITE_EVERY || fetched > limited.limit {
            *written = Instant::now();
            self.write(limited);
        }
    }

    /// Whether no more may come.
    pub(super) fn is_over(&self) -> bool {
        let fetched = self.fetched.load(Relaxed);
        let limited = self.limited.as_ref();
        limited.is_some_and(|limited| fetched > limited.limit)
    }

    /// Fails if no more may come, and writes down what came.
    pub(super) fn check(&self) -> Result<(), DeployError> {
        let Some(limited) = &self.limited else {
            return Ok(());
        };
        self.write(limited);
        match self.is_over() {
            false => Ok(()),
            true => Err(DeployError::Budget {
                fetched: self.fetched.load(Relaxed),
                limit: limited.limit,
            }),
        }
    }

    fn write(&self, limited: &Limited) {
        let record = Record {
            version: VERSION,
            request: limited.request,
            bytes: self.fetched.load(Relaxed),
        };
        // Numbers and a digest: nothing JSON could refuse.
        let bytes = serde_json::to_vec(&record).unwrap_or_default();
        // On a disk that takes nothing the download fails by itself, and says why.
        let _ = fs::replace(&limited.path, 0o600, &bytes);
    }
}

fn path(site: &Site<'_>) -> PathBuf {
    folder(site.host, site.scope).join("fetched.json")
}
