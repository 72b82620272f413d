//! One question to a registry, with everything it takes: redirects, authentication, repetition.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::auth::{self, Asking, Grants};
use super::credentials::{self, Credential, Secret};
use super::error::{Problem, RegistryError, one_line};
use super::http::{Failure, Http, Method, Request, Response};
use super::limiter::Limiter;
use super::patience::Patience;
use super::transfer::{Crowd, Transfer};
use super::url::{Origin, Url};
use crate::config::Settings;
use crate::host::Host;
use crate::oci::stream::read_limited;
use crate::oci::{DOCKER_HUB, Reference};

/// Docker Hub's API.
const HUB_API: &str = "registry-1.docker.io";
/// Redirects followed for one answer; real registries need one or two.
const MAX_REDIRECTS: usize = 5;
/// How much of an error's body is read for its message.
const MAX_ERROR_BODY: u64 = 64 << 10;

/// One question.
pub(super) struct Question<'a> {
    pub(super) method: Method,
    pub(super) reference: &'a Reference,
    /// Who is asked: the reference's registry or one of its mirrors.
    pub(super) place: &'a str,
    /// Below `/v2/REPOSITORY/`; nothing asks for `/v2/` itself.
    pub(super) path: String,
    pub(super) accept: Option<&'static str>,
    /// For messages: "manifest of …".
    pub(super) subject: String,
    /// From where on; the whole if not said.
    pub(super) range: Option<Range>,
}

/// The end of a blob whose beginning is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    /// The first byte wanted.
    pub(super) from: u64,
    /// The whole is wanted instead if this is no longer its strong tag.
    pub(super) tag: Option<String>,
}

