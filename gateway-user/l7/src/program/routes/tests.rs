//! The order of matches, and the index against a linear walk.

use gateway_ir::{
    Backend, BackendName, BackendProtocol, Endpoint, EndpointSet, Entry, HeaderMatch, HostProgram,
    ObjectName, QueryMatch, RouteKind, RouteName, RuleId, Target, Timeouts, ValueMatch,
    WeightedBackend,
};
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use std::sync::Arc;

use http::{HeaderName, Method};

use regex::Regex;

use super::*;
use crate::program::reach::Reach;
use crate::program::rule::Rules;
use crate::program::{Query, steps};
use crate::session::TokenKeys;
use crate::transport::Transports;

/// Gateway API, `HTTPRouteRule.matches`: "Proxy or Load Balancer routing configuration generated from HTTPRoutes MUST
/// prioritize matches based on the following criteria, continuing on ties."
#[test]
fn precedence_is_the_specifications() {
    let cases: [(&str, Match, Match); 5] = [
        (
            "\"Exact\" path match.",
            at(PathMatch::Exact("/a".to_owned())),
            Match {
                headers: vec![header("x", "1")],
                ..at(PathMatch::Prefix("/a".to_owned()))
            },
        ),
        (
            "\"Prefix\" path match with largest number of characters.",
            at(prefix("/a/b")),
            Match {
                method: Some(Method::GET),
                ..at(prefix("/a"))
            },
        ),
        (
            "Method match.",
            Match {
                method: Some(Method::GET),
                ..at(prefix("/a"))
            },
            Match {
                headers: vec![header("x", "1"), header("y", "1")],
                ..at(prefix("/a"))
            },
        ),
        (
            "Largest number of header matches.",
            Match {
                headers: vec![header("x", "1"), header("y", "1")],
                ..at(prefix("/a"))
            },
            Match {
                headers: vec![header("x", "1")],
                query: vec![query("q", "1")],
                ..at(prefix("/a"))
            },
        ),
        (
            "Largest number of query param matches.",
            Match {
                query: vec![query("q", "1")],
                ..at(prefix("/a"))
            },
            at(prefix("/a")),
        ),
    ];
    let request = request("GET", "/a/b?q=1", &[("x", "1"), ("y", "1")]);
    let exact = self::request("GET", "/a?q=1", &[("x", "1"), ("y", "1")]);
    for (sentence, winner, loser) in cases {
        for order in [
            [winner.clone(), loser.clone()],
            [loser.clone(), winner.clone()],
        ] {
            let wins = order.iter().position(|one| *one == winner);
            let request = match winner.path {
                PathMatch::Exact(_) => &exact,
                PathMatch::Prefix(_) | PathMatch::Regex(_) => &request,
            };
            assert_eq!(find(&program(&order), request), wins, "{sentence}");
        }
    }
}

/// Gateway API, `PathMatchPathPrefix`: "Matching is case-sensitive and done on a path element by element basis."
#[test]
fn a_prefix_is_whole_path_elements() {
    for (pattern, path, matches) in [
        ("/abc", "/abc", true),
        ("/abc", "/abc/", true),
        ("/abc", "/abc/def", true),
        ("/abc", "/abcd", false),
        ("/abc", "/ABC", false),
        ("/abc", "/ab", false),
        ("", "/", true),
        ("", "/anything", true),
        ("", "*", false),
    ] {
        let program = program(&[at(prefix(pattern))]);
        let found = find(&program, &request("GET", path, &[])).is_some();
        assert_eq!(found, matches, "{pattern} {path}");
    }
}

/// Gateway API, `HTTPHeaderMatch.name`: names are case-insensitive; several values of a name are joined by commas.
#[test]
fn header_conditions_see_joined_values() {
    let program = program(&[
        Match {
            headers: vec![header("x", "1,2")],
            ..at(prefix(""))
        },
        Match {
            headers: vec![HeaderMatch {
                name: HeaderName::from_static("y"),
                value: ValueMatch::Regex("a|b".to_owned()),
            }],
            ..at(prefix(""))
        },
    ]);
    assert_eq!(
        find(&program, &request("GET", "/", &[("X", "1"), ("x", "2")])),
        Some(0)
    );
    assert_eq!(find(&program, &request("GET", "/", &[("x", "1")])), None);
    assert_eq!(find(&program, &request("GET", "/", &[("y", "b")])), Some(1));
    assert_eq!(find(&program, &request("GET", "/", &[("y", "ab")])), None);
}

