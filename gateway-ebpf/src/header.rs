//! What may be read from and written to a packet as one value.

use network_types::arp::ArpHdr;
use network_types::ip::{Ipv4Hdr, Ipv6Hdr};
use network_types::udp::UdpHdr;

/// A header that may be read from and written to any place in a packet.
///
/// # Safety
/// Implementors have alignment 1 and no invalid bit pattern.
pub(crate) unsafe trait Header: Copy {}

// SAFETY: arrays of bytes.
unsafe impl<const N: usize> Header for [u8; N] {}
// SAFETY: all fields are arrays of bytes.
unsafe impl Header for Ipv4Hdr {}
// SAFETY: all fields are arrays of bytes.
unsafe impl Header for Ipv6Hdr {}
// SAFETY: all fields are arrays of bytes.
unsafe impl Header for UdpHdr {}
// SAFETY: all fields are arrays of bytes.
unsafe impl Header for ArpHdr {}
