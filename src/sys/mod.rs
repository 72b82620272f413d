//! The only room with unsafe code, `nix` and `libc`: safe functions named after what they do.
#![expect(unsafe_code, reason = "raw system calls are contained here")]

pub mod beneath;
pub mod bpf;
pub mod cgroup;
pub mod changes;
pub mod conntrack;
pub mod dial;
pub mod doze;
pub mod family;
pub mod fifo;
pub mod freezer;
pub mod fs;
pub mod links;
pub mod listing;
pub mod lock;
pub mod mount;
pub mod netlink;
pub mod netns;
pub mod nft;
pub mod payload;
pub mod port;
pub mod priority;
pub mod process;
pub mod program;
pub mod propagation;
pub mod seccomp;
pub mod socket;
pub mod surroundings;
pub mod terminal;
pub mod terminate;
pub mod zone;
