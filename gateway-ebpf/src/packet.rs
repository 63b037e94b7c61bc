//! Reading and writing headers by value: the only pointer arithmetic on packets.

use gateway_common::counter::Counter;

use crate::change::Change;
use crate::header::Header;
use crate::words;

/// Highest offset that a header may start at: everything above is refused, which bounds it for the verifier.
const OFFSET_MAX: usize = 255;
/// The same for what is summed of a packet.
const FAR_MAX: usize = 2047;

/// A packet at a hook, whichever hook it is.
pub(crate) trait Frame {
    /// Start and end of the bytes that can be reached.
    fn bounds(&self) -> (usize, usize);

    /// The length in bytes, what cannot be reached included.
    fn len(&self) -> u32;

    /// The index of the interface.
    fn interface(&self) -> u32;

    /// Replaces an address and a port, and updates the checksums.
    fn change<A: Header>(&self, change: &Change<A>) -> Result<(), Counter>;

    /// Makes room before the network header; what is in front of it moves or is to be written anew.
    fn make_room(&self, bytes: u32) -> Result<(), Counter>;

    /// Cuts the packet to a length, or adds bytes to its end.
    fn resize(&self, bytes: u32) -> Result<(), Counter>;
}

/// Reads a header; none: it does not fit.
///
/// Of two bytes or more: the check of a single one becomes a comparison that teaches the verifier nothing (Linux 6.18).
#[inline(always)]
pub(crate) fn read<H: Header>(frame: &impl Frame, offset: usize) -> Option<H> {
    read_until::<H, OFFSET_MAX>(frame, offset)
}

/// Reads a part of a packet that is no header.
#[inline(always)]
pub(crate) fn read_far<H: Header>(frame: &impl Frame, offset: usize) -> Option<H> {
    read_until::<H, FAR_MAX>(frame, offset)
}

#[inline(always)]
fn read_until<H: Header, const MAX: usize>(frame: &impl Frame, offset: usize) -> Option<H> {
    const { assert!(size_of::<H>() > 1) };
    let (start, end) = frame.bounds();
    if offset > MAX || start + offset + size_of::<H>() > end {
        return None;
    }
    // SAFETY: its bytes were checked against the end above.
    Some(unsafe { words::load(start + offset) })
}

/// Writes a header; an error: it does not fit.
#[inline(always)]
pub(crate) fn write<H: Header>(
    frame: &impl Frame,
    offset: usize,
    header: H,
) -> Result<(), Counter> {
    let (start, end) = frame.bounds();
    let start = opaque(start);
    if offset > OFFSET_MAX || start + offset + size_of::<H>() > end {
        return Err(Counter::RewriteFailed);
    }
    // SAFETY: its bytes were checked against the end above.
    unsafe { words::store(start + offset, &header) };
    Ok(())
}

/// Hides from the compiler where a value comes from.
///
/// The compiler proves some bounds checks superfluous by others that came before; the verifier does not follow the
/// proof ("R8 offset is outside of the packet", Linux 6.18) and refuses the program. Without this nothing loads, and
/// every packet case fails.
#[inline(always)]
pub(crate) fn opaque(value: usize) -> usize {
    #[cfg(not(target_arch = "bpf"))]
    let hidden = core::hint::black_box(value);
    #[cfg(target_arch = "bpf")]
    let mut hidden = value;
    #[cfg(target_arch = "bpf")]
    // SAFETY: moves a register to itself. An empty text gives two lines the same instruction, which the kernel refuses.
    unsafe {
        core::arch::asm!("{0} = {0}", inout(reg) hidden, options(pure, nomem, nostack, preserves_flags));
    }
    hidden
}
