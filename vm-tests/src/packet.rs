//! Builds frames byte by byte, checksums included, for what goes into a program and what must come out of it.
//!
//! Knows nothing of the programs' own arithmetic: an error there must not be repeated here.

mod ipv6;

use std::net::{Ipv4Addr, Ipv6Addr};

pub use ipv6::{Ipv6, Neighbour};

use crate::netlink::Mac;

const TYPE_VLAN: u16 = 0x8100;
const TYPE_IPV4: u16 = 0x0800;
const TYPE_ARP: u16 = 0x0806;
const TYPE_IPV6: u16 = 0x86dd;

/// TCP flags.
pub const FIN: u8 = 0x01;
/// Opens a connection.
pub const SYN: u8 = 0x02;
/// Ends it at once.
pub const RST: u8 = 0x04;
/// Pushes data.
pub const PSH: u8 = 0x08;
/// Acknowledges.
pub const ACK: u8 = 0x10;

/// An Ethernet header under construction.
#[derive(Clone, Debug)]
pub struct Ethernet {
    to: Mac,
    from: Mac,
    tags: Vec<u16>,
}

/// Starts a frame.
pub fn eth(from: Mac, to: Mac) -> Ethernet {
    Ethernet {
        to,
        from,
        tags: Vec::new(),
    }
}

impl Ethernet {
    /// Adds a VLAN tag, the outer one first.
    #[must_use]
    pub fn vlan(mut self, id: u16) -> Self {
        self.tags.push(id);
        self
    }

    /// A frame with any payload.
    pub fn raw(&self, kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = [self.to, self.from].concat();
        for tag in &self.tags {
            frame.extend(TYPE_VLAN.to_be_bytes());
            frame.extend(tag.to_be_bytes());
        }
        frame.extend(kind.to_be_bytes());
        frame.extend(payload);
        frame
    }

    /// An ARP request.
    pub fn arp_request(&self, sender: (Mac, Ipv4Addr), target: Ipv4Addr) -> Vec<u8> {
        self.arp(1, sender, ([0; 6], target))
    }

    /// An ARP reply.
    pub fn arp_reply(&self, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
        self.arp(2, sender, target)
    }

    /// ARP with any operation.
    pub fn arp(&self, operation: u8, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
        let mut arp = vec![0, 1, 0x08, 0x00, 6, 4, 0, operation];
        for (mac, address) in [sender, target] {
            arp.extend(mac);
            arp.extend(address.octets());
        }
        self.raw(TYPE_ARP, &arp)
    }

    /// Goes on with an IPv4 header.
    pub fn ipv4(self, source: impl Into<Ipv4Addr>, destination: impl Into<Ipv4Addr>) -> Ipv4 {
        Ipv4 {
            ethernet: self,
            source: source.into(),
            destination: destination.into(),
            ttl: 64,
            id: 0,
            fragment: 0x4000,
            options: Vec::new(),
        }
    }

    /// Goes on with an IPv6 header.
    pub fn ipv6(self, source: impl Into<Ipv6Addr>, destination: impl Into<Ipv6Addr>) -> Ipv6 {
        Ipv6::new(self, source.into(), destination.into())
    }
}

/// An IPv4 header under construction.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    ethernet: Ethernet,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    ttl: u8,
    id: u16,
    fragment: u16,
    options: Vec<u8>,
}

impl Ipv4 {
    /// Sets the identification and the flags with the fragment offset.
    #[must_use]
    pub fn fragment(mut self, id: u16, flags_and_offset: u16) -> Self {
        self.id = id;
        self.fragment = flags_and_offset;
        self
    }

    /// Sets the time to live.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// Adds options, a multiple of 4 bytes.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }

    /// The IPv4 packet without its Ethernet header.
    pub fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let words = 5 + self.options.len() / 4;
        let total = words * 4 + payload.len();
        let mut header = vec![0x40 | narrow(words).1, 0];
        header.extend(length(total));
        header.extend(self.id.to_be_bytes());
        header.extend(self.fragment.to_be_bytes());
        header.extend([self.ttl, protocol, 0, 0]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header.extend(&self.options);
        let check = checksum(&[&header]);
        header.splice(10..12, check);
        header.extend(payload);
        header
    }

