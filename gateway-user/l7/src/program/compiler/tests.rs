//! What the compiler keeps and what it reports.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use gateway_ir::{
    Backend, BackendName, BackendProtocol, Certificate, Endpoint, EndpointSet, Entry, Filter,
    Fraction, HostPattern, Listener as IrListener, ListenerId, ListenerTls, Match, ObjectName,
    PathMatch, PortProtocol, PrivateKey, RouteKind, RouteName, Rule, RuleId, Target, Timeouts,
    WeightedBackend,
};
use http::{HeaderMap, Method};

use super::*;
use crate::program::{Query, View};
use crate::transport::Destination;

#[test]
fn an_unchanged_host_program_is_taken_over() {
    let mut compiler = Compiler::new().expect("a compiler");
    let kept = Arc::new(HostProgram::default());
    let (first, _) = compiler.compile(&snapshot(&kept, &Arc::default()));
    let (second, _) = compiler.compile(&snapshot(&kept, &Arc::default()));

    assert!(Arc::ptr_eq(
        &routes(&first, "kept"),
        &routes(&second, "kept")
    ));
    assert!(!Arc::ptr_eq(
        &routes(&first, "new"),
        &routes(&second, "new")
    ));
}

#[test]
fn hosts_that_are_gone_are_found_no_more_and_forgotten() {
    let mut compiler = Compiler::new().expect("a compiler");
    let kept = Arc::new(HostProgram::default());
    let both = snapshot(&kept, &Arc::default());
    let mut one = both.clone();
    let gateway_ir::Routing::Http(hosts) = &mut one.http[0].listeners[0].routing else {
        panic!("a listener for requests");
    };
    hosts.remove(&HostPattern::Exact("new".to_owned()));

    let (first, _) = compiler.compile(&both);
    let (second, _) = compiler.compile(&one);
    let found = |program: &Program, host: &str| {
        let port = program.port(([127, 0, 0, 1], 80).into()).expect("the port");
        let Routing::Http(hosts) = &port.listener(host).expect("the listener").routing else {
            panic!("a listener for requests");
        };
        hosts.covering(host).count()
    };
    // The program in force does not change under those that use it.
    assert_eq!((found(&first, "kept"), found(&first, "new")), (1, 1));
    assert_eq!((found(&second, "kept"), found(&second, "new")), (1, 0));

    let (third, _) = compiler.compile(&both);
    assert_eq!(found(&third, "new"), 1);
}

proptest::proptest! {
    /// Whatever changes, in whichever order: the program is the one that a compiler without a past makes, and nothing is
    /// remembered that is in use no more.
    #[test]
    fn changes_lead_to_what_a_compilation_from_nothing_gives(
        steps in proptest::collection::vec(
            proptest::collection::vec(proptest::option::of(0..RULES), SLOTS),
            1..8,
        ),
        rotated in 0_usize..8,
    ) {
        let parts = Parts::new();
        let mut compiler = Compiler::new().expect("a compiler");
        for (index, picks) in steps.iter().enumerate() {
            let mut snapshot = parts.snapshot(picks);
            if index >= rotated {
                snapshot.proxy.session_keys = Some(SessionKeys {
                    current: "a key".into(),
                    previous: None,
                });
            }
            let (program, _) = compiler.compile(&snapshot);
            compiler.list_endpoints(&program);
            let mut other = Compiler::new().expect("a compiler");
            let (anew, _) = other.compile(&snapshot);
            other.list_endpoints(&anew);
            proptest::prop_assert_eq!(addresses(&program), addresses(&anew));
            for host in HOSTS {
                proptest::prop_assert_eq!(found(&program, host), found(&anew, host), "{}", host);
            }
            let used: BTreeSet<usize> = picks.iter().take(STREAMS_FROM).flatten().copied().collect();
            proptest::prop_assert_eq!(compiler.rules.len(), used.len());
        }
        let (nothing, _) = compiler.compile(&parts.snapshot(&[None; SLOTS]));
        compiler.list_endpoints(&nothing);
        proptest::prop_assert_eq!(compiler.rules.len(), 0);
        proptest::prop_assert!(compiler.reach.is_empty());
    }
}

/// A rule that only moves is the same rule: its mirrors go on counting, its endpoints keep their connections.
#[test]
fn a_rule_that_moves_to_another_host_stays_the_same() {
    let parts = Parts::new();
    let mut compiler = Compiler::new().expect("a compiler");
    let mut picks = [None; SLOTS];
    picks[0] = Some(1);
    let (first, _) = compiler.compile(&parts.snapshot(&picks));
    picks[0] = None;
    picks[1] = Some(1);
    let (second, _) = compiler.compile(&parts.snapshot(&picks));
    let of = |program: &Program, host: &str| -> Destination {
        let port = program.port(([127, 0, 0, 1], 80).into()).expect("the port");
        let listener = port.listener(host).expect("the listener");
        let found = listener.find(host, &view()).expect("the rule");
        found.rule.mirrors[0].destination.clone()
    };
    let (one, other) = (of(&first, HOSTS[0]), of(&second, HOSTS[1]));
    assert!(Arc::ptr_eq(&one.transport, &other.transport));
    let rules = [(&first, HOSTS[0]), (&second, HOSTS[1])].map(|(program, host)| {
        let port = program.port(([127, 0, 0, 1], 80).into()).expect("the port");
        let listener = port.listener(host).expect("the listener");
        std::ptr::from_ref(listener.find(host, &view()).expect("the rule").rule)
    });
    assert_eq!(rules[0], rules[1]);
}

