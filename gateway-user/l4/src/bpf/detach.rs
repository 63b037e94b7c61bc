//! Takes a pinned link off its hook before its pin goes.
//!
//! The kernel lets a link go some time after its last reference; until then its program runs on. The library does not
//! wrap the call that detaches at once, nor give the descriptor that it needs.
#![expect(unsafe_code, reason = "system calls without a safe wrapper")]

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::libc;

/// `BPF_OBJ_GET` of `linux/bpf.h`.
const OBJECT_GET: libc::c_int = 7;
/// `BPF_LINK_DETACH`.
const LINK_DETACH: libc::c_int = 34;

/// The part of `union bpf_attr` that `BPF_OBJ_GET` reads.
#[repr(C)]
struct Pinned {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// The part that `BPF_LINK_DETACH` reads.
#[repr(C)]
struct Attached {
    link: RawFd,
}

/// Detaches what is pinned there and removes the pin. Nothing there is no error.
pub(crate) fn unpin(pin: &Path) -> io::Result<()> {
    // The link of an interface that is gone cannot be detached any more, and goes with its pin.
    let _gone = open(pin).and_then(|link| {
        let attributes = Attached {
            link: link.as_raw_fd(),
        };
        bpf(LINK_DETACH, &attributes)
    });
    match fs::remove_file(pin) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn open(pin: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(pin.as_os_str().as_bytes())?;
    let attributes = Pinned {
        path: path.as_ptr().expose_provenance() as u64,
        descriptor: 0,
        flags: 0,
    };
    let descriptor = bpf(OBJECT_GET, &attributes)?;
    // SAFETY: the kernel has just made the descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Both commands read their attributes, and the memory that these point to, during the call only.
fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<RawFd> {
    let attributes = std::ptr::from_ref(attributes);
    // SAFETY: the attributes outlive the call and have the size that is given.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    match RawFd::try_from(result) {
        Ok(descriptor) if descriptor >= 0 => Ok(descriptor),
        Ok(_) | Err(_) => Err(io::Error::last_os_error()),
    }
}