#[test]
fn a_regular_expression_matches_the_whole_path_and_comes_last() {
    let program = program(&[
        at(PathMatch::Regex("/v[0-9]+(/.*)?".to_owned())),
        at(prefix("/v1")),
    ]);
    assert_eq!(find(&program, &request("GET", "/v1/x", &[])), Some(1));
    assert_eq!(find(&program, &request("GET", "/v22/x", &[])), Some(0));
    assert_eq!(find(&program, &request("GET", "/x/v22", &[])), None);
}

#[test]
fn weights_are_shares_and_zero_is_none() {
    let backends = vec![backend(9, 1), backend(0, 2), backend(1, 3)];
    let rule = Rule::new(
        &Arc::new(ir_rule(0, backends)),
        &mut Transports::default(),
        &TokenKeys::draw().expect("a key"),
    );
    let random = crate::random::Random::new(1);
    let mut drawn = [0; 4];
    for _ in 0..10_000 {
        let share = rule.shares.draw(&random).expect("a share");
        let destination = share.destination.as_ref().expect("valid");
        drawn[usize::from(destination.backend.name.port)] += 1;
    }
    assert!((8_800..9_200).contains(&drawn[1]), "{drawn:?}");
    assert_eq!((drawn[2], drawn[1] + drawn[3]), (0, 10_000));
}

proptest::proptest! {
    /// The index is only a faster way to find what a walk over the entries in order finds first.
    #[test]
    fn the_index_finds_what_a_linear_walk_finds(
        matches in proptest::collection::vec(any_match(), 0..12),
        path in "(/[ab]{0,2}){1,4}",
        method in prop_oneof![Just("GET"), Just("POST")],
        x in proptest::option::of("[12]"),
        q in proptest::option::of("[12]"),
    ) {
        let target = q.map_or_else(|| path.clone(), |q| format!("{path}?q={q}"));
        let headers: Vec<(&str, &str)> = x.iter().map(|x| ("x", x.as_str())).collect();
        let request = request(method, &target, &headers);
        let program = program(&matches);
        let linear = program
            .entries()
            .find(|entry| naive(&entry.matches, &request))
            .map(|entry| entry.rule.id.index);
        proptest::prop_assert_eq!(find(&program, &request), linear);
    }
}

proptest::proptest! {
    /// The same where many matches differ in little but what they ask for.
    #[test]
    fn matches_of_one_path_are_told_apart_by_all_they_ask_for(
        matches in proptest::collection::vec(any_conditions(), 0..16),
        get in any::<bool>(),
        headers in proptest::collection::btree_map("[u-z]", "[12]", 0..5),
        params in proptest::collection::btree_map("[u-z]", "[12]", 0..5),
    ) {
        let query: Vec<String> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let method = if get { "GET" } else { "POST" };
        let request = request(method, &format!("/a?{}", query.join("&")), &headers);
        let program = program(&matches);
        let linear = program.entries().find(|entry| naive(&entry.matches, &request));
        let linear = linear.map(|entry| entry.rule.id.index);
        proptest::prop_assert_eq!(find(&program, &request), linear);
    }
}

proptest::proptest! {
    /// However matches come, go and change, what is left is found as if it had been compiled at once, and copies from before
    /// find what they found.
    #[test]
    fn changes_lead_to_what_a_compilation_from_nothing_finds(
        matches in proptest::collection::vec(
            prop_oneof![any_match(), any_conditions(), (0..70_u32).prop_map(expression)],
            1..24,
        ),
        steps in proptest::collection::vec(any::<u64>(), 1..8),
        path in prop_oneof![Just("/a"), Just("/a/b"), Just("/b/a/a"), Just("/aa7")],
        headers in proptest::collection::btree_map("[u-z]", "[12]", 0..5),
    ) {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let request = request("GET", &format!("{path}?u=1&q=2"), &headers);
        let all = program(&matches);
        let mut now = (HostProgram::default(), Routes::default());
        for chosen in steps {
            let picked = all.entries().enumerate();
            let picked = picked.filter(|(index, _)| chosen >> index & 1 == 1);
            let newer = HostProgram::new(picked.map(|(index, entry)| {
                // Now and then the same match leads elsewhere.
                match chosen >> (index + 32) & 1 {
                    1 => Arc::new(entry.with_rule(Arc::new(ir_rule(entry.rule.id.index + 100, Vec::new())))),
                    _ => Arc::clone(entry),
                }
            }));
            let mut routes = now.1.clone();
            routes.edit(edits(&now.0, &newer));
            for (program, routes) in [&now, &(newer.clone(), routes.clone())] {
                let linear = program.entries().find(|entry| naive(&entry.matches, &request));
                let found = routes.find(&view(&request)).map(|it| it.rule.id().index);
                proptest::prop_assert_eq!(found, linear.map(|it| it.rule.id.index));
            }
            now = (newer, routes);
        }
        now.1.edit(edits(&now.0, &HostProgram::default()));
        proptest::prop_assert!(now.1.is_empty());
    }
}

