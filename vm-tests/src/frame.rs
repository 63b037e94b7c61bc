//! The few frames that tests read and write by hand: ARP, and the TCP, UDP and ICMP that come back.

use std::net::Ipv4Addr;

use etherparse::{ArpEthIpv4Packet, ArpOperation, NetSlice, SlicedPacket, TransportSlice};

use crate::netlink::Mac;

const BROADCAST: Mac = [0xff; 6];

/// An ARP packet for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Request or reply.
    pub operation: Operation,
    /// Who speaks.
    pub sender: (Mac, Ipv4Addr),
    /// Who is meant.
    pub target: (Mac, Ipv4Addr),
}

/// What an ARP packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has?
    Request,
    /// Is at.
    Reply,
}

impl Arp {
    /// Asks who has an address.
    pub fn who_has(address: Ipv4Addr, asker: (Mac, Ipv4Addr)) -> Self {
        Self {
            operation: Operation::Request,
            sender: asker,
            target: ([0; 6], address),
        }
    }

    /// Reads a frame; none: it is something else.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let sliced = SlicedPacket::from_ethernet(frame).ok()?;
        let Some(NetSlice::Arp(arp)) = sliced.net else {
            return None;
        };
        let arp = arp.to_packet().try_eth_ipv4().ok()?;
        let operation = match arp.operation {
            ArpOperation::REQUEST => Operation::Request,
            ArpOperation::REPLY => Operation::Reply,
            _ => return None,
        };
        Some(Self {
            operation,
            sender: (arp.sender_mac, arp.sender_ipv4.into()),
            target: (arp.target_mac, arp.target_ipv4.into()),
        })
    }

    /// The frame, to everybody.
    pub fn broadcast(&self) -> Vec<u8> {
        let packet = ArpEthIpv4Packet {
            operation: match self.operation {
                Operation::Request => ArpOperation::REQUEST,
                Operation::Reply => ArpOperation::REPLY,
            },
            sender_mac: self.sender.0,
            sender_ipv4: self.sender.1.octets(),
            target_mac: self.target.0,
            target_ipv4: self.target.1.octets(),
        };
        let mut frame = Vec::with_capacity(60);
        frame.extend_from_slice(&BROADCAST);
        frame.extend_from_slice(&self.sender.0);
        frame.extend_from_slice(&0x0806_u16.to_be_bytes());
        frame.extend_from_slice(&packet.to_bytes());
        frame.resize(60, 0);
        frame
    }

    /// Tells whether this says that an address is at a MAC without having been asked (RFC 5227 §3).
    pub fn announces(&self, address: Ipv4Addr, operation: Operation) -> Option<Mac> {
        let gratuitous = self.sender.1 == address && self.target.1 == address;
        (gratuitous && self.operation == operation).then_some(self.sender.0)
    }

    /// The MAC that an answer for an address names.
    pub fn answers(&self, address: Ipv4Addr) -> Option<Mac> {
        let answer = self.operation == Operation::Reply
            && self.sender.1 == address
            && self.target.1 != address;
        answer.then_some(self.sender.0)
    }
}

/// Source and destination of a TCP or UDP packet.
pub fn endpoints(frame: &[u8]) -> Option<((Ipv4Addr, u16), (Ipv4Addr, u16))> {
    let sliced = SlicedPacket::from_ethernet(frame).ok()?;
    let Some(NetSlice::Ipv4(ip)) = sliced.net else {
        return None;
    };
    let (source, destination) = match sliced.transport? {
        TransportSlice::Tcp(tcp) => (tcp.source_port(), tcp.destination_port()),
        TransportSlice::Udp(udp) => (udp.source_port(), udp.destination_port()),
        TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) | TransportSlice::Igmp(_) => {
            return None;
        }
    };
    let header = ip.header();
    Some((
        (header.source_addr(), source),
        (header.destination_addr(), destination),
    ))
}
