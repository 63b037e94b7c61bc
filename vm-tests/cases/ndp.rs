//! Gate 1 for IPv6: answered, guarded, left alone. RFC 4861, RFC 4862.

use std::net::Ipv6Addr;

use gateway_l4::Counter;
use gateway_vm_tests::packet::{Ethernet, Neighbour, cut, eth, patched};

use crate::bench::{ANNOUNCED, C6, CLIENT, Case, EXPIRED6, FREE6, HOST6, NODE, OTHER, VIP6, case};

const NOBODY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// Questions about an address that this node owns.
pub(crate) fn owned() -> Vec<Case> {
    [answered(), probed(), dressed(), refused()]
        .into_iter()
        .flatten()
        .collect()
}

fn answered() -> Vec<Case> {
    vec![
        case(
            "a solicitation is answered to its link-layer address",
            to_group(VIP6).source_mac(CLIENT).build(),
        )
        .becomes(Counter::NdpAnswered, advertised(eth(ANNOUNCED, CLIENT))),
        case(
            "one without link-layer address is answered to its sender",
            to_group(VIP6).build(),
        )
        .becomes(Counter::NdpAnswered, advertised(eth(ANNOUNCED, CLIENT))),
        case(
            "the link-layer address in the option comes before the frame's",
            eth(OTHER, group_mac(VIP6))
                .ipv6(C6, group(VIP6))
                .solicitation(VIP6)
                .source_mac(CLIENT)
                .build(),
        )
        .becomes(Counter::NdpAnswered, advertised(eth(ANNOUNCED, CLIENT))),
        case(
            "a unicast solicitation is answered",
            eth(CLIENT, NODE)
                .ipv6(C6, VIP6)
                .solicitation(VIP6)
                .source_mac(CLIENT)
                .build(),
        )
        .becomes(Counter::NdpAnswered, advertised(eth(ANNOUNCED, CLIENT))),
        case(
            "a unicast solicitation without link-layer address is answered",
            eth(CLIENT, NODE).ipv6(C6, VIP6).solicitation(VIP6).build(),
        )
        .becomes(Counter::NdpAnswered, advertised(eth(ANNOUNCED, CLIENT))),
    ]
}

fn probed() -> Vec<Case> {
    let probe = || {
        eth(CLIENT, group_mac(VIP6))
            .ipv6(NOBODY, group(VIP6))
            .solicitation(VIP6)
    };
    let defence = || {
        eth(ANNOUNCED, ALL_NODES_MAC)
            .ipv6(VIP6, ALL_NODES)
            .advertisement(VIP6, OVERRIDE)
            .target_mac(ANNOUNCED)
            .build()
    };
    vec![
        case("a probe is answered to everybody", probe().build())
            .becomes(Counter::NdpAnswered, defence()),
        case(
            "a probe with a nonce as well",
            probe().option(14, &[1, 2, 3, 4, 5, 6]).build(),
        )
        .becomes(Counter::NdpAnswered, defence()),
        case(
            "a probe that names a link-layer address is none",
            probe().source_mac(CLIENT).build(),
        )
        .stays(Counter::NdpMalformed),
        case(
            "a probe that is not for the address's group is none",
            eth(CLIENT, NODE)
                .ipv6(NOBODY, VIP6)
                .solicitation(VIP6)
                .build(),
        )
        .stays(Counter::NdpMalformed),
        case(
            "this node's own probe, flooded back, is no conflict",
            eth(ANNOUNCED, group_mac(VIP6))
                .ipv6(NOBODY, group(VIP6))
                .solicitation(VIP6)
                .build(),
        )
        .stays(Counter::NeighbourEcho),
    ]
}

