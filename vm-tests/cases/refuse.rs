//! A VIP's port without a listener, and what is wrong in itself: answered as a host would, or dropped; never passed.

use gateway_l4::Counter;
use gateway_vm_tests::packet::{ACK, FIN, Ipv4, PSH, RST, SYN, cut, eth, patched};

use crate::bench::{BROADCAST, C, CLIENT, Case, EXPIRED, FREE, HOST, NODE, OTHER, TWIN, VIP, case};

fn ask() -> Ipv4 {
    eth(CLIENT, NODE).ipv4(C, VIP)
}

fn answer() -> Ipv4 {
    eth(NODE, CLIENT).ipv4(VIP, C)
}

/// TCP to a port without listener: RFC 9293 §3.10.7.1.
pub(crate) fn tcp() -> Vec<Case> {
    let syn = || ask().tcp(4000, 22, SYN).numbers(1000, 0).window(65535);
    vec![
        case("a SYN is reset", syn().build()).becomes(
            Counter::RefusedTcp,
            answer().tcp(22, 4000, RST | ACK).numbers(0, 1001).build(),
        ),
        case(
            "a tagged SYN is reset under its tag",
            eth(CLIENT, NODE)
                .vlan(42)
                .ipv4(C, VIP)
                .tcp(4000, 22, SYN)
                .numbers(1000, 0)
                .build(),
        )
        .becomes(
            Counter::RefusedTcp,
            eth(NODE, CLIENT)
                .vlan(42)
                .ipv4(VIP, C)
                .tcp(22, 4000, RST | ACK)
                .numbers(0, 1001)
                .build(),
        ),
        case(
            "a SYN with data is reset behind its data",
            syn().data(b"hello"),
        )
        .becomes(
            Counter::RefusedTcp,
            answer().tcp(22, 4000, RST | ACK).numbers(0, 1006).build(),
        ),
        case(
            "an acknowledgement is reset at its number",
            ask()
                .tcp(4000, 22, ACK | PSH)
                .numbers(7, 5555)
                .data(b"data"),
        )
        .becomes(
            Counter::RefusedTcp,
            answer().tcp(22, 4000, RST).numbers(5555, 0).build(),
        ),
        case(
            "a FIN counts as one",
            ask().tcp(4000, 22, FIN).numbers(u32::MAX, 0).build(),
        )
        .becomes(
            Counter::RefusedTcp,
            answer().tcp(22, 4000, RST | ACK).numbers(0, 0).build(),
        ),
    ]
}

/// TCP that must not be answered (RFC 1122 §3.2.2), and TCP to a service that serves nothing.
pub(crate) fn tcp_without_answer() -> Vec<Case> {
    vec![
        case(
            "a reset is never answered",
            ask().tcp(4000, 22, RST).build(),
        )
        .stays(Counter::RefusedSilently),
        case(
            "a group is never answered",
            eth(CLIENT, BROADCAST)
                .ipv4(C, VIP)
                .tcp(4000, 22, SYN)
                .build(),
        )
        .stays(Counter::RefusedSilently),
        case(
            "a source that is a group is never answered",
            eth(CLIENT, NODE)
                .ipv4([224, 0, 0, 1], VIP)
                .tcp(4000, 22, SYN)
                .build(),
        )
        .stays(Counter::RefusedSilently),
        case(
            "the VIP as its own source is never answered",
            eth(CLIENT, NODE).ipv4(VIP, VIP).tcp(4000, 22, SYN).build(),
        )
        .stays(Counter::RefusedSilently),
        case(
            "options are not reflected",
            ask().options(&[7, 3, 4, 0]).tcp(4000, 22, SYN).build(),
        )
        .stays(Counter::RefusedSilently),
        case(
            "a service without endpoints resets",
            ask().tcp(4000, 81, SYN).numbers(1, 0).build(),
        )
        .becomes(
            Counter::NoBackendTcp,
            answer().tcp(81, 4000, RST | ACK).numbers(0, 2).build(),
        ),
        case(
            "TCP to a UDP service is refused",
            ask().tcp(4000, 53, SYN).numbers(1, 0).build(),
        )
        .becomes(
            Counter::RefusedTcp,
            answer().tcp(53, 4000, RST | ACK).numbers(0, 2).build(),
        ),
    ]
}