#[test]
fn tls_is_set_up_again_only_for_what_it_is_made_of() {
    let mut compiler = Compiler::new().expect("a compiler");
    let kept = Arc::default();
    let mut snapshot = snapshot(&kept, &Arc::default());
    snapshot.http[0].protocol = PortProtocol::Tls;
    let mut configs = Vec::new();
    let (one, other) = (certificate(), certificate());
    for certificate in [&one, &one, &other] {
        snapshot.http[0].listeners[0].tls = Some(ListenerTls {
            certificates: vec![Arc::clone(certificate)],
            clients: None,
        });
        let (program, failures) = compiler.compile(&snapshot);
        assert_eq!(failures, []);
        let port = program.port(([127, 0, 0, 1], 80).into()).expect("the port");
        let listener = port.listener("kept").expect("the listener");
        configs.push(listener.tls.clone().expect("settings"));
    }
    assert!(Arc::ptr_eq(&configs[0], &configs[1]));
    assert!(!Arc::ptr_eq(&configs[1], &configs[2]));
}

#[test]
fn a_listener_without_a_usable_certificate_is_named() {
    let mut compiler = Compiler::new().expect("a compiler");
    let mut snapshot = snapshot(&Arc::default(), &Arc::default());
    snapshot.http[0].protocol = PortProtocol::Tls;
    snapshot.http[0].listeners[0].tls = Some(ListenerTls {
        certificates: Vec::new(),
        clients: None,
    });
    let (program, failures) = compiler.compile(&snapshot);

    assert_eq!(program.listeners.len(), 1);
    assert_eq!(failures.len(), 1);
    assert!(failures[0].message.contains("certificate"), "{failures:?}");
}

fn certificate() -> Arc<Certificate> {
    let made = rcgen::generate_simple_self_signed(vec!["kept".to_owned()]);
    let made = made.expect("a certificate");
    Arc::new(Certificate {
        secret: ObjectName::new("default", "cert"),
        chain: vec![made.cert.der().to_vec()],
        key: PrivateKey::new(made.signing_key.serialize_der()),
        names: vec!["kept".to_owned()],
    })
}

const HOSTS: [&str; 6] = ["a.a", "b.a", "c.a", "a.b", "b.b", "c.b"];
/// The hosts of two listeners for requests, and then those of one for connections.
const STREAMS_FROM: usize = 6;
const SLOTS: usize = 9;
const RULES: usize = 5;

/// What configurations are put together from, so that equal parts are the same objects.
struct Parts {
    /// By slot and rule.
    programs: Vec<Vec<Arc<HostProgram>>>,
    streams: Vec<Arc<StreamProgram>>,
}

impl Parts {
    fn new() -> Self {
        let sets: Vec<Arc<EndpointSet>> = (0..4).map(endpoints).collect();
        let rules: Vec<Arc<Rule>> = (0..RULES).map(|it| rule(it, &sets)).collect();
        let programs = (0..STREAMS_FROM).map(|_| {
            let programs = rules.iter().map(|rule| {
                let matches = ["/x", ""].map(|prefix| Match {
                    path: PathMatch::Prefix(prefix.to_owned()),
                    method: None,
                    headers: Vec::new(),
                    query: Vec::new(),
                });
                let entries = matches.into_iter().enumerate();
                let entries =
                    entries.map(|(index, it)| Entry::new(it, None, Arc::clone(rule), index));
                Arc::new(HostProgram::new(entries))
            });
            programs.collect()
        });
        let streams = (0..RULES).map(|index| {
            let program = StreamProgram {
                id: id(index),
                backends: vec![backend(1, BackendProtocol::Http, &sets[index % sets.len()])],
            };
            Arc::new(program)
        });
        Self {
            programs: programs.collect(),
            streams: streams.collect(),
        }
    }

