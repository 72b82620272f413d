//! Answers to `WWW-Authenticate`: Basic, and Bearer with tokens from a token server.
//!
//! A registry chooses its token server freely, so a bad one could have our password sent anywhere (CVE-2026-48978):
//! only a server of the same domain, or one that the settings name, is asked.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::credentials::{Credential, Secret, encoded};
use super::error::{Problem, one_line};
use super::http::{Failure, Http, Method, Request};
use super::url::{Origin, Url, escape};
use crate::config::Settings;
use crate::oci::stream::{StreamError, read_limited};

/// A token without an announced life has this one, says the protocol.
const DEFAULT_LIFE: u64 = 60;
/// A token is renewed this long before its end, so that it does not end on the way.
const MARGIN: Duration = Duration::from_secs(5);
/// Largest answer of a token server.
const MAX_TOKEN_ANSWER: u64 = 256 << 10;

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password.
    Basic,
    /// A token.
    Bearer { realm: String, service: String },
}

/// The value of an `Authorization` header, while it lasts.
#[derive(Debug, Clone)]
struct Granted {
    header: Secret,
    until: Option<Instant>,
}

/// What was granted so far, by registry and repository.
#[derive(Debug, Default)]
pub(super) struct Grants(Mutex<HashMap<(String, String), Granted>>);

impl Grants {
    /// The header to send to a registry for a repository, if one is known and still good.
    pub(super) fn current(&self, registry: &str, repository: &str, now: Instant) -> Option<Secret> {
        let grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = grants.get(&(registry.to_owned(), repository.to_owned()))?;
        granted
            .until
            .is_none_or(|until| now < until)
            .then(|| granted.header.clone())
    }

    fn remember(&self, asking: &Asking, granted: Granted) {
        let key = (asking.registry.to_owned(), asking.repository.to_owned());
        let mut grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        grants.insert(key, granted);
    }
}

/// Who asks for what, on which grounds.
pub(super) struct Asking<'a> {
    pub(super) registry: &'a str,
    pub(super) repository: &'a str,
    /// Where the registry was asked.
    pub(super) origin: &'a Origin,
    pub(super) credential: Option<&'a Credential>,
    /// Which token servers are trusted in addition, and who may do without https.
    pub(super) settings: &'a Settings,
    pub(super) now: Instant,
}

impl Grants {
    /// Turns a challenge into a header to send; `None` when there is nothing to answer it with.
    pub(super) fn answer(
        &self,
        http: &Http,
        challenge: &Challenge,
        asking: &Asking,
    ) -> Result<Option<Secret>, Failure> {
        let granted = match (challenge, asking.credential) {
            (Challenge::Basic, Some(Credential::Password(user, password))) => Granted {
                header: basic(user, password),
                until: None,
            },
            (Challenge::Basic, _) => return Ok(None),
            (Challenge::Bearer { .. }, Some(Credential::Token(token))) => Granted {
                header: Secret(format!("Bearer {}", token.0)),
                until: None,
            },
            (Challenge::Bearer { realm, service }, credential) => {
                let realm = trusted_realm(realm, asking)?;
                fetch_token(http, &realm, service, credential, asking)?
            }
        };
        let header = granted.header.clone();
        self.remember(asking, granted);
        Ok(Some(header))
    }
}

/// Reads the challenges of a 401; the best that we can answer, Bearer before Basic.
pub(super) fn best<'a>(headers: impl Iterator<Item = &'a str>) -> Result<Challenge, Problem> {
    let mut unsupported = Vec::new();
    let mut basic = false;
    for header in headers {
        for (scheme, parameters) in split_challenges(header) {
            let parameter = |name: &str| {
                parameters
                    .iter()
                    .find(|(key, _)| key == name)
                    .map(|(_, v)| v.clone())
            };
            match (scheme.to_ascii_lowercase().as_str(), parameter("realm")) {
                ("bearer", Some(realm)) => {
                    let service = parameter("service").unwrap_or_default();
                    return Ok(Challenge::Bearer { realm, service });
                }
                ("basic", _) => basic = true,
                _ => unsupported.push(scheme),
            }
        }
    }
    if basic {
        return Ok(Challenge::Basic);
    }
    Err(Problem::Challenge(one_line(&unsupported.join(", "))))
}

