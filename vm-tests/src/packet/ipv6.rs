//! IPv6 under construction: extension headers, ICMPv6, neighbour discovery, UDP and TCP.

use std::net::Ipv6Addr;

use super::{Ethernet, Network, TYPE_IPV6, Tcp, checksum, length, udp_header};
use crate::netlink::Mac;

const ICMPV6: u8 = 58;

/// An IPv6 header under construction.
#[derive(Clone, Debug)]
pub struct Ipv6 {
    ethernet: Ethernet,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hop_limit: u8,
    /// Types and contents from the third byte on, in order.
    extensions: Vec<(u8, Vec<u8>)>,
}

impl Ipv6 {
    pub(super) fn new(ethernet: Ethernet, source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self {
            ethernet,
            source,
            destination,
            hop_limit: 64,
            extensions: Vec::new(),
        }
    }

    /// Sets the hop limit.
    #[must_use]
    pub fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// Adds an extension header of a type; `rest` is what follows its length, 6 bytes or 8 n more.
    #[must_use]
    pub fn extension(mut self, kind: u8, rest: &[u8]) -> Self {
        self.extensions.push((kind, rest.to_vec()));
        self
    }

    /// The IPv6 packet without its Ethernet header.
    pub fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let kinds = self.extensions.iter().map(|(kind, _rest)| *kind);
        let mut kinds = kinds.chain([protocol]);
        let first = kinds.next().unwrap_or(protocol);
        let mut rest = Vec::new();
        for ((_kind, content), next) in self.extensions.iter().zip(kinds) {
            let units = (content.len() + 2) / 8 - 1;
            rest.push(next);
            rest.extend(length(units).last());
            rest.extend(content);
        }
        rest.extend(payload);
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(length(rest.len()));
        packet.extend([first, self.hop_limit]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(rest);
        packet
    }

    /// A frame with any payload.
    pub fn raw(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        self.ethernet
            .raw(TYPE_IPV6, &self.packet(protocol, payload))
    }

    /// An ICMPv6 message: type, code, and what follows the checksum.
    pub fn icmp(&self, kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
        let mut message = vec![kind, code, 0, 0];
        message.extend(rest);
        let check = self.transport_check(ICMPV6, &message);
        message.splice(2..4, check);
        self.raw(ICMPV6, &message)
    }

    /// A UDP datagram.
    pub fn udp(&self, source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
        let mut datagram = udp_header(source, destination, payload);
        let check = match self.transport_check(17, &datagram) {
            [0, 0] => [0xff, 0xff],
            check => check,
        };
        datagram.splice(6..8, check);
        self.raw(17, &datagram)
    }

    /// Goes on with a TCP segment.
    pub fn tcp(self, source: u16, destination: u16, flags: u8) -> Tcp {
        Tcp::new(Network::V6(self), (source, destination), flags)
    }

    /// A neighbour solicitation for a target.
    pub fn solicitation(self, target: Ipv6Addr) -> Neighbour {
        Neighbour::new(self, 135, 0, target)
    }

    /// A neighbour advertisement of a target with its flags: 0x80 router, 0x40 solicited, 0x20 override.
    pub fn advertisement(self, target: Ipv6Addr, flags: u8) -> Neighbour {
        Neighbour::new(self, 136, flags, target)
    }

    pub(super) fn transport_check(&self, protocol: u8, segment: &[u8]) -> [u8; 2] {
        let mut pseudo = Vec::new();
        pseudo.extend(self.source.octets());
        pseudo.extend(self.destination.octets());
        pseudo.extend([0, 0]);
        pseudo.extend(length(segment.len()));
        pseudo.extend([0, 0, 0, protocol]);
        checksum(&[&pseudo, segment])
    }
}

/// A message of neighbour discovery under construction.
#[derive(Clone, Debug)]
pub struct Neighbour {
    ip: Ipv6,
    kind: u8,
    code: u8,
    body: Vec<u8>,
}

impl Neighbour {
    fn new(ip: Ipv6, kind: u8, flags: u8, target: Ipv6Addr) -> Self {
        let mut body = vec![flags, 0, 0, 0];
        body.extend(target.octets());
        Self {
            ip: ip.hop_limit(255),
            kind,
            code: 0,
            body,
        }
    }

    /// Sets the hop limit.
    #[must_use]
    pub fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.ip = self.ip.hop_limit(hop_limit);
        self
    }

    /// Sets the code.
    #[must_use]
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Adds the source link-layer address.
    #[must_use]
    pub fn source_mac(self, mac: Mac) -> Self {
        self.option(1, &mac)
    }

    /// Adds the target link-layer address.
    #[must_use]
    pub fn target_mac(self, mac: Mac) -> Self {
        self.option(2, &mac)
    }

    /// Adds an option with a content of 6 bytes or 8 n more.
    #[must_use]
    pub fn option(mut self, kind: u8, content: &[u8]) -> Self {
        self.body.push(kind);
        self.body.extend(length((content.len() + 2) / 8).last());
        self.body.extend(content);
        self
    }

    /// Adds bytes as they are.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.body.extend(bytes);
        self
    }

    /// The frame.
    pub fn build(&self) -> Vec<u8> {
        self.ip.icmp(self.kind, self.code, &self.body)
    }
}
