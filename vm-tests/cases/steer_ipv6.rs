//! Gate 2 for IPv6: flows there and back, and what comes when its program is missing.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use gateway_ir::{Protocol, Snapshot};
use gateway_l4::{Counter, Program, Verdict};
use gateway_vm_tests::packet::{ACK, FIN, Ipv6, RST, SYN, eth};

use crate::bench::{
    C, C6, CLIENT, Case, NODE, POD6, TWIN6, VIP, VIP6, case, check_both_ways_in, service, snapshot,
    steered,
};
use crate::steer::each_way_in;

const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const OPTIONS: u8 = 60;
const PADDING: [u8; 6] = [1, 4, 0, 0, 0, 0];

fn ask(vip: Ipv6Addr) -> Ipv6 {
    eth(CLIENT, NODE).ipv6(C6, vip)
}

fn steered_to(pod: Ipv6Addr) -> Ipv6 {
    eth(CLIENT, NODE).ipv6(C6, pod)
}

fn connection() -> Vec<Case> {
    let step = |name, counter, port, flags| {
        case(
            name,
            ask(VIP6)
                .tcp(port, 80, flags)
                .numbers(2, 9)
                .data(b"odd length!"),
        )
        .becomes(
            counter,
            steered_to(POD6)
                .tcp(port, 8080, flags)
                .numbers(2, 9)
                .data(b"odd length!"),
        )
    };
    vec![
        step("the SYN", Counter::FlowNew, 4000, SYN),
        step("the SYN again", Counter::FlowNew, 4000, SYN),
        step("the ACK", Counter::FlowHit, 4000, ACK),
        step("data", Counter::FlowHit, 4000, ACK),
        step("the FIN", Counter::FlowHit, 4000, FIN | ACK),
        step("the same port again", Counter::FlowNew, 4000, SYN),
        step(
            "a connection that this node has not seen begin",
            Counter::FlowNew,
            4001,
            ACK,
        ),
    ]
}

fn wrapped() -> Vec<Case> {
    let dressed = |ip: Ipv6| {
        ip.extension(OPTIONS, &PADDING)
            .extension(ROUTING, &[0, 0, 0, 0, 0, 0])
            .extension(FRAGMENT, &[0, 0, 0, 0, 0, 9])
    };
    vec![
        case(
            "under two tags",
            eth(CLIENT, NODE)
                .vlan(42)
                .vlan(7)
                .ipv6(C6, VIP6)
                .tcp(4002, 80, SYN)
                .build(),
        )
        .becomes(
            Counter::FlowNew,
            eth(CLIENT, NODE)
                .vlan(42)
                .vlan(7)
                .ipv6(C6, POD6)
                .tcp(4002, 8080, SYN)
                .build(),
        ),
        case(
            "behind extension headers that are done with",
            dressed(ask(VIP6)).tcp(4003, 80, SYN).build(),
        )
        .becomes(
            Counter::FlowNew,
            dressed(steered_to(POD6)).tcp(4003, 8080, SYN).build(),
        ),
        case(
            "a datagram behind them",
            dressed(ask(VIP6)).udp(4003, 53, b"x"),
        )
        .becomes(
            Counter::FlowNew,
            dressed(steered_to(POD6)).udp(4003, 5353, b"x"),
        ),
        case(
            "an endpoint on another node",
            ask(VIP6).tcp(4005, 82, SYN).build(),
        )
        .stays(Counter::EndpointRemote),
        case("a port of gate 3", ask(VIP6).tcp(4006, 443, SYN).build()).stays(Counter::Proxied),
    ]
}

fn datagrams() -> Vec<Case> {
    let datagram = |name, counter, payload: &[u8]| {
        case(name, ask(VIP6).udp(4000, 53, payload))
            .becomes(counter, steered_to(POD6).udp(4000, 5353, payload))
    };
    vec![
        datagram("the first", Counter::FlowNew, b"question"),
        datagram("the second", Counter::FlowHit, b"question 2"),
        datagram("the third", Counter::FlowHit, b""),
    ]
}

#[test]
fn an_ipv6_connection_reaches_its_endpoint_with_right_checksums() {
    check_both_ways_in(
        "an_ipv6_connection_reaches_its_endpoint_with_right_checksums",
        &connection(),
    );
}

#[test]
fn tags_extension_headers_and_places_are_told_apart() {
    check_both_ways_in(
        "tags_extension_headers_and_places_are_told_apart",
        &wrapped(),
    );
}

#[test]
fn ipv6_datagrams_reach_their_endpoint_with_right_checksums() {
    check_both_ways_in(
        "ipv6_datagrams_reach_their_endpoint_with_right_checksums",
        &datagrams(),
    );
}

/// The sum that a rewrite leaves may be zero, which UDP has another form for.
#[test]
fn a_datagram_never_loses_its_checksum() {
    each_way_in("a_datagram_never_loses_its_checksum", |bench, program| {
        // Some payload of two bytes makes the sum come out as zero.
        let zero = (0..=u16::MAX)
            .map(u16::to_be_bytes)
            .find(|payload| {
                let frame = steered_to(POD6).udp(4000, 5353, payload);
                frame.get(14 + 40 + 6..14 + 40 + 8) == Some(&[0xff, 0xff])
            })
            .expect("one of all sums");
        bench.check(
            program,
            &case("to zero", ask(VIP6).udp(4000, 53, &zero))
                .becomes(Counter::FlowNew, steered_to(POD6).udp(4000, 5353, &zero)),
        );
    });
}