/// One of many expressions at the root.
fn expression(number: u32) -> Match {
    at(PathMatch::Regex(format!("/[ab]+{number}?")))
}

/// What a lookup costs may depend on the request and on the kinds of facts that routes ask for, not on their number.
#[test]
fn a_lookup_takes_as_many_steps_among_10_routes_as_among_10_000() {
    let same_steps = |shape: &str, of: &dyn Fn(usize) -> Match| {
        assert_eq!(steps(10, of), steps(10_000, of), "{shape}");
    };
    same_steps("exact paths", &|i| {
        at(PathMatch::Exact(format!("/p/{i}/x")))
    });
    same_steps("prefixes", &|i| at(prefix(&format!("/p/{i}"))));
    same_steps("prefixes of many lengths", &|i| {
        at(prefix(&format!("/p/{i}{}", "/y".repeat((i + 93) % 100))))
    });
    same_steps("values of a header", &|i| Match {
        headers: vec![header("x", &i.to_string())],
        ..at(prefix("/p"))
    });
    same_steps("names of headers", &|i| Match {
        headers: vec![HeaderMatch {
            name: HeaderName::try_from(format!("x-{i}")).expect("a name"),
            value: ValueMatch::Exact("1".to_owned()),
        }],
        ..at(prefix("/p"))
    });
    same_steps("values of a parameter", &|i| Match {
        query: vec![query("q", &i.to_string())],
        ..at(prefix("/p"))
    });
}

#[test]
fn expressions_below_other_paths_are_not_asked() {
    let of = |i| at(PathMatch::Regex(format!("/p/{i}/[a-z]*")));
    assert_eq!(steps(10, &of), steps(300, &of));
}

/// The steps of a lookup for the eighth of so many matches.
fn steps(count: usize, of: &dyn Fn(usize) -> Match) -> usize {
    let matches: Vec<Match> = (0..count).map(of).collect();
    let routes = compiled(&program(&matches));
    let request = request("GET", "/p/7/x?q=7", &[("x", "7"), ("x-7", "1")]);
    let (found, steps) = steps::of(|| routes.find(&view(&request)).map(|it| it.rule.id().index));
    assert_eq!(found, Some(7));
    steps
}

