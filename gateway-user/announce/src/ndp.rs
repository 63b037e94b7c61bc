//! The frames that tell every neighbour, or ask it, where an IPv6 address is. Knows wire formats, no state.

use std::net::Ipv6Addr;

use gateway_ir::Mac;

const TYPE_IPV6: u16 = 0x86dd;
const ICMPV6: u8 = 58;
/// A router on the way would decrease it, and receivers want to see that none did (RFC 4861 §7.1).
const HOP_LIMIT: u8 = 255;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Not solicited, and to be believed over what is known already (RFC 4861 §4.4).
const OVERRIDE: u8 = 0x20;
const TARGET_LINK_ADDRESS: u8 = 2;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// An unsolicited advertisement to all nodes (RFC 4861 §7.2.6): what an announcement is for ARP.
pub fn unsolicited_advertisement(address: Ipv6Addr, mac: Mac) -> Vec<u8> {
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    message.extend_from_slice(&address.octets());
    message.extend_from_slice(&[TARGET_LINK_ADDRESS, 1]);
    message.extend_from_slice(&mac.0);
    frame(mac, address, ALL_NODES, message)
}

/// The question of duplicate address detection (RFC 4862 §5.4.2): does anybody have this address?
pub fn probe(address: Ipv6Addr, mac: Mac) -> Vec<u8> {
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(&address.octets());
    frame(
        mac,
        Ipv6Addr::UNSPECIFIED,
        solicited_node_group(address),
        message,
    )
}

/// The group that solicitations for an address are sent to (RFC 4291 §2.7.1).
pub fn solicited_node_group(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (high & 0xff), low)
}

fn frame(from: Mac, source: Ipv6Addr, group: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    let [high, low] = checksum(source, group, &message);
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&[high, low]);
    }
    let mut frame = group_mac(group).0.to_vec();
    frame.extend_from_slice(&from.0);
    frame.extend_from_slice(&TYPE_IPV6.to_be_bytes());
    frame.extend_from_slice(&[0x60, 0, 0, 0]);
    frame.extend_from_slice(&length(&message));
    frame.extend_from_slice(&[ICMPV6, HOP_LIMIT]);
    frame.extend_from_slice(&source.octets());
    frame.extend_from_slice(&group.octets());
    frame.append(&mut message);
    frame
}

/// The Ethernet address of a group (RFC 2464 §7).
fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

/// The Internet checksum with the pseudo header of RFC 8200 §8.1.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> [u8; 2] {
    let pseudo = [
        source.octets().as_slice(),
        &destination.octets(),
        &length(message),
        &[0, ICMPV6],
    ]
    .concat();
    let words = pseudo.chunks(2).chain(message.chunks(2));
    let sum: u32 = words
        .map(|word| {
            word.iter()
                .fold(0, |word, byte| word << 8 | u32::from(*byte))
        })
        .sum();
    let once = (sum & 0xffff) + (sum >> 16);
    let [_, _, high, low] = ((once & 0xffff) + (once >> 16)).to_be_bytes();
    [!high, !low]
}

/// The length of a message as its header says it: these are 24 or 32 bytes long.
fn length(message: &[u8]) -> [u8; 2] {
    u16::try_from(message.len())
        .unwrap_or(u16::MAX)
        .to_be_bytes()
}

#[cfg(test)]
mod tests {
    use etherparse::{Icmpv6Type, NetSlice, SlicedPacket, TransportSlice};

    use super::*;

    const VIP: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0xab12, 0x3456);
    const MAC: Mac = Mac([2, 0, 0, 0, 0, 0x10]);

    #[test]
    fn advertisement_overrides_and_names_the_owner() {
        let message = parse(&unsolicited_advertisement(VIP, MAC), VIP, ALL_NODES);

        assert_eq!(
            message.get(..8),
            Some([136, 0, 0, 0, 0x20, 0, 0, 0].as_slice())
        );
        assert_eq!(message.get(8..24), Some(VIP.octets().as_slice()));
        assert_eq!(
            message.get(24..),
            Some([2, 1, 2, 0, 0, 0, 0, 0x10].as_slice())
        );
    }

    #[test]
    fn probe_comes_from_nobody_and_names_no_link_layer_address() {
        let group: Ipv6Addr = "ff02::1:ff12:3456".parse().expect("an address");

        let message = parse(&probe(VIP, MAC), Ipv6Addr::UNSPECIFIED, group);

        assert_eq!(
            message.get(..8),
            Some([135, 0, 0, 0, 0, 0, 0, 0].as_slice())
        );
        assert_eq!(message.get(8..), Some(VIP.octets().as_slice()));
    }

    #[test]
    fn groups_have_the_ethernet_address_of_their_last_bytes() {
        let frame = probe(VIP, MAC);
        assert_eq!(
            frame.get(..6),
            Some([0x33, 0x33, 0xff, 0x12, 0x34, 0x56].as_slice())
        );
        assert_eq!(frame.get(6..12), Some(MAC.0.as_slice()));
    }

    /// The ICMPv6 message with a checksum of zero, once its headers and its checksum are found right.
    fn parse(frame: &[u8], source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
        let sliced = SlicedPacket::from_ethernet(frame).expect("an Ethernet frame");
        let Some(NetSlice::Ipv6(ip)) = &sliced.net else {
            panic!("not IPv6: {:?}", sliced.net);
        };
        let header = ip.header().to_header();
        assert_eq!(header.source_addr(), source);
        assert_eq!(header.destination_addr(), destination);
        assert_eq!(header.hop_limit, 255);
        let Some(TransportSlice::Icmpv6(icmp)) = &sliced.transport else {
            panic!("not ICMPv6: {:?}", sliced.transport);
        };
        assert!(icmp.is_checksum_valid(source.octets(), destination.octets()));
        assert!(!matches!(icmp.icmp_type(), Icmpv6Type::EchoRequest(_)));
        let mut message = icmp.slice().to_vec();
        message.splice(2..4, [0, 0]);
        message
    }
}