fn dressed() -> Vec<Case> {
    let tagged = |ethernet: Ethernet| ethernet.vlan(42);
    let twice = |ethernet: Ethernet| ethernet.vlan(42).vlan(7);
    let ask = |ethernet: Ethernet| {
        let message = ethernet.ipv6(C6, group(VIP6)).solicitation(VIP6);
        message.source_mac(CLIENT).build()
    };
    let from = || eth(CLIENT, group_mac(VIP6));
    vec![
        case(
            "a tagged solicitation is answered under its tag",
            ask(tagged(from())),
        )
        .becomes(
            Counter::NdpAnswered,
            advertised(tagged(eth(ANNOUNCED, CLIENT))),
        ),
        case("a doubly tagged one under both", ask(twice(from()))).becomes(
            Counter::NdpAnswered,
            advertised(twice(eth(ANNOUNCED, CLIENT))),
        ),
        case(
            "a tagged one that grows keeps its tag",
            tagged(from())
                .ipv6(C6, group(VIP6))
                .solicitation(VIP6)
                .build(),
        )
        .becomes(
            Counter::NdpAnswered,
            advertised(tagged(eth(ANNOUNCED, CLIENT))),
        ),
        case(
            "an option that is not known is skipped",
            to_group(VIP6)
                .option(200, &[9; 14])
                .source_mac(CLIENT)
                .build(),
        )
        .becomes(Counter::NdpAnswered, advertised(eth(ANNOUNCED, CLIENT))),
        case(
            "as many options as are looked at",
            to_group(VIP6)
                .option(200, &[9; 54])
                .source_mac(CLIENT)
                .build(),
        )
        .becomes(Counter::NdpAnswered, advertised(eth(ANNOUNCED, CLIENT))),
        case(
            "behind an extension header",
            eth(CLIENT, group_mac(VIP6))
                .ipv6(C6, group(VIP6))
                .extension(60, &[1, 4, 0, 0, 0, 0])
                .solicitation(VIP6)
                .source_mac(CLIENT)
                .build(),
        )
        .becomes(Counter::NdpAnswered, advertised(eth(ANNOUNCED, CLIENT))),
        case(
            "bytes behind the packet are cut off",
            [ask(from()), vec![0xaa; 12]].concat(),
        )
        .becomes(Counter::NdpAnswered, advertised(eth(ANNOUNCED, CLIENT))),
    ]
}

fn refused() -> Vec<Case> {
    let say = |from, flags| {
        eth(from, ALL_NODES_MAC)
            .ipv6(VIP6, ALL_NODES)
            .advertisement(VIP6, flags)
    };
    vec![
        case(
            "a solicitation flooded past another machine is not for us",
            eth(CLIENT, OTHER).ipv6(C6, VIP6).solicitation(VIP6).build(),
        )
        .stays(Counter::NotOurs),
        case(
            "a foreign advertisement is a conflict",
            say(OTHER, OVERRIDE).target_mac(OTHER).build(),
        )
        .stays(Counter::NdpConflict),
        case(
            "a foreign advertisement without link-layer address as well",
            say(OTHER, OVERRIDE).build(),
        )
        .stays(Counter::NdpConflict),
        case(
            "a foreign advertisement to this node as well",
            eth(OTHER, NODE)
                .ipv6(VIP6, HOST6)
                .advertisement(VIP6, SOLICITED)
                .target_mac(OTHER)
                .build(),
        )
        .stays(Counter::NdpConflict),
        case(
            "this node's own advertisement, flooded back, is none",
            say(ANNOUNCED, OVERRIDE).target_mac(ANNOUNCED).build(),
        )
        .stays(Counter::NeighbourEcho),
        case(
            "a solicited advertisement to everybody is malformed",
            say(OTHER, SOLICITED).target_mac(OTHER).build(),
        )
        .stays(Counter::NdpMalformed),
    ]
}

/// Everything that the kernel must not see.
pub(crate) fn guarded() -> Vec<Case> {
    vec![
        case("a free pool address is nobody's", to_group(FREE6).build()).stays(Counter::NdpGuarded),
        case(
            "an expired permission is none",
            to_group(EXPIRED6).source_mac(CLIENT).build(),
        )
        .stays(Counter::NdpExpired),
        case(
            "a unicast solicitation is guarded as well",
            eth(CLIENT, NODE)
                .ipv6(C6, FREE6)
                .solicitation(FREE6)
                .build(),
        )
        .stays(Counter::NdpGuarded),
        case(
            "a tagged one too",
            eth(CLIENT, group_mac(FREE6))
                .vlan(42)
                .ipv6(C6, group(FREE6))
                .solicitation(FREE6)
                .build(),
        )
        .stays(Counter::NdpGuarded),
        case(
            "a probe for a free address is guarded",
            eth(CLIENT, group_mac(FREE6))
                .ipv6(NOBODY, group(FREE6))
                .solicitation(FREE6)
                .build(),
        )
        .stays(Counter::NdpGuarded),
        case(
            "a solicitation behind more extension headers than are read",
            (0..5)
                .fold(
                    eth(CLIENT, group_mac(FREE6)).ipv6(C6, group(FREE6)),
                    |ip, _| ip.extension(60, &[1, 4, 0, 0, 0, 0]),
                )
                .solicitation(FREE6)
                .build(),
        )
        .stays(Counter::Extensions),
    ]
}

