//! Processes: identity that survives pid reuse, pidfds, polling, what this process keeps to itself. Starting programs is `program`'s.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A process that cannot be confused with a later one of the same pid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProcessId {
    /// Process id in this pid namespace.
    pub pid: i32,
    /// Start time in clock ticks since boot, field 22 of `/proc/PID/stat`.
    pub start_time: u64,
}

impl ProcessId {
    /// The identity of a live process; an error if there is none with this pid.
    pub fn of(pid: i32) -> io::Result<ProcessId> {
        Ok(ProcessId {
            pid,
            start_time: Stat::of(pid)?.start_time,
        })
    }

    /// The calling process.
    pub fn own() -> io::Result<ProcessId> {
        ProcessId::of(std::process::id() as i32)
    }

    /// Whether this very process still exists and is not a zombie.
    pub fn is_alive(&self) -> bool {
        matches!(Stat::of(self.pid), Ok(stat) if stat.start_time == self.start_time && !matches!(stat.state, 'Z' | 'X'))
    }

    /// The pid of its parent; an error if it is gone.
    pub fn parent(&self) -> io::Result<u32> {
        let stat = Stat::of(self.pid)?;
        if stat.start_time == self.start_time {
            Ok(stat.parent)
        } else {
            Err(io::Error::from_raw_os_error(libc::ESRCH))
        }
    }

    /// How long ago it started, time in suspend included; does not depend on the wall clock.
    pub fn age(&self) -> io::Result<Duration> {
        let text = fs::read_to_string("/proc/uptime")?;
        let seconds = text.split_ascii_whitespace().next();
        let uptime = seconds
            .and_then(|s| s.parse().ok())
            .and_then(|s| Duration::try_from_secs_f64(s).ok())
            .ok_or(io::ErrorKind::InvalidData)?;
        // SAFETY: sysconf takes an integer.
        let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u64;
        Ok(uptime.saturating_sub(Duration::from_millis(self.start_time * 1000 / ticks)))
    }

    /// A handle on this very process; `None` if it is gone.
    pub fn open(&self) -> io::Result<Option<Pidfd>> {
        match Pidfd::open(self.pid) {
            // Checked after the open: from then on the pid cannot be reused under us.
            Ok(pidfd) => Ok(self.is_alive().then_some(pidfd)),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What `/proc/PID/stat` says of a process.
struct Stat {
    state: char,
    parent: u32,
    start_time: u64,
}

impl Stat {
    fn of(pid: i32) -> io::Result<Stat> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Stat::parse(&text).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("/proc/{pid}/stat is malformed"),
            )
        })
    }

    fn parse(text: &str) -> Option<Stat> {
        // The command name may hold anything, parentheses too: the fields start after the last one.
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        Some(Stat {
            state: fields.next()?.chars().next()?,
            parent: fields.next()?.parse().ok()?,
            start_time: fields.nth(17)?.parse().ok()?,
        })
    }
}

/// A handle on a process; readable in [`poll`] once the process has exited.
#[derive(Debug)]
pub struct Pidfd(OwnedFd);

impl Pidfd {
    /// Opens the process that has this pid now; `ESRCH` if there is none.
    pub fn open(pid: i32) -> io::Result<Pidfd> {
        // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        owned(fd as RawFd).map(Pidfd)
    }

    /// Takes over a descriptor that another life of this process opened with [`Pidfd::open`].
    pub fn from_fd(fd: OwnedFd) -> Pidfd {
        Pidfd(fd)
    }

    /// Sends a signal; success if the process is already gone.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        // SAFETY: the descriptor is open, and a null siginfo is allowed.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        match io::Error::last_os_error() {
            _ if sent == 0 => Ok(()),
            error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            error => Err(error),
        }
    }

    /// Waits until the process has exited; `false` if the time is over first. `None` waits for ever.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let mut set = [PollFd::read(self.0.as_fd())];
        Ok(poll(&mut set, timeout)? > 0)
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// The code a shell reports: 128 plus the signal's number for a signal.
    pub fn code(self) -> i32 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        }
    }
}

/// Waits for a child and reaps it.
pub fn wait_child(pid: i32) -> io::Result<Exit> {
    let mut status = 0;
    loop {
        // SAFETY: `status` outlives the call.
        if unsafe { libc::waitpid(pid, &mut status, 0) } == pid {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(if libc::WIFEXITED(status) {
        Exit::Code(libc::WEXITSTATUS(status))
    } else {
        Exit::Signal(libc::WTERMSIG(status))
    })
}

/// Kills all children of this process and waits for them, as far as the kernel tells which they are.
pub fn end_children() {
    // A thread's children are its own; whatever goes missing meanwhile needs no end.
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    for task in tasks.flatten() {
        let children = std::fs::read_to_string(task.path().join("children"));
        for pid in children.unwrap_or_default().split_ascii_whitespace() {
            let Ok(pid) = pid.parse() else { continue };
            // SAFETY: takes integers; a child that nobody has waited for keeps its pid.
            if unsafe { libc::kill(pid, libc::SIGKILL) } == 0 {
                let _ = wait_child(pid);
            }
        }
    }
}

/// One descriptor to wait for.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct PollFd(libc::pollfd);

impl std::fmt::Debug for PollFd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "PollFd({}, {:#x}, {:#x})",
            self.0.fd, self.0.events, self.0.revents
        )
    }
}

