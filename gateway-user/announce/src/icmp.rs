//! Echo by way of a neighbour: the question whether somebody answers for an address as another machine sees it. Knows wire
//! formats, no state.

use std::net::Ipv4Addr;

use gateway_ir::Mac;

use crate::checksum::internet;

const TYPE_IPV4: u16 = 0x0800;
const ICMP: u8 = 1;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
const TTL: u8 = 64;
/// IPv4 header without options, and the head of an echo.
const LENGTH: u8 = 20 + 8;

/// An echo request (RFC 792) for an address, in a frame to a machine that should know the way.
pub fn echo_request(from: (Mac, Ipv4Addr), by: Mac, address: Ipv4Addr) -> Vec<u8> {
    let (mac, source) = from;
    let mut ip = vec![0x45, 0, 0, LENGTH, 0, 0, 0, 0, TTL, ICMP, 0, 0];
    ip.extend(source.octets());
    ip.extend(address.octets());
    put_checksum(&mut ip, 10);
    let mut icmp = vec![ECHO_REQUEST, 0, 0, 0, 0x73, 0x6d, 0, 0];
    put_checksum(&mut icmp, 2);
    let mut frame = Vec::with_capacity(60);
    frame.extend(by.0);
    frame.extend(mac.0);
    frame.extend(TYPE_IPV4.to_be_bytes());
    frame.append(&mut ip);
    frame.append(&mut icmp);
    frame.resize(60, 0);
    frame
}

/// The machine that an echo reply comes from; none: it is something else.
pub fn echo_reply(frame: &[u8]) -> Option<Ipv4Addr> {
    let ip = frame.strip_prefix(frame.get(..12)?)?;
    let ip = ip.strip_prefix(&TYPE_IPV4.to_be_bytes())?;
    let head = usize::from(ip.first()? & 0xf) * 4;
    let source: [u8; 4] = ip.get(12..16)?.try_into().ok()?;
    let is_reply = *ip.get(9)? == ICMP && *ip.get(head)? == ECHO_REPLY;
    is_reply.then_some(source.into())
}

fn put_checksum(bytes: &mut [u8], at: usize) {
    let checksum = internet(&[bytes]);
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.copy_from_slice(&checksum);
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{Icmpv4Type, NetSlice, SlicedPacket, TransportSlice};

    use super::*;

    const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 200);
    const OWN: (Mac, Ipv4Addr) = (Mac([2, 0, 0, 0, 0, 0x10]), Ipv4Addr::new(192, 168, 2, 16));
    const ROUTER: Mac = Mac([2, 0, 0, 0, 0, 1]);

    #[test]
    fn request_goes_to_the_router_and_asks_for_the_address() {
        let frame = echo_request(OWN, ROUTER, VIP);
        assert_eq!(frame.get(..6), Some(ROUTER.0.as_slice()));
        let sliced = SlicedPacket::from_ethernet(&frame).expect("an Ethernet frame");
        let Some(NetSlice::Ipv4(ip)) = &sliced.net else {
            panic!("not IPv4: {:?}", sliced.net);
        };
        let header = ip.header().to_header();
        assert_eq!(
            (header.source, header.destination),
            (OWN.1.octets(), VIP.octets())
        );
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        let Some(TransportSlice::Icmpv4(icmp)) = &sliced.transport else {
            panic!("not ICMP: {:?}", sliced.transport);
        };
        assert!(matches!(icmp.icmp_type(), Icmpv4Type::EchoRequest(_)));
        let header = icmp.header();
        let checksum = header.icmp_type.calc_checksum(icmp.payload());
        assert_eq!(header.checksum, checksum);
    }

    #[test]
    fn replies_are_known_by_their_type_alone() {
        let mut frame = echo_request((ROUTER, VIP), OWN.0, OWN.1);
        assert_eq!(echo_reply(&frame), None, "a request");
        frame[34] = 0;
        assert_eq!(echo_reply(&frame), Some(VIP));
        frame[23] = 17;
        assert_eq!(echo_reply(&frame), None, "UDP");
        for length in 0..35 {
            assert_eq!(echo_reply(&frame[..length]), None);
        }
    }
}
