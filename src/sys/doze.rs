//! Waiting with next to nothing resident.
//!
//! A process that waits for days needs neither its program nor the stack it once used, so both go back to the system before
//! the wait. The code that waits comes back with its next instruction, and the kernel maps along whatever lies in the same
//! folio and nearby: 0.6 to 1.2 MB on Linux 6.18. Therefore that code is one function without calls in a mapping of its
//! own, at whose borders the kernel stops:
//!
//! ```text
//! program   | text ......... | two pages: doze | text ......... |
//!             given back       stays             given back
//! ```

use std::ffi::c_void;
use std::fs;
use std::io;
use std::time::Duration;

use super::process::PollFd;

/// Stack that a call from here may still need, in bytes; what lies deeper is given back.
const STACK_KEPT: usize = 16 * 1024;

/// Size of the kernel's signal sets, in bytes.
const SIGNAL_SET: usize = 8;

/// Memory that the wait does without.
#[repr(C)]
struct Range {
    start: usize,
    length: usize,
}

/// Waits as [`super::process::poll`], once, and small: 0 also if a signal ended the wait. What is needed afterwards comes
/// back from the page cache.
pub fn poll(set: &mut [PollFd], timeout: Option<Duration>) -> io::Result<usize> {
    let mut time = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let time = time
        .as_mut()
        .map_or(std::ptr::null_mut(), std::ptr::from_mut);
    // SAFETY: PollFd is a transparent pollfd, the slice and the optional timespec outlive the call; no signal mask is given.
    let ready = unsafe {
        let set_at = set.as_mut_ptr() as usize;
        wait(
            libc::SYS_ppoll,
            [set_at, set.len(), time as usize, 0, SIGNAL_SET],
        )
    };
    match usize::try_from(ready) {
        Ok(ready) => Ok(ready),
        Err(_) if ready == -(libc::EINTR as isize) => Ok(0),
        Err(_) => Err(io::Error::from_raw_os_error(-ready as i32)),
    }
}

/// Waits, small, for one of these blocked signals and takes it; negative if the wait was interrupted.
pub(super) fn signal(set: &libc::sigset_t) -> i32 {
    let set_at = std::ptr::from_ref(set) as usize;
    // SAFETY: the set outlives the call; neither details nor a timeout are given.
    unsafe { wait(libc::SYS_rt_sigtimedwait, [set_at, 0, 0, SIGNAL_SET, 0]) as i32 }
}

/// Gives back what can be given back and makes a system call.
unsafe fn wait(number: libc::c_long, arguments: [usize; 5]) -> isize {
    // SAFETY: glibc only; takes an integer and returns freed heap memory to the system.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
    let ranges = dispensable();
    // SAFETY: the ranges are unchanged parts of a file or below our stack frames; the arguments are as the caller says.
    unsafe { doze(ranges.as_ptr(), ranges.len(), number, &arguments) }
}

/// What can be given back: our program's text and constants, and the stack below us. All looking before all giving: what runs
/// in between brings its pages back.
fn dispensable() -> Vec<Range> {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else {
        return Vec::new();
    };
    // SAFETY: takes an integer.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    let kept = doze as *const () as usize & !(page - 1);
    // SAFETY: advice about two mapped pages of text; it gives them a mapping of their own, and without it the wait is only
    // larger.
    unsafe { libc::madvise(kept as *mut c_void, 2 * page, libc::MADV_RANDOM) };
    let here = std::ptr::from_ref(&page) as usize;
    let mut ranges = Vec::new();
    for (start, end) in maps.lines().filter_map(unchanged_range) {
        ranges.extend(around((start, end), (kept, kept + 2 * page)));
    }
    if let Some((start, end)) = maps
        .lines()
        .find(|line| line.ends_with("[stack]"))
        .and_then(bounds)
        && (start..end).contains(&here)
    {
        let end = here.saturating_sub(STACK_KEPT) & !(page - 1);
        ranges.push(Range {
            start,
            length: end.saturating_sub(start),
        });
    }
    ranges
}

/// The parts of a range before and after what is kept of it.
fn around((start, end): (usize, usize), (kept, kept_end): (usize, usize)) -> Vec<Range> {
    let parts = match kept < end && start < kept_end {
        true => vec![(start, kept.max(start)), (kept_end.min(end), end)],
        false => vec![(start, end)],
    };
    parts
        .into_iter()
        .map(|(start, end)| Range {
            start,
            length: end - start,
        })
        .collect()
}

