//! The frames that tell every neighbour, or ask it, where an IPv4 address is. Knows wire formats, no state.

use std::net::Ipv4Addr;

use gateway_ir::Mac;

/// Shortest Ethernet frame without its checksum; drivers do not all pad by themselves.
const FRAME_BYTES_MIN: usize = 60;
const BROADCAST: Mac = Mac([0xff; 6]);

/// An ARP announcement (RFC 5227 §3): a broadcast request for the address by its owner.
pub fn gratuitous_request(address: Ipv4Addr, mac: Mac) -> Vec<u8> {
    frame(1, address, mac, Mac([0; 6]))
}

/// The same as a reply, for neighbours that learn from replies only. Both hardware addresses are the owner's
/// (RFC 5944 §4.6).
pub fn gratuitous_reply(address: Ipv4Addr, mac: Mac) -> Vec<u8> {
    frame(2, address, mac, mac)
}

/// A question (RFC 826) for who has an address, to everybody or to the one who had it last.
pub fn request(from: (Mac, Ipv4Addr), to: Option<Mac>, address: Ipv4Addr) -> Vec<u8> {
    let (mac, sender) = from;
    let mut frame = frame(1, address, mac, Mac([0; 6]));
    put(&mut frame, 0, to.unwrap_or(BROADCAST).0);
    put(&mut frame, 28, sender.octets());
    frame
}

/// A probe (RFC 5227 §2.1.1): does anybody have this address? It says nothing about its sender.
pub fn probe(address: Ipv4Addr, mac: Mac) -> Vec<u8> {
    request((mac, Ipv4Addr::UNSPECIFIED), None, address)
}

/// Who says in a reply that it has which address; none: the frame is something else.
pub fn reply(frame: &[u8]) -> Option<(Ipv4Addr, Mac)> {
    let arp = frame.get(12..)?;
    let rest = arp.strip_prefix(&[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2])?;
    let (mac, rest) = rest.split_first_chunk::<6>()?;
    let (address, _) = rest.split_first_chunk::<4>()?;
    Some((Ipv4Addr::from(*address), Mac(*mac)))
}

fn put<const N: usize>(frame: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(field) = frame.get_mut(at..at + N) {
        field.copy_from_slice(&bytes);
    }
}

fn frame(operation: u16, address: Ipv4Addr, sender: Mac, target: Mac) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_BYTES_MIN);
    frame.extend_from_slice(&BROADCAST.0);
    frame.extend_from_slice(&sender.0);
    frame.extend_from_slice(&0x0806_u16.to_be_bytes());
    // RFC 826: hardware type Ethernet, protocol type IPv4, lengths 6 and 4.
    frame.extend_from_slice(&[0, 1, 8, 0, 6, 4]);
    frame.extend_from_slice(&operation.to_be_bytes());
    frame.extend_from_slice(&sender.0);
    frame.extend_from_slice(&address.octets());
    frame.extend_from_slice(&target.0);
    frame.extend_from_slice(&address.octets());
    frame.resize(FRAME_BYTES_MIN, 0);
    frame
}

#[cfg(test)]
mod tests {
    use etherparse::{ArpEthIpv4Packet, ArpOperation, NetSlice, SlicedPacket};

    use super::*;

    const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 200);
    const MAC: Mac = Mac([2, 0, 0, 0, 0, 0x10]);

    #[test]
    fn request_names_the_owner_and_nobody_as_target() {
        let arp = parse(&gratuitous_request(VIP, MAC));
        assert_eq!(arp.operation, ArpOperation::REQUEST);
        assert_eq!((arp.sender_mac, arp.sender_ipv4), (MAC.0, VIP.octets()));
        assert_eq!((arp.target_mac, arp.target_ipv4), ([0; 6], VIP.octets()));
    }

    #[test]
    fn reply_names_the_owner_twice() {
        let arp = parse(&gratuitous_reply(VIP, MAC));
        assert_eq!(arp.operation, ArpOperation::REPLY);
        assert_eq!((arp.sender_mac, arp.sender_ipv4), (MAC.0, VIP.octets()));
        assert_eq!((arp.target_mac, arp.target_ipv4), (MAC.0, VIP.octets()));
    }

    #[test]
    fn frames_are_broadcast_and_not_shorter_than_ethernet_allows() {
        for frame in [gratuitous_request(VIP, MAC), gratuitous_reply(VIP, MAC)] {
            assert_eq!(frame.get(..6), Some([0xff; 6].as_slice()));
            assert_eq!(frame.get(6..12), Some(MAC.0.as_slice()));
            assert_eq!(frame.len(), FRAME_BYTES_MIN);
        }
    }

    #[test]
    fn question_names_its_sender_and_goes_to_the_one_who_had_the_address() {
        let (own, router) = (Ipv4Addr::new(192, 168, 2, 16), Mac([2, 0, 0, 0, 0, 1]));
        let frame = request((MAC, own), Some(router), VIP);
        assert_eq!(frame.get(..6), Some(router.0.as_slice()));
        let arp = parse(&frame);
        assert_eq!(arp.operation, ArpOperation::REQUEST);
        assert_eq!((arp.sender_mac, arp.sender_ipv4), (MAC.0, own.octets()));
        assert_eq!((arp.target_mac, arp.target_ipv4), ([0; 6], VIP.octets()));
    }

    #[test]
    fn probe_comes_from_nobody() {
        let frame = probe(VIP, MAC);
        assert_eq!(frame.get(..6), Some([0xff; 6].as_slice()));
        let arp = parse(&frame);
        assert_eq!((arp.sender_mac, arp.sender_ipv4), (MAC.0, [0; 4]));
        assert_eq!((arp.target_mac, arp.target_ipv4), ([0; 6], VIP.octets()));
    }

    #[test]
    fn replies_are_read_and_nothing_else_is() {
        assert_eq!(reply(&gratuitous_reply(VIP, MAC)), Some((VIP, MAC)));
        assert_eq!(reply(&gratuitous_request(VIP, MAC)), None);
        for length in 0..32 {
            assert_eq!(reply(&gratuitous_reply(VIP, MAC)[..length]), None);
        }
    }

    fn parse(frame: &[u8]) -> ArpEthIpv4Packet {
        let sliced = SlicedPacket::from_ethernet(frame).expect("an Ethernet frame");
        let Some(NetSlice::Arp(arp)) = sliced.net else {
            panic!("not ARP: {:?}", sliced.net);
        };
        arp.to_packet().try_eth_ipv4().expect("ARP for IPv4")
    }
}
