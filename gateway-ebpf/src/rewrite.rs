//! What a rewrite changes and where. Knows no maps.

use gateway_common::addr::Address;

use crate::change::Change;
use crate::ip::Ip;
use crate::parse::UDP;

/// Which end of a packet changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Destination,
}

/// Replaces one end of a TCP or UDP packet.
#[inline(always)]
pub(crate) fn replace<I: Ip>(
    ip: &I,
    end: End,
    old_port: [u8; 2],
    (address, new_port): (Address, [u8; 2]),
) -> Change<I::Wire> {
    let (old_address, address_offset, port_offset) = match end {
        End::Source => (ip.source(), I::SOURCE, 0),
        End::Destination => (ip.destination(), I::DESTINATION, 2),
    };
    let check_offset = if ip.protocol() == UDP { 6 } else { 16 };
    Change {
        address: ip.offset() + address_offset,
        port: ip.transport() + port_offset,
        network_check: I::CHECK.map(|check| ip.offset() + check),
        transport_check: ip.transport() + check_offset,
        protocol: ip.protocol(),
        new_address: I::on_wire(&address),
        difference: I::difference(&old_address, &address),
        old_port,
        new_port,
    }
}