    /// A frame with any payload.
    pub fn raw(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        self.ethernet
            .raw(TYPE_IPV4, &self.packet(protocol, payload))
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

    /// A UDP datagram without checksum.
    pub fn udp_unchecked(&self, source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = self.udp(source, destination, payload);
        let check = frame.len() - payload.len() - 2;
        frame.splice(check..check + 2, [0, 0]);
        frame
    }

    /// Goes on with a TCP segment.
    pub fn tcp(self, source: u16, destination: u16, flags: u8) -> Tcp {
        Tcp::new(Network::V4(self), (source, destination), flags)
    }

    /// An ICMP message: type, code, and what follows the checksum.
    pub fn icmp(&self, kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
        let mut message = vec![kind, code, 0, 0];
        message.extend(rest);
        let check = checksum(&[&message]);
        message.splice(2..4, check);
        self.raw(1, &message)
    }

    fn transport_check(&self, protocol: u8, segment: &[u8]) -> [u8; 2] {
        let mut pseudo = Vec::new();
        pseudo.extend(self.source.octets());
        pseudo.extend(self.destination.octets());
        pseudo.extend([0, protocol]);
        pseudo.extend(length(segment.len()));
        checksum(&[&pseudo, segment])
    }
}

/// What is below a TCP segment.
#[derive(Clone, Debug)]
enum Network {
    V4(Ipv4),
    V6(Ipv6),
}

/// A TCP segment under construction.
#[derive(Clone, Debug)]
pub struct Tcp {
    ip: Network,
    ports: (u16, u16),
    sequence: u32,
    acknowledgement: u32,
    flags: u8,
    window: u16,
}

impl Tcp {
    fn new(ip: Network, ports: (u16, u16), flags: u8) -> Self {
        Self {
            ip,
            ports,
            sequence: 0,
            acknowledgement: 0,
            flags,
            window: 0,
        }
    }

    /// Sets the sequence and acknowledgement numbers.
    #[must_use]
    pub fn numbers(mut self, sequence: u32, acknowledgement: u32) -> Self {
        self.sequence = sequence;
        self.acknowledgement = acknowledgement;
        self
    }

    /// Sets the window.
    #[must_use]
    pub fn window(mut self, window: u16) -> Self {
        self.window = window;
        self
    }

    /// The frame with a payload.
    pub fn data(&self, payload: &[u8]) -> Vec<u8> {
        let mut segment = Vec::new();
        segment.extend(self.ports.0.to_be_bytes());
        segment.extend(self.ports.1.to_be_bytes());
        segment.extend(self.sequence.to_be_bytes());
        segment.extend(self.acknowledgement.to_be_bytes());
        segment.extend([0x50, self.flags]);
        segment.extend(self.window.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(payload);
        let check = match &self.ip {
            Network::V4(ip) => ip.transport_check(6, &segment),
            Network::V6(ip) => ip.transport_check(6, &segment),
        };
        segment.splice(16..18, check);
        match &self.ip {
            Network::V4(ip) => ip.raw(6, &segment),
            Network::V6(ip) => ip.raw(6, &segment),
        }
    }

    /// The frame without payload.
    pub fn build(&self) -> Vec<u8> {
        self.data(&[])
    }
}

/// The frame with some bytes replaced, its checksums left as they are.
#[must_use]
pub fn patched(mut frame: Vec<u8>, offset: usize, bytes: &[u8]) -> Vec<u8> {
    frame.splice(offset..offset + bytes.len(), bytes.iter().copied());
    frame
}

/// The first bytes of a frame.
#[must_use]
pub fn cut(mut frame: Vec<u8>, length: usize) -> Vec<u8> {
    frame.truncate(length);
    frame
}

/// A UDP header without checksum, and its payload.
fn udp_header(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(source.to_be_bytes());
    datagram.extend(destination.to_be_bytes());
    datagram.extend(length(8 + payload.len()));
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// RFC 1071, word by word.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let bytes = parts.concat();
    let mut sum = 0u32;
    for word in bytes.chunks(2) {
        let low = word.get(1).copied().unwrap_or_default();
        let high = word.first().copied().unwrap_or_default();
        sum += u32::from(u16::from_be_bytes([high, low]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [_, _, high, low] = sum.to_be_bytes();
    [!high, !low]
}

fn length(bytes: usize) -> [u8; 2] {
    let (high, low) = narrow(bytes);
    [high, low]
}

/// The two low bytes of a number that is known to fit them.
fn narrow(number: usize) -> (u8, u8) {
    let [.., high, low] = number.to_be_bytes();
    (high, low)
}
