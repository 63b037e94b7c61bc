//! Snapshots and the map contents that they ask for.

use std::net::SocketAddr;

use gateway_ir::{Choice, ListenerId, ObjectName, Pool, Service as Frontend, Vip};

use super::*;

#[test]
fn an_endpoint_keeps_its_id_while_it_exists() {
    let first = planned(&[(80, &["10.0.0.1:80", "10.0.0.2:80"])], &State::default());

    let second = planned(&[(80, &["10.0.0.2:80", "10.0.0.3:80"])], &first);

    assert_eq!(id_of(&second, "10.0.0.2:80"), id_of(&first, "10.0.0.2:80"));
}

#[test]
fn an_id_is_not_given_away_in_the_change_that_frees_it() {
    let first = planned(&[(80, &["10.0.0.1:80"])], &State::default());

    let second = planned(&[(80, &["10.0.0.2:80"])], &first);

    assert_ne!(id_of(&second, "10.0.0.2:80"), id_of(&first, "10.0.0.1:80"));
}

#[test]
fn the_next_holder_of_an_id_is_of_another_generation() {
    let first = planned(&[(80, &["10.0.0.1:80"])], &State::default());
    let none = planned(&[(80, &[])], &first);

    let next = planned(&[(80, &["10.0.0.2:80"])], &none);

    let (id, reused) = (id_of(&first, "10.0.0.1:80"), id_of(&next, "10.0.0.2:80"));
    assert_eq!(reused, id);
    assert_ne!(
        next.endpoints[&id].generation(),
        first.endpoints[&id].generation()
    );
}

#[test]
fn machines_with_other_ids_build_the_same_table() {
    let services: &[(u16, &[&str])] = &[(80, &["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"])];
    let history = planned(&[(81, &["10.0.0.9:80", "10.0.0.3:80"])], &State::default());

    let young = planned(services, &State::default());
    let old = planned(services, &history);

    assert_ne!(id_of(&young, "10.0.0.1:80"), id_of(&old, "10.0.0.1:80"));
    assert_eq!(owners(&young, 80), owners(&old, 80));
}

#[test]
fn an_endpoint_without_a_node_is_here_and_one_of_another_node_is_elsewhere() {
    let mut snapshot = snapshot(&[(80, &["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"])]);
    if let ServiceTarget::Endpoints { endpoints, .. } = &mut snapshot.services[0].target {
        endpoints[1].node = Some(node());
        endpoints[2].node = Some(NodeName("other".to_owned()));
    }

    let state = plan(&snapshot, &node(), &State::default()).expect("it fits");

    let place = |address| state.endpoints[&id_of(&state, address)].place();
    assert_eq!(place("10.0.0.1:80"), Place::Here);
    assert_eq!(place("10.0.0.2:80"), Place::Here);
    assert_eq!(place("10.0.0.3:80"), Place::Elsewhere);
}