/// Asks registries.
pub(super) struct Fetcher {
    pub(super) host: Arc<Host>,
    pub(super) settings: Settings,
    pub(super) patience: Patience,
    pub(super) crowd: Arc<Crowd>,
    pub(super) limiter: Limiter,
    http: Http,
    grants: Grants,
    /// Registries that may do without https, and whether they have it.
    schemes: Mutex<HashMap<String, bool>>,
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
            schemes: Mutex::default(),
            crowd,
            limiter: Limiter::new(patience.rate),
            host,
            settings: settings.clone(),
            patience,
            grants: Grants::default(),
            authenticating: Mutex::default(),
        }
    }

    /// The answer with status 200 to a question; asked again while that may help.
    pub(super) fn fetch(
        &self,
        transfer: &Transfer,
        question: &Question,
    ) -> Result<Response, RegistryError> {
        self.persist(transfer, question, || self.ask(question))
    }

    /// Does `once` until it succeeds or there is no hope.
    pub(super) fn persist<T>(
        &self,
        transfer: &Transfer,
        question: &Question,
        mut once: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, RegistryError> {
        // Where there is somebody else to ask, nobody is waited for.
        let retries = match question.place == question.reference.host {
            true => self.patience.retries,
            false => 0,
        };
        let mut attempt = 0;
        loop {
            let failure = match once() {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let pause = failure.wait.unwrap_or_else(|| self.patience.pause(attempt));
            if !failure.passing || attempt >= retries || pause > self.patience.longest_pause {
                return Err(question.failed(failure.problem));
            }
            transfer
                .pause(&self.host, pause)
                .map_err(|problem| question.failed(problem))?;
            attempt += 1;
        }
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
            _ => {
                let wait = self.wanted_pause(&response);
                Err(self.refusal(response, wait))
            }
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
        let found = match given {
            Some(given) => Some((given.clone(), PathBuf::from("this login"))),
            None => credentials::find(&self.host, place)?,
        };
        let credential = found.as_ref().map(|(credential, _)| credential);
        let guard = self
            .authenticating
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Another thread may have got a new one while this one waited.
        let newer = self
            .grants
            .current(place, repository, self.host.instant())
            .filter(|newer| Some(newer) != known.as_ref());
        let granted = match newer {
            Some(newer) => Some(newer),
            None => self.grants.answer(
                &self.http,
                &challenge,
                &Asking {
                    registry: place,
                    repository,
                    origin: &origin,
                    credential,
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
        match (response.status, found) {
            (401, Some((_, source))) => Err(Problem::BadCredentials {
                source_of_them: source,
                message: message(response),
            }
            .into()),
            (401, None) => Err(Problem::NoCredentials { config }.into()),
            _ => Ok(response),
        }
    }

    /// Asks where the registry's API is. One that may do without https is tried with it first, as docker does.
    fn reach(
        &self,
        question: &Question,
        grant: Option<&Secret>,
    ) -> Result<(Origin, Response), Failure> {
        let origin = self.origin(question.place)?;
        let first = self.follow(question, &origin, grant);
        let is_insecure = self.settings.is_insecure(question.place);
        if !is_insecure || !origin.https {
            return Ok((origin, first?));
        }
        let mut schemes = self.schemes.lock().unwrap_or_else(PoisonError::into_inner);
        match first {
            Err(failure)
                // Another thread may have found out meanwhile that it has none.
                if schemes.get(question.place) != Some(&true)
                    && matches!(
                        failure.problem,
                        Problem::Unreachable(_) | Problem::Tls { .. }
                    ) =>
            {
                drop(schemes);
                let plain = self.origin_of(false, question.place)?;
                let response = self.follow(question, &plain, grant)?;
                let mut schemes = self.schemes.lock().unwrap_or_else(PoisonError::into_inner);
                schemes.insert(question.place.to_owned(), false);
                Ok((plain, response))
            }
            first => {
                if first.is_ok() {
                    schemes.insert(question.place.to_owned(), true);
                }
                Ok((origin, first?))
            }
        }
    }

    /// Where a registry's API is: https, except on this machine and where that is known to have none.
    pub(super) fn origin(&self, registry: &str) -> Result<Origin, Problem> {
        let plain = self.origin_of(false, registry)?;
        let schemes = self.schemes.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = schemes.get(registry) == Some(&false);
        if is_known || plain.is_loopback() && !self.has_own_authority(registry) {
            return Ok(plain);
        }
        self.origin_of(true, registry)
    }

    fn origin_of(&self, https: bool, registry: &str) -> Result<Origin, Problem> {
        let authority = if registry == DOCKER_HUB {
            HUB_API
        } else {
            registry
        };
        let malformed =
            || Problem::Unreachable(format!("{authority} is not a valid host and port"));
        Origin::new(https, authority).ok_or_else(malformed)
    }

    /// Whether somebody gave a registry on this machine a certificate, and so wants https there too.
    fn has_own_authority(&self, registry: &str) -> bool {
        let settings = self.settings.registries.get(registry);
        settings.is_some_and(|settings| settings.ca.is_some())
            || self.host.certs.join(registry).is_dir()
    }

    /// Sends a question and follows its redirects; the authorisation goes to the registry's own origin only.
    fn follow(
        &self,
        question: &Question,
        origin: &Origin,
        grant: Option<&Secret>,
    ) -> Result<Response, Failure> {
        let mut url = origin.at(match question.path.as_str() {
            "" => "/v2/".to_owned(),
            path => format!("/v2/{}/{path}", question.reference.repository),
        });
        for _ in 0..=MAX_REDIRECTS {
            let mut headers = Vec::new();
            if let Some(accept) = question.accept {
                headers.push(("accept", accept.to_owned()));
            }
            if let Some(range) = &question.range {
                headers.push(("range", format!("bytes={}-", range.from)));
                headers.extend(range.tag.clone().map(|tag| ("if-range", tag)));
            }
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

    fn redirected(&self, url: &Url, response: &Response) -> Result<Url, Problem> {
        let location = response.header("location").unwrap_or_default();
        let refused = |reason| Problem::Redirect {
            target: shown(location),
            reason,
        };
        let target = url
            .join(location)
            .ok_or_else(|| refused("that is not an http or https URL"))?;
        let may_be_plain =
            !url.origin.https || self.settings.is_insecure(&target.origin.authority());
        if !target.origin.https && !may_be_plain {
            return Err(refused("it is plain http, the registry is not"));
        }
        Ok(target)
    }

    /// What an answer other than 200 means.
    fn refusal(&self, response: Response, wait: Option<Duration>) -> Failure {
        let status = response.status;
        let config = self.host.docker_config.clone();
        let message = message(response);
        let problem = match status {
            401 => Problem::NoCredentials { config },
            403 => Problem::Denied { config, message },
            404 => Problem::NotFound(message),
            429 => Problem::TooManyRequests { wait, message },
            status => Problem::Status { status, message },
        };
        Failure {
            problem,
            passing: passes(status),
            wait,
        }
    }

    /// The pause a registry asks for.
    fn wanted_pause(&self, response: &Response) -> Option<Duration> {
        pause_in(response.header("retry-after")?, self.host.now())
    }
}

/// The value of `Retry-After`: seconds, or a date, of which a past one means now.
fn pause_in(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = chrono::DateTime::parse_from_rfc2822(value).ok()?;
    Some(
        SystemTime::from(date)
            .duration_since(now)
            .unwrap_or_default(),
    )
}

impl Question<'_> {
    pub(super) fn failed(&self, problem: Problem) -> RegistryError {
        RegistryError {
            registry: self.place.to_owned(),
            subject: self.subject.clone(),
            problem: Box::new(problem),
        }
    }
}

/// A URL as it may be shown: queries hold signatures, which are as good as passwords, and so may what is before an `@`.
fn shown(url: &str) -> String {
    let (place, query) = url
        .split_once('?')
        .map_or((url, ""), |(place, _)| (place, "?…"));
    let (scheme, rest) = place.split_at(place.find("://").map_or(0, |at| at + 3));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    one_line(&format!("{scheme}{rest}{query}"))
}

/// Whether the same request may succeed later.
pub(super) fn passes(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// A page for people is not what was asked for, whatever its status; neither is what somebody compressed on the way.
fn check_content(response: Response) -> Result<Response, Problem> {
    match response.header("content-type") {
        Some(html) if html.to_ascii_lowercase().contains("html") => {
            return Err(Problem::NotARegistry(one_line(html)));
        }
        _ => {}
    }
    match response.header("content-encoding") {
        Some(encoding) if !encoding.eq_ignore_ascii_case("identity") => {
            Err(Problem::Encoded(one_line(encoding)))
        }
        _ => Ok(response),
    }
}

/// The message in a registry's JSON error, or nothing.
fn message(response: Response) -> String {
    let Ok(body) = read_limited(response.body, MAX_ERROR_BODY) else {
        // The status is the news; a body that cannot be read adds nothing.
        return String::new();
    };
    let value: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let first = &value["errors"][0];
    let words: Vec<&str> = [&first["code"], &first["message"]]
        .iter()
        .filter_map(|word| word.as_str())
        .collect();
    one_line(&words.join(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_retry_after() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, expected) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("99999999999999999999999", None),
            ("", None),
        ] {
            assert_eq!(
                pause_in(value, now),
                expected.map(Duration::from_secs),
                "{value:?}"
            );
        }
    }

    #[test]
    fn shows_no_secrets_of_urls() {
        for (url, expected) in [
            ("https://a/b", "https://a/b"),
            ("https://a/b?sig=secret", "https://a/b?…"),
            ("https://user:secret@a/b?x", "https://a/b?…"),
            ("//user:secret@a/b", "a/b"),
            ("/b?a@secret", "/b?…"),
            ("", ""),
        ] {
            assert_eq!(shown(url), expected);
        }
    }

    #[test]
    fn tells_what_passes() {
        for (status, expected) in [
            (400, false),
            (401, false),
            (403, false),
            (404, false),
            (408, true),
            (429, true),
            (500, true),
            (501, false),
            (502, true),
            (503, true),
            (504, true),
            (507, false),
        ] {
            assert_eq!(passes(status), expected, "{status}");
        }
    }
}
