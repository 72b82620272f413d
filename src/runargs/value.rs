//! Values as Docker's client reads them: booleans, numbers, sizes, durations, CPU counts. Pure; the errors are Docker's.

/// `1 t T TRUE true True` and their opposites.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!(
            "strconv.ParseBool: parsing {text:?}: invalid syntax"
        )),
    }
}

/// A whole number in base ten.
pub fn decimal(text: &str) -> Result<i64, String> {
    number(text, 10, text)
}

/// A whole number; `0x`, `0o`, `0b` and a leading zero choose the base, and `_` may stand between digits.
pub fn integer(text: &str) -> Result<i64, String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, rest) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let prefixed = rest.len() < lower.len();
    let separated =
        rest.starts_with('_') && !prefixed || rest.ends_with('_') || rest.contains("__");
    if separated {
        return Err(syntax(text));
    }
    number(&format!("{sign}{}", rest.replace('_', "")), base, text)
}

fn number(digits: &str, base: u32, shown: &str) -> Result<i64, String> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    i64::from_str_radix(digits, base).map_err(|error| match error.kind() {
        PosOverflow | NegOverflow => {
            format!("strconv.ParseInt: parsing {shown:?}: value out of range")
        }
        _ => syntax(shown),
    })
}

fn syntax(text: &str) -> String {
    format!("strconv.ParseInt: parsing {text:?}: invalid syntax")
}

/// Bytes: `512`, `64m`, `1.5GiB`; units are powers of 1024 in any case, with or without `b` or `ib`.
pub fn bytes(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let last = text
        .rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')
        .ok_or_else(invalid)?;
    let (number, unit) = match &text[last..=last] {
        " " => (&text[..last], &text[last + 1..]),
        _ => text.split_at(last + 1),
    };
    let value: f64 = number
        .parse()
        .map_err(|_| format!("strconv.ParseFloat: parsing {number:?}: invalid syntax"))?;
    if value < 0.0 {
        return Err(invalid());
    }
    let lower = unit.to_lowercase();
    let bad = || format!("invalid suffix: '{lower}'");
    let power = match lower.as_str() {
        "" | "b" => 0,
        _ => {
            let (letter, tail) = lower.split_at_checked(1).ok_or_else(bad)?;
            if !matches!(tail, "" | "b" | "ib") {
                return Err(bad());
            }
            1 + "kmgtp".find(letter).ok_or_else(bad)? as i32
        }
    };
    let size = value * 1024f64.powi(power);
    // 2^63 and above do not fit; Docker's client lets them overflow.
    if size >= 9_223_372_036_854_775_808.0 {
        return Err(format!("{}: value out of range", invalid()));
    }
    Ok(size as i64)
}

/// Nanoseconds: `1h2m3.5s`, `300ms`, `0`.
pub fn duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (digits, tail) = rest.split_at(end);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return Err(invalid());
        }
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, next) = tail.split_at(end);
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            _ => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        total += scaled(whole, fraction, scale).ok_or_else(invalid)?;
        if total > i128::from(i64::MAX) {
            return Err(invalid());
        }
        rest = next;
    }
    let total = if negative { -total } else { total };
    i64::try_from(total).map_err(|_| invalid())
}

/// `whole.fraction * scale`, rounded down; `None` if it is far beyond any duration.
fn scaled(whole: &str, fraction: &str, scale: i128) -> Option<i128> {
    // Digits beyond the 15th are less than a nanosecond of any unit.
    let fraction = &fraction[..fraction.len().min(15)];
    let number = |digits: &str| match digits {
        "" => Some(0),
        digits => digits.parse::<i64>().ok().map(i128::from),
    };
    let parts = 10i128.pow(fraction.len() as u32);
    Some(number(whole)? * scale + number(fraction)? * scale / parts)
}

/// Billionths of a CPU: `1.5`, `3/2`, `15e-1`.
pub fn cpus(text: &str) -> Result<i64, String> {
    let (over, under) =
        ratio(text).ok_or_else(|| format!("failed to parse {text} as a rational number"))?;
    let nano = over.checked_mul(1_000_000_000).filter(|_| under != 0);
    let nano = nano.ok_or_else(|| format!("failed to parse {text} as a rational number"))?;
    if nano % under != 0 {
        return Err("value is too precise".to_owned());
    }
    i64::try_from(nano / under).map_err(|_| format!("{text} CPUs are out of range"))
}

