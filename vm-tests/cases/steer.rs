//! Gate 2: flows from their first packet to their last, through changes of the configuration, there and back.

use std::net::Ipv4Addr;

use gateway_ir::{Protocol, ServiceTarget, Snapshot};
use gateway_l4::{Counter, Program, Verdict};
use gateway_vm_tests::packet::{ACK, FIN, Ipv4, RST, SYN, eth};
use gateway_vm_tests::skips;

use crate::bench::{
    Bench, C, CLIENT, Case, NODE, POD, TWIN, VIP, case, check_both_ways_in, service, snapshot,
    steered,
};

pub(crate) const PODS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(10, 1, 0, 11),
    Ipv4Addr::new(10, 1, 0, 12),
    Ipv4Addr::new(10, 1, 0, 13),
    Ipv4Addr::new(10, 1, 0, 14),
];

fn ask(vip: Ipv4Addr) -> Ipv4 {
    eth(CLIENT, NODE).ipv4(C, vip)
}

fn steered_to(pod: Ipv4Addr) -> Ipv4 {
    eth(CLIENT, NODE).ipv4(C, pod)
}

fn connection() -> Vec<Case> {
    vec![
        case("the SYN", ask(VIP).tcp(4000, 80, SYN).numbers(1, 0).build()).becomes(
            Counter::FlowNew,
            steered_to(POD).tcp(4000, 8080, SYN).numbers(1, 0).build(),
        ),
        case(
            "the SYN again",
            ask(VIP).tcp(4000, 80, SYN).numbers(1, 0).build(),
        )
        .becomes(
            Counter::FlowNew,
            steered_to(POD).tcp(4000, 8080, SYN).numbers(1, 0).build(),
        ),
        case("the ACK", ask(VIP).tcp(4000, 80, ACK).numbers(2, 9).build()).becomes(
            Counter::FlowHit,
            steered_to(POD).tcp(4000, 8080, ACK).numbers(2, 9).build(),
        ),
        case(
            "data",
            ask(VIP)
                .tcp(4000, 80, ACK)
                .numbers(2, 9)
                .data(b"odd length!"),
        )
        .becomes(
            Counter::FlowHit,
            steered_to(POD)
                .tcp(4000, 8080, ACK)
                .numbers(2, 9)
                .data(b"odd length!"),
        ),
        case("the FIN", ask(VIP).tcp(4000, 80, FIN | ACK).build()).becomes(
            Counter::FlowHit,
            steered_to(POD).tcp(4000, 8080, FIN | ACK).build(),
        ),
        case("the same port again", ask(VIP).tcp(4000, 80, SYN).build()).becomes(
            Counter::FlowNew,
            steered_to(POD).tcp(4000, 8080, SYN).build(),
        ),
        case(
            "a connection that this node has not seen begin",
            ask(VIP).tcp(4001, 80, ACK).data(b"x"),
        )
        .becomes(
            Counter::FlowNew,
            steered_to(POD).tcp(4001, 8080, ACK).data(b"x"),
        ),
    ]
}

fn wrapped() -> Vec<Case> {
    vec![
        case(
            "under a tag",
            eth(CLIENT, NODE)
                .vlan(42)
                .ipv4(C, VIP)
                .tcp(4002, 80, SYN)
                .build(),
        )
        .becomes(
            Counter::FlowNew,
            eth(CLIENT, NODE)
                .vlan(42)
                .ipv4(C, POD)
                .tcp(4002, 8080, SYN)
                .build(),
        ),
        case(
            "behind IP options",
            ask(VIP).options(&[1, 1, 1, 0]).tcp(4003, 80, SYN).build(),
        )
        .becomes(
            Counter::FlowNew,
            steered_to(POD)
                .options(&[1, 1, 1, 0])
                .tcp(4003, 8080, SYN)
                .build(),
        ),
        case(
            "behind all the options that fit",
            ask(VIP).options(&[1; 40]).tcp(4004, 80, SYN).build(),
        )
        .becomes(
            Counter::FlowNew,
            steered_to(POD)
                .options(&[1; 40])
                .tcp(4004, 8080, SYN)
                .build(),
        ),
        case(
            "an endpoint on another node",
            ask(VIP).tcp(4005, 82, SYN).build(),
        )
        .stays(Counter::EndpointRemote),
        case("a port of gate 3", ask(VIP).tcp(4006, 443, SYN).build()).stays(Counter::Proxied),
    ]
}

