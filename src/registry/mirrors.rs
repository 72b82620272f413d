//! Whom to ask for what, in which order: a registry's mirrors, then the registry itself.
//!
//! A mirror is a place of its own, with certificates, credentials and tokens of its own; the registry's never go there.
//! One that cannot be reached is left alone for the rest of the transfer, one that served wrong bytes is not asked for
//! that blob again.

use std::sync::PoisonError;

use super::Client;
use super::error::{Problem, RegistryError};
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
}

impl Client {
    /// The mirrors that may have something.
    fn mirrors(&self, reference: &Reference, blob: Option<&Digest>) -> Vec<String> {
        let learnt = self.transfer.learnt();
        let learnt = learnt.lock().unwrap_or_else(PoisonError::into_inner);
        let may_have = |mirror: &&String| {
            let is_wrong =
                |(place, digest): &(String, Digest)| place == *mirror && Some(digest) == blob;
            **mirror != reference.host
                && !learnt.gone.contains(mirror)
                && !learnt.wrong.iter().any(is_wrong)
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

    /// Asks one place after the other until one answers; an error names them all.
    pub(super) fn anywhere<T>(
        &self,
        reference: &Reference,
        blob: Option<&Digest>,
        mut ask: impl FnMut(&str) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut tried = Vec::new();
        for mirror in self.mirrors(reference, blob) {
            let error = match ask(&mirror) {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            if matches!(*error.problem, Problem::GivenUp | Problem::Deadline(_)) {
                return Err(error);
            }
            self.leave(&mirror, &error.problem);
            tried.push((mirror, error.problem.to_string()));
        }
        ask(&reference.host).map_err(|error| error.after(tried))
    }

    /// A mirror failed; if it is not even there, the rest of the transfer does without it.
    pub(super) fn leave(&self, place: &str, problem: &Problem) {
        if matches!(problem, Problem::Unreachable(_) | Problem::Tls { .. }) {
            let learnt = self.transfer.learnt();
            let mut learnt = learnt.lock().unwrap_or_else(PoisonError::into_inner);
            learnt.gone.push(place.to_owned());
        }
    }

    /// A mirror serves a blob.
    pub(super) fn note_served(&self, place: &str, blob: Digest) {
        let learnt = self.transfer.learnt();
        let mut learnt = learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.served.push((place.to_owned(), blob));
    }

    /// The bytes that came for this blob are not what they should be: the mirrors that they came from are not asked for
    /// it again. Whether there was one, so that asking again may help.
    pub fn distrust(&self, blob: &Digest) -> bool {
        let learnt = self.transfer.learnt();
        let mut learnt = learnt.lock().unwrap_or_else(PoisonError::into_inner);
        let is_meant = |(_, digest): &(String, Digest)| digest == blob;
        let (meant, others) = learnt.served.drain(..).partition(is_meant);
        let found: Vec<(String, Digest)> = meant;
        learnt.served = others;
        let any = !found.is_empty();
        learnt.wrong.extend(found);
        any
    }

    /// The mirrors that have served blobs of this transfer, each once.
    pub fn mirrors_used(&self) -> Vec<String> {
        let learnt = self.transfer.learnt();
        let learnt = learnt.lock().unwrap_or_else(PoisonError::into_inner);
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
