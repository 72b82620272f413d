//! SIGTERM as a question that a long piece of work can ask itself, with a hard end behind it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
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

/// The signals by which a person or an init system asks a command in the foreground to end.
const FAREWELLS: [libc::c_int; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// The process group that such a signal is passed on to; 0 for none.
static CHARGE: AtomicI32 = AtomicI32::new(0);

/// From now on SIGTERM, and SIGINT and SIGHUP unless the caller had them ignored, do not end this process: they make [`requested`] true, and the process group that
/// [`charge`] named gets SIGTERM. Calls that wait are interrupted.
pub fn pass_on() -> io::Result<()> {
    // SAFETY: a zeroed sigaction is valid; `action` outlives the calls; the handler only makes async-signal-safe calls.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_farewell as *const () as libc::sighandler_t;
        libc::sigemptyset(&mut action.sa_mask);
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in FAREWELLS {
            // `nohup`, or a shell's background: the caller wants it to go on.
            let mut before: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, std::ptr::null(), &mut before) != 0 {
                return Err(io::Error::last_os_error());
            }
            if before.sa_sigaction == libc::SIG_IGN && signal != libc::SIGTERM {
                continue;
            }
            if libc::sigaction(signal, &action, std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            libc::sigaddset(&mut set, signal);
        }
        // A caller may have left them blocked.
        if libc::sigprocmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Names the process group that is to hear of it, or none any more; of a request that came already it hears now.
pub fn charge(group: Option<i32>) {
    CHARGE.store(group.unwrap_or(0), Ordering::SeqCst);
    if requested() {
        tell_charge();
    }
}

fn tell_charge() {
    let group = CHARGE.load(Ordering::SeqCst);
    if group > 0 {
        // SAFETY: kill is async-signal-safe and takes two integers.
        unsafe { libc::kill(-group, libc::SIGTERM) };
    }
}

extern "C" fn on_farewell(_signal: libc::c_int) {
    REQUESTED.store(true, Ordering::SeqCst);
    // SAFETY: errno belongs to this thread; what was interrupted may be about to read it.
    let errno = unsafe { *libc::__errno_location() };
    tell_charge();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

extern "C" fn on_terminate(_signal: libc::c_int) {
    if !REQUESTED.swap(true, Ordering::Relaxed) {
        // SAFETY: alarm is async-signal-safe and takes an integer.
        unsafe { libc::alarm(GRACE.as_secs() as libc::c_uint) };
    }
}
