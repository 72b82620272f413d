//! As much of a certificate's form as is needed to tell whose it is and from when on it is valid; whether it is any good
//! is for the verifier to say.

use crate::trust::der::{INTEGER, SEQUENCE, content};

/// Parts of an X.509 certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// The issuer's name, encoded.
    pub(super) issuer: &'a [u8],
    /// From when on it is valid, in seconds since 1970.
    pub(super) not_before: u64,
}

/// The parts of a DER-encoded certificate, if it is one.
pub(super) fn parts(certificate: &[u8]) -> Option<Parts<'_>> {
    let (certificate, _) = content(certificate, SEQUENCE)?;
    let (body, _) = content(certificate, SEQUENCE)?;
    // The version is there in all but the oldest.
    let rest = content(body, VERSION).map_or(body, |(_, rest)| rest);
    let (_serial, rest) = content(rest, INTEGER)?;
    let (_algorithm, rest) = content(rest, SEQUENCE)?;
    let (_, after) = content(rest, SEQUENCE)?;
    let issuer = &rest[..rest.len() - after.len()];
    let (validity, _) = content(after, SEQUENCE)?;
    let not_before = time(validity)?;
    Some(Parts { issuer, not_before })
}

const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// `YYMMDDHHMMSSZ` or with four digits for the year.
fn time(bytes: &[u8]) -> Option<u64> {
    let (text, year) = match content(bytes, UTC_TIME) {
        Some((text, _)) => {
            let year = number(text.get(..2)?)?;
            (
                text.get(2..)?,
                if year < 50 { 2000 + year } else { 1900 + year },
            )
        }
        None => {
            let (text, _) = content(bytes, GENERALIZED_TIME)?;
            (text.get(4..)?, number(text.get(..4)?)?)
        }
    };
    let part =
        |at: usize| number(text.get(2 * at..2 * at + 2)?).and_then(|n| u32::try_from(n).ok());
    let date = chrono::NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, part(0)?, part(1)?)?;
    let moment = date.and_hms_opt(part(2)?, part(3)?, part(4)?)?.and_utc();
    let seconds = u64::try_from(moment.timestamp()).ok()?;
    (text.get(10..)? == b"Z").then_some(seconds)
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that nobody signed, of this time, with or without a version.
    fn certificate(time: &[u8], kind: u8, versioned: bool) -> Vec<u8> {
        let element = |kind: u8, content: &[u8]| {
            let length = u8::try_from(content.len()).unwrap();
            [&[kind, 0x81, length], content].concat()
        };
        let version = if versioned {
            element(VERSION, &[2, 1, 2])
        } else {
            Vec::new()
        };
        let validity = [element(kind, time), element(kind, time)].concat();
        let body = [
            version,
            element(INTEGER, &[7]),
            element(SEQUENCE, b"algorithm"),
            element(SEQUENCE, b"issuer"),
            element(SEQUENCE, &validity),
        ]
        .concat();
        element(SEQUENCE, &element(SEQUENCE, &body))
    }

    #[test]
    fn reads_issuer_and_beginning() {
        for (time, kind, seconds) in [
            (&b"700101000000Z"[..], UTC_TIME, Some(0)),
            (b"260923101500Z", UTC_TIME, Some(1_790_158_500)),
            (b"20500101000000Z", GENERALIZED_TIME, Some(2_524_608_000)),
            (b"491231235959Z", UTC_TIME, Some(2_524_607_999)),
            (b"990230000000Z", UTC_TIME, None),
            (b"2609231015Z", UTC_TIME, None),
            (b"260923101500+0100", UTC_TIME, None),
            (b"", UTC_TIME, None),
            (b"20500101000000Z", INTEGER, None),
        ] {
            for versioned in [true, false] {
                let der = certificate(time, kind, versioned);
                let found = parts(&der).map(|parts| {
                    assert_eq!(
                        parts.issuer,
                        [&[SEQUENCE, 0x81, 6], &b"issuer"[..]].concat()
                    );
                    parts.not_before
                });
                assert_eq!(found, seconds, "{time:?}");
                // Whatever is missing at its end, nothing breaks.
                for end in 0..der.len() {
                    assert_eq!(parts(&der[..end]), None);
                }
            }
        }
    }
}
