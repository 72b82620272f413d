//! What the integration tests share. A test file says `mod common;` and uses what it needs.
//!
//! - [`docker_registry`]: Debian's docker-registry, with passwords and https on demand
//! - [`device`]: a device in a temporary folder and a network namespace of its own, with the module installed
//! - `help`: what a text of help has in it; a test file takes it by its path
//! - [`image`]: images built in memory from a list of files
//! - [`mender`]: Debian's own client on a device, and a server for its daemon
//! - [`registry`]: a registry in this process that serves them, counts, and misbehaves on demand
//! - [`scripted`]: a device whose update module is a script, for artifacts without a Mender client
//! - [`fed`]: a program that is given something to read
//! - [`Scratch`]: a temporary folder that goes with its owner

#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "each test program uses a part of this; test files need no durable writer; a broken set-up should panic"
)]

#[cfg(feature = "device")]
pub mod device;
pub mod docker_registry;
pub mod image;
#[cfg(feature = "device")]
pub mod mender;
pub mod registry;
#[cfg(feature = "device")]
pub mod scripted;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// What `command` says and how it ends, with `input` through a pipe. However much it is: it is written beside what is read.
pub fn fed(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // Whoever refuses or ends early does not read all of it.
        scope.spawn(move || drop(pipe.write_all(input)));
        child.wait_with_output().unwrap()
    })
}

/// A temporary folder, removed with everything in it when dropped, also when the test panics.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new empty folder; `name` shows up in its path.
    pub fn new(name: &str) -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("dray-{name}-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover folder in /tmp must not hide the failure that is being reported.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
