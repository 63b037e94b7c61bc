//! What a rewrite changes and where. Knows no maps.

use gateway_common::addr::Address;

use crate::parse::{Ipv4, UDP};

/// Room that an ICMP error needs in front of the packet that it quotes: an IPv4 and an ICMP header.
pub(crate) const ICMP_ROOM: usize = 28;

/// Which end of a packet changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Destination,
}

/// The replacement of an address and a port.
#[derive(Clone, Copy)]
pub(crate) struct Change {
    end: End,
    network: usize,
    transport: usize,
    pub(crate) protocol: u8,
    pub(crate) old_address: [u8; 4],
    pub(crate) new_address: [u8; 4],
    pub(crate) old_port: [u8; 2],
    pub(crate) new_port: [u8; 2],
}

impl Change {
    /// Replaces one end of a TCP or UDP packet.
    #[inline(always)]
    pub(crate) fn new(
        ip: &Ipv4,
        end: End,
        old_port: [u8; 2],
        (address, new_port): (Address, [u8; 2]),
    ) -> Self {
        Self {
            end,
            network: ip.offset,
            transport: ip.transport,
            protocol: ip.header.proto,
            old_address: match end {
                End::Source => ip.header.src_addr,
                End::Destination => ip.header.dst_addr,
            },
            new_address: address.v4(),
            old_port,
            new_port,
        }
    }

    /// Offset of the address.
    #[inline(always)]
    pub(crate) fn address(&self) -> usize {
        match self.end {
            End::Source => self.network + 12,
            End::Destination => self.network + 16,
        }
    }

    /// Offset of the port.
    #[inline(always)]
    pub(crate) fn port(&self) -> usize {
        match self.end {
            End::Source => self.transport,
            End::Destination => self.transport + 2,
        }
    }

    /// Offset of the IPv4 header's checksum.
    #[inline(always)]
    pub(crate) fn network_check(&self) -> usize {
        self.network + 10
    }

    /// Offset of the transport header's checksum.
    #[inline(always)]
    pub(crate) fn transport_check(&self) -> usize {
        if self.protocol == UDP {
            self.transport + 6
        } else {
            self.transport + 16
        }
    }
}
