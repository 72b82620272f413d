//! One question to a registry, with everything it takes: redirects, authentication, repetition.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::answer::{check_content, message, refusal, shown};
use super::auth::{self, Asking, Grants};
use super::credentials::{self, Credential, Secret};
use super::error::Problem;
use super::http::{Failure, Http, Request, Response};
use super::limiter::Limiter;
use super::origins::{self, Origins};
use super::patience::Patience;
use super::question::Question;
use super::transfer::{Crowd, Transfer};
use super::url::{Origin, Url};
use crate::config::Settings;
use crate::host::Host;

/// Redirects followed for one answer; real registries need one or two.
pub(super) const MAX_REDIRECTS: usize = 5;

/// Asks registries.
pub(super) struct Fetcher {
    pub(super) host: Arc<Host>,
    pub(super) settings: Settings,
    pub(super) patience: Patience,
    pub(super) crowd: Arc<Crowd>,
    pub(super) limiter: Limiter,
    pub(super) http: Http,
    grants: Grants,
    origins: Origins,
    /// Held while a token is fetched, so that several threads do not fetch one each.
    authenticating: Mutex<()>,
}

impl Fetcher {
    pub(super) fn new(host: &Host, settings: &Settings, patience: Patience) -> Fetcher {
        let host = Arc::new(host.clone());
        let crowd = Arc::<Crowd>::default();
        Fetcher {
            http: Http::new(
                Arc::clone(&host),
                settings.clone(),
                patience.clone(),
                Arc::clone(&crowd),
            ),
            origins: Origins::default(),
            crowd,
            limiter: Limiter::new(patience.rate),
            host,
            settings: settings.clone(),
            patience,
            grants: Grants::default(),
            authenticating: Mutex::default(),
        }
    }

    /// The pause before repetition number `attempt` (from 0) of what failed; none if there is no hope.
    ///
    /// What has begun is worth as much patience as a blob that broke off. Before anything has come of a registry, its name
    /// may be misspelt, and a person waits.
    pub(super) fn pause(
        &self,
        transfer: &Transfer,
        registry: &str,
        failure: &Failure,
        attempt: u32,
    ) -> Option<Duration> {
        let patience = &self.patience;
        let left = transfer.left(self.host.instant());
        let (retries, longest) = match transfer.is_patient(registry) {
            // What a registry asks for may be long, but not longer than there is time.
            true => (patience.resumptions, left.unwrap_or(patience.longest_pause)),
            false => (patience.retries, patience.longest_pause),
        };
        let is_short = failure.wait.is_none_or(|wait| wait <= longest);
        let pause = || failure.wait.unwrap_or_else(|| patience.pause(attempt));
        (failure.passing && attempt < retries && is_short).then(pause)
    }

    /// Asks once. The status of the answer is 200; if the question has a range it may also be 206 or 416.
    pub(super) fn ask(&self, question: &Question) -> Result<Response, Failure> {
        self.ask_as(question, None)
    }

    /// The same as somebody: with this credential, whatever is known of others.
    pub(super) fn ask_as(
        &self,
        question: &Question,
        given: Option<&Credential>,
    ) -> Result<Response, Failure> {
        let response = self.attempt(question, given)?;
        match response.status {
            200 => Ok(check_content(response)?),
            206 if question.range.is_some() => Ok(check_content(response)?),
            416 if question.range.is_some() => Ok(response),
            _ => Err(refusal(response, &self.host)),
        }
    }

