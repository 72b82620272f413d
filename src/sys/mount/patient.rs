//! Mounting what may never answer: a server that is away holds whoever asks it, for minutes or for ever. So a process of its
//! own asks, which can be given up.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::super::fs::broken;
use super::super::process::{self, Pidfd};
use super::{FLAGS, filesystem};

/// How long a filesystem may take to be mounted: a server on the other side of a slow link answers in seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same for one that a test has hang.
const OF_TESTS: Duration = Duration::from_secs(3);
/// Filesystems that wait for nobody.
const IMMEDIATE: [&str; 2] = ["tmpfs", "none"];
const SIGKILL: i32 = 9;
/// Exit code of the process that asks where the kernel gave no reason.
const NO_REASON: i32 = 255;

/// As [`filesystem`], but it does not wait longer than a minute.
pub fn filesystem_in_time(
    device: &str,
    target: &Path,
    kind: &str,
    options: &str,
) -> io::Result<()> {
    let hangs = broken("mount-hangs");
    let is_bind = options
        .split(',')
        .filter_map(|word| FLAGS.iter().find(|(known, _)| *known == word))
        .any(|(_, flag)| flag & libc::MS_BIND != 0);
    if !hangs && (is_bind || IMMEDIATE.contains(&kind)) {
        return filesystem(device, target, kind, options);
    }
    // SAFETY: the copy makes one mount in the namespace that both are in, and exits.
    let child = match unsafe { libc::fork() } {
        0 => {
            // Nothing is to wait for the locks and sockets of the one who may give this up.
            // SAFETY: nothing in this process uses a descriptor from here on.
            unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
            if hangs {
                hang();
            }
            let code = match filesystem(device, target, kind, options) {
                Ok(()) => 0,
                Err(error) => error.raw_os_error().unwrap_or(NO_REASON),
            };
            // SAFETY: ends the copy without running anything of the original's.
            unsafe { libc::_exit(code) }
        }
        -1 => return Err(io::Error::last_os_error()),
        child => child,
    };
    let patience = if hangs { OF_TESTS } else { PATIENCE };
    let pidfd = Pidfd::open(child)?;
    if !pidfd.wait(Some(patience))? {
        pidfd.signal(SIGKILL)?;
        // One that the kernel holds even so goes when that lets it, and is nobody's obstacle.
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", patience.as_secs()),
        ));
    }
    match process::wait_child(child)?.code() {
        0 => Ok(()),
        NO_REASON => Err(io::ErrorKind::InvalidInput.into()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// As a server that never answers has it, for tests.
fn hang() -> ! {
    loop {
        // SAFETY: waits for a signal.
        unsafe { libc::pause() };
    }
}