/// UDP and everything else to a VIP.
pub(crate) fn others() -> Vec<Case> {
    let datagram = ask().udp(4000, 9, b"is anybody there?");
    let quoted = |frame: &[u8]| frame.iter().skip(14).take(28).copied().collect::<Vec<u8>>();
    vec![
        case("a datagram's port is unreachable", datagram.clone()).becomes(
            Counter::RefusedUdp,
            answer().icmp(3, 3, &[vec![0; 4], quoted(&datagram)].concat()),
        ),
        case("an empty datagram's too", ask().udp(4000, 9, b"")).becomes(
            Counter::RefusedUdp,
            answer().icmp(
                3,
                3,
                &[vec![0; 4], quoted(&ask().udp(4000, 9, b""))].concat(),
            ),
        ),
        case(
            "a broadcast datagram is never answered",
            eth(CLIENT, BROADCAST).ipv4(C, VIP).udp(4000, 9, b"x"),
        )
        .stays(Counter::RefusedSilently),
        case(
            "a UDP service without endpoints is silent",
            ask().udp(4000, 81, b"x"),
        )
        .stays(Counter::NoBackendUdp),
        case(
            "an echo request is answered",
            ask().ttl(3).icmp(8, 0, b"\x12\x34\x00\x01abcdefgh"),
        )
        .becomes(
            Counter::EchoAnswered,
            answer().icmp(0, 0, b"\x12\x34\x00\x01abcdefgh"),
        ),
        case(
            "an echo request to an address that this node lost is not",
            eth(CLIENT, NODE)
                .ipv4(C, EXPIRED)
                .icmp(8, 0, b"\x12\x34\x00\x01abcdefgh"),
        )
        .stays(Counter::IcmpOther),
        case(
            "nor is one to an address that it never had",
            eth(CLIENT, NODE)
                .ipv4(C, TWIN)
                .icmp(8, 0, b"\x12\x34\x00\x01abcdefgh"),
        )
        .stays(Counter::IcmpOther),
        case("other ICMP is not", ask().icmp(13, 0, &[0; 16])).stays(Counter::IcmpOther),
        case(
            "an ICMP error ends here for now",
            ask().icmp(3, 4, &[0; 32]),
        )
        .stays(Counter::IcmpOther),
        case("SCTP can have no listener", ask().raw(132, &[0; 12])).stays(Counter::OtherProtocol),
        case(
            "a first fragment",
            ask().fragment(9, 0x2000).udp(4000, 53, &[0; 64]),
        )
        .stays(Counter::Fragment),
        case(
            "a later fragment",
            ask().fragment(9, 0x0008).raw(17, &[0; 64]),
        )
        .stays(Counter::Fragment),
        case(
            "a fragment with don't-fragment set",
            ask().fragment(9, 0x6000).raw(17, &[0; 64]),
        )
        .stays(Counter::Fragment),
    ]
}

