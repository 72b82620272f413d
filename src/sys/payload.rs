//! The last steps of a container's process: find the program, replace the environment, become the program.
//!
//! Runs inside the container, between the runtime's set-up and the program.

use std::collections::HashMap;
use std::ffi::{CString, OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;

use super::surroundings;

/// Where programs are looked for when the environment names no folder.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a> {
    /// Program and arguments; at least one.
    pub args: &'a [String],
    /// Stay as process 1, reap orphans and pass signals on; the program becomes a child.
    pub init: bool,
    /// Gets the reason if the program cannot be executed; closed by a successful execution.
    pub report: Option<RawFd>,
    /// Soft and hard limit of its stack, where that is limited.
    pub stack: Option<[u64; 2]>,
}

/// Becomes the program. Returns only on failure, with the reason.
pub fn execute(payload: &Payload<'_>) -> String {
    let path = environment_value("PATH");
    let failed = match find_program(&payload.args[0], path.as_deref()) {
        Ok(program) if payload.init => run_under_init(&program, payload),
        Ok(program) => explain(&payload.args[0], &exec(&program, payload)),
        Err(reason) => reason,
    };
    report(payload.report, &failed);
    failed
}

/// Looks a program up as a shell does: a name with a slash is a path, any other is looked for in `path`.
pub fn find_program(name: &str, path: Option<&str>) -> Result<PathBuf, String> {
    let usable = |file: &PathBuf| match std::fs::metadata(file) {
        Ok(meta) if meta.is_dir() => Err("is a directory: permission denied"),
        Ok(meta) if meta.permissions().mode() & 0o111 == 0 => Err("permission denied"),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err("permission denied"),
        Err(_) => Err("no such file or directory"),
    };
    if name.contains('/') {
        let file = PathBuf::from(name);
        return usable(&file)
            .map(|()| file)
            .map_err(|reason| format!("exec: {name:?}: {reason}"));
    }
    let mut reason = "executable file not found in $PATH";
    // A word of nothing would find the folder itself.
    let folders = path.unwrap_or(DEFAULT_PATH).split(':');
    for folder in folders.filter(|_| !name.is_empty()) {
        let file = PathBuf::from(if folder.is_empty() { "." } else { folder }).join(name);
        match usable(&file) {
            Ok(()) => return Ok(file),
            Err("permission denied") => reason = "permission denied",
            Err(_) => {}
        }
    }
    Err(format!("exec: {name:?}: {reason}"))
}

