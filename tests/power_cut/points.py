"""At which system calls a call can be cut: every one that can change something."""

import re

# Calls that change neither the disk nor anything outside the process. A cut before one of them leaves what a cut before
# the next other call leaves, so leaving them out loses nothing; a call missing here is cut, never skipped.
HARMLESS = frozenset(
    """access arch_prctl brk clock_gettime clock_nanosleep close close_range dup dup2 dup3 epoll_create1 epoll_ctl
    epoll_pwait epoll_wait eventfd2 exit exit_group faccessat faccessat2 fadvise64 fcntl fgetxattr flistxattr fstat
    fstatfs fsync_range futex getcwd getdents64 getegid geteuid getgid getgroups getpeername getpgid getpgrp getpid
    getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid
    gettimeofday getuid getxattr inotify_add_watch inotify_init1 lgetxattr listen listxattr llistxattr lseek lstat
    madvise membarrier mincore mlock mmap mprotect mremap munmap nanosleep newfstatat pidfd_open pipe2 poll ppoll prctl
    pread64 preadv prlimit64 pselect6 read readlink readlinkat readv recvfrom recvmsg restart_syscall rseq
    rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait sched_getaffinity sched_yield
    select set_robust_list set_tid_address setsockopt shutdown sigaltstack signalfd4 socket socketpair stat statfs statx
    sysinfo timerfd_create timerfd_gettime timerfd_settime times tgkill umask uname vfork wait4 waitid""".split()
)


def numbers():
    """{number: name} of this machine's system calls, from the kernel's own header."""
    from pathlib import Path

    found = {}
    for header in Path("/usr/include").rglob("asm/unistd_64.h"):
        for name, number in re.findall(r"#define __NR_(\w+)\s+(\d+)", header.read_text()):
            found[int(number)] = name
    if not found:
        raise FileNotFoundError("asm/unistd_64.h: linux-libc-dev is not installed")
    return found


def of_counts(text, names):
    """[(name, number, times)] from the tracer's counts: one point for each time each call was made."""
    points = []
    for line in text.splitlines():
        number, times = map(int, line.split())
        name = names.get(number, f"call_{number}")
        if name not in HARMLESS:
            points += [(name, number, n) for n in range(1, times + 1)]
    return points
