//! The share of a backend is its weight, whatever it consists of.

use gateway_ir::{BackendName, EndpointSet, ObjectName};
use proptest::prelude::proptest;

use super::*;

#[test]
fn a_backends_share_does_not_depend_on_its_endpoints() {
    let shares = [(90, backend(1, 1)), (10, backend(2, 3))];
    assert_eq!(weights(&shares), (vec![27, 1, 1, 1], 0));
}

#[test]
fn invalid_and_empty_backends_are_refused_in_proportion() {
    let shares = [(1, backend(1, 2)), (1, None), (2, backend(3, 0))];
    assert_eq!(weights(&shares), (vec![1, 1], 6));
}

#[test]
fn weight_zero_gets_nothing_and_nothing_but_zeros_is_refused() {
    assert_eq!(
        weights(&[(1, backend(1, 1)), (0, backend(2, 1))]),
        (vec![1, 0], 0)
    );
    assert_eq!(weights(&[(0, backend(1, 1))]), (vec![0], 1));
    assert_eq!(weights(&[]), (vec![], 1));
}

#[test]
fn an_endpoint_of_two_backends_gets_both_shares() {
    assert_eq!(
        weights(&[(1, backend(1, 1)), (3, backend(1, 1))]),
        (vec![1], 0)
    );
}

#[test]
fn endpoints_of_the_other_family_do_not_count() {
    let target = target(&[(1, backend(1, 2))], Family::V6, Protocol::Tcp);
    let nothing = ServiceTarget::Endpoints {
        endpoints: Vec::new(),
        refused: 1,
    };
    assert_eq!(target, nothing);
}

#[test]
fn endpoints_that_get_nothing_new_keep_their_flows() {
    let endpoint = |last| Endpoint {
        address: SocketAddr::from(([10, 0, 1, last], 80)),
        node: None,
    };
    let mut it = backend(1, 1).map(Arc::unwrap_or_clone).expect("a backend");
    it.endpoints = Arc::new(EndpointSet {
        endpoints: vec![endpoint(1)],
        ending: vec![endpoint(2)],
        unready: vec![endpoint(3)],
    });
    let shares = [(5, Some(Arc::new(it)))];
    let listed = |protocol| match target(&shares, Family::V4, protocol) {
        ServiceTarget::Endpoints { endpoints, refused } => {
            assert_eq!(refused, 0);
            let listed = endpoints.iter().map(|it| (it.address, it.weight));
            listed.collect::<Vec<_>>()
        }
        ServiceTarget::Proxy => Vec::new(),
    };
    let ready = (endpoint(1).address, 1);
    let (ending, unready) = ((endpoint(2).address, 0), (endpoint(3).address, 0));
    assert_eq!(listed(Protocol::Tcp), [ready, ending, unready]);
    assert_eq!(listed(Protocol::Udp), [ready, ending]);
}

proptest! {
    #[test]
    fn shares_are_the_weights_over_their_sum(
        wanted in proptest::collection::vec((0u32..=1_000_000, 0u8..40), 1..8),
    ) {
        let shares: Vec<_> = (1u8..)
            .zip(&wanted)
            .map(|(id, (weight, count))| (*weight, backend(id, *count)))
            .collect();
        let sum: f64 = wanted.iter().map(|(weight, _)| f64::from(*weight)).sum();
        let (found, refused) = weights(&shares);
        let total: f64 = found.iter().map(|it| f64::from(*it)).sum::<f64>() + f64::from(refused);
        let mut rest = found.as_slice();
        for (weight, count) in &wanted {
            let (own, others) = rest.split_at(usize::from(*count));
            rest = others;
            if *weight == 0 || *count == 0 {
                assert!(own.iter().all(|it| *it == 0));
                continue;
            }
            let share = own.iter().map(|it| f64::from(*it)).sum::<f64>() / total;
            let error = (share - f64::from(*weight) / sum).abs();
            assert!(error < 0.001, "share {share} of weight {weight} in {sum}");
        }
        assert!(total <= 2_000_000.0);
    }
}

/// A backend whose endpoints have addresses of their own.
fn backend(id: u8, count: u8) -> Option<Arc<Backend>> {
    let endpoint = |index| Endpoint {
        address: SocketAddr::from(([10, 0, id, index], 80)),
        node: None,
    };
    Some(Arc::new(Backend {
        protocol: gateway_ir::BackendProtocol::Http,
        tls: None,
        name: BackendName {
            service: ObjectName::new("default", id.to_string()),
            port: 80,
        },
        endpoints: Arc::new(EndpointSet {
            endpoints: (0..count).map(endpoint).collect(),
            ..EndpointSet::default()
        }),
    }))
}

fn weights(shares: &[(u32, Option<Arc<Backend>>)]) -> (Vec<u32>, u32) {
    match target(shares, Family::V4, Protocol::Tcp) {
        ServiceTarget::Endpoints { endpoints, refused } => {
            (endpoints.iter().map(|it| it.weight).collect(), refused)
        }
        ServiceTarget::Proxy => (Vec::new(), 0),
    }
}