fn datagrams() -> Vec<Case> {
    vec![
        case("the first", ask(VIP).udp(4000, 53, b"question")).becomes(
            Counter::FlowNew,
            steered_to(POD).udp(4000, 5353, b"question"),
        ),
        case("the second", ask(VIP).udp(4000, 53, b"question 2")).becomes(
            Counter::FlowHit,
            steered_to(POD).udp(4000, 5353, b"question 2"),
        ),
        case("the third", ask(VIP).udp(4000, 53, b""))
            .becomes(Counter::FlowHit, steered_to(POD).udp(4000, 5353, b"")),
        case(
            "one without checksum stays without",
            ask(VIP).udp_unchecked(4001, 53, b"x"),
        )
        .becomes(
            Counter::FlowNew,
            steered_to(POD).udp_unchecked(4001, 5353, b"x"),
        ),
    ]
}

#[test]
fn a_connection_reaches_its_endpoint_with_right_checksums() {
    check_both_ways_in(
        "a_connection_reaches_its_endpoint_with_right_checksums",
        &connection(),
    );
}

#[test]
fn tags_options_and_places_are_told_apart() {
    check_both_ways_in("tags_options_and_places_are_told_apart", &wrapped());
}

#[test]
fn datagrams_reach_their_endpoint_with_right_checksums() {
    check_both_ways_in(
        "datagrams_reach_their_endpoint_with_right_checksums",
        &datagrams(),
    );
}

#[test]
fn replies_leave_as_the_vip_from_the_first_packet_on() {
    each_way_in(
        "replies_leave_as_the_vip_from_the_first_packet_on",
        |bench, program| {
            let back = || eth(NODE, CLIENT).ipv4(POD, C);
            let as_vip = || eth(NODE, CLIENT).ipv4(VIP, C);
            let none = case("before any flow", back().tcp(8080, 4000, SYN | ACK).build());
            bench.check(Program::Egress, &none.stays(Counter::ReplyNone));

            let _first = bench.run(program, &ask(VIP).tcp(4000, 80, SYN).build());
            let _first = bench.run(program, &ask(VIP).udp(4000, 53, b"?"));

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
                    "a datagram without checksum",
                    back().udp_unchecked(5353, 4000, b"answer"),
                )
                .becomes(
                    Counter::ReplyRewritten,
                    as_vip().udp_unchecked(53, 4000, b"answer"),
                ),
                case(
                    "to another port of the client",
                    back().tcp(8080, 4001, ACK).build(),
                )
                .stays(Counter::ReplyNone),
                case(
                    "from another port of the pod",
                    back().tcp(8081, 4000, ACK).build(),
                )
                .stays(Counter::ReplyNone),
                case(
                    "a fragment",
                    back().fragment(1, 0x2000).udp(5353, 4000, b"frag"),
                )
                .stays(Counter::ReplyUnparsed),
            ] {
                bench.check(Program::Egress, &case);
            }
        },
    );
}

#[test]
fn an_icmp_error_about_a_flow_is_counted_and_left_alone() {
    each_way_in(
        "an_icmp_error_about_a_flow_is_counted_and_left_alone",
        |bench, program| {
            let _settled = bench.run(program, &ask(VIP).udp(4000, 53, b"?"));
            let (_verdict, delivered) = bench.run(program, &ask(VIP).udp(4000, 53, b"?"));
            let quoted = [vec![0; 4], delivered[14..].to_vec()].concat();
            let error = eth(NODE, CLIENT).ipv4(POD, C).icmp(3, 3, &quoted);

            bench.check(
                Program::Egress,
                &case("port unreachable", error).stays(Counter::ReplyIcmpError),
            );
        },
    );
}

