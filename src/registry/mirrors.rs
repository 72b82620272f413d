//! Whom to ask for what, in which order: a registry's mirrors, then the registry itself.
//!
//! A mirror is a place of its own, with certificates, credentials and tokens of its own; the registry's never go there.
//! One that cannot be reached is left alone until the registry cannot be reached either, one that served wrong bytes is
//! not asked for that blob again.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use super::Client;
use super::error::{Problem, RegistryError};
use super::http::Failure;
use crate::oci::{Digest, Reference};

/// What a transfer has learnt about mirrors.
#[derive(Debug, Default)]
pub(super) struct Learnt {
    /// Not to be reached.
    gone: Vec<String>,
    /// Who served which blob.
    served: Vec<(String, Digest)>,
    /// Who served which blob wrongly.
    wrong: Vec<(String, Digest)>,
    /// Blobs that are not asked for from their beginning again.
    done: Vec<Digest>,
    /// How much of which blob has come.
    came: HashMap<Digest, u64>,
    /// Registries for which somebody has answered.
    answered: Vec<String>,
}

impl Learnt {
    /// Whether anything has come of what this registry was asked for.
    pub(super) fn has_answered(&self, registry: &str) -> bool {
        self.answered.iter().any(|known| known == registry)
    }
}

/// Nobody had it: who was asked last, why not, and what the mirrors before had to say.
type Nowhere = Box<(String, Failure, Vec<(String, String)>)>;

impl Client {
    fn learnt(&self) -> MutexGuard<'_, Learnt> {
        let learnt = self.transfer.learnt();
        learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mirrors that may have something.
    fn mirrors(&self, reference: &Reference, blob: Option<&Digest>) -> Vec<String> {
        let learnt = self.learnt();
        let may_have = |mirror: &&String| {
            let is_wrong =
                |(place, digest): &(String, Digest)| place == *mirror && Some(digest) == blob;
            **mirror != reference.host && !learnt.wrong.iter().any(is_wrong)
        };
        let mirrors = self.fetcher.settings.mirrors(&reference.host);
        mirrors.iter().filter(may_have).cloned().collect()
    }

    /// The places that may have a blob, the registry itself last.
    pub(super) fn places(&self, reference: &Reference, blob: &Digest) -> Vec<String> {
        let mut places = self.mirrors(reference, Some(blob));
        places.push(reference.host.clone());
        places
    }

    /// Asks one place after the other, and all of them again while that may help, until one answers; an error names them
    /// all.
    pub(super) fn anywhere<T>(
        &self,
        reference: &Reference,
        subject: &str,
        blob: Option<&Digest>,
        mut ask: impl FnMut(&str) -> Result<T, Failure>,
    ) -> Result<T, RegistryError> {
        let Client { fetcher, transfer } = self;
        let mut attempt = 0;
        loop {
            let (registry, failure, mirrors) = match self.once_around(reference, blob, &mut ask) {
                Ok(found) => {
                    self.note_answered(&reference.host);
                    return Ok(found);
                }
                Err(nowhere) => *nowhere,
            };
            let pause = fetcher.pause(transfer, &reference.host, &failure, attempt);
            let failed = |problem: Problem| RegistryError {
                registry,
                subject: subject.to_owned(),
                problem: Box::new(problem),
            };
            let Some(pause) = pause else {
                return Err(failed(failure.problem).after(mirrors));
            };
            transfer.pause(&fetcher.host, pause).map_err(failed)?;
            attempt += 1;
            // Where the registry is out of reach, a mirror that was may be all there is.
            self.learnt().gone.clear();
        }
    }

    /// Asks one place after the other, each once.
    pub(super) fn once_around<T>(
        &self,
        reference: &Reference,
        blob: Option<&Digest>,
        mut ask: impl FnMut(&str) -> Result<T, Failure>,
    ) -> Result<T, Nowhere> {
        let mut tried = Vec::new();
        for mirror in self.mirrors(reference, blob) {
            if self.learnt().gone.contains(&mirror) {
                continue;
            }
            let failure = match ask(&mirror) {
                Ok(found) => return Ok(found),
                Err(failure) => failure,
            };
            if matches!(failure.problem, Problem::GivenUp | Problem::Deadline(_)) {
                return Err(Box::new((mirror, failure, Vec::new())));
            }
            self.leave(&mirror, &failure.problem);
            tried.push((mirror, failure.problem.to_string()));
        }
        ask(&reference.host).map_err(|failure| Box::new((reference.host.clone(), failure, tried)))
    }

    /// A mirror failed; if it is not even there, others are asked without it.
    pub(super) fn leave(&self, place: &str, problem: &Problem) {
        if matches!(problem, Problem::Unreachable(_) | Problem::Tls { .. }) {
            self.learnt().gone.push(place.to_owned());
        }
    }

    fn note_answered(&self, registry: &str) {
        let mut learnt = self.learnt();
        if !learnt.has_answered(registry) {
            learnt.answered.push(registry.to_owned());
        }
    }

    /// So much of a blob has come.
    pub(super) fn note_came(&self, blob: Digest, bytes: u64) {
        let mut learnt = self.learnt();
        let came = learnt.came.entry(blob).or_default();
        *came = bytes.max(*came);
    }

    /// How much of a blob has come before.
    pub(super) fn came(&self, blob: &Digest) -> u64 {
        self.learnt().came.get(blob).copied().unwrap_or(0)
    }

    /// A blob cannot be had: there is no use in asking for it from its beginning.
    pub(super) fn note_done(&self, blob: Digest) {
        self.learnt().done.push(blob);
    }

    /// A mirror serves a blob.
    pub(super) fn note_served(&self, place: &str, blob: Digest) {
        self.learnt().served.push((place.to_owned(), blob));
    }

    /// The bytes that came for this blob are not what they should be: the mirrors that they came from are not asked for
    /// it again. Whether asking again may help: if there was one, and once if they came from the registry itself, for a bit
    /// may have changed on the way.
    pub fn distrust(&self, blob: &Digest) -> bool {
        let mut learnt = self.learnt();
        let is_meant = |(_, digest): &(String, Digest)| digest == blob;
        let (meant, others) = learnt.served.drain(..).partition(is_meant);
        let found: Vec<(String, Digest)> = meant;
        learnt.served = others;
        let any = !found.is_empty();
        learnt.wrong.extend(found);
        if any {
            return true;
        }
        let is_first = !learnt.done.contains(blob);
        learnt.done.push(*blob);
        is_first
    }

    /// The mirrors that have served blobs of this transfer, each once.
    pub fn mirrors_used(&self) -> Vec<String> {
        let learnt = self.learnt();
        let mut used: Vec<String> = learnt
            .served
            .iter()
            .map(|(place, _)| place.clone())
            .collect();
        used.sort();
        used.dedup();
        used
    }
}