/// What the kernel needs for its own resolution.
pub(crate) fn passed() -> Vec<Case> {
    let mapped = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0xc0a8, 0x02c8);
    vec![
        case(
            "the advertisement that this node waits for passes",
            eth(OTHER, NODE)
                .ipv6(FREE6, HOST6)
                .advertisement(FREE6, SOLICITED | OVERRIDE)
                .target_mac(OTHER)
                .build(),
        )
        .stays(Counter::NeighbourOther),
        case(
            "the advertisement of a later owner is no conflict",
            eth(OTHER, ALL_NODES_MAC)
                .ipv6(EXPIRED6, ALL_NODES)
                .advertisement(EXPIRED6, OVERRIDE)
                .target_mac(OTHER)
                .build(),
        )
        .stays(Counter::NeighbourOther),
        case(
            "a solicitation for the node itself passes",
            to_group(HOST6).build(),
        )
        .stays(Counter::NeighbourOther),
        case(
            "an IPv4 VIP in IPv6 is no pool address",
            to_group(mapped).build(),
        )
        .stays(Counter::NeighbourOther),
        case(
            "a router solicitation passes",
            eth(CLIENT, ALL_NODES_MAC)
                .ipv6(C6, ALL_NODES)
                .hop_limit(255)
                .icmp(133, 0, &[0; 4]),
        )
        .stays(Counter::NoVip),
    ]
}

/// Neighbour discovery that is none (RFC 4861 §7.1).
pub(crate) fn malformed() -> Vec<Case> {
    let ask = || to_group(VIP6);
    let valid = || ask().source_mac(CLIENT).build();
    vec![
        case("one that a router forwarded", ask().hop_limit(254).build())
            .stays(Counter::NdpMalformed),
        case("a code", ask().code(1).build()).stays(Counter::NdpMalformed),
        case("a wrong checksum", patched(valid(), 14 + 42, &[0xbe, 0xef]))
            .stays(Counter::NdpMalformed),
        case(
            "a changed link-layer address under the old checksum",
            patched(valid(), 14 + 40 + 26, &OTHER),
        )
        .stays(Counter::NdpMalformed),
        case(
            "an option without length",
            ask().bytes(&[1, 0, 0, 0, 0, 0, 0, 0]).build(),
        )
        .stays(Counter::NdpMalformed),
        case(
            "an option over the end",
            ask().bytes(&[1, 2, 0, 0, 0, 0, 0, 0]).build(),
        )
        .stays(Counter::NdpMalformed),
        case(
            "a link-layer address of two units",
            ask().option(1, &[2; 14]).build(),
        )
        .stays(Counter::NdpMalformed),
        case("half an option", ask().bytes(&[1, 1, 2, 0]).build()).stays(Counter::NdpMalformed),
        case(
            "a group as link-layer address",
            ask().source_mac(ALL_NODES_MAC).build(),
        )
        .stays(Counter::NdpMalformed),
        case(
            "nobody as link-layer address",
            ask().source_mac([0; 6]).build(),
        )
        .stays(Counter::NdpMalformed),
        case(
            "more options than are looked at",
            ask().option(200, &[9; 70]).build(),
        )
        .stays(Counter::NdpMalformed),
        case(
            "a malformed one about another address passes",
            to_group(HOST6).hop_limit(1).build(),
        )
        .stays(Counter::NeighbourOther),
        case("one that is cut off", cut(valid(), 14 + 40 + 20)).stays(Counter::TooShort),
        case(
            "one without a target",
            eth(CLIENT, NODE)
                .ipv6(C6, VIP6)
                .hop_limit(255)
                .icmp(135, 0, &[0; 4]),
        )
        .stays(Counter::TooShort),
    ]
}

/// A solicitation to the target's group.
fn to_group(target: Ipv6Addr) -> Neighbour {
    eth(CLIENT, group_mac(target))
        .ipv6(C6, group(target))
        .solicitation(target)
}

/// What the client must hear.
fn advertised(ethernet: Ethernet) -> Vec<u8> {
    ethernet
        .ipv6(VIP6, C6)
        .advertisement(VIP6, SOLICITED | OVERRIDE)
        .target_mac(ANNOUNCED)
        .build()
}

fn group(target: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = target.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high & 0xff, low)
}

fn group_mac(target: Ipv6Addr) -> [u8; 6] {
    let [.., a, b, c] = target.octets();
    [0x33, 0x33, 0xff, a, b, c]
}
