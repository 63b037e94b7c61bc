//! The two `bpf(2)` calls that a test LAN needs and no library offers without an ELF object.

#![expect(
    unsafe_code,
    reason = "bpf(2) has no safe wrapper that takes bare instructions"
)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use anyhow::Context;
use nix::libc;

/// What an XDP program does with every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `XDP_DROP` of linux/bpf.h.
    Drop = 1,
    /// `XDP_PASS`.
    Pass = 2,
}
const LICENSE: &[u8] = b"Dual MIT/GPL\0";

const PROG_LOAD: libc::c_int = 5;
const PROG_QUERY: libc::c_int = 16;
const PROG_TYPE_XDP: u32 = 6;

/// The first fields of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The first fields of `union bpf_attr` for `BPF_PROG_QUERY`.
#[repr(C)]
struct Query {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    program_ids: u64,
    program_count: u32,
    pad: u32,
}

/// A place where programs hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// tcx, packets that come in.
    TcxIngress,
    /// tcx, packets that go out.
    TcxEgress,
    /// The socket lookup of the namespace.
    SkLookup,
}

/// Loads an XDP program that treats all packets alike.
///
/// # Errors
/// When the process may not load programs.
pub fn load_program(verdict: Verdict) -> anyhow::Result<OwnedFd> {
    // `r0 = verdict; exit`: code, registers, offset and immediate of each instruction (linux/bpf.h, little endian).
    let instructions: [u64; 2] = [((verdict as u64) << 32) | 0xb7, 0x95];
    let mut load = Load {
        program_type: PROG_TYPE_XDP,
        instruction_count: 2,
        instructions: instructions.as_ptr() as u64,
        license: LICENSE.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    let fd = bpf(PROG_LOAD, &mut load).context("the kernel refuses an XDP program")?;
    // SAFETY: BPF_PROG_LOAD succeeded, so `fd` is a new descriptor that nobody else holds.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Counts the programs at a hook of an interface; of the namespace for [`Hook::SkLookup`], whose target is the
/// namespace's descriptor.
///
/// # Errors
/// When the interface does not exist.
pub fn count_programs(hook: Hook, target: u32) -> anyhow::Result<u32> {
    let mut query = Query {
        target,
        attach_type: match hook {
            // `enum bpf_attach_type` of linux/bpf.h.
            Hook::SkLookup => 36,
            Hook::TcxIngress => 46,
            Hook::TcxEgress => 47,
        },
        query_flags: 0,
        attach_flags: 0,
        program_ids: 0,
        program_count: 0,
        pad: 0,
    };
    bpf(PROG_QUERY, &mut query).with_context(|| format!("cannot ask for programs at {hook:?}"))?;
    Ok(query.program_count)
}

fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<RawFd> {
    // SAFETY: `attributes` is a live `repr(C)` value that starts like the command's part of `union bpf_attr`, the size
    // is its own, and what its pointers name is static.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(result).map_err(io::Error::other)
}
