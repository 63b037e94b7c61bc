//! What a rewrite changes and where. Knows no maps.

use gateway_common::addr::Address;

use crate::change::Change;
use crate::parse::{Ipv4, UDP};

/// Which end of a packet changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Destination,
}

/// Replaces one end of a TCP or UDP packet.
#[inline(always)]
pub(crate) fn replace(
    ip: &Ipv4,
    end: End,
    old_port: [u8; 2],
    (address, new_port): (Address, [u8; 2]),
) -> Change {
    let (old_address, address_offset, port_offset) = match end {
        End::Source => (ip.header.src_addr, 12, 0),
        End::Destination => (ip.header.dst_addr, 16, 2),
    };
    let check_offset = if ip.header.proto == UDP { 6 } else { 16 };
    Change {
        address: ip.offset + address_offset,
        port: ip.transport + port_offset,
        network_check: ip.offset + 10,
        transport_check: ip.transport + check_offset,
        protocol: ip.header.proto,
        old_address,
        new_address: address.v4(),
        old_port,
        new_port,
    }
}
