//! The order of matches, sentence by sentence of `HTTPRouteRule.matches`.

use http::{HeaderName, Method};
use proptest::prelude::{
    Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::*;
use crate::{HeaderMatch, ObjectName, QueryMatch, RouteName, ValueMatch};

#[test]
fn an_exact_path_is_before_a_longer_prefix() {
    assert!(rank(&exact("/a")) < rank(&prefix("/a/b/c/d")));
}

#[test]
fn a_longer_prefix_is_before_a_shorter_one() {
    assert!(rank(&prefix("/abc")) < rank(&prefix("/a")));
}

#[test]
fn a_regular_expression_is_behind_every_prefix_but_the_one_that_says_nothing() {
    let regex = Match {
        path: PathMatch::Regex("/[a-z]+".to_owned()),
        ..prefix("")
    };
    let with_method = Match {
        method: Some(Method::GET),
        ..prefix("")
    };
    assert!(rank(&prefix("/a")) < rank(&regex));
    assert!(rank(&regex) < rank(&with_method));
}

#[test]
fn the_path_is_before_the_method_and_the_method_before_headers() {
    let with_method = Match {
        method: Some(Method::GET),
        ..prefix("/a")
    };
    let with_headers = Match {
        headers: headers(3),
        ..prefix("/a")
    };
    assert!(rank(&prefix("/ab")) < rank(&with_method));
    assert!(rank(&with_method) < rank(&with_headers));
    assert!(rank(&with_headers) < rank(&prefix("/a")));
}

#[test]
fn more_headers_are_before_fewer_and_headers_before_query_parameters() {
    let two = Match {
        headers: headers(2),
        ..prefix("/a")
    };
    let one = Match {
        headers: headers(1),
        ..prefix("/a")
    };
    let query = Match {
        query: query(5),
        ..prefix("/a")
    };
    assert!(rank(&two) < rank(&one));
    assert!(rank(&one) < rank(&query));
}

#[test]
fn ties_go_to_the_oldest_route_then_the_name_then_the_order_in_the_route() {
    let tie = prefix("/a");
    let old = Precedence::new(&tie, Some("2020-01-01T00:00:00Z"), &rule("z", "z", 9), 9);
    let young = Precedence::new(&tie, Some("2021-01-01T00:00:00Z"), &rule("a", "a", 0), 0);
    let undated =
        |namespace, name, index, at| Precedence::new(&tie, None, &rule(namespace, name, index), at);
    let ordered = [
        old,
        young,
        undated("a", "a", 0, 0),
        undated("a", "a", 0, 1),
        undated("a", "a", 1, 0),
        undated("a", "b", 0, 0),
        undated("b", "a", 0, 0),
    ];
    assert!(ordered.is_sorted());
}

proptest! {
    #[test]
    fn precedence_is_a_total_order_whatever_the_input_order(
        (ranked, shuffled) in prop::collection::vec(entry(), 0..24)
            .prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle()))
    ) {
        let program = HostProgram::new(ranked);
        prop_assert!(program.entries().is_sorted_by(|a, b| a.precedence <= b.precedence));
        let again = HostProgram::new(shuffled);
        let ranks = |program: &HostProgram| -> Vec<_> {
            program.entries().map(|entry| Arc::clone(&entry.precedence)).collect()
        };
        prop_assert_eq!(ranks(&program), ranks(&again));
    }

    #[test]
    fn two_different_matches_never_tie(a in entry(), b in entry()) {
        let same_place = a.rule.id == b.rule.id && a.match_index == b.match_index;
        prop_assert!(same_place || a.precedence != b.precedence);
    }
}

fn entry() -> impl Strategy<Value = Arc<Entry>> {
    let path = prop_oneof![
        "/[ab]{0,3}".prop_map(PathMatch::Exact),
        "/[ab]{0,3}".prop_map(PathMatch::Prefix),
        "/[ab]{0,3}".prop_map(PathMatch::Regex),
    ];
    let shape = (path, any::<bool>(), 0..3_usize, 0..3_usize);
    let place = ("[ab]", "[ab]", 0..3_usize, 0..3_usize);
    (shape, place).prop_map(
        |((path, method, header_count, query_count), (namespace, name, index, match_index))| {
            let matches = Match {
                path,
                method: method.then_some(Method::GET),
                headers: headers(header_count),
                query: query(query_count),
            };
            let rule = leading_nowhere(rule(&namespace, &name, index));
            Arc::new(Entry::new(matches, None, Arc::new(rule), match_index))
        },
    )
}

#[test]
fn differences_name_what_is_gone_and_what_is_new() {
    let entry = |path: &str| {
        let rule = leading_nowhere(rule("default", path, 0));
        Arc::new(Entry::new(prefix(path), None, Arc::new(rule), 0))
    };
    let (gone, kept, old, new) = (
        entry("/gone"),
        entry("/kept"),
        entry("/same"),
        entry("/new"),
    );
    let other = Rule {
        kind: RouteKind::Grpc,
        ..Rule::clone(&old.rule)
    };
    let changed = Arc::new(old.with_rule(Arc::new(other)));
    let before = HostProgram::new([&gone, &kept, &old].map(Arc::clone));
    let after = HostProgram::new([&kept, &changed, &new].map(Arc::clone));

    let mut found: Vec<_> = before.differences(&after).collect();
    found.sort_by_key(|(gone, new)| (gone.is_some(), new.is_some()));
    let expected = [
        (None, Some(&new)),
        (Some(&gone), None),
        (Some(&old), Some(&changed)),
    ];
    assert_eq!(found, expected);
}

fn leading_nowhere(id: RuleId) -> Rule {
    Rule {
        id,
        filters: Vec::new(),
        backends: Vec::new(),
        kind: RouteKind::Http,
        timeouts: Timeouts::default(),
        retry: None,
        persistence: None,
    }
}

fn rank(matches: &Match) -> Precedence {
    Precedence::new(matches, None, &rule("default", "route", 0), 0)
}

fn rule(namespace: &str, name: &str, index: usize) -> RuleId {
    let route = RouteName {
        kind: "HTTPRoute".to_owned(),
        object: ObjectName::new(namespace, name),
    };
    RuleId {
        route,
        index,
        name: None,
    }
}

fn exact(path: &str) -> Match {
    Match {
        path: PathMatch::Exact(path.to_owned()),
        ..prefix("")
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

fn headers(count: usize) -> Vec<HeaderMatch> {
    let name = |index: usize| HeaderName::try_from(format!("x-{index}")).expect("a valid name");
    (0..count)
        .map(|index| HeaderMatch {
            name: name(index),
            value: ValueMatch::Exact(String::new()),
        })
        .collect()
}

fn query(count: usize) -> Vec<QueryMatch> {
    (0..count)
        .map(|index| QueryMatch {
            name: format!("q{index}"),
            value: ValueMatch::Exact(String::new()),
        })
        .collect()
}
