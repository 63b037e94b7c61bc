//! Explanations, and that they are what is served.

use gateway_ir::{
    Certificate, Entry, HeaderMatch, HostPattern, HostProgram, Listener, ListenerId, ListenerTls,
    Match, ObjectName, PathMatch, PrivateKey, ProxySettings, RouteKind, RouteName, Routing, Rule,
    RuleId, StreamProgram, Timeouts, ValueMatch,
};
use http::HeaderName;
use proptest::prelude::{Just, Strategy, prop_oneof};

use crate::program::{Query, View};
use crate::request::Target;

use super::*;

#[test]
fn an_explanation_names_listener_candidates_and_why_each_lost() {
    let by_header = Match {
        headers: vec![HeaderMatch {
            name: HeaderName::from_static("x"),
            value: ValueMatch::Exact("1".to_owned()),
        }],
        ..prefix("/a")
    };
    let post = Match {
        method: Some(Method::POST),
        ..prefix("/a")
    };
    let exact = Match {
        path: PathMatch::Exact("/other".to_owned()),
        ..prefix("")
    };
    let snapshot = site(vec![
        ("shop.test", vec![by_header, post, exact]),
        ("*.test", vec![prefix("/a"), prefix("")]),
    ]);
    let explanation = explain(&snapshot, &question("http://shop.test/a/b"));

    let port = explanation.ports.first().expect("the port");
    let listener = port.listener.as_ref().map(ToString::to_string);
    assert_eq!(listener.as_deref(), Some("default/gateway/http"));
    let lost: Vec<_> = port.candidates.iter().map(|one| one.lost.clone()).collect();
    let expected = [
        Some(Lost::Path),
        Some(Lost::Method),
        Some(Lost::Header("x".to_owned())),
        None,
        Some(Lost::Precedence),
    ];
    assert_eq!(lost, expected);
    let choice = choice(port).expect("a rule");
    assert_eq!(choice.host.to_string(), "*.test");
}

#[test]
fn a_request_that_nothing_takes_is_explained_too() {
    let snapshot = site(vec![("shop.test", vec![prefix("/a")])]);
    let refused = |url| {
        let explanation = explain(&snapshot, &question(url));
        let outcome = &explanation.ports.first()?.outcome;
        let Outcome::Refused { refused, .. } = outcome else {
            return None;
        };
        Some(refused.status)
    };
    assert_eq!(refused("http://shop.test/b"), Some(404));
    assert_eq!(refused("http://shop.test/a%2fb"), Some(400));
    let elsewhere = explain(&snapshot, &question("http://shop.test:81/"));
    assert_eq!(elsewhere.ports, []);
    assert_eq!(elsewhere.others, [(80, PortProtocol::Http)]);
}

/// Server name and host may mean different listeners; a TLSRoute's connections are no requests.
#[test]
fn what_a_server_name_leads_to_is_explained() {
    let mut snapshot = site(vec![("a.test", vec![prefix("")])]);
    let port = snapshot.http.first_mut().expect("the port");
    port.protocol = PortProtocol::Tls;
    let www = port.listeners.pop().expect("the listener");
    port.listeners = vec![
        secured(www.clone(), "www", "a.test"),
        secured(www.clone(), "other", "b.test"),
        Listener {
            routing: Routing::Stream([(host("c.test"), passing())].into_iter().collect()),
            ..secured(www, "pass", "*.test")
        },
    ];
    for listener in &mut port.listeners {
        if let Routing::Stream(_) = listener.routing {
            listener.tls = None;
        }
    }
    let outcome = |server_name: &str| {
        let question = Question {
            server_name: Some(server_name.to_owned()),
            ..question("https://a.test:80/")
        };
        let port = explain(&snapshot, &question).ports.remove(0);
        let handshake = port.handshake.expect("TLS");
        (handshake.ending, port.outcome)
    };
    let (ending, served) = outcome("A.test.");
    assert_eq!(ending, Ending::Here);
    // The rule has no backend.
    assert!(matches!(
        served,
        Outcome::Refused {
            choice: Some(_),
            ..
        }
    ));
    let (_, misdirected) = outcome("b.test");
    let Outcome::Refused { refused, .. } = misdirected else {
        panic!("{misdirected:?}");
    };
    assert_eq!(refused.status, 421);
    let (ending, passed) = outcome("c.test");
    assert_eq!(ending, Ending::Endpoint);
    assert!(matches!(passed, Outcome::Connected { .. }));
    assert_eq!(outcome("d.test").1, Outcome::Closed);
    assert_eq!(outcome("example"), (Ending::Nowhere, Outcome::Closed));
}

proptest::proptest! {
    /// What is explained is what is served.
    #[test]
    fn explanations_and_routing_agree(
        narrow in proptest::collection::vec(any_match(), 0..6),
        wide in proptest::collection::vec(any_match(), 0..6),
        path in "(/[ab]{0,2}){1,3}",
        method in prop_oneof![Just(Method::GET), Just(Method::POST)],
        x in proptest::option::of("[12]"),
    ) {
        let snapshot = site(vec![("a.test", narrow), ("*.test", wide)]);
        let mut question = question(&format!("http://a.test{path}"));
        question.method = method;
        if let Some(x) = x {
            question.headers.insert("x", x.parse().expect("a value"));
        }
        let explanation = explain(&snapshot, &question);
        let explained = explanation.ports.first().and_then(choice);
        let explained = explained.map(|choice| choice.rule.id.clone());
        proptest::prop_assert_eq!(explained, served(&snapshot, &question));
    }
}

