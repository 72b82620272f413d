//! SIGTERM as a question that a long piece of work can ask itself, with a hard end behind it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// After SIGTERM the process ends within this time, by itself or by SIGALRM. Mender's C++ client kills after 10 s.
pub const GRACE: Duration = Duration::from_secs(8);

/// The signal that asks a process to end.
pub const SIGTERM: i32 = libc::SIGTERM;

/// The signal that ends a process.
pub const SIGKILL: i32 = libc::SIGKILL;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// From now on SIGTERM does not end this process but makes [`requested`] true, and SIGALRM ends it [`GRACE`] later: so
/// only for work that survives being killed at any instruction, but would rather say something first.
pub fn catch() -> io::Result<()> {
    // SAFETY: a zeroed sigaction is valid; `action` outlives the calls; the handler only makes async-signal-safe calls.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_terminate as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        libc::sigemptyset(&mut action.sa_mask);
        if libc::sigaction(libc::SIGTERM, &action, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        // A caller may have left them blocked or ignored; both are inherited over exec.
        action.sa_sigaction = libc::SIG_DFL;
        if libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::sigaddset(&mut set, libc::SIGALRM);
        if libc::sigprocmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Whether SIGTERM came since [`catch`].
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

extern "C" fn on_terminate(_signal: libc::c_int) {
    if !REQUESTED.swap(true, Ordering::Relaxed) {
        // SAFETY: alarm is async-signal-safe and takes an integer.
        unsafe { libc::alarm(GRACE.as_secs() as libc::c_uint) };
    }
}
