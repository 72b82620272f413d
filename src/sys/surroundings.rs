//! What a process is given by whoever starts it, beside descriptors and environment, and hands on to what it starts: limits,
//! priorities, processors.

use std::io;

use super::process;

/// What the kernel must never kill for lack of memory before anything else that is not as protected: as Docker's shim.
const PROTECTED: i64 = -999;
const NONE: libc::rlim_t = libc::RLIM_INFINITY;
const KIB: libc::rlim_t = 1024;
/// The C libraries disagree on the type of a limit's number.
type Resource = u32;

/// Soft and hard limits as the kernel gives them to the first process of a boot, but for two: open files as systemd and
/// Docker 29 give them to a service, and processes without limit as Docker does, because a container's own limit is that of
/// its control group.
const LIMITS: [(Resource, libc::rlim_t, libc::rlim_t); 15] = [
    (libc::RLIMIT_CPU as Resource, NONE, NONE),
    (libc::RLIMIT_FSIZE as Resource, NONE, NONE),
    (libc::RLIMIT_DATA as Resource, NONE, NONE),
    (libc::RLIMIT_STACK as Resource, 8192 * KIB, NONE),
    (libc::RLIMIT_CORE as Resource, 0, NONE),
    (libc::RLIMIT_RSS as Resource, NONE, NONE),
    (libc::RLIMIT_NPROC as Resource, NONE, NONE),
    (libc::RLIMIT_NOFILE as Resource, 1024, 512 * KIB),
    (libc::RLIMIT_MEMLOCK as Resource, 8192 * KIB, 8192 * KIB),
    (libc::RLIMIT_AS as Resource, NONE, NONE),
    (libc::RLIMIT_LOCKS as Resource, NONE, NONE),
    (libc::RLIMIT_MSGQUEUE as Resource, 800 * KIB, 800 * KIB),
    (libc::RLIMIT_NICE as Resource, 0, 0),
    (libc::RLIMIT_RTPRIO as Resource, 0, 0),
    (libc::RLIMIT_RTTIME as Resource, NONE, NONE),
];

/// Takes what the first process of a boot has in place of what the caller had. Whoever calls, and whoever's call restarts a
/// container, has no say in what a container finds.
pub fn as_at_boot() -> io::Result<()> {
    for (resource, soft, hard) in LIMITS {
        set_limit(resource, soft, hard)?;
    }
    // The kernel's own rule: half as many as there can be threads.
    let threads = std::fs::read_to_string("/proc/sys/kernel/threads-max")?;
    let signals = threads
        .trim()
        .parse()
        .map_or(NONE, |most: libc::rlim_t| most / 2);
    set_limit(libc::RLIMIT_SIGPENDING as Resource, signals, signals)?;
    // SAFETY: plain system calls with integers; the sets and the parameter are local values that outlive them.
    unsafe {
        let usual: libc::sched_param = std::mem::zeroed();
        check(libc::sched_setscheduler(0, libc::SCHED_OTHER, &usual))?;
        check(libc::setpriority(libc::PRIO_PROCESS, 0, 0))?;
        const WHO_PROCESS: libc::c_int = 1;
        const OF_THE_NICE_VALUE: libc::c_int = 0;
        let myself = 0;
        check(
            libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, myself, OF_THE_NICE_VALUE)
                as libc::c_int,
        )?;
        // The kernel takes those of them that there are, and of these the ones of our control group.
        let all = [u64::MAX; 128];
        check(libc::sched_setaffinity(
            0,
            size_of_val(&all),
            all.as_ptr().cast(),
        ))?;
        // As of a program that is started with fixed addresses, or as for another machine.
        check(libc::personality(0))?;
    }
    Ok(())
}

/// Gives this process a stack of the usual size, if its caller's is smaller: ours do not live on less. What we start for a
/// container finds what a boot gives ([`as_at_boot`]).
pub fn usual_stack() {
    const USUAL: libc::rlim_t = 8192 * KIB;
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit is a local value that outlives the call.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_STACK, &mut limit) } == 0;
    if known && limit.rlim_cur < USUAL {
        // Without the right to it there is what there is.
        let _ = set_limit(
            libc::RLIMIT_STACK as Resource,
            USUAL,
            limit.rlim_max.max(USUAL),
        );
    }
}

/// Limits the stack of this process, and of the program that it becomes.
pub fn limit_stack(limits: [u64; 2]) -> io::Result<()> {
    let [soft, hard] = limits.map(|limit| libc::rlim_t::try_from(limit).unwrap_or(NONE));
    set_limit(libc::RLIMIT_STACK as Resource, soft, hard)
}

/// Keeps the kernel from killing this process for lack of memory while there is anything else; what it starts must be given
/// a score of its own. Without the right to do so it is a process like any other.
pub fn outlast_others() {
    let own = std::process::id().cast_signed();
    let _ = process::set_oom_score(own, PROTECTED).or_else(|_| process::set_oom_score(own, 0));
}

/// Sets one limit; a hard one that we may not raise stays.
fn set_limit(resource: Resource, soft: libc::rlim_t, hard: libc::rlim_t) -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the limit is a local value that outlives the calls.
    unsafe {
        if libc::setrlimit(resource as _, &limit) == 0 {
            return Ok(());
        }
        check(libc::getrlimit(resource as _, &mut limit))?;
        limit.rlim_cur = soft.min(limit.rlim_max);
        check(libc::setrlimit(resource as _, &limit))
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
