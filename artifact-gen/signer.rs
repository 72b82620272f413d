//! Who signs: a key in a file, or a program that has one. Neither a key nor a passphrase is ever among our words.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use dray::oci::stream::read_limited;
use dray::trust::{MAX_KEY, PrivateKey, PublicKey, Signature};

use crate::refusal::Refusal;

/// Most that a signing program may print; a signature in text has 700 bytes.
const MAX_PRINTED: u64 = 64 << 10;

/// A way to sign.
#[derive(Debug)]
pub enum Signer {
    /// With this key.
    Key(PrivateKey),
    /// With what this command line prints when it is given the bytes to sign.
    Command(String),
}

impl Signer {
    /// What the options ask for; reads the key, so that a wrong one is noticed before any work.
    pub fn of(key: Option<&Path>, command: Option<&str>) -> Result<Option<Signer>, Refusal> {
        match (key, command) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(Refusal::usage(
                "--key and --sign-command are two ways to sign; give one",
            )),
            (None, Some(command)) => Ok(Some(Signer::Command(command.to_owned()))),
            (Some(path), None) => read_private(path).map(|key| Some(Signer::Key(key))),
        }
    }

    /// Whether signing asks somebody: for a passphrase, or to touch a token.
    pub fn asks_others(&self) -> bool {
        matches!(self, Signer::Command(_))
    }

    /// The text for `manifest.sig`.
    pub fn sign(&self, manifest: &[u8]) -> io::Result<String> {
        let signature = match self {
            Signer::Key(key) => key
                .sign(manifest)
                .map_err(|refused| io::Error::other(format!("cannot sign: {refused}"))),
            Signer::Command(command) => printed(command, manifest)
                .and_then(|printed| Signature::from_signer(&printed).map_err(io::Error::other))
                .map_err(|error| io::Error::other(format!("--sign-command {command:?}: {error}"))),
        }?;
        Ok(signature.to_text())
    }
}

/// A key to check signatures with.
pub fn read_public(path: &Path) -> Result<PublicKey, Refusal> {
    let (text, _) = read(path)?;
    PublicKey::parse(&text).map_err(|refused| named(path, &refused))
}

fn read_private(path: &Path) -> Result<PrivateKey, Refusal> {
    let (text, mode) = read(path)?;
    let key = PrivateKey::parse(&text).map_err(|refused| named(path, &refused))?;
    // A pipe or a terminal has no permissions worth a word.
    if let Some(mode) = mode.filter(|mode| mode & 0o007 != 0) {
        eprintln!(
            "Warning: everybody on this machine can use the key {} (its mode is {mode:04o}); 'chmod 600' keeps it yours",
            path.display()
        );
    }
    Ok(key)
}

/// A key file's text, and its permissions if it is a regular file.
fn read(path: &Path) -> Result<(Vec<u8>, Option<u32>), Refusal> {
    let read = || {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let mode = metadata
            .is_file()
            .then(|| metadata.permissions().mode() & 0o777);
        Ok((read_limited(file, MAX_KEY)?, mode))
    };
    read().map_err(|error: io::Error| named(path, &error))
}

fn named(path: &Path, problem: &dyn std::fmt::Display) -> Refusal {
    Refusal::usage(format!("key {}: {problem}", path.display()))
}

/// What a command line prints when it is given `input`. Its own words go where ours go, and it may ask on the terminal.
fn printed(command: &str, input: &[u8]) -> io::Result<Vec<u8>> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let printed = thread::scope(|scope| {
        scope.spawn(move || {
            // A program that reads less than all of it decides by its exit code whether that was right.
            if let Some(stdin) = &mut stdin {
                let _ = stdin.write_all(input);
            }
        });
        let mut printed = Vec::new();
        let stdout = stdout.ok_or(io::ErrorKind::BrokenPipe)?;
        stdout.take(MAX_PRINTED).read_to_end(&mut printed)?;
        Ok(printed)
    });
    let status = child.wait()?;
    match status.success() {
        true => printed,
        false => Err(io::Error::other(format!("it failed: {status}"))),
    }
}

/// Reads a whole file that may not be large.
pub fn read_small(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    match fs::metadata(path)?.is_file() {
        true => read_limited(File::open(path)?, limit),
        false => Err(io::Error::other("it is not a regular file")),
    }
}