#[test]
fn ipv6_replies_leave_as_the_vip_from_the_first_packet_on() {
    each_way_in(
        "ipv6_replies_leave_as_the_vip_from_the_first_packet_on",
        |bench, program| {
            let back = || eth(NODE, CLIENT).ipv6(POD6, C6);
            let as_vip = || eth(NODE, CLIENT).ipv6(VIP6, C6);
            let none = case("before any flow", back().tcp(8080, 4000, SYN | ACK).build());
            bench.check(Program::Egress, &none.stays(Counter::ReplyNone));

            let _first = bench.run(program, &ask(VIP6).tcp(4000, 80, SYN).build());
            let _first = bench.run(program, &ask(VIP6).udp(4000, 53, b"?"));

            for case in [
                case(
                    "the SYN-ACK",
                    back().tcp(8080, 4000, SYN | ACK).numbers(8, 1).build(),
                )
                .becomes(
                    Counter::ReplyRewritten,
                    as_vip().tcp(80, 4000, SYN | ACK).numbers(8, 1).build(),
                ),
                case("a datagram", back().udp(5353, 4000, b"answer"))
                    .becomes(Counter::ReplyRewritten, as_vip().udp(53, 4000, b"answer")),
                case(
                    "to another port of the client",
                    back().tcp(8080, 4001, ACK).build(),
                )
                .stays(Counter::ReplyNone),
                case(
                    "a fragment",
                    back()
                        .extension(FRAGMENT, &[0, 1, 0, 0, 0, 9])
                        .udp(5353, 4000, b"frag"),
                )
                .stays(Counter::ReplyUnparsed),
                case("the node's own echo request", back().icmp(128, 0, &[0; 4]))
                    .stays(Counter::ReplyNone),
                case("one of SCTP", back().raw(132, &[0; 12])).stays(Counter::ReplyNone),
            ] {
                bench.check(Program::Egress, &case);
            }
        },
    );
}

#[test]
fn an_icmpv6_error_about_a_flow_is_counted_and_left_alone() {
    each_way_in(
        "an_icmpv6_error_about_a_flow_is_counted_and_left_alone",
        |bench, program| {
            let _settled = bench.run(program, &ask(VIP6).udp(4000, 53, b"?"));
            let (_verdict, delivered) = bench.run(program, &ask(VIP6).udp(4000, 53, b"?"));
            let quoted = [vec![0; 4], delivered[14..].to_vec()].concat();
            let error = eth(NODE, CLIENT).ipv6(POD6, C6).icmp(1, 4, &quoted);
            bench.check(
                Program::Egress,
                &case("port unreachable", error).stays(Counter::ReplyIcmpError),
            );

            let other = [vec![0; 4], ask(POD6).udp(4001, 5353, b"?")[14..].to_vec()].concat();
            let error = eth(NODE, CLIENT).ipv6(POD6, C6).icmp(1, 4, &other);
            bench.check(
                Program::Egress,
                &case("about another datagram", error).stays(Counter::ReplyNone),
            );
        },
    );
}

#[test]
fn an_ipv6_flow_of_an_endpoint_that_is_gone_is_reset() {
    each_way_in(
        "an_ipv6_flow_of_an_endpoint_that_is_gone_is_reset",
        |bench, program| {
            for flags in [SYN, ACK] {
                let (verdict, _frame) = bench.run(program, &ask(VIP6).tcp(4000, 80, flags).build());
                assert_eq!(verdict, Verdict::Pass);
            }
            let other = Ipv6Addr::new(0xfd00, 10, 1, 0, 0, 0, 0, 5);
            let target = steered(&[(other, 8080, "here")]);
            bench.apply(&Snapshot {
                services: vec![service(VIP6, 80, Protocol::Tcp, target)],
                ..snapshot()
            });

            let segment = ask(VIP6).tcp(4000, 80, ACK).numbers(5, 77).build();
            let reset = eth(NODE, CLIENT)
                .ipv6(VIP6, C6)
                .tcp(80, 4000, RST)
                .numbers(77, 0)
                .build();
            bench.check(
                program,
                &case("data", segment).becomes(Counter::EndpointGone, reset),
            );
        },
    );
}

#[test]
fn two_ipv6_vips_with_one_pod_never_take_each_others_flow() {
    each_way_in(
        "two_ipv6_vips_with_one_pod_never_take_each_others_flow",
        |bench, program| {
            let _first = bench.run(program, &ask(VIP6).tcp(4000, 80, SYN).build());
            let second = case(
                "the same client port through another VIP",
                ask(TWIN6).tcp(4000, 80, SYN).build(),
            );
            bench.check(program, &second.stays(Counter::FlowCollision));
        },
    );
}

#[test]
fn without_its_program_ipv6_to_a_vip_is_dropped_and_counted() {
    each_way_in(
        "without_its_program_ipv6_to_a_vip_is_dropped_and_counted",
        |bench, program| {
            let maps = bench.maps();
            for map in ["XDP_IPV6", "INGRESS_IPV6"] {
                std::fs::remove_file(maps.join(map)).expect("a pinned map");
            }
            let syn = ask(VIP6).tcp(4000, 80, SYN).build();
            // The kernel empties a map without a pin soon, not at once.
            let deadline = Instant::now() + Duration::from_secs(10);
            while bench.count(Counter::Ipv6Unserved) == 0 && Instant::now() < deadline {
                let _ignored = bench.run(program, &syn);
            }

            bench.check(program, &case("a SYN", syn).stays(Counter::Ipv6Unserved));
            let v4 = eth(CLIENT, NODE).ipv4(C, VIP).tcp(4000, 81, SYN).build();
            let (verdict, _reset) = bench.run(program, &v4);
            assert_eq!(verdict, Verdict::Reflect, "IPv4 goes on");
        },
    );
}
