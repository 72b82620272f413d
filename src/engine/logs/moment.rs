//! Moments as Docker's client takes them for `--since` and `--until`.

use std::time::{Duration, SystemTime};

use chrono::{NaiveDate, NaiveTime, TimeDelta};

use crate::runargs::value;

/// A moment: a span before `now` such as `10m`, seconds since 1970 with up to nine decimals, or RFC 3339 and its
/// shorter forms, without a zone in the one that is `local` seconds ahead of UTC. `None` for anything else.
pub fn moment(text: &str, now: SystemTime, local: i64) -> Option<SystemTime> {
    // Docker's: a bare 0 is 1970, not now.
    if text != "0"
        && let Ok(span) = value::duration(text)
    {
        let length = Duration::from_nanos(span.unsigned_abs());
        return match span {
            ..0 => now.checked_add(length),
            _ => now.checked_sub(length),
        };
    }
    since_1970(text).or_else(|| calendar(text, local))
}

fn since_1970(text: &str) -> Option<SystemTime> {
    let (seconds, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !digits(decimals) || decimals.len() > 9 {
        return None;
    }
    let nanoseconds = format!("{decimals:0<9}").parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds.parse().ok()?, nanoseconds))
}

fn calendar(text: &str, local: i64) -> Option<SystemTime> {
    let (date, rest) = text.split_at_checked("2026-01-02".len())?;
    let [year, month, day] = date.split('-').collect::<Vec<_>>()[..] else {
        return None;
    };
    let plain = year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
    let year = plain.then(|| year.parse().ok())??;
    let date = NaiveDate::from_ymd_opt(year, two_digits(month)?, two_digits(day)?)?;
    let (time, zone) = match rest.find(['Z', '+', '-']) {
        Some(at) => {
            let (time, zone) = rest.split_at(at);
            (time, offset(zone)?)
        }
        None => (rest, local),
    };
    let utc = date
        .and_time(of_day(time)?)
        .checked_sub_signed(TimeDelta::seconds(zone))?;
    Some(utc.and_utc().into())
}

/// Seconds of `Z` or `+02:00`.
fn offset(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes().first()? {
        b'Z' => return (zone.len() == 1).then_some(0),
        b'+' => 1,
        _ => -1,
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    let offset = i64::from(two_digits(hours)?) * 3600 + i64::from(two_digits(minutes)?) * 60;
    Some(sign * offset)
}

/// Nothing, `T15`, `T15:04` or `T15:04:05` with decimals.
fn of_day(text: &str) -> Option<NaiveTime> {
    if text.is_empty() {
        return Some(NaiveTime::MIN);
    }
    let mut parts = text.strip_prefix('T')?.split(':');
    let hour = two_digits(parts.next()?)?;
    let minute = parts.next().map_or(Some(0), two_digits)?;
    let (second, decimals) = match parts.next() {
        Some(text) => text.split_once('.').unwrap_or((text, "")),
        None => ("00", ""),
    };
    if parts.next().is_some() || decimals.len() > 9 {
        return None;
    }
    let nanoseconds = format!("{decimals:0<9}").parse().ok()?;
    NaiveTime::from_hms_nano_opt(hour, minute, two_digits(second)?, nanoseconds)
}

fn two_digits(text: &str) -> Option<u32> {
    let plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::format_time;

    #[test]
    fn every_form_that_docker_takes() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_366_245);
        for (text, expected) in [
            ("10m", Some("2026-01-02T14:54:05.000000000Z")),
            ("1m30s", Some("2026-01-02T15:02:35.000000000Z")),
            ("-5s", Some("2026-01-02T15:04:10.000000000Z")),
            ("0s", Some("2026-01-02T15:04:05.000000000Z")),
            ("0", Some("1970-01-01T00:00:00.000000000Z")),
            ("1136073600", Some("2006-01-01T00:00:00.000000000Z")),
            (
                "1136073600.000000001",
                Some("2006-01-01T00:00:00.000000001Z"),
            ),
            ("1136073600.5", Some("2006-01-01T00:00:00.500000000Z")),
            (
                "2006-01-02T15:04:05Z",
                Some("2006-01-02T15:04:05.000000000Z"),
            ),
            (
                "2006-01-02T15:04:05.25+02:00",
                Some("2006-01-02T13:04:05.250000000Z"),
            ),
            (
                "2006-01-02T15:04:05.999999999Z",
                Some("2006-01-02T15:04:05.999999999Z"),
            ),
            (
                "2006-01-02T15:04-03:30",
                Some("2006-01-02T18:34:00.000000000Z"),
            ),
            ("2006-01-02T15Z", Some("2006-01-02T15:00:00.000000000Z")),
            ("2006-01-02Z", Some("2006-01-02T00:00:00.000000000Z")),
            // Local time, an hour ahead here.
            (
                "2006-01-02T15:04:05.5",
                Some("2006-01-02T14:04:05.500000000Z"),
            ),
            ("2006-01-02T15:04", Some("2006-01-02T14:04:00.000000000Z")),
            ("2006-01-02T15", Some("2006-01-02T14:00:00.000000000Z")),
            ("2006-01-02", Some("2006-01-01T23:00:00.000000000Z")),
            ("", None),
            ("yesterday", None),
            ("-1", None),
            ("1e3", None),
            ("1.0000000001", None),
            ("2006-13-02", None),
            ("2006-01-02T25", None),
            ("2006-01-02 15:04", None),
            ("2006-01-02T15:04:05:06", None),
            ("2006-01-02T15:04Zulu", None),
            ("2006-01-0é", None),
        ] {
            let got = moment(text, now, 3600).map(format_time);
            assert_eq!(got.as_deref(), expected, "{text}");
        }
    }
}
