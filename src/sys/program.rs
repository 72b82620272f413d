//! Programs: starting one without inheritance, becoming one, and protecting our own binary from what runs in containers.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::process::owned;

/// From its start on the program is killed when the thread that starts it ends, however that ends.
pub fn end_with_caller(command: &mut Command) {
    let caller = std::process::id();
    // SAFETY: between fork and exec only async-signal-safe calls are made, and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            // It may have ended already.
            match std::os::unix::process::parent_id() == caller {
                true => Ok(()),
                false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            }
        });
    }
}

/// Our own program as a descriptor that nobody can write through, not even via a kept `/proc/self/exe`
/// (CVE-2019-5736): a read-only clone of its mount, or on kernels before 5.12 a sealed copy in memory.
pub fn protected_self() -> io::Result<OwnedFd> {
    read_only_clone()
        .or_else(|_| already_protected())
        .or_else(|_| sealed_copy())
}

/// A process that runs from such a clone cannot clone it again, and need not.
fn already_protected() -> io::Result<OwnedFd> {
    // SAFETY: the path is a constant C string; returns a new descriptor or -1.
    let own =
        owned(unsafe { libc::open(c"/proc/self/exe".as_ptr(), libc::O_PATH | libc::O_CLOEXEC) })?;
    // A detached clone has no path: its root is all there is of it. A program on a read-only disk has one, and could be
    // written once the disk is remounted.
    let detached = fs::read_link("/proc/self/exe")? == Path::new("/");
    // SAFETY: an all-zero statvfs is a valid value and outlives the call.
    let read_only = unsafe {
        let mut status: libc::statvfs = std::mem::zeroed();
        libc::fstatvfs(own.as_raw_fd(), &mut status) == 0 && status.f_flag & libc::ST_RDONLY != 0
    };
    if detached && read_only {
        Ok(own)
    } else {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn read_only_clone() -> io::Result<OwnedFd> {
    const OPEN_TREE_CLONE: libc::c_uint = 1;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint;
    // SAFETY: the path is a constant C string; returns a new descriptor or -1.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_open_tree,
            libc::AT_FDCWD,
            c"/proc/self/exe".as_ptr(),
            flags,
        )
    };
    let tree = owned(fd as RawFd)?;
    let attr = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: an empty path means the tree itself, `attr` outlives the call and its size is given.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &attr,
            size_of::<libc::mount_attr>(),
        )
    };
    if done == 0 {
        Ok(tree)
    } else {
        Err(io::Error::last_os_error())
    }
}

