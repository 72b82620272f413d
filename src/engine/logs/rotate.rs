//! What becomes of a file of a log that is full: it gets the next older name, and is compressed if that is wanted.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use super::birth::Birth;

/// Gives the file `current` and all older ones the next older name; of `count` files the oldest goes.
pub(super) fn rotate(current: &Path, count: u32, compress: bool) -> io::Result<()> {
    for number in (1..count).rev() {
        let older = rotated(current, number);
        let newer = if number == 1 {
            current.to_owned()
        } else {
            rotated(current, number - 1)
        };
        put_aside(&newer, &older)?;
    }
    match (count, compress) {
        (1, _) => std::fs::remove_file(current),
        // One that cannot be compressed stays as it is, and is read and counted the same.
        (_, true) => pack(&rotated(current, 1)).or(Ok(())),
        _ => Ok(()),
    }
}

/// Makes `newer` the file `older`, whether it is compressed or not.
#[expect(
    clippy::disallowed_methods,
    reason = "a log need not survive a power cut, its rotation even less"
)]
fn put_aside(newer: &Path, older: &Path) -> io::Result<()> {
    let absent = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        result => result.map(|()| true),
    };
    let (newer_packed, older_packed) = (packed(newer), packed(older));
    if absent(std::fs::rename(newer, older))? {
        // What a cut left beside it says the same.
        absent(std::fs::remove_file(&newer_packed))?;
        absent(std::fs::remove_file(&older_packed))?;
    } else if absent(std::fs::rename(&newer_packed, &older_packed))? {
        absent(std::fs::remove_file(older))?;
    }
    Ok(())
}

/// Compresses a file that nobody writes any more. The old one goes only once the new one is whole on the disk and has its
/// name.
#[expect(
    clippy::disallowed_methods,
    reason = "the data is synced, and either name will do after a power cut"
)]
fn pack(path: &Path) -> io::Result<()> {
    let from = File::open(path)?;
    let comment = Birth::of(from.as_fd())?.comment();
    let packed = packed(path);
    let unfinished = packed.with_extension("tmp");
    let to = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    let compressed = GzBuilder::new()
        .comment(comment)
        .write(to, Compression::fast());
    let done = compress(from, compressed)
        .and_then(|()| std::fs::rename(&unfinished, &packed))
        .and_then(|()| std::fs::remove_file(path));
    if done.is_err() {
        // The error that matters is the first one.
        let _ = std::fs::remove_file(&unfinished);
    }
    done
}

fn compress(mut from: File, mut to: GzEncoder<File>) -> io::Result<()> {
    io::copy(&mut from, &mut to)?;
    to.finish()?.sync_all()
}

/// The path of a file that was compressed.
pub(super) fn packed(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}

/// The path of the `number`th older file.
pub(super) fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}
