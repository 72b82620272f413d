//! Docker's default system call filter (28.2) as a table, for the machines dray is built for.
//!
//! What is not listed fails with EPERM. Rules that depend on a capability look at the container's bounding set, so that
//! `--cap-add` opens what the capability is for and nothing else.

/// How a system call's argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    /// Equal to the value.
    Equals(u64),
    /// Anything but the value.
    Differs(u64),
    /// None of the value's bits is set.
    MaskedZero(u64),
}

/// System calls that are treated alike, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Names, separated by blanks.
    pub(super) names: &'static str,
    /// Fails with this error number; allowed if there is none.
    pub(super) errno: Option<u32>,
    /// Only if this argument compares so.
    pub(super) argument: Option<(u32, Compare)>,
    /// Only on these machines, as libseccomp names them; on all if empty.
    pub(super) arches: &'static [&'static str],
    /// Only with this capability.
    pub(super) with: Option<&'static str>,
    /// Only without this capability.
    pub(super) without: Option<&'static str>,
    /// Only from this kernel release on.
    pub(super) kernel: Option<(u32, u32)>,
}

const ALLOW: Rule = Rule {
    names: "",
    errno: None,
    argument: None,
    arches: &[],
    with: None,
    without: None,
    kernel: None,
};

/// The rules. `0x7e020000` are the flags of clone that make namespaces; argument 40 of socket is AF_VSOCK, which would
/// reach the hypervisor past the network namespace; clone3 fails with ENOSYS because its flags lie in memory, where a
/// filter cannot see them, and C libraries then fall back to clone.
pub(super) const RULES: &[Rule] = &[
    Rule {
        names: "accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 \
         clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 \
         clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 \
         epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old \
         eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate \
         fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync \
         fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync \
         ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat \
         getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups \
         getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid \
         getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt \
         get_thread_area gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init \
         inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents \
         io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule \
         landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount \
         listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise \
         map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 \
         mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 \
         mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock \
         munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open \
         pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 \
         preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read \
         readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages \
         removexattr removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq \
         rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
         rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam \
         sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval \
         sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler \
         sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 \
         sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 \
         setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid \
         setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 \
         setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask \
         sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat \
         sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun \
         timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime \
         timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask \
         uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid \
         waitpid write writev",
        ..ALLOW
    },
    Rule {
        names: "process_vm_readv process_vm_writev ptrace",
        kernel: Some((4, 8)),
        ..ALLOW
    },
    Rule {
        names: "socket",
        argument: Some((0, Compare::Differs(40))),
        ..ALLOW
    },
    Rule {
        names: "personality",
        argument: Some((0, Compare::Equals(0))),
        ..ALLOW
    },
    Rule {
        names: "personality",
        argument: Some((0, Compare::Equals(8))),
        ..ALLOW
    },
    Rule {
        names: "personality",
        argument: Some((0, Compare::Equals(0x20000))),
        ..ALLOW
    },
    Rule {
        names: "personality",
        argument: Some((0, Compare::Equals(0x20008))),
        ..ALLOW
    },
    Rule {
        names: "personality",
        argument: Some((0, Compare::Equals(0xffffffff))),
        ..ALLOW
    },
    Rule {
        names: "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
        arches: &["arm", "arm64"],
        ..ALLOW
    },
    Rule {
        names: "arch_prctl",
        arches: &["amd64", "x32"],
        ..ALLOW
    },
    Rule {
        names: "modify_ldt",
        arches: &["amd64", "x32", "x86"],
        ..ALLOW
    },
    Rule {
        names: "riscv_flush_icache",
        arches: &["riscv64"],
        ..ALLOW
    },
    Rule {
        names: "open_by_handle_at",
        with: Some("CAP_DAC_READ_SEARCH"),
        ..ALLOW
    },
    Rule {
        names: "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr \
         lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl \
         quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
        with: Some("CAP_SYS_ADMIN"),
        ..ALLOW
    },
    Rule {
        names: "clone",
        argument: Some((0, Compare::MaskedZero(0x7e020000))),
        without: Some("CAP_SYS_ADMIN"),
        ..ALLOW
    },
    Rule {
        names: "clone3",
        errno: Some(38),
        without: Some("CAP_SYS_ADMIN"),
        ..ALLOW
    },
    Rule {
        names: "reboot",
        with: Some("CAP_SYS_BOOT"),
        ..ALLOW
    },
    Rule {
        names: "chroot",
        with: Some("CAP_SYS_CHROOT"),
        ..ALLOW
    },
    Rule {
        names: "delete_module init_module finit_module",
        with: Some("CAP_SYS_MODULE"),
        ..ALLOW
    },
    Rule {
        names: "acct",
        with: Some("CAP_SYS_PACCT"),
        ..ALLOW
    },
    Rule {
        names: "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
        with: Some("CAP_SYS_PTRACE"),
        ..ALLOW
    },
    Rule {
        names: "iopl ioperm",
        with: Some("CAP_SYS_RAWIO"),
        ..ALLOW
    },
    Rule {
        names: "settimeofday stime clock_settime clock_settime64",
        with: Some("CAP_SYS_TIME"),
        ..ALLOW
    },
    Rule {
        names: "vhangup",
        with: Some("CAP_SYS_TTY_CONFIG"),
        ..ALLOW
    },
    Rule {
        names: "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
        with: Some("CAP_SYS_NICE"),
        ..ALLOW
    },
    Rule {
        names: "syslog",
        with: Some("CAP_SYSLOG"),
        ..ALLOW
    },
    Rule {
        names: "bpf",
        with: Some("CAP_BPF"),
        ..ALLOW
    },
    Rule {
        names: "perf_event_open",
        with: Some("CAP_PERFMON"),
        ..ALLOW
    },
];
