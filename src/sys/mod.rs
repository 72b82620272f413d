//! The only room with unsafe code, `nix` and `libc`: safe functions named after what they do.
#![expect(unsafe_code, reason = "raw system calls are contained here")]

pub mod beneath;
pub mod fs;
pub mod lock;