fn sealed_copy() -> io::Result<OwnedFd> {
    // SAFETY: the name is a constant C string; returns a new descriptor or -1.
    let fd = unsafe {
        libc::memfd_create(
            c"dray".as_ptr(),
            libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING,
        )
    };
    let mut copy = File::from(owned(fd)?);
    io::copy(&mut File::open("/proc/self/exe")?, &mut copy)?;
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: fcntl on an open descriptor with integer arguments.
    if unsafe { libc::fcntl(copy.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(copy.into())
}

/// Keeps errors from taking a backtrace where the program has no tables to walk the stack with, which the static build
/// leaves out (`tests/build-static.sh`): the walker would abort the process, and the error would never be said.
///
/// First thing in `main`: it changes the environment, which is safe only before there is a second thread.
pub fn keep_off_the_stack() {
    if cfg!(target_feature = "crt-static") {
        for name in ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
            // SAFETY: no other thread reads the environment, by this function's contract.
            unsafe { std::env::remove_var(name) };
        }
    }
}

/// From here on, writing to a pipe that nobody reads ends the process silently, which Rust's start switched off.
pub fn end_with_the_reader() {
    // SAFETY: restores the default action of a signal.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// From here on this process and those that it starts hear of their children's ends, whatever our caller ignored: a child
/// whose end is ignored leaves no exit code to wait for.
pub fn hear_of_children() {
    // SAFETY: restores the default action of a signal.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// What is made has the mode that it is made with, less the usual, whoever calls: see [`super::surroundings`].
pub fn usual_umask() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
}

/// Ends the process at once with this exit code; for a panic, which would end it with a core dump.
pub fn give_up(code: i32) -> ! {
    // SAFETY: runs nothing of this process any more.
    unsafe { libc::_exit(code) }
}

/// Splits this process in two that are the same: `true` in the new one, which nobody waits for, `false` in the old one. Only
/// for a process with one thread.
pub fn go_on_in_background() -> io::Result<bool> {
    // SAFETY: one thread by this function's contract, so the copy is as whole as the original.
    match unsafe { libc::fork() } {
        0 => Ok(true),
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(false),
    }
}

/// What a spawned process gets; everything not named here stays behind.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// Program, from [`protected_self`] or any executable.
    pub program: BorrowedFd<'a>,
    /// Arguments, the name first.
    pub args: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Descriptors that become 3, 4, … in the child.
    pub fds: Vec<BorrowedFd<'a>>,
    /// Standard input, output and error; `None` is `/dev/null`.
    pub stdio: [Option<BorrowedFd<'a>>; 3],
    /// Leave the caller's session and working directory.
    pub detach: bool,
}

/// Most descriptors that a spawned process is given beside the standard ones.
const MOST: usize = 8;
/// Out of the way of a spawned process's final descriptor numbers while they are being assigned, and no higher than need be:
/// the caller's limit of open files may be low.
const ABOVE: RawFd = 3 + MOST as RawFd;

/// Starts a process that inherits nothing but what `spawn` names.
pub fn spawn(spawn: &Spawn<'_>) -> io::Result<Child> {
    // The child gives away the numbers from 3 on before it executes the program, so that must not have one of them.
    // SAFETY: fcntl on an open descriptor with integer arguments; returns a new one.
    let program =
        owned(unsafe { libc::fcntl(spawn.program.as_raw_fd(), libc::F_DUPFD_CLOEXEC, ABOVE) })?;
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command
        .arg0(&spawn.args[0])
        .args(&spawn.args[1..])
        .env_clear()
        .envs(spawn.env.iter().map(|(k, v)| (k, v)));
    let stdio = |fd: Option<BorrowedFd<'_>>| -> io::Result<Stdio> {
        fd.map_or(Ok(Stdio::null()), |fd| Ok(fd.try_clone_to_owned()?.into()))
    };
    command
        .stdin(stdio(spawn.stdio[0])?)
        .stdout(stdio(spawn.stdio[1])?)
        .stderr(stdio(spawn.stdio[2])?);
    let fds: Vec<RawFd> = spawn.fds.iter().map(|fd| fd.as_raw_fd()).collect();
    let detach = spawn.detach;
    if detach {
        command.current_dir("/");
    }
    // SAFETY: the closure runs between fork and exec; it makes only async-signal-safe system calls and no allocation.
    unsafe { command.pre_exec(move || child_setup(&fds, detach)) };
    command.spawn()
}

/// Runs in the child between fork and exec: only system calls.
fn child_setup(fds: &[RawFd], detach: bool) -> io::Result<()> {
    let check = |result: libc::c_int| {
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(result)
        }
    };
    // SAFETY: plain system calls with integers; signal masks are local values.
    unsafe {
        if detach {
            check(libc::setsid())?;
        }
        let mut moved = [-1; MOST];
        for (place, fd) in moved.iter_mut().zip(fds) {
            *place = check(libc::fcntl(*fd, libc::F_DUPFD_CLOEXEC, ABOVE))?;
        }
        for (number, fd) in moved.iter().take(fds.len()).enumerate() {
            check(libc::dup2(*fd, 3 + number as RawFd))?;
        }
        // Everything else closes at the exec, the program's own descriptor included.
        let first = 3 + fds.len() as libc::c_uint;
        let cloexec = 4; // CLOSE_RANGE_CLOEXEC
        if libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, cloexec) != 0 {
            for fd in first as RawFd..4096 {
                libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
            }
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
    Ok(())
}

/// Replaces this process by `program`; the pid, its children and the descriptors 0 to 2 and `keep` stay.
/// Returns only if that failed.
pub fn become_program(program: BorrowedFd<'_>, args: &[String], keep: &[RawFd]) -> io::Error {
    let result = (|| {
        for fd in keep {
            // SAFETY: fcntl on a descriptor the caller owns, with integer arguments.
            if unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        let args = args
            .iter()
            .map(|a| CString::new(a.as_str()))
            .collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<_> = args.iter().map(|a| a.as_ptr()).collect();
        pointers.push(std::ptr::null());
        // SAFETY: both arrays are null-terminated and outlive the call; the environment is the process's own.
        unsafe {
            let environ = libc::environ;
            libc::syscall(
                libc::SYS_execveat,
                program.as_raw_fd(),
                c"".as_ptr(),
                pointers.as_ptr(),
                environ,
                libc::AT_EMPTY_PATH,
            )
        };
        Err(io::Error::last_os_error())
    })();
    match result {
        Ok(()) => io::Error::other("execveat returned"),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_spawned_process_inherits_only_what_is_named() {
        let program = File::open("/bin/sh").unwrap();
        let (read, write) = super::super::socket::pipe().unwrap();
        let _surplus = File::open("/dev/null").unwrap();
        let mut child = spawn(&Spawn {
            program: program.as_fd(),
            args: ["sh", "-c", "echo $FOO >&3; ls /proc/self/fd | wc -l >&3"]
                .map(String::from)
                .to_vec(),
            env: vec![
                ("FOO".into(), "bar".into()),
                ("PATH".into(), "/usr/bin:/bin".into()),
            ],
            fds: vec![write.as_fd()],
            stdio: [None, None, None],
            detach: true,
        })
        .unwrap();
        drop(write);
        let mut said = String::new();
        File::from(read).read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success());
        // 0, 1 (the inner pipe), 2, 3, and the directory being listed.
        assert_eq!(
            said.split_ascii_whitespace().collect::<Vec<_>>(),
            ["bar", "5"]
        );
    }
}
