//! The checksum list that a signature signs: every payload file, the header, the version.

use std::collections::BTreeMap;
use std::fmt;

use crate::oci::Digest;

/// The `manifest` member: `<sha256>  <name>` lines in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    order: Vec<String>,
    sums: BTreeMap<String, Digest>,
}

/// Why a text is not a manifest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ManifestError {
    /// Not 64 digits, two spaces, a name and the end of the line.
    #[error("line {0} is not a checksum in lower case, two spaces, a name and the end of the line")]
    Line(usize),
    /// Two lines for one name.
    #[error("{0:?} is listed twice")]
    Twice(String),
}

impl Manifest {
    /// Reads the member. Other tools write exactly this form; what else some readers take, others take differently.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let mut manifest = Manifest::default();
        for (at, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let (name, digest) = parse_line(line).ok_or(ManifestError::Line(at + 1))?;
            if manifest.sums.contains_key(name) {
                return Err(ManifestError::Twice(name.to_owned()));
            }
            manifest.add_sum(name, digest);
        }
        Ok(manifest)
    }

    /// Adds the checksum of `content` as it lies in the artifact; payload files count uncompressed.
    pub fn add(&mut self, name: &str, content: &[u8]) {
        self.add_sum(name, Digest::of(content));
    }

    /// As [`Manifest::add`] for content whose checksum is known.
    pub fn add_sum(&mut self, name: &str, digest: Digest) {
        if self.sums.insert(name.to_owned(), digest).is_none() {
            self.order.push(name.to_owned());
        }
    }

    /// What is listed.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(String::as_str)
    }

    /// What it says of `name`.
    pub fn digest(&self, name: &str) -> Option<Digest> {
        self.sums.get(name).copied()
    }
}

fn parse_line(line: &[u8]) -> Option<(&str, Digest)> {
    let line = str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (hex, name) = line.split_once("  ")?;
    let sound = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic());
    sound.then_some((name, Digest::from_hex(hex).ok()?))
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.order {
            writeln!(f, "{}  {name}", self.sums[name].hex())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_sha256sum_would_and_reads_it_again() {
        let mut manifest = Manifest::default();
        manifest.add("version", br#"{"format":"mender","version":3}"#);
        manifest.add("data/0000/empty", b"");
        let text = "96bcd965947569404798bcbdb614f103db5a004eb6e364cfc162c146890ea35b  version\n\
                    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  data/0000/empty\n";
        assert_eq!(manifest.to_string(), text);
        assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
        assert_eq!(Manifest::parse(b""), Ok(Manifest::default()));
    }

    #[test]
    fn other_forms_are_refused() {
        let sum = "0".repeat(64);
        let twice = format!("{sum}  a\n{sum}  a\n");
        assert_eq!(
            Manifest::parse(twice.as_bytes()),
            Err(ManifestError::Twice("a".to_owned()))
        );
        for line in [
            "".to_owned(),
            format!("{sum} a"),
            format!("{sum}  "),
            format!("{sum}   a"),
            format!(" {sum}  a"),
            format!("{sum}  a\r"),
            format!("{sum}  a b"),
            format!("{}  a", &sum[1..]),
            format!("{}  a", "A".repeat(64)),
            format!("{sum}  \u{e4}"),
        ] {
            let text = format!("{sum}  first\n{line}\n");
            assert_eq!(
                Manifest::parse(text.as_bytes()),
                Err(ManifestError::Line(2)),
                "{line}"
            );
        }
        let cut = format!("{sum}  a");
        assert_eq!(Manifest::parse(cut.as_bytes()), Err(ManifestError::Line(1)));
    }
}
