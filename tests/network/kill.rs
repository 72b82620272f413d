//! Kills a piece of work before each of its system calls that change something, one after the other.

#![expect(unsafe_code, reason = "fork and ptrace")]

use std::io;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

/// System calls after which something is different outside the process.
const CHANGES: [libc::c_long; 8] = [
    libc::SYS_sendto,
    libc::SYS_write,
    libc::SYS_renameat2,
    libc::SYS_renameat,
    libc::SYS_rename,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_mkdir,
];
/// More points than any of this work has.
const LIMIT: usize = 200;

/// Gives the calling thread, and those it starts, a table of descriptors of their own, empty but for the standard ones:
/// what other tests open and close is not seen here, and what they hold is not held here.
pub fn take_own_descriptors() {
    // SAFETY: whatever this thread has open is used by other threads, whose table stays as it is.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_UNSHARE,
        )
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// For each point of `work`: `before`, then `work` in a process that is killed there, then `after`. Returns the number of
/// points; the last round lets `work` finish.
pub fn sweep(before: &dyn Fn(), work: &dyn Fn(), after: &dyn Fn()) -> usize {
    for point in 0..LIMIT {
        before();
        let finished = run_until(point, work);
        after();
        if finished {
            return point;
        }
    }
    panic!("more than {LIMIT} points");
}

/// Runs `work` in a child up to its change number `point`; whether it finished before.
fn run_until(point: usize, work: &dyn Fn()) -> bool {
    // SAFETY: the child has this thread only; it runs `work`, which takes no lock that another thread could have held
    // (malloc's are looked after by fork), and leaves by _exit.
    let child = match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            trace_me();
            // SAFETY: takes no pointers.
            unsafe { libc::raise(libc::SIGSTOP) };
            work();
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => child,
    };
    let child = Child(child);
    let stopped = WaitStatus::Stopped(child.0, Signal::SIGSTOP);
    assert_eq!(waitpid(child.0, None).unwrap(), stopped);
    report_system_calls(child.0);
    let mut seen = 0;
    loop {
        step(child.0);
        match waitpid(child.0, None).unwrap() {
            WaitStatus::Exited(_, code) => {
                assert_eq!(code, 0);
                // Waited for: its pid may be another's by now.
                std::mem::forget(child);
                return true;
            }
            WaitStatus::PtraceSyscall(_) => {}
            other => panic!("{other:?}"),
        }
        if entered(child.0).is_some_and(|call| CHANGES.contains(&call)) {
            if seen == point {
                return false;
            }
            seen += 1;
        }
    }
}

/// A child that dies with this value; also when a test fails, for it holds copies of all descriptors.
struct Child(Pid);

impl Drop for Child {
    fn drop(&mut self) {
        // Fails if it has ended, and was waited for, already.
        if kill(self.0, Signal::SIGKILL).is_ok() {
            let killed = WaitStatus::Signaled(self.0, Signal::SIGKILL, false);
            assert_eq!(waitpid(self.0, None), Ok(killed));
        }
    }
}

fn trace_me() {
    // SAFETY: takes no pointers.
    let result = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// System calls are told from other stops.
fn report_system_calls(child: Pid) {
    let options = libc::PTRACE_O_TRACESYSGOOD;
    // SAFETY: the child is stopped and ours; no pointers.
    let result = unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, child.as_raw(), 0, options) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// On to the next entry of or return from a system call.
fn step(child: Pid) {
    // SAFETY: the child is stopped and ours; no pointers.
    let result = unsafe { libc::ptrace(libc::PTRACE_SYSCALL, child.as_raw(), 0, 0) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// The system call that the stopped child is about to make; `None` if it returns from one.
fn entered(child: Pid) -> Option<libc::c_long> {
    const ENTRY: u8 = 1;
    const NUMBER: usize = 24;
    let mut info = [0_u8; 88];
    // SAFETY: the kernel writes at most the given number of bytes into `info`.
    let length = unsafe {
        libc::ptrace(
            libc::PTRACE_GET_SYSCALL_INFO,
            child.as_raw(),
            info.len(),
            info.as_mut_ptr(),
        )
    };
    assert!(length > 0, "{}", io::Error::last_os_error());
    let number = info[NUMBER..NUMBER + 8].try_into().unwrap();
    (info[0] == ENTRY).then_some(u64::from_ne_bytes(number) as libc::c_long)
}