/// The range of one line of `/proc/self/maps` if nothing in it differs from its file: text, and the constants at the
/// beginning of a file. Other read-only pages may hold relocations, which the file does not have.
fn unchanged_range(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (permissions, offset) = (words.next()?, words.next()?);
    let path = words.nth(2)?;
    let constants = offset.bytes().all(|digit| digit == b'0');
    let unchanged = !permissions.contains('w') && (permissions.contains('x') || constants);
    (unchanged && path.starts_with('/')).then(|| bounds(line))?
}

fn bounds(line: &str) -> Option<(usize, usize)> {
    let (start, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
    let bound = |text: &str| usize::from_str_radix(text, 16).ok();
    Some((bound(start)?, bound(end)?))
}

/// Gives the ranges back and makes the call; its value as the kernel returns it. Smaller than a page, so the page it begins in
/// and the next hold all of it.
#[inline(never)]
#[unsafe(link_section = ".text.doze")]
unsafe extern "C" fn doze(
    ranges: *const Range,
    count: usize,
    number: libc::c_long,
    arguments: &[usize; 5],
) -> isize {
    let mut index = 0;
    while index < count {
        // SAFETY: `index` is below the number of ranges, each of which may go by the caller's word.
        unsafe {
            let range = ranges.add(index);
            let advice = libc::MADV_DONTNEED as usize;
            let given = [(*range).start, (*range).length, advice, 0, 0];
            system_call(libc::SYS_madvise, &given);
        }
        // Cannot overflow, and a checked addition is a call in builds without optimisation.
        index = index.wrapping_add(1);
    }
    // SAFETY: the caller's word.
    unsafe { system_call(number, arguments) }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn system_call(number: libc::c_long, arguments: &[usize; 5]) -> isize {
    let result;
    // SAFETY: the kernel's convention; it changes rcx and r11 and what the arguments point at.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") arguments[0], in("rsi") arguments[1], in("rdx") arguments[2],
            in("r10") arguments[3], in("r8") arguments[4],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn system_call(number: libc::c_long, arguments: &[usize; 5]) -> isize {
    let result;
    // SAFETY: the kernel's convention; it changes x0 and what the arguments point at.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") arguments[0] => result,
            in("x1") arguments[1], in("x2") arguments[2], in("x3") arguments[3], in("x4") arguments[4],
            options(nostack),
        );
    }
    result
}

/// Through the C library, whose page comes back: larger, otherwise the same.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn system_call(number: libc::c_long, arguments: &[usize; 5]) -> isize {
    let [a, b, c, d, e] = *arguments;
    // SAFETY: as the caller's.
    let result = unsafe { libc::syscall(number, a, b, c, d, e) };
    match result {
        -1 => {
            -(io::Error::last_os_error()
                .raw_os_error()
                .unwrap_or(libc::EINVAL) as isize)
        }
        result => result as isize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn what_is_ready_ends_the_wait_and_the_time_does() {
        let (read, mut write) = io::pipe().unwrap();
        let mut set = [PollFd::read(read.as_fd())];
        assert_eq!(poll(&mut set, Some(Duration::from_millis(1))).unwrap(), 0);
        assert!(!set[0].is_ready());
        write.write_all(b"x").unwrap();
        assert_eq!(poll(&mut set, None).unwrap(), 1);
        assert!(set[0].is_ready());
    }

    #[test]
    fn lines_of_maps() {
        let program = "00400000-00900000 r-xp 00154000 fe:00 5357849                 /usr/bin/dray";
        for (line, range) in [
            (program, Some((0x40_0000, 0x90_0000))),
            (
                "00200000-00355000 r--p 00000000 fe:00 5357849 /",
                Some((0x20_0000, 0x35_5000)),
            ),
            ("008cf000-008d4000 r--p 00618000 fe:00 5357849 /", None),
            ("008d4000-008d8000 rw-p 00000000 fe:00 5357849 /", None),
            (
                "7f0f76605000-7f0f76607000 r-xp 00000000 00:00 0  [vdso]",
                None,
            ),
            ("008d8000-008de000 rw-p 00000000 00:00 0 ", None),
        ] {
            assert_eq!(unchanged_range(line), range, "{line}");
        }
    }

    #[test]
    fn what_is_kept_is_left_out() {
        for (range, kept, rest) in [
            ((10, 90), (40, 60), vec![(10, 30), (60, 30)]),
            ((10, 90), (5, 20), vec![(10, 0), (20, 70)]),
            ((10, 90), (80, 100), vec![(10, 70), (90, 0)]),
            ((10, 90), (90, 100), vec![(10, 80)]),
            ((10, 90), (0, 10), vec![(10, 80)]),
        ] {
            let parts = around(range, kept);
            let parts: Vec<_> = parts.iter().map(|part| (part.start, part.length)).collect();
            assert_eq!(parts, rest, "{range:?} {kept:?}");
        }
    }
}