/// Headers cut off or contradicting themselves.
pub(crate) fn malformed() -> Vec<Case> {
    let tcp = || ask().tcp(4000, 80, SYN).build();
    let udp = || ask().udp(4000, 53, b"question");
    vec![
        case(
            "no room for a tag",
            cut(eth(CLIENT, NODE).vlan(1).raw(0x0800, &[]), 16),
        )
        .stays(Counter::TooShort),
        case(
            "no room for the length that IPv4 claims",
            cut(tcp(), 14 + 39),
        )
        .stays(Counter::Truncated),
        case("no room for a TCP header", ask().raw(6, &[0; 19])).stays(Counter::Truncated),
        case("no room for a UDP header", ask().raw(17, &[0; 7])).stays(Counter::Truncated),
        case("no room for an ICMP header", ask().raw(1, &[8])).stays(Counter::Truncated),
        case("an IPv4 header of 16 bytes", patched(tcp(), 14, &[0x44])).stays(Counter::Malformed),
        case(
            "an IPv4 header longer than the packet",
            patched(tcp(), 14, &[0x4f]),
        )
        .stays(Counter::Malformed),
        case(
            "version 6 under the type of version 4",
            patched(tcp(), 14, &[0x65]),
        )
        .stays(Counter::Malformed),
        case(
            "a total length below the header's",
            patched(tcp(), 16, &[0, 19]),
        )
        .stays(Counter::Malformed),
        case(
            "a TCP header of 16 bytes",
            patched(tcp(), 14 + 20 + 12, &[0x40]),
        )
        .stays(Counter::Malformed),
        case(
            "TCP options beyond the packet",
            patched(tcp(), 14 + 20 + 12, &[0x60]),
        )
        .stays(Counter::Truncated),
        case(
            "a UDP length below its header's",
            patched(udp(), 14 + 20 + 4, &[0, 7]),
        )
        .stays(Counter::Malformed),
        case(
            "a UDP length beyond the packet",
            patched(udp(), 14 + 20 + 4, &[0, 17]),
        )
        .stays(Counter::Truncated),
    ]
}

/// What the kernel's trial runs take for XDP only.
pub(crate) fn stumps() -> Vec<Case> {
    let stump = cut(ask().tcp(4000, 80, SYN).build(), 14 + 19);
    vec![case("no room for an IPv4 header", stump).stays(Counter::TooShort)]
}

/// What is none of our business.
pub(crate) fn foreign() -> Vec<Case> {
    vec![
        case(
            "TCP to the node passes",
            eth(CLIENT, NODE).ipv4(C, HOST).tcp(4000, 22, SYN).build(),
        )
        .stays(Counter::NoVip),
        case(
            "a free pool address is no VIP",
            eth(CLIENT, NODE).ipv4(C, FREE).tcp(4000, 22, SYN).build(),
        )
        .stays(Counter::NoVip),
        case(
            "a VIP's packet flooded past another machine",
            eth(CLIENT, OTHER).ipv4(C, VIP).tcp(4000, 80, SYN).build(),
        )
        .stays(Counter::NotOurs),
        case(
            "a fragment to the node passes",
            eth(CLIENT, NODE)
                .ipv4(C, HOST)
                .fragment(1, 0x2000)
                .raw(17, &[0; 32]),
        )
        .stays(Counter::NoVip),
        case(
            "a malformed packet to the node passes",
            patched(
                eth(CLIENT, NODE).ipv4(C, HOST).raw(17, &[0; 8]),
                14,
                &[0x44],
            ),
        )
        .stays(Counter::NoVip),
        case(
            "TCP to an address with a VIP's end passes",
            lookalike().tcp(4000, 80, SYN).build(),
        )
        .stays(Counter::NoVip),
        case("a datagram to it passes", lookalike().udp(4000, 53, b"x")).stays(Counter::NoVip),
        case(
            "an echo request to it passes",
            lookalike().icmp(8, 0, &[0; 8]),
        )
        .stays(Counter::NoVip),
        case(
            "a fragment to it passes",
            lookalike().fragment(1, 0x2000).raw(17, &[0; 32]),
        )
        .stays(Counter::NoVip),
        case(
            "a malformed packet to it passes",
            patched(lookalike().raw(17, &[0; 8]), 14, &[0x44]),
        )
        .stays(Counter::NoVip),
        case(
            "three tags are not looked behind",
            eth(CLIENT, NODE)
                .vlan(1)
                .vlan(2)
                .vlan(3)
                .ipv4(C, VIP)
                .udp(1, 53, b""),
        )
        .stays(Counter::NoVip),
        case(
            "an unknown type passes",
            eth(CLIENT, NODE).raw(0x88cc, &[0; 46]),
        )
        .stays(Counter::NoVip),
    ]
}

/// A packet to an address that the sieve cannot tell from a VIP.
fn lookalike() -> Ipv4 {
    let [_, _, third, last] = VIP.octets();
    eth(CLIENT, NODE).ipv4(C, [10, 9, third, last])
}
