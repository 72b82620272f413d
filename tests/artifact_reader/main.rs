//! What our reader takes and what Debian's mender-artifact 3.9 takes, over a table of artifacts of every shape: the same,
//! save where the table gives the reason.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test files need no durable writer; a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod parts;
mod rows;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::Scratch;
use dray::artifact::reader::{self, Nothing, Trust};
use dray::trust::{PrivateKey, PublicKey};
use parts::parts;
use rows::ROWS;

#[test]
fn our_reader_and_mender_artifact_agree_or_there_is_a_reason() {
    let scratch = Scratch::new("reader");
    let file = scratch.join("a.mender");
    let public = scratch.join("key.pub");
    let private = key(&scratch.join("key.pem"));
    let made = Command::new("openssl")
        .args(["pkey", "-pubout", "-in"])
        .arg(scratch.join("key.pem"))
        .arg("-out")
        .arg(&public)
        .status()
        .unwrap();
    assert!(made.success());
    let keys = [PublicKey::parse(&fs::read(&public).unwrap()).unwrap()];
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for row in ROWS {
        assert!(names.insert(row.name), "{} is there twice", row.name);
        let mut parts = parts();
        (row.bend)(&mut parts);
        let is_keyed = parts.signature.is_some() || row.name.starts_with("key:");
        let bytes = parts.build(&private);
        fs::write(&file, &bytes).unwrap();
        let mut theirs = Command::new("mender-artifact");
        theirs.arg("validate");
        if is_keyed {
            theirs.arg("-k").arg(&public);
        }
        let theirs = theirs.arg(&file).output().unwrap();
        let trust = match is_keyed {
            true => Trust::Required(&keys),
            false => Trust::Ignored,
        };
        let ours = reader::read(bytes.as_slice(), trust, &mut Nothing);
        let said = ours.as_ref().err().map(ToString::to_string);
        let as_expected = match (&said, row.refused) {
            (None, None) => true,
            (Some(said), Some(problem)) => said.contains(problem),
            _ => false,
        };
        let differs = theirs.status.success() != ours.is_ok();
        if !as_expected || differs != row.differs.is_some() {
            wrong.push(format!(
                "{}: ours {:?}, expected {:?}; theirs {}: {}",
                row.name,
                said,
                row.refused,
                theirs.status,
                String::from_utf8_lossy(&theirs.stderr)
                    .lines()
                    .next()
                    .unwrap_or_default()
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(ROWS.len() >= 80, "{} rows", ROWS.len());
}

/// A new key, also as a file.
fn key(path: &Path) -> PrivateKey {
    let made = Command::new("openssl")
        .args([
            "ecparam",
            "-genkey",
            "-name",
            "prime256v1",
            "-noout",
            "-out",
        ])
        .arg(path)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    PrivateKey::parse(&fs::read(path).unwrap()).unwrap()
}

/// Bytes of the artifact that a change of which leaves it sound: those that no reader looks at.
#[test]
fn a_changed_byte_is_noticed_unless_nobody_reads_it() {
    let scratch = Scratch::new("reader-bytes");
    let private = key(&scratch.join("key.pem"));
    let mut small = parts();
    small.files = vec![("one".to_owned(), b"first\n".to_vec())];
    small.signature = Some(|_| ());
    let whole = small.build(&private);
    let keys = [private.public().unwrap()];
    let read = |bytes: &[u8]| reader::read(bytes, Trust::Required(&keys), &mut Nothing).is_ok();
    assert!(read(&whole));
    let mut unnoticed = Vec::new();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        if read(&changed) {
            unnoticed.push(at);
        }
        // Cut anywhere, it is refused, unless only zeros at its end are missing.
        if whole[at..].iter().any(|&byte| byte != 0) {
            assert!(!read(&whole[..at]), "cut at {at}");
        }
    }
    // Padding behind members; the first digit of a tar header's checksum, where a space is as good; and in the packed
    // payload gzip's own time stamp, and from where among zeros a zero is copied.
    let nobodys = |at: usize| whole[at] == 0 || at % 512 == 148 || at > whole.len() - 2048;
    let noticed: Vec<usize> = unnoticed.into_iter().filter(|at| !nobodys(*at)).collect();
    assert!(noticed.is_empty(), "{noticed:?}");
}