#[test]
fn an_established_flow_stays_on_its_endpoint_through_changes_in_a_row() {
    each_way_in(
        "an_established_flow_stays_on_its_endpoint_through_changes_in_a_row",
        |bench, program| {
            bench.apply(&with(&PODS));
            let ports = 4000..4032u16;
            let homes: Vec<Ipv4Addr> = ports
                .clone()
                .map(|port| establish(bench, program, port))
                .collect();

            for others in [&PODS[..3], &PODS[..2], &PODS[..]] {
                bench.apply(&with(others));
                for (port, home) in ports.clone().zip(&homes) {
                    if others.contains(home) {
                        assert_eq!(
                            destination(bench, program, port, ACK),
                            Some(*home),
                            "{program:?} {port}"
                        );
                    }
                }
                if others.len() < 3 {
                    break;
                }
            }
            for pod in PODS {
                assert!(homes.contains(&pod), "32 flows reach all endpoints");
            }
        },
    );
}

#[test]
fn a_flow_of_an_endpoint_that_is_gone_is_reset_and_never_moved() {
    each_way_in(
        "a_flow_of_an_endpoint_that_is_gone_is_reset_and_never_moved",
        |bench, program| {
            bench.apply(&with(&PODS[..1]));
            let _home = establish(bench, program, 4000);

            bench.apply(&with(&PODS[1..2]));
            // Its id goes to another endpoint, of another generation.
            bench.apply(&with(&PODS[1..3]));

            let segment = ask(VIP).tcp(4000, 80, ACK).numbers(5, 77).build();
            let reset = eth(NODE, CLIENT)
                .ipv4(VIP, C)
                .tcp(80, 4000, RST)
                .numbers(77, 0)
                .build();
            bench.check(
                program,
                &case("data", segment).becomes(Counter::EndpointGone, reset),
            );
            let fresh =
                destination(bench, program, 4000, SYN).expect("a new connection is steered");
            assert!(PODS[1..3].contains(&fresh));
        },
    );
}

#[test]
fn datagrams_of_an_endpoint_that_is_gone_move_at_once() {
    each_way_in(
        "datagrams_of_an_endpoint_that_is_gone_move_at_once",
        |bench, program| {
            for _packet in 0..3 {
                let _settled = bench.run(program, &ask(VIP).udp(4000, 53, b"?"));
            }
            let mut moved = snapshot();
            moved.services[0].target = steered(&[(PODS[0], 5353, "here")]);

            bench.apply(&moved);

            let next = case("the next", ask(VIP).udp(4000, 53, b"?"));
            bench.check(
                program,
                &next.becomes(Counter::FlowNew, steered_to(PODS[0]).udp(4000, 5353, b"?")),
            );
        },
    );
}

#[test]
fn two_vips_with_one_pod_never_take_each_others_flow() {
    each_way_in(
        "two_vips_with_one_pod_never_take_each_others_flow",
        |bench, program| {
            let _home = establish(bench, program, 4000);

            let second = case(
                "the same client port through another VIP",
                ask(TWIN).tcp(4000, 80, SYN).build(),
            );
            bench.check(program, &second.stays(Counter::FlowCollision));

            let reply = eth(NODE, CLIENT).ipv4(POD, C).tcp(8080, 4000, ACK).build();
            let as_first = eth(NODE, CLIENT).ipv4(VIP, C).tcp(80, 4000, ACK).build();
            bench.check(
                Program::Egress,
                &case("the first's reply", reply).becomes(Counter::ReplyRewritten, as_first),
            );
            let _end = bench.run(program, &ask(VIP).tcp(4000, 80, FIN | ACK).build());
            assert_eq!(
                destination(bench, program, 4000, ACK),
                Some(POD),
                "the first goes on to its end"
            );
            let freed = case(
                "once the first has ended",
                ask(TWIN).tcp(4000, 80, SYN).build(),
            );
            bench.check(
                program,
                &freed.becomes(
                    Counter::FlowNew,
                    steered_to(POD).tcp(4000, 8080, SYN).build(),
                ),
            );
        },
    );
}

