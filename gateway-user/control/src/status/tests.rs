//! What is shown in each state of the gates.

use gateway_ir::{
    HostPattern, HttpPort, Listener, ObjectName, PortProtocol, Protocol, Routing, Service,
    SharedMap,
};
use gateway_translate::{Announce, ListenerStatus};

use super::*;

#[test]
fn programmed_waits_for_every_gate_that_the_listener_needs() {
    let published = published();
    let mut reports = all_at(published.generation);
    assert_eq!(shown(&published, &reports, "web"), None);

    reports.insert(Gate::Proxy, at(Generation(7)));
    let message = shown(&published, &reports, "web").expect("withdrawn");
    assert!(message.contains("gate 3"), "{message}");
    assert_eq!(shown(&published, &reports, "tcp"), None);
}

#[test]
fn a_gate_that_is_off_says_why_at_the_listeners_that_need_it() {
    let published = published();
    let mut reports = all_at(published.generation);
    let off = GateReport {
        off: Some("no rights".to_owned()),
        ..GateReport::default()
    };
    reports.insert(Gate::Steer, off);
    let message = shown(&published, &reports, "tcp").expect("withdrawn");
    assert_eq!(message, "gate 2 (steer) is off: no rights");
    assert_eq!(shown(&published, &reports, "web"), None);
}

#[test]
fn what_fails_at_another_node_is_shown_and_leaves_this_one_ready() {
    let published = published();
    let mut reports = all_at(published.generation);
    let failure = failure("tcp", "another machine has the address");
    reports.entry(Gate::Announce).or_default().elsewhere = vec![failure];
    let message = shown(&published, &reports, "tcp");
    assert_eq!(message.as_deref(), Some("another machine has the address"));
    assert!(readiness(Some(&published), &reports).ready);
}

#[test]
fn a_failed_listener_shows_its_failure_and_leaves_the_gateway_programmed() {
    let published = published();
    let mut reports = all_at(published.generation);
    let failure = failure("web", "port 80 is in use");
    reports.entry(Gate::Proxy).or_default().failures = vec![failure];
    let statuses = conditions(&published, &reports);
    assert_eq!(
        shown(&published, &reports, "web").as_deref(),
        Some("port 80 is in use")
    );
    assert_eq!(first(&statuses).conditions, gateway(&published).conditions);
}

#[test]
fn a_gateway_without_a_working_listener_is_not_programmed() {
    let published = published();
    let statuses = conditions(&published, &Reports::new());
    let gateway = &first(&statuses).conditions[0];
    assert_eq!(gateway.status, ConditionStatus::False);
    assert_eq!(gateway.reason, Reason::Pending);
    assert!(gateway.message.contains("web") && gateway.message.contains("tcp"));
}

#[test]
fn what_translation_refused_stays_as_it_is() {
    let mut published = published();
    let refused = Condition::new(
        ConditionType::Programmed,
        ConditionStatus::False,
        Reason::Invalid,
        "no certificate",
    );
    let mut status = gateway(&published);
    status.listeners[0].conditions = vec![refused.clone()];
    published.statuses = Statuses::from_iter([status]);
    let statuses = conditions(&published, &Reports::new());
    assert_eq!(first(&statuses).listeners[0].conditions, [refused]);
}

#[test]
fn is_ready_when_every_running_gate_has_been_programmed_once() {
    let published = published();
    let mut reports = all_at(published.generation);
    assert!(readiness(Some(&published), &reports).ready);
    assert!(readiness(Some(&published), &reports).current);

    reports.insert(Gate::Steer, at(Generation(7)));
    let behind = readiness(Some(&published), &reports);
    assert!(behind.ready && !behind.current);

    reports.insert(Gate::Steer, GateReport::default());
    let unready = readiness(Some(&published), &reports);
    assert!(!unready.ready);
    assert!(unready.missing[0].contains("gate 2"), "{unready:?}");
    assert!(!readiness(None, &reports).ready);
}

#[test]
fn a_gate_that_is_off_is_a_note_and_an_address_without_owner_is_not() {
    let published = published();
    let mut reports = all_at(published.generation);
    reports.entry(Gate::Steer).or_default().off = Some("no rights".to_owned());
    let ready = readiness(Some(&published), &reports);
    assert!(ready.ready);
    assert!(ready.notes[0].contains("no rights"), "{ready:?}");

    reports.entry(Gate::Announce).or_default().failures = vec![failure("web", "nobody answers")];
    let unready = readiness(Some(&published), &reports);
    assert!(!unready.ready);
    assert!(unready.missing[0].contains("nobody answers"), "{unready:?}");
}

