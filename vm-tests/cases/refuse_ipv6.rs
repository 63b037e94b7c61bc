//! The same as in `refuse` for IPv6: answered as a host would, or dropped; never passed.

use std::net::Ipv6Addr;

use gateway_l4::Counter;
use gateway_vm_tests::packet::{ACK, FIN, Ipv6, PSH, RST, SYN, cut, eth, patched};

use crate::bench::{
    BROADCAST, C6, CLIENT, Case, EXPIRED6, FREE6, HOST6, NODE, OTHER, TWIN6, VIP, VIP6, case,
};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const OPTIONS: u8 = 60;
/// Padding of an extension header of 8 bytes.
const PADDING: [u8; 6] = [1, 4, 0, 0, 0, 0];

fn ask() -> Ipv6 {
    eth(CLIENT, NODE).ipv6(C6, VIP6)
}

fn answer() -> Ipv6 {
    eth(NODE, CLIENT).ipv6(VIP6, C6)
}

/// TCP to a port without listener: RFC 9293 §3.10.7.1.
pub(crate) fn tcp() -> Vec<Case> {
    let syn = || ask().tcp(4000, 22, SYN).numbers(1000, 0).window(65535);
    let reset = |next| answer().tcp(22, 4000, RST | ACK).numbers(0, next).build();
    vec![
        case("a SYN is reset", syn().build()).becomes(Counter::RefusedTcp, reset(1001)),
        case(
            "a tagged SYN is reset under its tag",
            eth(CLIENT, NODE)
                .vlan(42)
                .ipv6(C6, VIP6)
                .tcp(4000, 22, SYN)
                .numbers(1000, 0)
                .build(),
        )
        .becomes(
            Counter::RefusedTcp,
            eth(NODE, CLIENT)
                .vlan(42)
                .ipv6(VIP6, C6)
                .tcp(22, 4000, RST | ACK)
                .numbers(0, 1001)
                .build(),
        ),
        case(
            "a SYN with data is reset behind its data",
            syn().data(b"hello"),
        )
        .becomes(Counter::RefusedTcp, reset(1006)),
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
        .becomes(Counter::RefusedTcp, reset(0)),
        case(
            "extension headers are left out of the reset",
            ask()
                .extension(OPTIONS, &PADDING)
                .tcp(4000, 22, SYN)
                .numbers(1000, 0)
                .build(),
        )
        .becomes(Counter::RefusedTcp, reset(1001)),
    ]
}

