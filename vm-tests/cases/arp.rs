//! Gate 1 for IPv4: answered, guarded, left alone. RFC 826, RFC 5227.

use std::net::Ipv4Addr;

use gateway_l4::Counter;
use gateway_vm_tests::packet::{cut, eth, patched};

use crate::bench::{
    ANNOUNCED, BROADCAST, C, CLIENT, Case, EXPIRED, FREE, HOST, NODE, OTHER, VIP, case,
};

const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// Questions about an address that this node owns.
pub(crate) fn owned() -> Vec<Case> {
    let ask = || eth(CLIENT, BROADCAST);
    let answer = || eth(ANNOUNCED, CLIENT);
    let reply = ((ANNOUNCED, VIP), (CLIENT, C));
    vec![
        case(
            "a broadcast request is answered",
            ask().arp_request((CLIENT, C), VIP),
        )
        .becomes(Counter::ArpAnswered, answer().arp_reply(reply.0, reply.1)),
        case(
            "a unicast request to this node is answered",
            eth(CLIENT, NODE).arp_request((CLIENT, C), VIP),
        )
        .becomes(Counter::ArpAnswered, answer().arp_reply(reply.0, reply.1)),
        case(
            "a probe is answered to its sender",
            ask().arp_request((CLIENT, NOBODY), VIP),
        )
        .becomes(
            Counter::ArpAnswered,
            answer().arp_reply((ANNOUNCED, VIP), (CLIENT, NOBODY)),
        ),
        case(
            "a tagged request is answered under its tag",
            ask().vlan(42).arp_request((CLIENT, C), VIP),
        )
        .becomes(
            Counter::ArpAnswered,
            answer().vlan(42).arp_reply(reply.0, reply.1),
        ),
        case(
            "a doubly tagged request is answered under both",
            ask().vlan(42).vlan(7).arp_request((CLIENT, C), VIP),
        )
        .becomes(
            Counter::ArpAnswered,
            answer().vlan(42).vlan(7).arp_reply(reply.0, reply.1),
        ),
        case(
            "padding stays padding",
            [ask().arp_request((CLIENT, C), VIP), vec![0; 18]].concat(),
        )
        .becomes(
            Counter::ArpAnswered,
            [answer().arp_reply(reply.0, reply.1), vec![0; 18]].concat(),
        ),
        case(
            "a request flooded past another machine is not for us",
            eth(CLIENT, OTHER).arp_request((CLIENT, C), VIP),
        )
        .stays(Counter::NotOurs),
    ]
}

/// Claims to an address that this node owns.
pub(crate) fn claimed() -> Vec<Case> {
    vec![
        case(
            "a foreign announcement is a conflict",
            eth(OTHER, BROADCAST).arp_request((OTHER, VIP), VIP),
        )
        .stays(Counter::ArpConflict),
        case(
            "a foreign gratuitous reply is a conflict",
            eth(OTHER, BROADCAST).arp_reply((OTHER, VIP), (BROADCAST, VIP)),
        )
        .stays(Counter::ArpConflict),
        case(
            "this node's own announcement, flooded back, is no conflict",
            eth(ANNOUNCED, BROADCAST).arp_request((ANNOUNCED, VIP), VIP),
        )
        .stays(Counter::NeighbourEcho),
        case(
            "nor is its own reply",
            eth(ANNOUNCED, BROADCAST).arp_reply((ANNOUNCED, VIP), (BROADCAST, VIP)),
        )
        .stays(Counter::NeighbourEcho),
        case(
            "nor is its own probe",
            eth(ANNOUNCED, BROADCAST).arp_request((ANNOUNCED, NOBODY), VIP),
        )
        .stays(Counter::NeighbourEcho),
        case(
            "a foreign reply to this node is a conflict",
            eth(OTHER, NODE).arp_reply((OTHER, VIP), (NODE, HOST)),
        )
        .stays(Counter::ArpConflict),
    ]
}

/// Everything that the kernel must not see, and what it must.
pub(crate) fn guarded() -> Vec<Case> {
    let ask = || eth(CLIENT, BROADCAST);
    vec![
        case(
            "a free pool address is nobody's",
            ask().arp_request((CLIENT, C), FREE),
        )
        .stays(Counter::ArpGuarded),
        case(
            "an expired permission is none",
            ask().arp_request((CLIENT, C), EXPIRED),
        )
        .stays(Counter::ArpExpired),
        case(
            "the announcement of a later owner is no conflict",
            eth(OTHER, BROADCAST).arp_request((OTHER, EXPIRED), EXPIRED),
        )
        .stays(Counter::ArpExpired),
        case(
            "a tagged request is guarded as well",
            ask().vlan(42).arp_request((CLIENT, C), FREE),
        )
        .stays(Counter::ArpGuarded),
        case(
            "a probe for a free address is guarded",
            ask().arp_request((CLIENT, NOBODY), FREE),
        )
        .stays(Counter::ArpGuarded),
        case(
            "an announcement of a free address ends here",
            eth(OTHER, BROADCAST).arp_request((OTHER, FREE), FREE),
        )
        .stays(Counter::ArpGuarded),
        case(
            "the reply that this node waits for passes",
            eth(OTHER, NODE).arp_reply((OTHER, FREE), (NODE, HOST)),
        )
        .stays(Counter::NeighbourOther),
        case(
            "a request for the node itself passes",
            ask().arp_request((CLIENT, C), HOST),
        )
        .stays(Counter::NeighbourOther),
        case(
            "the last address before the pool passes",
            ask().arp_request((CLIENT, C), Ipv4Addr::new(192, 168, 2, 199)),
        )
        .stays(Counter::NeighbourOther),
        case(
            "the first address behind the pool passes",
            ask().arp_request((CLIENT, C), Ipv4Addr::new(192, 168, 2, 251)),
        )
        .stays(Counter::NeighbourOther),
        case(
            "the last address of the pool does not",
            ask().arp_request((CLIENT, C), Ipv4Addr::new(192, 168, 2, 250)),
        )
        .stays(Counter::ArpGuarded),
    ]
}

/// ARP that is none.
pub(crate) fn malformed() -> Vec<Case> {
    let ask = || eth(CLIENT, BROADCAST);
    let valid = || ask().arp_request((CLIENT, C), VIP);
    vec![
        case("no Ethernet hardware type", patched(valid(), 14, &[0, 6]))
            .stays(Counter::ArpMalformed),
        case("no IPv4 protocol type", patched(valid(), 16, &[0x86, 0xdd]))
            .stays(Counter::ArpMalformed),
        case("a wrong hardware length", patched(valid(), 18, &[8])).stays(Counter::ArpMalformed),
        case("a wrong protocol length", patched(valid(), 19, &[16])).stays(Counter::ArpMalformed),
        case("an unknown operation", patched(valid(), 20, &[0, 9])).stays(Counter::ArpMalformed),
        case("a group as sender", ask().arp_request((BROADCAST, C), VIP))
            .stays(Counter::ArpMalformed),
        case("nobody as sender", ask().arp_request(([0; 6], C), VIP)).stays(Counter::ArpMalformed),
        case(
            "a malformed packet about another address passes",
            patched(ask().arp_request((CLIENT, C), HOST), 18, &[8]),
        )
        .stays(Counter::NeighbourOther),
        case("ARP that is cut off", cut(valid(), 14 + 27)).stays(Counter::TooShort),
    ]
}