/// `SCHEME key=value, key="quoted", SCHEME …` into schemes with their parameters, keys in lower case.
fn split_challenges(header: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut challenges: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = header.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if let Some(value) = after.trim_start().strip_prefix('=') {
            let (value, after) = take_value(value.trim_start());
            if let Some((_, parameters)) = challenges.last_mut() {
                parameters.push((word.to_ascii_lowercase(), value));
            }
            rest = after;
        } else {
            challenges.push((word.to_owned(), Vec::new()));
            rest = after;
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    challenges
}

/// A token or a quoted string, and what comes after it.
fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

/// The token server, if it is one that may hear of us.
fn trusted_realm(realm: &str, asking: &Asking) -> Result<Url, Problem> {
    let refused = |reason: String| Problem::Realm {
        realm: one_line(realm),
        reason,
    };
    let url =
        Url::parse(realm).ok_or_else(|| refused("it is not an http or https URL".to_owned()))?;
    let origin = &url.origin;
    let same_host = origin.host == asking.origin.host;
    let is_plain_allowed = origin.is_loopback()
        || same_host && asking.settings.is_insecure(asking.registry)
        || asking.settings.is_insecure(&origin.authority());
    // A registry that speaks https itself has no token server that does not.
    if !origin.https && (asking.origin.https || !is_plain_allowed) {
        return Err(refused("it does not speak https".to_owned()));
    }
    let named = asking.settings.token_servers(asking.registry);
    if same_host || named.contains(&origin.authority()) {
        return Ok(url);
    }
    if !origin.https
        || origin.is_address()
        || origin.is_loopback()
        || !same_domain(&asking.origin.host, &origin.host)
    {
        return Err(refused(format!(
            "it is not of the registry's domain; if it is right, set token_server = {} for [registry \"{}\"] in the settings",
            origin.authority(),
            asking.registry
        )));
    }
    Ok(url)
}

/// Whether two names lie in one domain that somebody owns: siblings (`registry-1.docker.io`, `auth.docker.io`), or one
/// directly above the other (`registry.gitlab.com`, `gitlab.com`).
fn same_domain(registry: &str, server: &str) -> bool {
    let owned = |domain: &str| {
        let labels: Vec<&str> = domain.split('.').collect();
        // "co.uk" and its like are nobody's; without the list of public suffixes, two short last labels are taken for
        // one. What that gets wrong has to be named in the settings.
        match labels[..] {
            [] | [_] => false,
            [second, top] => !(second.len() <= 3 && top.len() == 2),
            _ => true,
        }
    };
    let within = |name: &str, domain: &str| {
        name == domain
            || name
                .strip_suffix(domain)
                .is_some_and(|rest| rest.ends_with('.'))
    };
    let parent = |name: &'_ str| name.split_once('.').map(|(_, parent)| parent.to_owned());
    (owned(registry) && within(server, registry))
        || parent(registry).is_some_and(|parent| owned(&parent) && within(server, &parent))
}

fn basic(user: &str, password: &Secret) -> Secret {
    Secret(format!("Basic {}", encoded(user, password)))
}

/// A token server's answer; the two names for the token are equally valid.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<Secret>,
    access_token: Option<Secret>,
    expires_in: Option<u64>,
}

fn fetch_token(
    http: &Http,
    realm: &Url,
    service: &str,
    credential: Option<&Credential>,
    asking: &Asking,
) -> Result<Granted, Failure> {
    // Our own scope, not the challenge's: a registry must not be able to ask for more in our name.
    let mut query = format!("service={}", escape(service));
    if !asking.repository.is_empty() {
        let scope = format!("repository:{}:pull", asking.repository);
        query = format!("{query}&scope={}", escape(&scope));
    }
    let mut url = realm.clone();
    let mut headers = Vec::new();
    let method = match credential {
        Some(Credential::Identity(token)) => Method::Post(format!(
            "grant_type=refresh_token&client_id=dray&{query}&refresh_token={}",
            escape(&token.0)
        )),
        other => {
            if let Some(Credential::Password(user, password)) = other {
                headers.push(("authorization", basic(user, password).0));
            }
            let joint = if url.path.contains('?') { '&' } else { '?' };
            url.path = format!("{}{joint}{query}", url.path);
            Method::Get
        }
    };
    let response = http.send(&Request {
        method,
        url: &url,
        registry: asking.registry,
        headers,
    })?;
    let failed = |cause: String| Problem::Token {
        server: realm.origin.to_string(),
        cause,
    };
    let status = response.status;
    let body = read_limited(response.body, MAX_TOKEN_ANSWER).map_err(|error| Failure {
        // Our own limit is final; a connection that breaks is not.
        passing: !error
            .get_ref()
            .is_some_and(|inner| inner.is::<StreamError>()),
        ..Failure::from(failed(error.to_string()))
    })?;
    if status != 200 {
        let passing = super::answer::passes(status);
        let hint = match (status, credential.is_some()) {
            (401 | 403, true) => ", the credentials are refused",
            (401 | 403, false) => ", it asks for credentials",
            _ => "",
        };
        return Err(Failure {
            problem: failed(format!("it answered with status {status}{hint}")),
            passing,
            wait: None,
        });
    }
    // serde's messages can repeat values, which here are secrets.
    let answer: TokenAnswer = serde_json::from_slice(&body)
        .map_err(|_| failed("its answer is not a token".to_owned()))?;
    let token = answer
        .token
        .filter(|token| !token.0.is_empty())
        .or(answer.access_token);
    let token = token
        .filter(|token| !token.0.is_empty() && token.0.bytes().all(|b| b.is_ascii_graphic()))
        .ok_or_else(|| failed("its answer has no token".to_owned()))?;
    let life = Duration::from_secs(
        answer
            .expires_in
            .filter(|life| *life > 0)
            .unwrap_or(DEFAULT_LIFE),
    );
    Ok(Granted {
        header: Secret(format!("Bearer {}", token.0)),
        // A life beyond what the clock can count is as good as none.
        until: asking.now.checked_add(life.saturating_sub(MARGIN)),
    })
}

#[cfg(test)]
mod tests;