/// TCP that must not be answered (RFC 4443 §2.4), and TCP to a service that serves nothing.
pub(crate) fn tcp_without_answer() -> Vec<Case> {
    let from = |source: Ipv6Addr| {
        let ip = eth(CLIENT, NODE).ipv6(source, VIP6);
        ip.tcp(4000, 22, SYN).build()
    };
    vec![
        case(
            "a reset is never answered",
            ask().tcp(4000, 22, RST).build(),
        )
        .stays(Counter::RefusedSilently),
        case(
            "a group is never answered",
            eth(CLIENT, BROADCAST)
                .ipv6(C6, VIP6)
                .tcp(4000, 22, SYN)
                .build(),
        )
        .stays(Counter::RefusedSilently),
        case("nobody is never answered", from(Ipv6Addr::UNSPECIFIED))
            .stays(Counter::RefusedSilently),
        case("loopback is never answered", from(Ipv6Addr::LOCALHOST))
            .stays(Counter::RefusedSilently),
        case("the VIP as its own source is never answered", from(VIP6))
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

/// UDP to a port without listener: RFC 4443 §3.1, with as much of the datagram as fits into 1280 bytes.
pub(crate) fn datagrams() -> Vec<Case> {
    let refused = |name, datagram: Vec<u8>| {
        let quoted = datagram.iter().skip(14).take(1280 - 48).copied();
        let rest: Vec<u8> = [0; 4].into_iter().chain(quoted).collect();
        case(name, datagram).becomes(Counter::RefusedUdp, answer().icmp(1, 4, &rest))
    };
    let sized = |bytes| ask().udp(4000, 9, &vec![0xa5; bytes]);
    let padded = ask().udp(4000, 9, b"short");
    let rest = [&[0; 4], padded.get(14..).unwrap_or_default()].concat();
    let padded = case(
        "what pads the frame is not quoted",
        [padded, vec![0xee; 11]].concat(),
    )
    .becomes(Counter::RefusedUdp, answer().icmp(1, 4, &rest));
    vec![
        refused("a datagram's port is unreachable", sized(17)),
        refused("an empty datagram's too", sized(0)),
        refused("one that fills its quotation", sized(1280 - 48 - 48)),
        refused("one that is a byte longer", sized(1280 - 48 - 48 + 1)),
        refused("a full frame", sized(1500 - 48)),
        refused(
            "one behind extension headers",
            ask()
                .extension(OPTIONS, &PADDING)
                .udp(4000, 9, b"is anybody there?"),
        ),
        padded,
        case(
            "a broadcast datagram is never answered",
            eth(CLIENT, BROADCAST).ipv6(C6, VIP6).udp(4000, 9, b"x"),
        )
        .stays(Counter::RefusedSilently),
        case(
            "a UDP service without endpoints is silent",
            ask().udp(4000, 81, b"x"),
        )
        .stays(Counter::NoBackendUdp),
    ]
}

/// What the kernel's trial runs take for XDP only: at tc its own code has taken the tag off before.
pub(crate) fn tagged_datagrams() -> Vec<Case> {
    let asked = ask().udp(4000, 9, b"x").split_off(14);
    let input = eth(CLIENT, NODE).vlan(42).ipv6(C6, VIP6).udp(4000, 9, b"x");
    let output = eth(NODE, CLIENT).vlan(42).ipv6(VIP6, C6);
    let output = output.icmp(1, 4, &[vec![0; 4], asked].concat());
    vec![
        case("a tagged datagram is refused under its tag", input)
            .becomes(Counter::RefusedUdp, output),
    ]
}

/// Everything else to a VIP.
pub(crate) fn others() -> Vec<Case> {
    let echo = b"\x12\x34\x00\x01abcdefgh";
    let extended = |count| (0..count).fold(ask(), |ip, _| ip.extension(OPTIONS, &PADDING));
    vec![
        case(
            "an echo request is answered",
            ask().hop_limit(3).icmp(128, 0, echo),
        )
        .becomes(Counter::EchoAnswered, answer().icmp(129, 0, echo)),
        case(
            "an echo request to an address that this node lost is not",
            eth(CLIENT, NODE).ipv6(C6, EXPIRED6).icmp(128, 0, echo),
        )
        .stays(Counter::IcmpOther),
        case(
            "nor is one to an address that it never had",
            eth(CLIENT, NODE).ipv6(C6, TWIN6).icmp(128, 0, echo),
        )
        .stays(Counter::IcmpOther),
        case(
            "nor is one behind an extension header",
            ask().extension(HOP_BY_HOP, &PADDING).icmp(128, 0, echo),
        )
        .stays(Counter::IcmpOther),
        case("other ICMP is not", ask().icmp(130, 0, &[0; 20])).stays(Counter::IcmpOther),
        case(
            "an ICMP error ends here for now",
            ask().icmp(2, 0, &[0; 48]),
        )
        .stays(Counter::IcmpOther),
        case("SCTP can have no listener", ask().raw(132, &[0; 12])).stays(Counter::OtherProtocol),
        case("no next header", ask().raw(59, &[])).stays(Counter::OtherProtocol),
        case("ICMP of the other family", ask().raw(1, &[8, 0, 0, 0])).stays(Counter::OtherProtocol),
        case(
            "a source route that goes on",
            ask()
                .extension(ROUTING, &[0, 1, 0, 0, 0, 0])
                .tcp(4000, 80, SYN)
                .build(),
        )
        .stays(Counter::OtherProtocol),
        case(
            "more extension headers than are read",
            extended(5).tcp(4000, 80, SYN).build(),
        )
        .stays(Counter::Extensions),
        case(
            "longer ones than are read",
            ask()
                .extension(OPTIONS, &[0; 62])
                .tcp(4000, 80, SYN)
                .build(),
        )
        .stays(Counter::Extensions),
        case(
            "a first fragment",
            ask()
                .extension(FRAGMENT, &[0, 1, 0, 0, 0, 9])
                .udp(4000, 53, &[0; 64]),
        )
        .stays(Counter::Fragment),
        case(
            "a later fragment",
            ask()
                .extension(FRAGMENT, &[0, 8, 0, 0, 0, 9])
                .raw(17, &[0; 64]),
        )
        .stays(Counter::Fragment),
    ]
}

/// Headers cut off or contradicting themselves.
pub(crate) fn malformed() -> Vec<Case> {
    [malformed_network(), malformed_transport()].concat()
}

fn malformed_network() -> Vec<Case> {
    let tcp = || ask().tcp(4000, 80, SYN).build();
    let mapped = VIP.to_ipv6_mapped();
    vec![
        case(
            "no room for the length that IPv6 claims",
            cut(tcp(), 14 + 59),
        )
        .stays(Counter::Truncated),
        case("no room for an extension header", ask().raw(60, &[6, 0, 1]))
            .stays(Counter::Truncated),
        case(
            "an extension header longer than the packet",
            ask().raw(60, &[6, 1, 1, 4, 0, 0, 0, 0]),
        )
        .stays(Counter::Truncated),
        case(
            "version 4 under the type of version 6",
            patched(tcp(), 14, &[0x45]),
        )
        .stays(Counter::Malformed),
        case(
            "a group as source",
            eth(CLIENT, NODE)
                .ipv6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), VIP6)
                .tcp(4000, 80, SYN)
                .build(),
        )
        .stays(Counter::Malformed),
        case(
            "an IPv4 source in IPv6",
            eth(CLIENT, NODE)
                .ipv6(mapped, VIP6)
                .tcp(4000, 80, SYN)
                .build(),
        )
        .stays(Counter::Malformed),
        case(
            "an IPv4 VIP in IPv6",
            eth(CLIENT, NODE)
                .ipv6(C6, mapped)
                .tcp(4000, 80, SYN)
                .build(),
        )
        .stays(Counter::Malformed),
    ]
}

