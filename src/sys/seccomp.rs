//! Installs a system call filter that was compiled before.

use std::io;

/// Bytes of one instruction (`struct sock_filter`).
const INSTRUCTION: usize = 8;

/// What the kernel is asked for besides: `SECCOMP_FILTER_FLAG_*`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(u64);

impl Flags {
    /// The flag with the name that profiles give it; `None` for one that takes a listener or that nobody knows.
    pub fn named(name: &str) -> Option<Flags> {
        let bits = match name {
            "SECCOMP_FILTER_FLAG_TSYNC" => libc::SECCOMP_FILTER_FLAG_TSYNC,
            "SECCOMP_FILTER_FLAG_LOG" => libc::SECCOMP_FILTER_FLAG_LOG,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            _ => return None,
        };
        Some(Flags(bits))
    }

    /// Both.
    pub fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// Puts the calling thread, and all that it starts, under `program`: classic BPF as libseccomp exports it. Without
/// `no_new_privs` this takes `CAP_SYS_ADMIN`.
pub fn install(program: &[u8], flags: Flags) -> io::Result<()> {
    let instructions: Vec<libc::sock_filter> = program
        .chunks_exact(INSTRUCTION)
        .map(|bytes| libc::sock_filter {
            code: u16::from_ne_bytes([bytes[0], bytes[1]]),
            jt: bytes[2],
            jf: bytes[3],
            k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        })
        .collect();
    let length = u16::try_from(instructions.len());
    if program.is_empty() || !program.len().is_multiple_of(INSTRUCTION) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let program = libc::sock_fprog {
        len: length.map_err(|_| io::ErrorKind::InvalidData)?,
        filter: instructions.as_ptr().cast_mut(),
    };
    let (operation, flags) = (libc::SECCOMP_SET_MODE_FILTER, flags.0);
    // SAFETY: the kernel copies the program, which lives until the call returns, and checks it.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, operation, flags, &raw const program) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
