//! A rewrite as data: what changes, and where. Knows no wire formats but offsets.

use gateway_common::checksum::Sum;

/// The replacement of an address and a port.
#[derive(Clone, Copy)]
pub(crate) struct Change<A> {
    /// Offset of the address.
    pub(crate) address: usize,
    /// Offset of the port.
    pub(crate) port: usize,
    /// Offset of the network header's checksum, if it has one.
    pub(crate) network_check: Option<usize>,
    /// Offset of the transport header's checksum.
    pub(crate) transport_check: usize,
    pub(crate) protocol: u8,
    pub(crate) new_address: A,
    /// What the new address changes of a sum.
    pub(crate) difference: Sum,
    pub(crate) old_port: [u8; 2],
    pub(crate) new_port: [u8; 2],
}
