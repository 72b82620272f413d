//! What the answers of registries mean.

use std::time::{Duration, SystemTime};

use super::error::{Problem, one_line};
use super::http::{Failure, Response};
use crate::host::Host;
use crate::oci::stream::read_limited;

/// How much of an error's body is read for its message.
const MAX_ERROR_BODY: u64 = 64 << 10;

/// What an answer other than 200 means.
pub(super) fn refusal(response: Response, host: &Host) -> Failure {
    let status = response.status;
    let wait = response.header("retry-after");
    let wait = wait.and_then(|wanted| pause_in(wanted, host.now()));
    let config = host.docker_config.clone();
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

/// A URL as it may be shown: queries hold signatures, which are as good as passwords, and so may what is before an `@`.
pub(super) fn shown(url: &str) -> String {
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
pub(super) fn check_content(response: Response) -> Result<Response, Problem> {
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
pub(super) fn message(response: Response) -> String {
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