/// Gives up what descriptors stand for, without freeing their numbers: their owners in this copy of the monitor may still
/// close them.
pub fn let_go(fds: &[RawFd]) -> io::Result<()> {
    if fds.is_empty() {
        return Ok(());
    }
    // SAFETY: eventfd takes two integers and returns a new descriptor or -1.
    let nothing = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if nothing < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and owned by nobody else.
    let nothing = unsafe { OwnedFd::from_raw_fd(nothing) };
    for fd in fds {
        // SAFETY: dup3 takes three integers; what `fd` stood for is what is to be given up.
        if unsafe { libc::dup3(nothing.as_raw_fd(), *fd, libc::O_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Gives the pipes or the terminal of this process to a user, who may open them by their names too (`/dev/stdout`). Anything
/// else is the host's and stays whose it is.
pub fn own_streams(uid: u32) -> io::Result<()> {
    for fd in 0..=2 {
        // SAFETY: the numbers stand for descriptors that this process has until its end.
        let stream = unsafe { BorrowedFd::borrow_raw(fd) };
        let meta = std::fs::File::from(stream.try_clone_to_owned()?).metadata()?;
        if meta.file_type().is_fifo() || stream.is_terminal() {
            std::os::unix::fs::fchown(stream, Some(uid), None)?;
        }
    }
    Ok(())
}

/// Makes `envs` the whole environment. The process has one thread.
pub fn replace_environment<T: AsRef<OsStr>>(envs: impl IntoIterator<Item = (T, T)>) {
    for (key, _) in std::env::vars_os() {
        // SAFETY: the runtime's child has one thread, so nobody reads the environment meanwhile.
        unsafe { std::env::remove_var(key) };
    }
    for (key, value) in envs {
        // SAFETY: as above.
        unsafe { std::env::set_var(key, value) };
    }
}

/// Puts the environment into the order of `entries`; what is not among them comes last. The process has one thread.
pub fn order_environment(entries: &[String]) {
    let mut all: HashMap<OsString, OsString> = std::env::vars_os().collect();
    let names = entries.iter().filter_map(|entry| entry.split_once('='));
    let mut ordered: Vec<_> = names
        .filter_map(|(name, _)| all.remove_entry(OsStr::new(name)))
        .collect();
    ordered.extend(all);
    replace_environment(ordered);
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the container's environment, not the device's"
)]
fn environment_value(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn exec(program: &std::path::Path, payload: &Payload<'_>) -> io::Error {
    let words = payload.args.iter();
    let words: Result<Vec<_>, _> = words.map(|arg| CString::new(arg.as_str())).collect();
    let program = CString::new(program.as_os_str().as_encoded_bytes());
    let (Ok(words), Ok(program)) = (words, program) else {
        return io::Error::new(
            io::ErrorKind::InvalidInput,
            "an argument contains a zero byte",
        );
    };
    let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    restore_signals();
    if let Some(limits) = payload.stack
        && let Err(error) = surroundings::limit_stack(limits)
    {
        return error;
    }
    // SAFETY: all strings and the null-terminated array outlive the call.
    unsafe { libc::execv(program.as_ptr(), pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// Gives every signal its default action and blocks none, as a program expects to be started: both would outlive its
/// execution, what we and Rust's runtime had set as well as what our caller had.
fn restore_signals() {
    const LAST: libc::c_int = 64;
    /// At least the size of the kernel's description of an action, whose zeros are the default.
    const ACTION: [u64; 8] = [0; 8];
    const NOTHING: usize = 0;
    const SIGNAL_SET: usize = size_of::<u64>();
    for signal in 1..=LAST {
        // The C library keeps two signals to itself, which its caller may have ignored as well. KILL and STOP fail, as they
        // have to.
        // SAFETY: the action outlives the call, which reads it and writes nothing.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &ACTION, NOTHING, SIGNAL_SET) };
    }
    // SAFETY: the set is a local value and outlives the calls.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

fn explain(name: &str, error: &io::Error) -> String {
    let reason = match error.raw_os_error() {
        Some(libc::ENOEXEC) => "exec format error".to_owned(),
        Some(libc::EACCES) => "permission denied".to_owned(),
        // Nothing but a filter of system calls says so to a program that is there.
        Some(libc::EPERM) => {
            "operation not permitted (is execve allowed by its seccomp profile?)".to_owned()
        }
        Some(libc::ENOENT) => {
            "no such file or directory (its interpreter may be missing)".to_owned()
        }
        _ => error.to_string(),
    };
    format!("exec {name}: {reason}")
}

fn report(fd: Option<RawFd>, reason: &str) {
    let Some(fd) = fd else { return };
    // SAFETY: the runtime keeps this descriptor open for us until the exec, and nobody else uses it in this process.
    let mut pipe = unsafe { std::fs::File::from_raw_fd(fd) };
    // If the monitor has gone there is nobody left to tell.
    let _ = pipe.write_all(reason.as_bytes());
}

/// Forks: the child becomes the program, this process stays as process 1 until the child has ended, then exits as it did.
fn run_under_init(program: &std::path::Path, payload: &Payload<'_>) -> String {
    // SAFETY: one thread; the child goes straight to exec or exit.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return format!(
            "failed to fork under --init: {}",
            io::Error::last_os_error()
        );
    }
    if child == 0 {
        // SAFETY: plain system calls of a single-threaded child.
        unsafe {
            libc::setpgid(0, 0);
            // A terminal's foreground belongs to the program; without a terminal this fails and does not matter.
            libc::signal(libc::SIGTTOU, libc::SIG_IGN);
            libc::tcsetpgrp(0, libc::getpid());
            libc::signal(libc::SIGTTOU, libc::SIG_DFL);
        }
        let failed = explain(&payload.args[0], &exec(program, payload));
        report(payload.report, &failed);
        // SAFETY: ends the child without running anything of its parent's.
        unsafe { libc::_exit(127) };
    }
    // What closes itself at an execution stays open in a process that never executes anything: the report, and whatever of the
    // host the monitor held.
    // SAFETY: nothing in this process uses a descriptor any more but the first three; the child has its own copies.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    if let Some(fd) = payload.report {
        // SAFETY: as above; kernels before 5.9 know no ranges, and on all others it is closed already.
        unsafe { libc::close(fd) };
    }
    be_called_init(payload.args);
    let code = reap_until(child);
    // SAFETY: ends this process; there is nothing to clean up in a container's process 1.
    unsafe { libc::_exit(code) }
}

/// Shows in lists of processes what this process is, as Docker's: it has its name and its words from the monitor that it was.
fn be_called_init(args: &[String]) {
    let mut words = b"/sbin/docker-init\0--".to_vec();
    for arg in args {
        words.push(0);
        words.extend(arg.as_bytes());
    }
    // SAFETY: the name is a constant C string, which the kernel copies.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"docker-init".as_ptr()) };
    // Without /proc nobody can look.
    let Some((start, length)) = own_words() else {
        return;
    };
    // What does not fit is cut; the last byte stays zero, or the kernel would show the environment too.
    words.resize(length, 0);
    words[length - 1] = 0;
    // SAFETY: these bytes are this process's own words, on the stack, where the C library and Rust's runtime only read them
    // when somebody asks for the words; this process never does any more.
    unsafe { std::ptr::copy_nonoverlapping(words.as_ptr(), start as *mut u8, length) };
}

/// Where the words that this process was started with lie, and how long they are.
fn own_words() -> Option<(usize, usize)> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Fields 48 and 49; the third is the first after the name.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(45);
    let start: usize = fields.next()?.parse().ok()?;
    let end: usize = fields.next()?.parse().ok()?;
    let length = end.checked_sub(start)?;
    (start > 0 && length > 0).then_some((start, length))
}

/// Passes every signal on to `child` and reaps whatever ends, until `child` has ended; its exit code.
fn reap_until(child: libc::pid_t) -> i32 {
    // SAFETY: local values passed by pointer for the duration of each call; integers otherwise.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
        loop {
            let signal = super::doze::signal(&all);
            if signal != libc::SIGCHLD {
                if signal > 0 {
                    libc::kill(child, signal);
                }
                continue;
            }
            loop {
                let mut status = 0;
                let ended = libc::waitpid(-1, &mut status, libc::WNOHANG);
                if ended == child {
                    return match libc::WIFEXITED(status) {
                        true => libc::WEXITSTATUS(status),
                        false => 128 + libc::WTERMSIG(status),
                    };
                }
                if ended <= 0 {
                    break;
                }
            }
        }
    }
}
