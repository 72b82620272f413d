//! The checksum list that a signature signs: every payload file, the header, the version.

use std::fmt;

use crate::oci::Digest;

/// The `manifest` member: `<sha256>  <name>` lines in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    lines: Vec<(String, Digest)>,
}

impl Manifest {
    /// Adds the checksum of `content` as it lies in the artifact; payload files count uncompressed.
    pub fn add(&mut self, name: &str, content: &[u8]) {
        self.lines.push((name.to_owned(), Digest::of(content)));
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, digest) in &self.lines {
            writeln!(f, "{}  {name}", digest.hex())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_sha256sum_would() {
        let mut manifest = Manifest::default();
        manifest.add("data/0000/empty", b"");
        manifest.add("version", br#"{"format":"mender","version":3}"#);
        assert_eq!(
            manifest.to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  data/0000/empty\n\
             96bcd965947569404798bcbdb614f103db5a004eb6e364cfc162c146890ea35b  version\n"
        );
    }
}