#[test]
fn new_flows_follow_weights_and_the_refused_share_is_refused() {
    each_way_in(
        "new_flows_follow_weights_and_the_refused_share_is_refused",
        |bench, program| {
            let mut weighted = with(&PODS[..2]);
            if let ServiceTarget::Endpoints { endpoints, refused } =
                &mut weighted.services[0].target
            {
                endpoints[0].weight = 6;
                endpoints[1].weight = 3;
                *refused = 1;
            }
            bench.apply(&weighted);

            let homes: Vec<_> = (10_000..12_000)
                .map(|port| destination(bench, program, port, SYN))
                .collect();

            let share = |home| homes.iter().filter(|other| **other == home).count();
            assert!(
                (1100..1300).contains(&share(Some(PODS[0]))),
                "{}",
                share(Some(PODS[0]))
            );
            assert!(
                (500..700).contains(&share(Some(PODS[1]))),
                "{}",
                share(Some(PODS[1]))
            );
            assert!((140..260).contains(&share(None)), "{}", share(None));
            assert_eq!(
                bench.count(Counter::NoBackendTcp),
                u64::try_from(share(None)).expect("few")
            );
        },
    );
}

#[test]
fn traffic_is_counted_per_service() {
    each_way_in("traffic_is_counted_per_service", |bench, program| {
        let frame = ask(VIP).udp(4000, 53, b"12345678");
        for _packet in 0..3 {
            let _counted = bench.run(program, &frame);
        }

        let counters = bench.counters();

        let dns = counters
            .services
            .iter()
            .find(|service| service.port == 53)
            .expect("the service");
        assert_eq!(
            (dns.packets, dns.bytes),
            (3, 3 * u64::try_from(frame.len()).expect("short"))
        );
        assert_eq!(dns.protocol, Protocol::Udp);
        let others = counters
            .services
            .iter()
            .filter(|service| service.port != 53);
        assert_eq!(others.map(|service| service.packets).sum::<u64>(), 0);
    });
}

/// Runs a story on both ways in.
pub(crate) fn each_way_in(test: &str, body: impl Fn(&mut Bench, Program)) {
    if skips(test) {
        return;
    }
    for program in [Program::Xdp, Program::Ingress] {
        body(&mut Bench::new(), program);
    }
}

/// VIP:80 with these endpoints.
pub(crate) fn with(pods: &[Ipv4Addr]) -> Snapshot {
    let endpoints: Vec<_> = pods.iter().map(|pod| (*pod, 8080, "here")).collect();
    Snapshot {
        services: vec![service(VIP, 80, Protocol::Tcp, steered(&endpoints))],
        ..snapshot()
    }
}

/// A connection's first two packets; gives the endpoint.
pub(crate) fn establish(bench: &Bench, program: Program, port: u16) -> Ipv4Addr {
    let home = destination(bench, program, port, SYN).expect("the SYN is steered");
    assert_eq!(
        destination(bench, program, port, ACK),
        Some(home),
        "the ACK follows the SYN"
    );
    home
}

/// Where a TCP segment to VIP:80 goes; none: nowhere.
pub(crate) fn destination(
    bench: &Bench,
    program: Program,
    port: u16,
    flags: u8,
) -> Option<Ipv4Addr> {
    let (verdict, frame) = bench.run(program, &ask(VIP).tcp(port, 80, flags).build());
    let address: Vec<u8> = frame.iter().skip(30).take(4).copied().collect();
    let octets = <[u8; 4]>::try_from(address).ok()?;
    (verdict == Verdict::Pass).then(|| octets.into())
}