impl PollFd {
    /// Wait until the descriptor is readable, hung up or in error.
    pub fn read(fd: BorrowedFd<'_>) -> PollFd {
        PollFd(libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        })
    }

    /// Wait until the descriptor is writable, hung up or in error.
    pub fn write(fd: BorrowedFd<'_>) -> PollFd {
        PollFd(libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLOUT,
            revents: 0,
        })
    }

    /// A place that never becomes ready.
    pub fn never() -> PollFd {
        PollFd(libc::pollfd {
            fd: -1,
            events: 0,
            revents: 0,
        })
    }

    /// Whether anything happened on it in the last [`poll`].
    pub fn is_ready(&self) -> bool {
        self.0.revents != 0
    }
}

/// Waits until a descriptor is ready or the time is over; returns how many are ready.
pub fn poll(set: &mut [PollFd], timeout: Option<Duration>) -> io::Result<usize> {
    let started = std::time::Instant::now();
    loop {
        let left = timeout.map(|t| t.saturating_sub(started.elapsed()));
        // For ever is longer than the kernel's type is.
        let seconds = |l: Duration| l.as_secs().min(i32::MAX as u64) as libc::time_t;
        let spec = left.map(|l| libc::timespec {
            tv_sec: seconds(l),
            tv_nsec: l.subsec_nanos().into(),
        });
        let spec = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: PollFd is a transparent pollfd, the slice and the optional timespec outlive the call.
        let ready = unsafe {
            libc::ppoll(
                set.as_mut_ptr().cast(),
                set.len() as libc::nfds_t,
                spec,
                std::ptr::null(),
            )
        };
        if ready >= 0 {
            return Ok(ready as usize);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Takes over a descriptor that the process was started with.
///
/// Call once per number, early in `main`: the number must be open and unknown to anything else in this process.
pub fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl on an integer; a number that is not open is reported.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: open, as just seen, and owned by nobody else by this function's contract.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to a whole process group of our own making; gone already is success.
pub fn signal_group(group: i32, signal: i32) -> io::Result<()> {
    // SAFETY: kill takes two integers.
    match unsafe { libc::kill(-group, signal) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            error => Err(error),
        },
    }
}

/// `N` bytes from the kernel's random number generator.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The signals that ask a command in the foreground to end, turned into a descriptor to wait on.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// Blocks `signals` in this thread and delivers them here instead. Call before other threads start.
    pub fn new(signals: &[i32]) -> io::Result<SignalFd> {
        // SAFETY: the set is a local value; all calls take it by pointer for their duration.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            for signal in signals {
                libc::sigaddset(&mut set, *signal);
            }
            if libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            owned(libc::signalfd(
                -1,
                &set,
                libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
            ))
            .map(SignalFd)
        }
    }

    /// The next signal that came, if any.
    pub fn take(&self) -> Option<i32> {
        let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
        // SAFETY: the buffer has the size of one record.
        let read = unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), info.len()) };
        // The signal's number is the record's first field.
        (read == info.len() as isize)
            .then(|| i32::from_ne_bytes([info[0], info[1], info[2], info[3]]))
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What the kernel says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// `uname -r`.
    pub release: String,
    /// `uname -m`.
    pub machine: String,
    /// Capabilities that this process can hand on, one bit each: a service or a container may have less than all.
    pub capabilities: u64,
    /// It filters system calls.
    pub seccomp: bool,
    /// CPUs the machine can have.
    pub possible_cpus: u32,
}

/// What the kernel says of itself.
pub fn system() -> io::Result<System> {
    let uname = nix::sys::utsname::uname()?;
    let text = |name: &std::ffi::OsStr| name.to_string_lossy().into_owned();
    let status = fs::read_to_string("/proc/self/status")?;
    let set = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        u64::from_str_radix(line.unwrap_or_default().trim(), 16).map_err(io::Error::other)
    };
    let capabilities = set("CapPrm:")? & set("CapBnd:")?;
    let seccomp = status.lines().any(|line| line.starts_with("Seccomp:"));
    // `0-3` or `0,2-5`: the last number tells.
    let cpus = fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last_cpu = cpus
        .trim()
        .rsplit([',', '-'])
        .next()
        .and_then(|last| last.parse::<u32>().ok())
        .unwrap_or(0);
    Ok(System {
        release: text(uname.release()),
        machine: text(uname.machine()),
        capabilities,
        seccomp,
        possible_cpus: last_cpu + 1,
    })
}

/// The host's name.
pub fn hostname() -> io::Result<String> {
    Ok(nix::unistd::gethostname()?.to_string_lossy().into_owned())
}

/// Sets how readily the kernel kills process `pid`, and what it starts from now on, for lack of memory.
pub fn set_oom_score(pid: i32, score: i64) -> io::Result<()> {
    super::cgroup::set(
        format!("/proc/{pid}/oom_score_adj").as_ref(),
        &score.to_string(),
    )
}

/// Major and minor number of a device.
pub fn device_numbers(device: u64) -> (u32, u32) {
    (libc::major(device), libc::minor(device))
}

pub(super) fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor to us, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_identity_is_alive_and_a_stale_one_is_not() {
        let own = ProcessId::own().unwrap();
        assert!(own.is_alive());
        assert!(own.open().unwrap().is_some());
        let stale = ProcessId {
            start_time: own.start_time + 1,
            ..own
        };
        assert!(!stale.is_alive());
        assert!(stale.open().unwrap().is_none());
        assert_eq!(own.parent().unwrap(), std::os::unix::process::parent_id());
        assert!(stale.parent().is_err());
        assert!(own.age().unwrap() < Duration::from_secs(24 * 3600));
    }
}