/// What the condition of a listener says if it was withdrawn.
#[test]
fn a_listener_of_a_set_waits_for_the_gates_of_its_own() {
    let mut published = published();
    let set = ObjectName::new("shop", "extra");
    let mut status = gateway(&published);
    status.object.kind = Kind::ListenerSet;
    status.object.name = set.clone();
    published.statuses = Statuses::from_iter([status]);
    let mut snapshot = Snapshot::clone(&published.snapshot);
    snapshot.http[0].listeners[0].id.section = format!("{set}/web");
    published.snapshot = Arc::new(snapshot);
    let mut reports = all_at(published.generation);
    assert_eq!(shown(&published, &reports, "web"), None);

    reports.entry(Gate::Proxy).or_default().failures =
        vec![failure("shop/extra/web", "port 80 is in use")];
    assert_eq!(
        shown(&published, &reports, "web").as_deref(),
        Some("port 80 is in use")
    );
}

fn shown(published: &Published, reports: &Reports, section: &str) -> Option<String> {
    let statuses = conditions(published, reports);
    let listeners = first(&statuses).listeners.iter();
    let conditions = listeners
        .filter(|it| it.name == section)
        .flat_map(|it| &it.conditions);
    let withdrawn = |it: &&Condition| it.status == ConditionStatus::False;
    conditions
        .filter(withdrawn)
        .map(|it| it.message.clone())
        .next()
}

fn first(statuses: &Statuses) -> &ObjectStatus {
    statuses.iter().next().expect("a status")
}

fn all_at(generation: Generation) -> Reports {
    let gates = [Gate::Announce, Gate::Steer, Gate::Proxy];
    gates
        .into_iter()
        .map(|gate| (gate, at(generation)))
        .collect()
}

fn at(generation: Generation) -> GateReport {
    GateReport {
        programmed: Some(generation),
        ..GateReport::default()
    }
}

fn failure(section: &str, message: &str) -> ListenerFailure {
    ListenerFailure {
        listener: id(section),
        message: message.to_owned(),
    }
}

fn id(section: &str) -> ListenerId {
    ListenerId {
        gateway: ObjectName::new("default", "main"),
        section: section.to_owned(),
    }
}

fn promise() -> Vec<Condition> {
    let kind = ConditionType::Programmed;
    vec![Condition::new(
        kind,
        ConditionStatus::True,
        Reason::Programmed,
        "",
    )]
}

/// A Gateway with the HTTP listener `web`, which needs gate 3, and the TCP listener `tcp`, which needs gates 1 and 2.
fn published() -> Published {
    let listener = |section: &str| ListenerStatus {
        name: section.to_owned(),
        supported_kinds: Vec::new(),
        attached_routes: 0,
        conditions: promise(),
    };
    let snapshot = Snapshot {
        http: vec![http_port()],
        services: vec![tcp_service()],
        ..Snapshot::default()
    };
    Published {
        generation: snapshot.generation(),
        snapshot: Arc::new(snapshot),
        statuses: Statuses::from_iter([ObjectStatus {
            object: ObjectKey {
                kind: Kind::Gateway,
                name: id("web").gateway,
            },
            generation: 0,
            conditions: promise(),
            addresses: Vec::new(),
            listeners: vec![listener("web"), listener("tcp")],
            parents: Vec::new(),
            ancestors: Vec::new(),
            attached_listener_sets: None,
        }]),
        infrastructure: Vec::new(),
        features: Vec::new(),
        warnings: Vec::new(),
        certificates: Vec::new(),
        problems: Vec::new(),
        nodes: Vec::new(),
        peers: Vec::new(),
        membership_key: None,
        has_pools: true,
        announce: Announce::On,
    }
}

/// What translation promises of the only Gateway.
fn gateway(published: &Published) -> ObjectStatus {
    let mut statuses = published.statuses.iter();
    statuses.next().expect("a Gateway").clone()
}

fn http_port() -> HttpPort {
    HttpPort {
        addresses: Vec::new(),
        port: 80,
        protocol: PortProtocol::Http,
        settings: Arc::default(),
        listeners: vec![Listener {
            id: id("web"),
            hostname: HostPattern::Any,
            tls: None,
            routing: Routing::Http(SharedMap::new()),
        }],
    }
}

fn tcp_service() -> Service {
    Service {
        vip: [192, 0, 2, 1].into(),
        port: 5432,
        protocol: Protocol::Tcp,
        listener: id("tcp"),
        target: ServiceTarget::Endpoints {
            endpoints: Vec::new(),
            refused: 1,
        },
    }
}