    /// The configuration in which each slot has its rule.
    fn snapshot(&self, picks: &[Option<usize>]) -> Snapshot {
        let picked =
            |slot: usize| Some((HostPattern::Exact(HOSTS[slot % 6].to_owned()), picks[slot]?));
        let requests = |slots: std::ops::Range<usize>| {
            let hosts = slots.filter_map(|slot| {
                let (host, pick) = picked(slot)?;
                Some((host, Arc::clone(&self.programs[slot][pick])))
            });
            gateway_ir::Routing::Http(hosts.collect())
        };
        let connections = (STREAMS_FROM..SLOTS).filter_map(|slot| {
            let (host, pick) = picked(slot)?;
            Some((host, Arc::clone(&self.streams[pick])))
        });
        let connections = gateway_ir::Routing::Stream(connections.collect());
        let mut snapshot = snapshot(&Arc::default(), &Arc::default());
        let port = &mut snapshot.http[0];
        let listener = port.listeners.remove(0);
        let like = |name: &str, pattern: &str, routing| IrListener {
            id: ListenerId {
                section: name.to_owned(),
                ..listener.id.clone()
            },
            hostname: pattern.parse().expect("a pattern"),
            routing,
            ..listener.clone()
        };
        let all = [
            ("a", "*.a", requests(0..3)),
            ("b", "*.b", requests(3..6)),
            ("c", "*.c", connections),
        ];
        let all = all.into_iter().enumerate();
        // A listener without hosts comes and goes as a whole.
        let all = all.filter(|(index, _)| (0..3).any(|it| picks[3 * index + it].is_some()));
        let all = all.map(|(_, (name, pattern, routing))| like(name, pattern, routing));
        port.listeners = all.collect();
        snapshot
    }
}

fn endpoints(index: u8) -> Arc<EndpointSet> {
    let all = [index, 9].map(|last| Endpoint {
        address: ([192, 0, 2, last], 80).into(),
        node: None,
    });
    Arc::new(EndpointSet {
        endpoints: all.to_vec(),
        ..EndpointSet::default()
    })
}

/// A rule with two backends, one of which gets nothing, and a mirror.
fn rule(index: usize, sets: &[Arc<EndpointSet>]) -> Arc<Rule> {
    let set = |offset: usize| &sets[(index + offset) % sets.len()];
    let mirror = gateway_ir::Mirror {
        target: backend(1, BackendProtocol::Http, set(1)).target,
        share: Fraction::ALL,
    };
    let protocol = match index % 2 {
        0 => BackendProtocol::Http,
        _ => BackendProtocol::Http2,
    };
    Arc::new(Rule {
        id: id(index),
        filters: vec![Filter::RequestMirror(mirror)],
        backends: vec![
            backend(1, protocol, set(0)),
            backend(0, BackendProtocol::Http, set(2)),
        ],
        kind: RouteKind::Http,
        timeouts: Timeouts::default(),
        retry: None,
        persistence: None,
    })
}

fn id(index: usize) -> RuleId {
    RuleId {
        route: RouteName {
            kind: "HTTPRoute".to_owned(),
            object: ObjectName::new("default", "route"),
        },
        index,
        name: None,
    }
}

fn backend(weight: u32, protocol: BackendProtocol, set: &Arc<EndpointSet>) -> WeightedBackend {
    WeightedBackend {
        weight,
        target: Target::Backend(Arc::new(Backend {
            name: BackendName {
                service: ObjectName::new("default", "pods"),
                port: 80,
            },
            endpoints: Arc::clone(set),
            protocol,
            tls: None,
        })),
        filters: Vec::new(),
    }
}

/// The endpoints that a program leads to; those of several transports several times.
fn addresses(program: &Program) -> Vec<(SocketAddr, usize)> {
    let all = program.endpoints().expect("a list").entries().into_iter();
    let mut all: Vec<_> = all.map(|((address, _), sets)| (address, sets)).collect();
    all.sort_unstable();
    all
}

fn found(program: &Program, host: &str) -> Option<RuleId> {
    let port = program.port(([127, 0, 0, 1], 80).into())?;
    let found = port.listener(host)?.find(host, &view())?;
    Some(found.rule.id().clone())
}

fn view() -> View<'static> {
    static HEADERS: std::sync::LazyLock<HeaderMap> = std::sync::LazyLock::new(HeaderMap::new);
    View {
        method: &Method::GET,
        path: "/x/y",
        headers: &HEADERS,
        query: Query::new(None),
    }
}

fn snapshot(kept: &Arc<HostProgram>, new: &Arc<HostProgram>) -> Snapshot {
    let hosts = [("kept", kept), ("new", new)]
        .map(|(name, program)| (HostPattern::Exact(name.to_owned()), Arc::clone(program)));
    Snapshot {
        http: vec![HttpPort {
            addresses: Vec::new(),
            port: 80,
            protocol: PortProtocol::Http,
            settings: Arc::default(),
            listeners: vec![IrListener {
                id: ListenerId {
                    gateway: ObjectName::new("default", "gateway"),
                    section: "http".to_owned(),
                },
                hostname: HostPattern::Any,
                tls: None,
                routing: gateway_ir::Routing::Http(hosts.into_iter().collect()),
            }],
        }],
        ..Snapshot::default()
    }
}

fn routes(program: &Program, host: &str) -> Arc<Routes> {
    let port = program.port(([127, 0, 0, 1], 80).into()).expect("the port");
    let listener = port.listener(host).expect("the listener");
    let Routing::Http(hosts) = &listener.routing else {
        panic!("a listener for requests");
    };
    Arc::clone(hosts.covering(host).next().expect("the host"))
}
