//! Small programs for the kernel that decide which devices a control group may open: on unified control groups they stand
//! for the files that version 1 had.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use super::process::owned;

/// A register of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Register {
    /// The answer: 0 denies, 1 allows.
    Answer = 0,
    /// What was asked, as the kernel passes it; free for other use once read.
    Context = 1,
    /// For the program.
    A = 2,
    /// For the program.
    B = 3,
    /// For the program.
    C = 4,
    /// For the program.
    D = 5,
}

/// One instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

const fn instruction(
    code: u8,
    to: Register,
    from: Register,
    offset: i16,
    immediate: i32,
) -> Instruction {
    let (to, from) = (to as u8, from as u8);
    let registers = if cfg!(target_endian = "little") {
        from << 4 | to
    } else {
        to << 4 | from
    };
    Instruction {
        code,
        registers,
        offset,
        immediate,
    }
}

impl Instruction {
    /// `to` = the 32-bit word at `offset` of what was asked.
    pub const fn load(to: Register, offset: i16) -> Instruction {
        instruction(0x61, to, Register::Context, offset, 0)
    }

    /// `to` = `from`.
    pub const fn copy(to: Register, from: Register) -> Instruction {
        instruction(0xbf, to, from, 0, 0)
    }

    /// `to` = `value`.
    pub const fn set(to: Register, value: i32) -> Instruction {
        instruction(0xb7, to, Register::Answer, 0, value)
    }

    /// `to` &= `bits`.
    pub const fn and(to: Register, bits: i32) -> Instruction {
        instruction(0x57, to, Register::Answer, 0, bits)
    }

    /// `to` >>= `bits`.
    pub const fn shift_right(to: Register, bits: i32) -> Instruction {
        instruction(0x77, to, Register::Answer, 0, bits)
    }

    /// Skips instructions ([`Instruction::skipping`] says how many) unless `register` is `value`.
    pub const fn skip_unless(register: Register, value: i32) -> Instruction {
        instruction(0x55, register, Register::Answer, 0, value)
    }

    /// Skips instructions unless both registers are equal.
    pub const fn skip_unless_equal(one: Register, other: Register) -> Instruction {
        instruction(0x5d, one, other, 0, 0)
    }

    /// Skips instructions if `register` is `value`.
    pub const fn skip_if(register: Register, value: i32) -> Instruction {
        instruction(0x15, register, Register::Answer, 0, value)
    }

    /// The same jump over `count` instructions.
    pub const fn skipping(self, count: i16) -> Instruction {
        Instruction {
            offset: count,
            ..self
        }
    }

    /// Code, registers written and read, jump, number: for whoever wants to follow a program.
    pub fn parts(self) -> (u8, usize, usize, i16, i32) {
        let (low, high) = (
            usize::from(self.registers & 15),
            usize::from(self.registers >> 4),
        );
        let (to, from) = if cfg!(target_endian = "little") {
            (low, high)
        } else {
            (high, low)
        };
        (self.code, to, from, self.offset, self.immediate)
    }

    /// The end.
    pub const fn exit() -> Instruction {
        instruction(0x95, Register::Answer, Register::Answer, 0, 0)
    }
}

/// Whether the kernel takes such programs from us.
pub fn can_filter_devices() -> bool {
    load(&[Instruction::set(Register::Answer, 1), Instruction::exit()]).is_ok()
}

/// Lets `program` decide for the control group at `group`, until the group is removed.
pub fn filter_devices(group: &Path, program: &[Instruction]) -> io::Result<()> {
    /// Programs of the groups above have their say too.
    const ALLOW_MULTI: u32 = 2;
    const CGROUP_DEVICE: u32 = 6;
    const PROG_ATTACH: libc::c_int = 8;
    let group = File::open(group)?;
    let program = load(program)?;
    let attach = [
        group.as_raw_fd() as u32,
        program.as_raw_fd() as u32,
        CGROUP_DEVICE,
        ALLOW_MULTI,
    ];
    // SAFETY: the attributes live through the call and are as long as said.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            PROG_ATTACH,
            attach.as_ptr(),
            size_of_val(&attach),
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    const PROG_LOAD: libc::c_int = 5;
    const CGROUP_DEVICE: u32 = 15;
    /// The kernel's `union bpf_attr`, as far as it is needed.
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel: u32,
        flags: u32,
    }
    let load = Load {
        kind: CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel: 0,
        flags: 0,
    };
    // SAFETY: the attributes, the program and the licence live through the call; returns a new descriptor or -1.
    owned(
        unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()) }
            as i32,
    )
}
