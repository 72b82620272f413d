//! Sizes as mender-artifact's options have them: decimal, units of a thousand.

use std::fmt;

const UNITS: [(&str, u64); 5] = [
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// `5MB`, `1.5GB` or `5000000`.
    pub fn parse(text: &str) -> Result<Size, String> {
        let refuse = || format!("{text:?} is not a size such as 5MB, 1.5GB or 5000000");
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = text[digits.len()..].to_ascii_uppercase();
        let unit = UNITS
            .iter()
            .find(|(name, _)| *name == unit || unit.is_empty() && *name == "B");
        let (_, factor) = unit.ok_or_else(refuse)?;
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(part) || part.len() > 12 {
            return Err(refuse());
        }
        let whole: u64 = whole.parse().map_err(|_| refuse())?;
        // At most twelve digits below the point, so that nothing overflows.
        let scale = 10_u128.pow(part.len() as u32);
        let part: u128 = format!("0{part}").parse().map_err(|_| refuse())?;
        let bytes = u128::from(whole) * u128::from(*factor) + part * u128::from(*factor) / scale;
        u64::try_from(bytes).map(Size).map_err(|_| refuse())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, factor)| self.0 >= *factor) {
            // One digit, rounded; for people.
            Some((unit, factor)) if *factor > 1 => {
                write!(f, "{:.1} {unit}", self.0 as f64 / *factor as f64)
            }
            _ => write!(f, "{} B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_mender_artifacts() {
        for (text, bytes) in [
            ("0", 0),
            ("5000000", 5_000_000),
            ("5MB", 5_000_000),
            ("5mb", 5_000_000),
            ("1.5GB", 1_500_000_000),
            ("1.KB", 1_000),
            ("0.5B", 0),
            ("100b", 100),
            ("2TB", 2_000_000_000_000),
        ] {
            assert_eq!(Size::parse(text), Ok(Size(bytes)), "{text}");
        }
        for text in [
            "",
            "MB",
            ".5MB",
            "5 MB",
            "-1",
            "5MiB",
            "5M",
            "1e3",
            "99999999999999999999",
            "20000000TB",
        ] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
        for (bytes, shown) in [
            (999, "999 B"),
            (1_500, "1.5 KB"),
            (5_000_000, "5.0 MB"),
            (2_340_000_000, "2.3 GB"),
        ] {
            assert_eq!(Size(bytes).to_string(), shown);
        }
    }
}
