//! The two frames that tell every neighbour where an IPv4 address is. Knows wire formats, no state.

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

    fn parse(frame: &[u8]) -> ArpEthIpv4Packet {
        let sliced = SlicedPacket::from_ethernet(frame).expect("an Ethernet frame");
        let Some(NetSlice::Arp(arp)) = sliced.net else {
            panic!("not ARP: {:?}", sliced.net);
        };
        arp.to_packet().try_eth_ipv4().expect("ARP for IPv4")
    }
}
