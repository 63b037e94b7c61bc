//! The order of writes, against a stand-in for the kernel's maps.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use gateway_common::endpoint::REFUSED;
use gateway_common::sieve;
use gateway_ir::{
    Choice, ListenerId, NodeName, ObjectName, Pool, Protocol, Service as Frontend, ServiceTarget,
    Snapshot, Vip, WeightedEndpoint,
};
use proptest::prelude::*;

use super::*;
use crate::plan::plan;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_second_plan_of_the_same_snapshot_writes_nothing(snapshots in history()) {
        let mut maps = Fake::default();
        let mut state = State::default();
        for snapshot in &snapshots {
            step(&mut maps, &mut state, snapshot);
            let again = plan(snapshot, &node(), &state).expect("it fits");

            prop_assert_eq!(writes(&state, &again), Vec::new());
            prop_assert_eq!(&maps.state, &again);
        }
    }

    #[test]
    fn no_write_leaves_a_name_of_something_that_is_missing(snapshots in history()) {
        // The stand-in looks after each write.
        let mut maps = Fake::default();
        let mut state = State::default();
        for snapshot in &snapshots {
            step(&mut maps, &mut state, snapshot);
        }
    }

    #[test]
    fn a_failed_write_loses_nothing(snapshots in history(), failing in 0usize..20) {
        let mut maps = Fake { fail_in: Some(failing), ..Fake::default() };
        let mut state = State::default();
        for snapshot in &snapshots {
            let next = plan(snapshot, &node(), &state).expect("it fits");
            if apply(&mut maps, &mut state, &next).is_err() {
                prop_assert_eq!(&maps.state, &state);
                step(&mut maps, &mut state, snapshot);
            }
            let again = plan(snapshot, &node(), &state).expect("it fits");
            prop_assert_eq!(writes(&state, &again), Vec::new());
        }
    }
}

#[test]
fn what_a_former_process_wrote_is_taken_over_and_its_tables_written_anew() {
    let snapshot = snapshot(&[(1, vec![1, 2])]);
    let mut maps = Fake::default();
    let mut former = State::default();
    step(&mut maps, &mut former, &snapshot);
    let found = State {
        tables: BTreeMap::new(),
        ..former.clone()
    };

    let next = plan(&snapshot, &node(), &found).expect("it fits");

    let writes = writes(&found, &next);
    assert!(
        matches!(writes.as_slice(), [Write::SetTable(..)]),
        "{writes:?}"
    );
    assert_eq!(next, former);
}

/// Maps that refuse what would be wrong for a packet that comes now.
#[derive(Default)]
struct Fake {
    state: State,
    fail_in: Option<usize>,
}

impl Maps for Fake {
    fn write(&mut self, write: &Write) -> Result<(), ApplyError> {
        if let Some(left) = self.fail_in {
            self.fail_in = left.checked_sub(1);
            if left == 0 {
                return Err(ApplyError::TooMany {
                    what: "writes",
                    wanted: 1,
                    max: 0,
                });
            }
        }
        self.state.record(write.clone());
        self.look(write);
        Ok(())
    }
}

impl Fake {
    fn look(&self, write: &Write) {
        for vip in &self.state.vips {
            let (word, bit) = sieve::place(vip);
            let bits = self.state.sieve.get(&word).copied().unwrap_or_default();
            assert_ne!(bits & bit, 0, "after {write:?}");
        }
        for service in self.state.services.values().filter(|it| !it.is_proxied()) {
            let table = self
                .state
                .tables
                .get(&service.id())
                .expect("a service has its table");
            let slots = usize::try_from(service.slots()).expect("small");
            assert!(
                slots <= table.slots.len(),
                "no slot is behind the table's end"
            );
            for id in table.slots.iter().filter(|id| **id != REFUSED) {
                let endpoint = self
                    .state
                    .endpoints
                    .get(id)
                    .expect("a slot names an endpoint");
                assert_ne!(endpoint.place(), Place::Absent, "after {write:?}");
            }
        }
    }
}

fn step(maps: &mut Fake, state: &mut State, snapshot: &Snapshot) {
    let next = plan(snapshot, &node(), state).expect("it fits");
    apply(maps, state, &next).expect("no write fails");
}

fn node() -> NodeName {
    NodeName("here".to_owned())
}

/// Some snapshots in a row: services by port, endpoints by last byte. Port 0 stands for a proxied one.
fn history() -> impl Strategy<Value = Vec<Snapshot>> {
    let endpoints = prop::collection::btree_set(1u8..60, 0..50);
    let services = prop::collection::btree_map(0u16..5, endpoints, 0..4);
    let listed = services.prop_map(|services| {
        let services: Vec<_> = services
            .into_iter()
            .map(|(port, endpoints)| (port, endpoints.into_iter().collect()))
            .collect();
        snapshot(&services)
    });
    prop::collection::vec(listed, 1..5)
}

fn snapshot(services: &[(u16, Vec<u8>)]) -> Snapshot {
    // Neighbours in one word of the sieve.
    let vip = |port: u16| IpAddr::from(Ipv4Addr::from_bits(0xc000_02c8 + u32::from(port)));
    let endpoint = |last: &u8| WeightedEndpoint {
        address: SocketAddr::from(([10, 0, 0, *last], 8080)),
        node: None,
        weight: u32::from(*last % 3) + 1,
    };
    let service = |(port, endpoints): &(u16, Vec<u8>)| Frontend {
        vip: vip(*port),
        port: *port + 80,
        protocol: Protocol::Tcp,
        listener: ListenerId {
            gateway: ObjectName::new("default", "gateway"),
            section: format!("port-{port}"),
        },
        target: match port {
            0 => ServiceTarget::Proxy,
            _ => ServiceTarget::Endpoints {
                endpoints: endpoints.iter().map(endpoint).collect(),
                refused: u32::from(*port % 2),
            },
        },
    };
    let announced = |(port, _): &(u16, Vec<u8>)| Vip {
        address: vip(*port),
        gateway: ObjectName::new("default", "gateway"),
        pool: "lan".to_owned(),
        choice: Choice::Automatic,
    };
    Snapshot {
        vips: services.iter().map(announced).collect(),
        pools: vec![Pool {
            name: "lan".to_owned(),
            ranges: vec!["192.0.2.200-192.0.2.207".parse().expect("range")],
            interfaces: Vec::new(),
        }],
        services: services.iter().map(service).collect(),
        ..Snapshot::default()
    }
}
