//! Wire formats: bytes in, values out. Knows no maps and writes nothing.

use gateway_common::announce::MacBytes;
use gateway_common::counter::Counter;
use gateway_common::limits::VLAN_TAGS_MAX;
use network_types::udp::UdpHdr;

use crate::header::Header;
use crate::ip::Ip;
use crate::packet::{Frame, read};

/// Length of an Ethernet header without tags.
pub(crate) const ETHERNET_LEN: usize = 14;
/// Length of a VLAN tag.
pub(crate) const TAG_LEN: usize = 4;
/// IP protocol numbers.
pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;

const TYPE_IPV4: u16 = 0x0800;
const TYPE_ARP: u16 = 0x0806;
const TYPE_IPV6: u16 = 0x86dd;
const TYPE_VLAN: u16 = 0x8100;
const TYPE_QINQ: u16 = 0x88a8;

/// What an Ethernet frame carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    Arp,
    Ipv4,
    Ipv6,
    Other,
}

/// The Ethernet header without tags.
#[derive(Clone, Copy)]
#[repr(C)]
struct Ethernet {
    destination: MacBytes,
    source: MacBytes,
    kind: [u8; 2],
}

// SAFETY: all fields are arrays of bytes.
unsafe impl Header for Ethernet {}

const _: () = assert!(size_of::<Ethernet>() == ETHERNET_LEN);

/// The Ethernet header with its tags.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    pub(crate) destination: MacBytes,
    pub(crate) source: MacBytes,
    pub(crate) payload: Payload,
    /// Where the network header starts.
    pub(crate) length: usize,
}

impl Link {
    /// Whether the frame is for a group: broadcast or multicast.
    #[inline(always)]
    pub(crate) fn is_group(&self) -> bool {
        let [first, ..] = self.destination;
        first & 1 != 0
    }
}

/// The TCP header.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct TcpFields {
    pub(crate) source: [u8; 2],
    pub(crate) destination: [u8; 2],
    pub(crate) sequence: [u8; 4],
    pub(crate) acknowledgement: [u8; 4],
    pub(crate) data_offset: u8,
    pub(crate) flags: u8,
    pub(crate) window: [u8; 2],
    pub(crate) check: [u8; 2],
    pub(crate) urgent: [u8; 2],
}

// SAFETY: all fields are bytes and arrays of bytes.
unsafe impl Header for TcpFields {}

impl TcpFields {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const ACK: u8 = 0x10;

    /// Whether a flag of a set is set.
    #[inline(always)]
    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// Length of the header with its options, in bytes.
    #[inline(always)]
    pub(crate) fn header_len(&self) -> u16 {
        u16::from(self.data_offset >> 4) * 4
    }
}

/// Reads the Ethernet header and up to two tags.
#[inline(always)]
pub(crate) fn link(frame: &impl Frame) -> Result<Link, Counter> {
    let ethernet = read::<Ethernet>(frame, 0).ok_or(Counter::TooShort)?;
    let mut length = ETHERNET_LEN;
    let mut kind = ethernet.kind;
    for _tag in 0..VLAN_TAGS_MAX {
        let tagged = u16::from_be_bytes(kind);
        if tagged != TYPE_VLAN && tagged != TYPE_QINQ {
            break;
        }
        kind = read::<[u8; 2]>(frame, length + 2).ok_or(Counter::TooShort)?;
        length += TAG_LEN;
    }
    let payload = match u16::from_be_bytes(kind) {
        TYPE_ARP => Payload::Arp,
        TYPE_IPV4 => Payload::Ipv4,
        TYPE_IPV6 => Payload::Ipv6,
        _ => Payload::Other,
    };
    Ok(Link {
        destination: ethernet.destination,
        source: ethernet.source,
        payload,
        length,
    })
}

/// What an IP packet of a protocol that is known here carries.
pub(crate) enum Segment {
    Tcp(TcpFields),
    Udp(UdpHdr),
    Icmp,
}

/// Reads the transport header.
#[inline(always)]
pub(crate) fn segment<I: Ip>(frame: &impl Frame, ip: &I) -> Result<Segment, Counter> {
    match ip.protocol() {
        TCP => tcp(frame, ip).map(Segment::Tcp),
        UDP => udp(frame, ip).map(Segment::Udp),
        protocol if protocol == I::ICMP => Ok(Segment::Icmp),
        _ => Err(Counter::OtherProtocol),
    }
}

/// Reads the TCP header and holds it against the packet's length.
#[inline(always)]
fn tcp(frame: &impl Frame, ip: &impl Ip) -> Result<TcpFields, Counter> {
    let tcp = read::<TcpFields>(frame, ip.transport()).ok_or(Counter::Truncated)?;
    if usize::from(tcp.header_len()) < size_of::<TcpFields>() {
        return Err(Counter::Malformed);
    }
    if tcp.header_len() > ip.payload_len() {
        return Err(Counter::Truncated);
    }
    Ok(tcp)
}

/// Reads the UDP header and holds it against the packet's length.
#[inline(always)]
fn udp<I: Ip>(frame: &impl Frame, ip: &I) -> Result<UdpHdr, Counter> {
    let udp = read::<UdpHdr>(frame, ip.transport()).ok_or(Counter::Truncated)?;
    let length = u16::from_be_bytes(udp.len);
    // Without a checksum of its own IPv6 wants one of UDP (RFC 8200 §8.1).
    let is_unprotected = I::CHECK.is_none() && udp.check == [0; 2];
    if usize::from(length) < size_of::<UdpHdr>() || is_unprotected {
        return Err(Counter::Malformed);
    }
    if length > ip.payload_len() {
        return Err(Counter::Truncated);
    }
    Ok(udp)
}