fn malformed_transport() -> Vec<Case> {
    let tcp = || ask().tcp(4000, 80, SYN).build();
    let udp = || ask().udp(4000, 53, b"question");
    vec![
        case("no room for a TCP header", ask().raw(6, &[0; 19])).stays(Counter::Truncated),
        case("no room for a UDP header", ask().raw(17, &[0; 7])).stays(Counter::Truncated),
        case("no room for an ICMP header", ask().raw(58, &[128])).stays(Counter::Truncated),
        case(
            "a TCP header of 16 bytes",
            patched(tcp(), 14 + 40 + 12, &[0x40]),
        )
        .stays(Counter::Malformed),
        case(
            "TCP options beyond the packet",
            patched(tcp(), 14 + 40 + 12, &[0x60]),
        )
        .stays(Counter::Truncated),
        case(
            "a UDP length below its header's",
            patched(udp(), 14 + 40 + 4, &[0, 7]),
        )
        .stays(Counter::Malformed),
        case(
            "a UDP length beyond the packet",
            patched(udp(), 14 + 40 + 4, &[0, 17]),
        )
        .stays(Counter::Truncated),
        case(
            "UDP without a checksum",
            patched(udp(), 14 + 40 + 6, &[0, 0]),
        )
        .stays(Counter::Malformed),
    ]
}

/// What is none of our business.
pub(crate) fn foreign() -> Vec<Case> {
    vec![
        case(
            "TCP to the node passes",
            eth(CLIENT, NODE).ipv6(C6, HOST6).tcp(4000, 22, SYN).build(),
        )
        .stays(Counter::NoVip),
        case(
            "an echo request to the node passes",
            eth(CLIENT, NODE).ipv6(C6, HOST6).icmp(128, 0, &[0; 8]),
        )
        .stays(Counter::NoVip),
        case(
            "a free pool address is no VIP",
            eth(CLIENT, NODE).ipv6(C6, FREE6).tcp(4000, 22, SYN).build(),
        )
        .stays(Counter::NoVip),
        case(
            "a VIP's packet flooded past another machine",
            eth(CLIENT, OTHER).ipv6(C6, VIP6).tcp(4000, 80, SYN).build(),
        )
        .stays(Counter::NotOurs),
        case(
            "a fragment to the node passes",
            eth(CLIENT, NODE)
                .ipv6(C6, HOST6)
                .extension(FRAGMENT, &[0, 1, 0, 0, 0, 9])
                .raw(17, &[0; 32]),
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
            lookalike().icmp(128, 0, &[0; 8]),
        )
        .stays(Counter::NoVip),
        case(
            "a fragment to it passes",
            lookalike()
                .extension(FRAGMENT, &[0, 1, 0, 0, 0, 9])
                .raw(17, &[0; 32]),
        )
        .stays(Counter::NoVip),
        case(
            "a malformed packet to it passes",
            patched(lookalike().raw(17, &[0; 8]), 14, &[0x45]),
        )
        .stays(Counter::NoVip),
    ]
}

/// A packet to an address that the sieve cannot tell from a VIP.
fn lookalike() -> Ipv6 {
    let [.., last] = VIP6.segments();
    eth(CLIENT, NODE).ipv6(C6, Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, last))
}
