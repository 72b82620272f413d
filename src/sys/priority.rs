//! Work that is in nobody's way.

/// From here on this process and its threads get processor and disk only while nobody else wants them; where the kernel
/// does not know how, they get the least that it has.
pub fn idle() {
    /// `IOPRIO_WHO_PROCESS`, and `IOPRIO_CLASS_IDLE` at its place in a priority.
    const PROCESS: libc::c_int = 1;
    const IDLE: libc::c_int = 3 << 13;
    // SAFETY: both calls take integers and touch no memory; 0 is this process.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
        libc::syscall(libc::SYS_ioprio_set, PROCESS, 0, IDLE);
    }
}
