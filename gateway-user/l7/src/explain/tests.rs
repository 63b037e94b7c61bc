//! Explanations, and that they are what is served.

use gateway_ir::{
    Entry, HeaderMatch, HostProgram, Listener, Match, ObjectName, PathMatch, RouteKind, RouteName,
    Timeouts, ValueMatch,
};
use http::HeaderName;
use proptest::prelude::{Just, Strategy, prop_oneof};

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
    let choice = port.choice.as_ref().expect("a rule");
    assert_eq!(choice.host.to_string(), "*.test");
    assert_eq!(port.refused, None);
}

#[test]
fn a_request_that_nothing_takes_is_explained_too() {
    let snapshot = site(vec![("shop.test", vec![prefix("/a")])]);
    let refused = |url| {
        let explanation = explain(&snapshot, &question(url));
        let port = explanation.ports.first().cloned();
        port.and_then(|port| port.refused).map(|(status, _)| status)
    };
    assert_eq!(refused("http://shop.test/b"), Some(404));
    assert_eq!(refused("http://shop.test/a%2fb"), Some(400));
    assert_eq!(refused("http://shop.test:81/"), None);
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
        let explained = explanation.ports.first().and_then(|port| port.choice.as_ref());
        let explained = explained.map(|choice| choice.rule.id.clone());
        proptest::prop_assert_eq!(explained, served(&snapshot, &question));
    }
}

/// The rule that routing finds.
fn served(snapshot: &Snapshot, question: &Question) -> Option<RuleId> {
    let parts = head(question)?;
    let (program, _) = Compiler::new().ok()?.compile(snapshot);
    let target = Target::read(&parts, &snapshot.proxy).ok()?;
    let port = program.port(([127, 0, 0, 1], 80).into())?;
    let view = View {
        method: &parts.method,
        path: &target.path,
        headers: &parts.headers,
        query: Query::new(target.query),
    };
    let found = port.listener(&target.host)?.find(&target.host, &view)?;
    Some(found.rule.id.clone())
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

/// One HTTP port with a listener for every host.
fn site(hosts: Vec<(&str, Vec<Match>)>) -> Snapshot {
    let hosts = hosts.into_iter().map(|(host, matches)| {
        let matches = matches.into_iter().enumerate();
        let entries = matches.map(|(index, matches)| entry(host, index, matches));
        let pattern = HostPattern::try_from(host.to_owned()).expect("a pattern");
        (pattern, Arc::new(HostProgram::new(entries)))
    });
    Snapshot {
        http: vec![HttpPort {
            addresses: Vec::new(),
            port: 80,
            protocol: PortProtocol::Http,
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
