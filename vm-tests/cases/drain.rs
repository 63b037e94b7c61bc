//! Gate 2 while an endpoint ends or its backend has the weight 0: it keeps what it has.

use std::net::Ipv4Addr;

use gateway_ir::ServiceTarget;
use gateway_vm_tests::packet::{ACK, FIN, SYN};

use crate::bench::steered;
use crate::steer::{PODS, destination, each_way_in, establish, with};

#[test]
fn an_endpoint_of_weight_0_keeps_its_flows_and_gets_no_new_one() {
    each_way_in(
        "an_endpoint_of_weight_0_keeps_its_flows_and_gets_no_new_one",
        |bench, program| {
            bench.apply(&with(&PODS[..1]));
            let _home = establish(bench, program, 4000);

            let mut draining = with(&PODS[..2]);
            draining.services[0].target = weighted(&[(PODS[0], 0), (PODS[1], 1)]);
            bench.apply(&draining);

            for flags in [ACK, FIN | ACK] {
                let kept = destination(bench, program, 4000, flags);
                assert_eq!(kept, Some(PODS[0]), "{program:?} {flags:#x}");
            }
            for port in 4001..4065 {
                let fresh = destination(bench, program, port, SYN);
                assert_eq!(fresh, Some(PODS[1]), "{program:?} {port}");
            }
            draining.services[0].target = weighted(&[(PODS[0], 0)]);
            bench.apply(&draining);
            assert_eq!(destination(bench, program, 5000, SYN), None, "no share");
        },
    );
}

/// The endpoints of VIP:80 with their shares of new flows.
fn weighted(shares: &[(Ipv4Addr, u32)]) -> ServiceTarget {
    let pods: Vec<_> = shares.iter().map(|(pod, _)| (*pod, 8080, "here")).collect();
    let mut target = steered(&pods);
    if let ServiceTarget::Endpoints { endpoints, .. } = &mut target {
        for (endpoint, (_pod, share)) in endpoints.iter_mut().zip(shares) {
            endpoint.weight = *share;
        }
    }
    target
}
