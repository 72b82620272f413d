//! The only room with unsafe code, `nix` and `libc`: safe functions named after what they do.
#![expect(unsafe_code, reason = "raw system calls are contained here")]

pub mod beneath;
pub mod cgroup;
pub mod changes;
pub mod fs;
pub mod lock;
pub mod mount;
pub mod payload;
pub mod process;
pub mod socket;
pub mod terminal;
pub mod terminate;