fn explain(snapshot: &Snapshot, question: &Question) -> Explanation {
    let explainer = Explainer::compile(Arc::new(snapshot.clone()));
    explainer.expect("it compiles").explain(question)
}

/// The rule that is explained.
fn choice(port: &PortExplanation) -> Option<&Choice> {
    match &port.outcome {
        Outcome::Refused { choice, .. } => choice.as_ref(),
        Outcome::Answered { choice, .. } | Outcome::Routed { choice, .. } => Some(choice),
        Outcome::Alert | Outcome::Closed | Outcome::Connected { .. } => None,
    }
}

/// The rule that routing finds.
fn served(snapshot: &Snapshot, question: &Question) -> Option<RuleId> {
    let parts = head(question)?;
    let (program, _) = Compiler::new().ok()?.compile(snapshot);
    let target = Target::read(&parts, &ProxySettings::default()).ok()?;
    let port = program.port(([127, 0, 0, 1], 80).into())?;
    let view = View {
        method: &parts.method,
        path: &target.path,
        headers: &parts.headers,
        query: Query::new(target.query),
    };
    let found = port.listener(&target.host)?.find(&target.host, &view)?;
    Some(found.rule.id().clone())
}

fn any_match() -> impl Strategy<Value = Match> {
    let path = prop_oneof![
        "(/[ab]{1,2}){1,2}".prop_map(PathMatch::Exact),
        "(/[ab]{1,2}){0,2}".prop_map(PathMatch::Prefix),
        "/[ab]\\*(/.\\*)?".prop_map(PathMatch::Regex),
    ];
    let method = proptest::option::of(Just(Method::GET));
    let header = proptest::option::of("[12]");
    (path, method, header).prop_map(|(path, method, header)| Match {
        path,
        method,
        headers: header
            .map(|value| HeaderMatch {
                name: HeaderName::from_static("x"),
                value: ValueMatch::Exact(value),
            })
            .into_iter()
            .collect(),
        query: Vec::new(),
    })
}

fn question(url: &str) -> Question {
    Question {
        method: Method::GET,
        url: url.parse().expect("a URL"),
        headers: HeaderMap::new(),
        server_name: None,
    }
}

fn prefix(path: &str) -> Match {
    Match {
        path: PathMatch::Prefix(path.to_owned()),
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    }
}

fn host(text: &str) -> HostPattern {
    HostPattern::try_from(text.to_owned()).expect("a pattern")
}

/// A listener by another name, for another host, with a certificate.
fn secured(listener: Listener, section: &str, hostname: &str) -> Listener {
    let made = rcgen::generate_simple_self_signed(vec![hostname.to_owned()]);
    let made = made.expect("a certificate");
    let certificate = Certificate {
        secret: ObjectName::new("default", "cert"),
        chain: vec![made.cert.der().to_vec()],
        key: PrivateKey::new(made.signing_key.serialize_der()),
        names: vec![hostname.to_owned()],
    };
    Listener {
        id: ListenerId {
            section: section.to_owned(),
            ..listener.id
        },
        hostname: host(hostname),
        tls: Some(ListenerTls {
            certificates: vec![Arc::new(certificate)],
            clients: None,
        }),
        routing: listener.routing,
    }
}

fn passing() -> Arc<StreamProgram> {
    Arc::new(StreamProgram {
        id: RuleId {
            route: RouteName {
                kind: "TLSRoute".to_owned(),
                object: ObjectName::new("default", "pass"),
            },
            index: 0,
            name: None,
        },
        backends: Vec::new(),
    })
}

/// One HTTP port with a listener for every host.
fn site(hosts: Vec<(&str, Vec<Match>)>) -> Snapshot {
    let hosts = hosts.into_iter().map(|(name, matches)| {
        let matches = matches.into_iter().enumerate();
        let entries = matches.map(|(index, matches)| entry(name, index, matches));
        (host(name), Arc::new(HostProgram::new(entries)))
    });
    Snapshot {
        http: vec![HttpPort {
            addresses: Vec::new(),
            port: 80,
            protocol: PortProtocol::Http,
            settings: Arc::default(),
            listeners: vec![Listener {
                id: ListenerId {
                    gateway: ObjectName::new("default", "gateway"),
                    section: "http".to_owned(),
                },
                hostname: HostPattern::Any,
                tls: None,
                routing: Routing::Http(hosts.collect()),
            }],
        }],
        ..Snapshot::default()
    }
}

fn entry(host: &str, index: usize, matches: Match) -> Entry {
    let id = RuleId {
        route: RouteName {
            kind: "HTTPRoute".to_owned(),
            object: ObjectName::new("default", host),
        },
        index,
        name: None,
    };
    let rule = Arc::new(Rule {
        id,
        filters: Vec::new(),
        backends: Vec::new(),
        kind: RouteKind::Http,
        timeouts: Timeouts::default(),
        retry: None,
        persistence: None,
    });
    Entry::new(matches, None, rule, 0)
}