#[test]
fn new_flows_get_endpoints_of_this_node_if_there_are_any() {
    let mut snapshot = snapshot(&[(80, &["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"])]);
    if let ServiceTarget::Endpoints { endpoints, .. } = &mut snapshot.services[0].target {
        for (endpoint, name) in endpoints.iter_mut().zip(["other", "other", "node"]) {
            endpoint.node = Some(NodeName(name.to_owned()));
        }
    }
    let owners_on = |name: &str| {
        let node = NodeName(name.to_owned());
        let state = plan(&snapshot, &node, &State::default()).expect("it fits");
        owners(&state, 80).into_iter().collect::<BTreeSet<_>>()
    };
    let addresses = |all: &[&str]| {
        all.iter()
            .map(|it| Some(it.parse().expect("address")))
            .collect::<BTreeSet<_>>()
    };

    assert_eq!(owners_on("node"), addresses(&["10.0.0.3:80"]));
    assert_eq!(
        owners_on("other"),
        addresses(&["10.0.0.1:80", "10.0.0.2:80"])
    );
    // Nothing else answers, so a packet is at least counted.
    assert_eq!(
        owners_on("third"),
        addresses(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"])
    );
}

#[test]
fn an_endpoint_of_another_family_than_the_vip_gets_no_slot() {
    let state = planned(&[(80, &["10.0.0.1:80", "[fd00::1]:80"])], &State::default());

    let owners = owners(&state, 80);

    assert!(
        owners
            .iter()
            .all(|owner| *owner == Some("10.0.0.1:80".parse().expect("address")))
    );
}

#[test]
fn an_endpoint_of_weight_0_keeps_its_entry_and_gets_no_slot() {
    let first = planned(&[(80, &["10.0.0.1:80", "10.0.0.2:80"])], &State::default());
    let mut draining = snapshot(&[(80, &["10.0.0.1:80", "10.0.0.2:80"])]);
    if let ServiceTarget::Endpoints { endpoints, .. } = &mut draining.services[0].target {
        endpoints[0].weight = 0;
    }

    let state = plan(&draining, &node(), &first).expect("it fits");

    let id = id_of(&first, "10.0.0.1:80");
    assert_eq!(state.endpoints[&id], first.endpoints[&id]);
    let owners = owners(&state, 80);
    assert!(
        owners
            .iter()
            .all(|owner| *owner == Some("10.0.0.2:80".parse().expect("address")))
    );
}

#[test]
fn a_service_without_endpoints_refuses_every_flow() {
    let state = planned(&[(80, &[])], &State::default());

    assert!(owners(&state, 80).iter().all(Option::is_none));
}

#[test]
fn a_proxied_service_has_no_table() {
    let mut snapshot = snapshot(&[(80, &[])]);
    snapshot.services[0].target = ServiceTarget::Proxy;

    let state = plan(&snapshot, &node(), &State::default()).expect("it fits");

    assert!(state.tables.is_empty());
    assert!(state.services.values().all(Service::is_proxied));
}

#[test]
fn pools_are_guarded_by_prefix_in_both_families() {
    let state = planned(&[], &State::default());

    let prefixes: Vec<(u32, IpAddr)> = state
        .pools
        .iter()
        .map(|prefix| (prefix.bits, prefix.address.into()))
        .collect();

    assert!(
        prefixes.contains(&(96 + 29, "192.0.2.200".parse().expect("address"))),
        "{prefixes:?}"
    );
    assert!(
        prefixes.contains(&(120, "fd00:2::".parse().expect("address"))),
        "{prefixes:?}"
    );
}

#[test]
fn more_services_than_fit_are_refused_by_number() {
    let ports: Vec<(u16, &[&str])> = (1..=4097).map(|port| (port, &[] as &[&str])).collect();

    let outcome = plan(&snapshot(&ports), &node(), &State::default());

    assert!(matches!(
        outcome,
        Err(ApplyError::TooMany {
            wanted: 4097,
            max: SERVICES_MAX,
            ..
        })
    ));
}

fn planned(services: &[(u16, &[&str])], now: &State) -> State {
    plan(&snapshot(services), &node(), now).expect("it fits")
}

fn node() -> NodeName {
    NodeName("here".to_owned())
}

fn snapshot(services: &[(u16, &[&str])]) -> Snapshot {
    let vip: IpAddr = "192.0.2.200".parse().expect("address");
    let service = |(port, endpoints): &(u16, &[&str])| Frontend {
        vip,
        port: *port,
        protocol: Protocol::Tcp,
        listener: ListenerId {
            gateway: ObjectName::new("default", "gateway"),
            section: "listener".to_owned(),
        },
        target: ServiceTarget::Endpoints {
            endpoints: endpoints.iter().map(|address| endpoint(address)).collect(),
            refused: 0,
        },
    };
    Snapshot {
        vips: vec![Vip {
            address: vip,
            gateway: ObjectName::new("default", "gateway"),
            pool: "lan".to_owned(),
            choice: Choice::Automatic,
        }],
        pools: vec![Pool {
            name: "lan".to_owned(),
            ranges: ["192.0.2.200-192.0.2.207", "fd00:2::/120"]
                .map(|range| range.parse().expect("range"))
                .to_vec(),
            interfaces: Vec::new(),
        }],
        services: services.iter().map(service).collect(),
        ..Snapshot::default()
    }
}

fn endpoint(address: &str) -> WeightedEndpoint {
    WeightedEndpoint {
        address: address.parse().expect("address"),
        node: None,
        weight: 1,
    }
}

fn id_of(state: &State, address: &str) -> EndpointId {
    let address: SocketAddr = address.parse().expect("address");
    let mut held = state
        .endpoints
        .iter()
        .filter(|(_id, it)| it.place() != Place::Absent);
    let found = held.find(|(_id, endpoint)| socket_address(endpoint) == address);
    *found.expect("the endpoint has an id").0
}

/// Who has each slot of VIP:port's table, by address.
fn owners(state: &State, port: u16) -> Vec<Option<SocketAddr>> {
    let vip: IpAddr = "192.0.2.200".parse().expect("address");
    let service = state.services[&ServiceKey::new(vip.into(), port.to_be_bytes(), 6)];
    let slots = &state.tables[&service.id()].slots;
    slots
        .iter()
        .map(|id| (*id != REFUSED).then(|| socket_address(&state.endpoints[id])))
        .collect()
}
