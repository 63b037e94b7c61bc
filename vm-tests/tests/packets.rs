//! Packets in, verdicts and bytes out, on the real verifier and the real programs, through BPF_PROG_TEST_RUN.
//!
//! The cases are data in `vm-tests/cases`; each runs as native XDP and as tc, and every packet must be counted exactly
//! once, under the promised reason.

#[path = "../cases/arp.rs"]
mod arp;
#[path = "../cases/bench.rs"]
mod bench;
#[path = "../cases/drain.rs"]
mod drain;
#[path = "../cases/ndp.rs"]
mod ndp;
#[path = "../cases/refuse.rs"]
mod refuse;
#[path = "../cases/refuse_ipv6.rs"]
mod refuse_ipv6;
#[path = "../cases/steer.rs"]
mod steer;
#[path = "../cases/steer_ipv6.rs"]
mod steer_ipv6;

use bench::{check, check_both_ways_in};
use gateway_l4::Program;

#[test]
fn arp_for_an_owned_address_is_answered_once_per_question() {
    check_both_ways_in(
        "arp_for_an_owned_address_is_answered_once_per_question",
        &arp::owned(),
    );
}

#[test]
fn another_machines_claim_to_an_owned_address_is_a_conflict() {
    check_both_ways_in(
        "another_machines_claim_to_an_owned_address_is_a_conflict",
        &arp::claimed(),
    );
}

#[test]
fn arp_for_a_pool_never_reaches_the_kernel_and_other_arp_always_does() {
    check_both_ways_in(
        "arp_for_a_pool_never_reaches_the_kernel_and_other_arp_always_does",
        &arp::guarded(),
    );
}

#[test]
fn malformed_arp_about_a_pool_ends_here() {
    check_both_ways_in("malformed_arp_about_a_pool_ends_here", &arp::malformed());
}

#[test]
fn a_solicitation_for_an_owned_address_is_answered_once_per_question() {
    check_both_ways_in(
        "a_solicitation_for_an_owned_address_is_answered_once_per_question",
        &ndp::owned(),
    );
}

#[test]
fn a_solicitation_for_a_pool_never_reaches_the_kernel_and_others_always_do() {
    check_both_ways_in(
        "a_solicitation_for_a_pool_never_reaches_the_kernel_and_others_always_do",
        &[ndp::guarded(), ndp::passed()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>(),
    );
}

#[test]
fn malformed_neighbour_discovery_about_a_pool_ends_here() {
    check_both_ways_in(
        "malformed_neighbour_discovery_about_a_pool_ends_here",
        &ndp::malformed(),
    );
}

#[test]
fn what_must_not_be_answered_is_not() {
    check_both_ways_in(
        "what_must_not_be_answered_is_not",
        &[
            refuse::tcp_without_answer(),
            refuse_ipv6::tcp_without_answer(),
        ]
        .concat(),
    );
}

#[test]
fn tcp_without_listener_is_reset_as_a_host_would() {
    check_both_ways_in(
        "tcp_without_listener_is_reset_as_a_host_would",
        &[refuse::tcp(), refuse_ipv6::tcp()].concat(),
    );
}

#[test]
fn everything_else_without_listener_is_refused() {
    check_both_ways_in(
        "everything_else_without_listener_is_refused",
        &[
            refuse::others(),
            refuse_ipv6::datagrams(),
            refuse_ipv6::others(),
        ]
        .concat(),
    );
}

#[test]
fn malformed_packets_are_counted_and_never_rewritten() {
    check_both_ways_in(
        "malformed_packets_are_counted_and_never_rewritten",
        &[refuse::malformed(), refuse_ipv6::malformed()].concat(),
    );
}

#[test]
fn what_is_for_others_passes_unchanged() {
    check_both_ways_in(
        "what_is_for_others_passes_unchanged",
        &[refuse::foreign(), refuse_ipv6::foreign()].concat(),
    );
}

#[test]
fn tags_stay_in_front_of_what_quotes_them() {
    check(
        "tags_stay_in_front_of_what_quotes_them",
        &[Program::Xdp],
        &refuse_ipv6::tagged_datagrams(),
    );
}

#[test]
fn packets_cut_inside_the_first_headers_pass_unchanged() {
    check(
        "packets_cut_inside_the_first_headers_pass_unchanged",
        &[Program::Xdp],
        &refuse::stumps(),
    );
}
