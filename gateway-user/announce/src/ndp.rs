//! The frames that tell every neighbour, or ask it, where an IPv6 address is. Knows wire formats, no state.

use std::net::Ipv6Addr;

use gateway_ir::Mac;

use crate::icmpv6::{End, Message, frame};

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Not solicited, and to be believed over what is known already (RFC 4861 §4.4).
const OVERRIDE: u8 = 0x20;
const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// An unsolicited advertisement to all nodes (RFC 4861 §7.2.6): what an announcement is for ARP.
pub fn unsolicited_advertisement(address: Ipv6Addr, mac: Mac) -> Vec<u8> {
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    message.extend_from_slice(&address.octets());
    message.extend_from_slice(&[TARGET_LINK_ADDRESS, 1]);
    message.extend_from_slice(&mac.0);
    frame(End { mac, address }, group(ALL_NODES), message)
}

/// A question (RFC 4861 §4.3) for who has an address, to its group or to the one who had it last.
pub fn solicitation(from: End, to: Option<Mac>, address: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(&address.octets());
    message.extend_from_slice(&[SOURCE_LINK_ADDRESS, 1]);
    message.extend_from_slice(&from.mac.0);
    let to = match to {
        Some(mac) => End { mac, address },
        None => group(solicited_node_group(address)),
    };
    frame(from, to, message)
}

/// Who says in an advertisement that it has which address; none: the frame is something else.
pub fn advertisement(frame: &[u8]) -> Option<(Ipv6Addr, Mac)> {
    let message = Message::parse(frame).filter(Message::is_from_neighbour)?;
    let rest = message.bytes.strip_prefix(&[ADVERTISEMENT, 0])?;
    let (target, options) = rest.get(6..)?.split_first_chunk::<16>()?;
    // Whoever was asked by unicast may leave the option out (RFC 4861 §4.4).
    let named = options.strip_prefix(&[TARGET_LINK_ADDRESS, 1]);
    let named = named.and_then(|it| it.first_chunk::<6>()).copied();
    Some(((*target).into(), named.map_or(message.from.mac, Mac)))
}

/// The question of duplicate address detection (RFC 4862 §5.4.2): does anybody have this address?
pub fn probe(address: Ipv6Addr, mac: Mac) -> Vec<u8> {
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(&address.octets());
    let from = End {
        mac,
        address: Ipv6Addr::UNSPECIFIED,
    };
    frame(from, group(solicited_node_group(address)), message)
}

/// The group that solicitations for an address are sent to (RFC 4291 §2.7.1).
pub fn solicited_node_group(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (high & 0xff), low)
}

/// A group, by the Ethernet address of its last bytes (RFC 2464 §7).
fn group(address: Ipv6Addr) -> End {
    let [.., a, b, c, d] = address.octets();
    End {
        mac: Mac([0x33, 0x33, a, b, c, d]),
        address,
    }
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

    #[test]
    fn solicitation_goes_to_the_group_or_to_the_one_who_is_known() {
        let own = End {
            mac: MAC,
            address: Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 1, 1),
        };
        let group: Ipv6Addr = "ff02::1:ff12:3456".parse().expect("an address");
        let to_all = solicitation(own, None, VIP);
        let message = parse(&to_all, own.address, group);
        assert_eq!(message.get(8..24), Some(VIP.octets().as_slice()));
        assert_eq!(
            message.get(24..),
            Some([1, 1, 2, 0, 0, 0, 0, 0x10].as_slice())
        );
        let known = Mac([2, 0, 0, 0, 0, 1]);
        let to_one = solicitation(own, Some(known), VIP);
        parse(&to_one, own.address, VIP);
        assert_eq!(to_one.get(..6), Some(known.0.as_slice()));
    }

    #[test]
    fn advertisements_are_read_and_nothing_else_is() {
        let whole = unsolicited_advertisement(VIP, MAC);
        assert_eq!(advertisement(&whole), Some((VIP, MAC)));
        assert_eq!(advertisement(&probe(VIP, MAC)), None);
        for length in 0..whole.len() {
            assert_eq!(advertisement(&whole[..length]), None);
        }
        let mut routed = whole;
        routed[21] = 254;
        assert_eq!(advertisement(&routed), None, "it came through a router");
    }

    #[test]
    fn advertisement_without_an_option_comes_from_its_sender() {
        let from = End {
            mac: MAC,
            address: VIP,
        };
        let mut message = vec![ADVERTISEMENT, 0, 0, 0, 0x60, 0, 0, 0];
        message.extend(VIP.octets());
        let bare = frame(from, from, message);
        assert_eq!(advertisement(&bare), Some((VIP, MAC)));
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
