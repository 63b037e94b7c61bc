//! Headers by words: the BPF back end would read and write what it does not know to be aligned byte by byte, and
//! nothing in a packet is. The verifier of a machine that reads words at any place allows it.

use core::mem::MaybeUninit;

use crate::header::Header;

/// Reads a header.
///
/// # Safety
/// The bytes of the header at the address are part of a packet.
#[inline(always)]
pub(crate) unsafe fn load<H: Header>(address: usize) -> H {
    const { assert!(size_of::<H>().is_multiple_of(2) && size_of::<H>() <= 40) };
    let mut header = MaybeUninit::<H>::uninit();
    let bytes = header.as_mut_ptr().cast::<u8>();
    macro_rules! parts {
        ($($at:literal)+) => {$(
            if $at + 4 <= size_of::<H>() {
                // SAFETY: the header goes on for 4 bytes, in the packet and here.
                let word = unsafe { load4::<$at>(address) };
                // SAFETY: the same.
                unsafe { bytes.wrapping_add($at).cast::<u32>().write_unaligned(word) };
            } else if $at + 2 <= size_of::<H>() {
                // SAFETY: the header goes on for 2 bytes, in the packet and here.
                let half = unsafe { load2::<$at>(address) };
                // SAFETY: the same.
                unsafe { bytes.wrapping_add($at).cast::<u16>().write_unaligned(half) };
            }
        )+};
    }
    parts!(0 4 8 12 16 20 24 28 32 36);
    // SAFETY: every byte was written above, and a Header takes any bytes.
    unsafe { header.assume_init() }
}

/// Writes a header.
///
/// # Safety
/// The bytes of the header at the address are part of a packet that may be written.
#[inline(always)]
pub(crate) unsafe fn store<H: Header>(address: usize, header: &H) {
    const { assert!(size_of::<H>().is_multiple_of(2) && size_of::<H>() <= 40) };
    let bytes = core::ptr::from_ref(header).cast::<u8>();
    macro_rules! parts {
        ($($at:literal)+) => {$(
            if $at + 4 <= size_of::<H>() {
                // SAFETY: the header goes on for 4 bytes here.
                let word = unsafe { bytes.wrapping_add($at).cast::<u32>().read_unaligned() };
                // SAFETY: and in the packet.
                unsafe { store4::<$at>(address, word) };
            } else if $at + 2 <= size_of::<H>() {
                // SAFETY: the header goes on for 2 bytes here.
                let half = unsafe { bytes.wrapping_add($at).cast::<u16>().read_unaligned() };
                // SAFETY: and in the packet.
                unsafe { store2::<$at>(address, half) };
            }
        )+};
    }
    parts!(0 4 8 12 16 20 24 28 32 36);
}

macro_rules! access {
    ($load:ident, $store:ident, $type:ty, $text:literal) => {
        #[inline(always)]
        unsafe fn $load<const AT: usize>(address: usize) -> $type {
            #[cfg(target_arch = "bpf")]
            {
                let value: u64;
                // SAFETY: the caller's bytes; the register is the instruction's own.
                unsafe {
                    core::arch::asm!(
                        concat!("{0} = *(", $text, " *)({1} + {2})"),
                        out(reg) value, in(reg) address, const AT,
                        options(pure, readonly, nostack, preserves_flags)
                    );
                }
                value as $type
            }
            #[cfg(not(target_arch = "bpf"))]
            {
                let place = core::ptr::with_exposed_provenance::<$type>(address + AT);
                // SAFETY: the caller's bytes.
                unsafe { place.read_unaligned() }
            }
        }

        #[inline(always)]
        unsafe fn $store<const AT: usize>(address: usize, value: $type) {
            #[cfg(target_arch = "bpf")]
            // SAFETY: the caller's bytes.
            unsafe {
                core::arch::asm!(
                    concat!("*(", $text, " *)({0} + {1}) = {2}"),
                    in(reg) address, const AT, in(reg) u64::from(value),
                    options(nostack, preserves_flags)
                );
            }
            #[cfg(not(target_arch = "bpf"))]
            {
                let place = core::ptr::with_exposed_provenance_mut::<$type>(address + AT);
                // SAFETY: the caller's bytes.
                unsafe { place.write_unaligned(value) };
            }
        }
    };
}

access!(load4, store4, u32, "u32");
access!(load2, store2, u16, "u16");