    /// One try, with a token fetched if the registry asks for one.
    fn attempt(
        &self,
        question: &Question,
        given: Option<&Credential>,
    ) -> Result<Response, Failure> {
        let (place, repository) = (question.place, question.reference.repository.as_str());
        let known = self.grants.current(place, repository, self.host.instant());
        let (origin, response) = self.reach(question, known.as_ref())?;
        if response.status != 401 {
            return Ok(response);
        }
        let challenge = auth::best(response.headers("www-authenticate"))?;
        drop(response);
        let guard = self
            .authenticating
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Another thread may have got a new one while this one waited.
        let newer = self
            .grants
            .current(place, repository, self.host.instant())
            .filter(|newer| Some(newer) != known.as_ref());
        let found = match given {
            Some(given) => Some((given.clone(), PathBuf::from("this login"))),
            // One helper program at a time, and none where its answer is not needed.
            None if newer.is_some() => None,
            None => credentials::find(&self.host, place)?,
        };
        let granted = match newer {
            Some(newer) => Some(newer),
            None => self.grants.answer(
                &self.http,
                &challenge,
                &Asking {
                    registry: place,
                    repository,
                    origin: &origin,
                    credential: found.as_ref().map(|(credential, _)| credential),
                    settings: &self.settings,
                    now: self.host.instant(),
                },
            )?,
        };
        drop(guard);
        let config = self.host.docker_config.clone();
        let Some(granted) = granted else {
            return Err(Problem::NoCredentials { config }.into());
        };
        let response = self.follow(question, &origin, Some(&granted))?;
        if response.status != 401 {
            return Ok(response);
        }
        let refused = match found {
            Some(refused) => Some(refused),
            None => credentials::find(&self.host, place)?,
        };
        Err(match refused {
            Some((_, source)) => Problem::BadCredentials {
                source_of_them: source,
                message: message(response),
            },
            None => Problem::NoCredentials { config },
        }
        .into())
    }

    /// Asks where the registry's API is. One that may do without https is tried with it first, as docker does.
    fn reach(
        &self,
        question: &Question,
        grant: Option<&Secret>,
    ) -> Result<(Origin, Response), Failure> {
        let place = question.place;
        let origin = self.origin(place)?;
        let first = self.follow(question, &origin, grant);
        if !origin.https || !self.settings.is_insecure(place) {
            return Ok((origin, first?));
        }
        match first {
            Err(failure) if failure.is_no_https() && self.origins.may_be_plain(place) => {
                let plain = origins::at(false, place)?;
                let response = self.follow(question, &plain, grant)?;
                self.origins.note(place, false);
                Ok((plain, response))
            }
            first => {
                let response = first?;
                self.origins.note(place, true);
                Ok((origin, response))
            }
        }
    }

    /// Where a registry's API is.
    pub(super) fn origin(&self, registry: &str) -> Result<Origin, Problem> {
        self.origins.of(registry, &self.host, &self.settings)
    }

    /// Sends a question and follows its redirects; the authorisation goes to the registry's own origin only.
    fn follow(
        &self,
        question: &Question,
        origin: &Origin,
        grant: Option<&Secret>,
    ) -> Result<Response, Failure> {
        let mut url = origin.at(question.target());
        for _ in 0..=MAX_REDIRECTS {
            let mut headers = question.headers();
            if let Some(grant) = grant.filter(|_| url.origin == *origin) {
                headers.push(("authorization", grant.0.clone()));
            }
            let response = self.http.send(&Request {
                method: question.method.clone(),
                url: &url,
                registry: question.place,
                headers,
            })?;
            if response.status == 401 && url.origin != *origin {
                // Answered like the registry's own challenge, it would have our credentials used at a stranger's word.
                let target = shown(&url.to_string());
                let reason = "that asks for credentials, which are for the registry only";
                return Err(Problem::Redirect { target, reason }.into());
            }
            if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            url = self.redirected(&url, &response)?;
        }
        let target = shown(&url.to_string());
        Err(Problem::Redirect {
            target,
            reason: "that is one redirect too many",
        }
        .into())
    }

    pub(super) fn redirected(&self, url: &Url, response: &Response) -> Result<Url, Problem> {
        let location = response.header("location").unwrap_or_default().trim();
        let refused = |reason| Problem::Redirect {
            target: shown(location),
            reason,
        };
        if location.is_empty() {
            return Err(refused("the answer does not say where to"));
        }
        let target = url
            .join(location)
            .ok_or_else(|| refused("that is not an http or https URL"))?;
        let (from, to) = (&url.origin, &target.origin);
        let stays = !from.https && (from.host == to.host || from.is_loopback() && to.is_loopback());
        if !to.https && !stays && !self.settings.is_insecure(&to.authority()) {
            return Err(refused(match from.https {
                true => "it is plain http, and where it comes from is not",
                false => "it is plain http at a host whose settings do not say insecure = yes",
            }));
        }
        Ok(target)
    }
}
