//! A rewrite as data: what changes, and where. Knows no wire formats but offsets.

/// Room that an ICMP error needs in front of the packet that it quotes: an IPv4 and an ICMP header.
pub(crate) const ICMP_ROOM: usize = 28;

/// The replacement of an address and a port.
#[derive(Clone, Copy)]
pub(crate) struct Change {
    /// Offset of the address.
    pub(crate) address: usize,
    /// Offset of the port.
    pub(crate) port: usize,
    /// Offset of the IPv4 header's checksum.
    pub(crate) network_check: usize,
    /// Offset of the transport header's checksum.
    pub(crate) transport_check: usize,
    pub(crate) protocol: u8,
    pub(crate) old_address: [u8; 4],
    pub(crate) new_address: [u8; 4],
    pub(crate) old_port: [u8; 2],
    pub(crate) new_port: [u8; 2],
}