/// Numerator and denominator; numbers of more than 18 digits are no CPU counts.
fn ratio(text: &str) -> Option<(i128, i128)> {
    const DIGITS: usize = 18;
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let natural = |digits: &str| -> Option<i128> {
        let plain = digits.len() <= DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    };
    if let Some((over, under)) = text.split_once('/') {
        return Some((sign * natural(over)?, natural(under)?));
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok().filter(|e| (-18..=9).contains(e))?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = natural(&format!("{whole}{fraction}"))?;
    let power = exponent - fraction.len() as i32;
    let scale = 10i128.checked_pow(power.unsigned_abs())?;
    Some(match power {
        0.. => (sign * digits.checked_mul(scale)?, 1),
        _ => (sign * digits, scale),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_integers_as_go_does() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("+7", Some(7)),
            ("0x10", Some(16)),
            ("0b11", Some(3)),
            ("0o17", Some(15)),
            ("017", Some(15)),
            ("1_000", Some(1000)),
            ("0x_1F", Some(31)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("1.5", None),
            ("08", None),
            ("1k", None),
            ("_1", None),
            ("1_", None),
            ("1__0", None),
            ("--1", None),
            ("0x", None),
            ("é", None),
        ] {
            assert_eq!(integer(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn reads_sizes() {
        for (text, expected) in [
            ("0", 0),
            ("512", 512),
            ("4b", 4),
            ("64m", 64 << 20),
            ("64MB", 64 << 20),
            ("64MiB", 64 << 20),
            ("1.5g", 3 << 29),
            ("1 k", 1024),
            ("1e3", 1000),
            (".5k", 512),
            ("2T", 2 << 40),
            ("1p", 1 << 50),
            ("+3", 3),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for (text, error) in [
            ("", "invalid size: ''"),
            ("m", "invalid size: 'm'"),
            ("-1", "invalid size: '-1'"),
            ("10x", "invalid suffix: 'x'"),
            ("10mm", "invalid suffix: 'mm'"),
            ("10bb", "invalid suffix: 'bb'"),
            ("10mibi", "invalid suffix: 'mibi'"),
            ("10µ", "invalid suffix: 'µ'"),
            (
                "1..2",
                "strconv.ParseFloat: parsing \"1..2\": invalid syntax",
            ),
            (" 10", "strconv.ParseFloat: parsing \" 10\": invalid syntax"),
            ("9000p", "invalid size: '9000p': value out of range"),
        ] {
            assert_eq!(bytes(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn reads_durations() {
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("10s", 10_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("300ms", 300_000_000),
            ("1m30s", 90_000_000_000),
            ("1us", 1_000),
            ("1µs", 1_000),
            (".5s", 500_000_000),
            ("-2s", -2_000_000_000),
            ("1.s", 1_000_000_000),
            ("0.0000000001s", 0),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
        for (text, error) in [
            ("", "time: invalid duration \"\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5d", "time: unknown unit \"d\" in duration \"5d\""),
            ("s", "time: invalid duration \"s\""),
            (".s", "time: invalid duration \".s\""),
            ("1.2.3s", "time: invalid duration \"1.2.3s\""),
            ("9999999999h", "time: invalid duration \"9999999999h\""),
            (
                "99999999999999999999s",
                "time: invalid duration \"99999999999999999999s\"",
            ),
        ] {
            assert_eq!(duration(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn reads_cpu_counts() {
        for (text, expected) in [
            ("1", 1_000_000_000),
            ("0.5", 500_000_000),
            ("1.5", 1_500_000_000),
            ("3/2", 1_500_000_000),
            ("15e-1", 1_500_000_000),
            ("1e1", 10_000_000_000),
            (".25", 250_000_000),
            ("0.000000001", 1),
            ("-1", -1_000_000_000),
        ] {
            assert_eq!(cpus(text), Ok(expected), "{text}");
        }
        assert_eq!(cpus("0.0000000001"), Err("value is too precise".to_owned()));
        for text in ["", "x", "1/0", "1/2/3", "1e99", "1..2", "0x", "9e300"] {
            assert_eq!(
                cpus(text),
                Err(format!("failed to parse {text} as a rational number")),
                "{text}"
            );
        }
    }
}