fn naive(matches: &Match, request: &http::Request<()>) -> bool {
    let path = request.uri().path();
    let by_path = match &matches.path {
        PathMatch::Exact(exact) => path == exact,
        PathMatch::Prefix(prefix) => path
            .strip_prefix(prefix.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        PathMatch::Regex(regex) => Regex::new(&format!("^{regex}$"))
            .expect("a regular expression")
            .is_match(path),
    };
    let value = |value: &ValueMatch, actual: Option<&str>| match value {
        ValueMatch::Exact(text) => actual == Some(text),
        ValueMatch::Regex(regex) => actual.is_some_and(|actual| {
            Regex::new(&format!("^(?:{regex})$"))
                .expect("a regular expression")
                .is_match(actual)
        }),
    };
    by_path
        && matches
            .method
            .as_ref()
            .is_none_or(|wanted| wanted == request.method())
        && matches.headers.iter().all(|header| {
            let actual = request.headers().get(&header.name);
            value(
                &header.value,
                actual.and_then(|actual| actual.to_str().ok()),
            )
        })
        && matches.query.iter().all(|param| {
            let prefix = format!("{}=", param.name);
            let query = request.uri().query().unwrap_or_default();
            let actual = query.split('&').find_map(|pair| pair.strip_prefix(&prefix));
            value(&param.value, actual)
        })
}

fn any_match() -> impl Strategy<Value = Match> {
    let path = prop_oneof![
        "(/[ab]{0,2}){1,3}".prop_map(PathMatch::Exact),
        "(/[ab]{1,2}){0,3}".prop_map(PathMatch::Prefix),
        prop_oneof![Just("/a.*"), Just("/[ab]+"), Just("/.*b")]
            .prop_map(|regex| PathMatch::Regex(regex.to_owned())),
    ];
    let value = any_value();
    let header = value.clone().prop_map(|value| HeaderMatch {
        name: HeaderName::from_static("x"),
        value,
    });
    let query = value.prop_map(|value| QueryMatch {
        name: "q".to_owned(),
        value,
    });
    (
        path,
        any::<bool>(),
        proptest::collection::vec(header, 0..2),
        proptest::collection::vec(query, 0..2),
    )
        .prop_map(|(path, get, headers, query)| Match {
            path,
            method: get.then_some(Method::GET),
            headers,
            query,
        })
}

/// Matches of the path `/a`.
fn any_conditions() -> impl Strategy<Value = Match> {
    let facts = || proptest::collection::btree_map("[u-z]", any_value(), 0..4);
    (any::<bool>(), any::<bool>(), facts(), facts()).prop_map(|(exact, get, headers, query)| {
        Match {
            path: if exact {
                PathMatch::Exact("/a".to_owned())
            } else {
                prefix("/a")
            },
            method: get.then_some(Method::GET),
            headers: headers
                .into_iter()
                .map(|(name, value)| HeaderMatch {
                    name: HeaderName::try_from(name).expect("a name"),
                    value,
                })
                .collect(),
            query: query
                .into_iter()
                .map(|(name, value)| QueryMatch { name, value })
                .collect(),
        }
    })
}

fn any_value() -> impl Strategy<Value = ValueMatch> + Clone {
    prop_oneof![
        "[12]".prop_map(ValueMatch::Exact),
        prop_oneof![Just("[12]"), Just("2|3"), Just(".*")]
            .prop_map(|regex| ValueMatch::Regex(regex.to_owned())),
    ]
}

/// The index of the rule that the compiled program finds.
fn find(program: &HostProgram, request: &http::Request<()>) -> Option<usize> {
    let routes = compiled(program);
    routes
        .find(&view(request))
        .map(|found| found.rule.id().index)
}

fn compiled(program: &HostProgram) -> Routes {
    let mut routes = Routes::default();
    routes.edit(edits(&HostProgram::default(), program));
    routes
}

/// What makes one program of another, as the compiler finds it.
fn edits(old: &HostProgram, new: &HostProgram) -> Edits {
    let mut rules = Rules::new(TokenKeys::draw().expect("a key"));
    let mut reach = Reach::default();
    let mut edits = Edits::default();
    for (gone, new) in old.differences(new) {
        edits.gone.extend(gone.cloned());
        edits.new.extend(new.map(|entry| {
            let rule = rules.take(&entry.rule, &mut reach);
            Candidate::new(entry, rule)
        }));
    }
    edits
}

fn view(request: &http::Request<()>) -> View<'_> {
    View {
        method: request.method(),
        path: request.uri().path(),
        headers: request.headers(),
        query: Query::new(request.uri().query()),
    }
}

fn program(matches: &[Match]) -> HostProgram {
    let entries = matches.iter().enumerate().map(|(index, matches)| {
        let rule = Arc::new(ir_rule(index, vec![backend(1, 80)]));
        Entry::new(matches.clone(), None, rule, 0)
    });
    HostProgram::new(entries)
}

fn ir_rule(index: usize, backends: Vec<WeightedBackend>) -> gateway_ir::Rule {
    gateway_ir::Rule {
        id: id(index),
        filters: Vec::new(),
        backends,
        kind: RouteKind::Http,
        timeouts: Timeouts::default(),
        retry: None,
        persistence: None,
    }
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

fn backend(weight: u32, port: u16) -> WeightedBackend {
    WeightedBackend {
        weight,
        target: Target::Backend(Arc::new(Backend {
            name: BackendName {
                service: ObjectName::new("default", "pods"),
                port,
            },
            endpoints: Arc::new(EndpointSet {
                endpoints: vec![Endpoint {
                    address: ([127, 0, 0, 1], port).into(),
                    node: None,
                }],
                ..EndpointSet::default()
            }),
            protocol: BackendProtocol::Http,
            tls: None,
        })),
        filters: Vec::new(),
    }
}

fn at(path: PathMatch) -> Match {
    Match {
        path,
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    }
}

fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix(path.to_owned())
}

fn header(name: &'static str, value: &str) -> HeaderMatch {
    HeaderMatch {
        name: HeaderName::from_static(name),
        value: ValueMatch::Exact(value.to_owned()),
    }
}

fn query(name: &str, value: &str) -> QueryMatch {
    QueryMatch {
        name: name.to_owned(),
        value: ValueMatch::Exact(value.to_owned()),
    }
}

fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> http::Request<()> {
    let mut request = http::Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}
