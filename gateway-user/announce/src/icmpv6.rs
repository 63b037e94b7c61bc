//! ICMPv6 in Ethernet frames, and the echo by way of a neighbour: the question whether somebody answers for an address as
//! another machine sees it. Knows wire formats, no state.

use std::net::Ipv6Addr;

use gateway_ir::Mac;

use crate::checksum::internet;

const TYPE_IPV6: u16 = 0x86dd;
const ICMPV6: u8 = 58;
/// Neighbours want to see that no router has decreased it (RFC 4861 §7.1); an echo may have as many.
const HOP_LIMIT: u8 = 255;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;

/// Where a message comes from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// On the link.
    pub mac: Mac,
    /// In the network.
    pub address: Ipv6Addr,
}

/// A message that came in, whole as far as its type needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) from: End,
    pub(crate) hop_limit: u8,
    /// From the type on.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a frame without extension headers; none: it is something else.
    pub(crate) fn parse(frame: &'a [u8]) -> Option<Self> {
        let (_, rest) = frame.split_first_chunk::<6>()?;
        let (mac, rest) = rest.split_first_chunk::<6>()?;
        let rest = rest.strip_prefix(&TYPE_IPV6.to_be_bytes())?;
        let (head, rest) = rest.split_first_chunk::<8>()?;
        let [_, _, _, _, high, low, ICMPV6, hop_limit] = *head else {
            return None;
        };
        let (source, rest) = rest.split_first_chunk::<16>()?;
        let (_, rest) = rest.split_first_chunk::<16>()?;
        Some(Self {
            from: End {
                mac: Mac(*mac),
                address: (*source).into(),
            },
            hop_limit,
            bytes: rest.get(..usize::from(u16::from_be_bytes([high, low])))?,
        })
    }

    pub(crate) fn is_from_neighbour(&self) -> bool {
        self.hop_limit == HOP_LIMIT
    }
}

/// An echo request (RFC 4443 §4.1) for an address, in a frame to a machine that should know the way.
pub fn echo_request(from: End, by: Mac, address: Ipv6Addr) -> Vec<u8> {
    let to = End { mac: by, address };
    frame(from, to, vec![ECHO_REQUEST, 0, 0, 0, 0x73, 0x6d, 0, 0])
}

/// The machine that an echo reply comes from; none: it is something else.
pub fn echo_reply(frame: &[u8]) -> Option<Ipv6Addr> {
    let message = Message::parse(frame)?;
    (message.bytes.first()? == &ECHO_REPLY).then_some(message.from.address)
}

/// A message in its headers, with its checksum.
pub(crate) fn frame(from: End, to: End, mut message: Vec<u8>) -> Vec<u8> {
    let [high, low] = checksum(from.address, to.address, &message);
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&[high, low]);
    }
    let mut frame = to.mac.0.to_vec();
    frame.extend_from_slice(&from.mac.0);
    frame.extend_from_slice(&TYPE_IPV6.to_be_bytes());
    frame.extend_from_slice(&[0x60, 0, 0, 0]);
    frame.extend_from_slice(&length(&message));
    frame.extend_from_slice(&[ICMPV6, HOP_LIMIT]);
    frame.extend_from_slice(&from.address.octets());
    frame.extend_from_slice(&to.address.octets());
    frame.append(&mut message);
    frame
}

/// The checksum with the pseudo header of RFC 8200 §8.1.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> [u8; 2] {
    internet(&[
        &source.octets(),
        &destination.octets(),
        &length(message),
        &[0, ICMPV6],
        message,
    ])
}

/// The length of a message as its header says it: these are 8 to 32 bytes long.
fn length(message: &[u8]) -> [u8; 2] {
    u16::try_from(message.len())
        .unwrap_or(u16::MAX)
        .to_be_bytes()
}

#[cfg(test)]
mod tests {
    use etherparse::{Icmpv6Type, NetSlice, SlicedPacket, TransportSlice};

    use super::*;

    const VIP: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0xc8);
    const OWN: End = End {
        mac: Mac([2, 0, 0, 0, 0, 0x10]),
        address: Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 1, 0x10),
    };
    const ROUTER: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn request_goes_to_the_router_and_asks_for_the_address() {
        let frame = echo_request(OWN, ROUTER, VIP);
        assert_eq!(frame.get(..6), Some(ROUTER.0.as_slice()));
        let sliced = SlicedPacket::from_ethernet(&frame).expect("an Ethernet frame");
        let Some(NetSlice::Ipv6(ip)) = &sliced.net else {
            panic!("not IPv6: {:?}", sliced.net);
        };
        let header = ip.header().to_header();
        assert_eq!(
            (header.source_addr(), header.destination_addr()),
            (OWN.address, VIP)
        );
        let Some(TransportSlice::Icmpv6(icmp)) = &sliced.transport else {
            panic!("not ICMPv6: {:?}", sliced.transport);
        };
        assert!(matches!(icmp.icmp_type(), Icmpv6Type::EchoRequest(_)));
        assert!(icmp.is_checksum_valid(OWN.address.octets(), VIP.octets()));
    }

    #[test]
    fn replies_are_known_by_their_type_alone() {
        let vip = End {
            mac: ROUTER,
            address: VIP,
        };
        let mut frame = echo_request(vip, OWN.mac, OWN.address);
        assert_eq!(echo_reply(&frame), None, "a request");
        frame[54] = ECHO_REPLY;
        assert_eq!(echo_reply(&frame), Some(VIP));
        for length in 0..frame.len() {
            assert_eq!(echo_reply(&frame[..length]), None);
        }
        frame[20] = 17;
        assert_eq!(echo_reply(&frame), None, "UDP");
    }
}
