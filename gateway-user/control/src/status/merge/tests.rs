//! What is written over what is there.

use std::net::IpAddr;

use gateway_ir::ObjectName;
use gateway_translate::{
    AncestorStatus, ConditionStatus, ObjectKey, ParentReference, ParentStatus, Reason,
};
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;

const OURS: &str = "sanmon.dev/gateway-controller";
const EARLIER: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-06-01T12:00:00Z";

#[test]
fn a_new_gateway_gets_its_whole_status_in_one_write() {
    let patch = written(
        Kind::Gateway,
        &Value::Null,
        &gateway(3, ConditionStatus::True),
    );
    assert_eq!(patch["conditions"][0]["observedGeneration"], 3);
    assert_eq!(patch["conditions"][0]["lastTransitionTime"], NOW);
    assert_eq!(
        patch["addresses"],
        json!([{"type": "IPAddress", "value": "192.0.2.1"}])
    );
    let listener = &patch["listeners"][0];
    assert_eq!(listener["attachedRoutes"], 2);
    let kinds = json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}]);
    assert_eq!(listener["supportedKinds"], kinds);
    assert_eq!(listener["conditions"][0]["reason"], "Programmed");
}

#[test]
fn the_count_of_listener_sets_goes_to_zero_with_the_last() {
    let mut wanted = gateway(3, ConditionStatus::True);
    let without = first(Kind::Gateway, &wanted, EARLIER);
    assert_eq!(without.get("attachedListenerSets"), None);
    wanted.attached_listener_sets = Some(1);
    let status = first(Kind::Gateway, &wanted, EARLIER);
    wanted.attached_listener_sets = None;
    let patch = written(Kind::Gateway, &status, &wanted);
    assert_eq!(patch, json!({"attachedListenerSets": 0}));
}

#[test]
fn what_is_there_already_is_not_written_again() {
    let wanted = gateway(3, ConditionStatus::True);
    let status = written(Kind::Gateway, &Value::Null, &wanted);
    assert_eq!(merged(Kind::Gateway, &status, Some(&wanted), "later"), None);
}

#[test]
fn only_a_change_of_status_moves_the_transition_time() {
    let status = first(Kind::Gateway, &gateway(3, ConditionStatus::True), EARLIER);
    let same = written(Kind::Gateway, &status, &gateway(4, ConditionStatus::True));
    assert_eq!(same["conditions"][0]["lastTransitionTime"], EARLIER);
    assert_eq!(same["conditions"][0]["observedGeneration"], 4);
    let other = written(Kind::Gateway, &status, &gateway(4, ConditionStatus::False));
    assert_eq!(other["conditions"][0]["lastTransitionTime"], NOW);
    assert_eq!(
        other["listeners"][0]["conditions"][0]["lastTransitionTime"],
        NOW
    );
}

#[test]
fn an_older_translation_writes_nothing_over_a_newer_one() {
    let status = first(Kind::Gateway, &gateway(5, ConditionStatus::True), EARLIER);
    let older = gateway(4, ConditionStatus::False);
    assert_eq!(merged(Kind::Gateway, &status, Some(&older), NOW), None);
    let status = first(Kind::HttpRoute, &route(5, &["a"]), EARLIER);
    let older = route(4, &["a", "b"]);
    assert_eq!(merged(Kind::HttpRoute, &status, Some(&older), NOW), None);
}

#[test]
fn foreign_conditions_stay_and_ours_that_are_not_wanted_go() {
    let foreign = json!({"type": "example.org/Seen", "status": "True", "extra": [1, {"b": 2.5}]});
    let stale = json!({"type": "Conflicted", "status": "True", "observedGeneration": 1});
    let status = json!({"conditions": [foreign, stale]});
    let patch = written(Kind::Gateway, &status, &gateway(3, ConditionStatus::True));
    let conditions = patch["conditions"].as_array().expect("a list");
    assert_eq!(conditions.len(), 2);
    assert_eq!(conditions[0], foreign);
    assert_eq!(conditions[1]["type"], "Programmed");
}

#[test]
fn entries_of_other_controllers_keep_their_value_and_place() {
    let foreign = |name| json!({"parentRef": {"name": name}, "controllerName": "other/one", "conditions": []});
    let ours = first(Kind::HttpRoute, &route(1, &["a"]), EARLIER)["parents"][0].clone();
    let status = json!({"parents": [foreign("x"), ours, foreign("a")]});
    let patch = written(Kind::HttpRoute, &status, &route(2, &["a", "b"]));
    let parents = patch["parents"].as_array().expect("a list");
    assert_eq!(parents.len(), 4);
    assert_eq!((&parents[0], &parents[2]), (&foreign("x"), &foreign("a")));
    assert_eq!(parents[1]["conditions"][0]["observedGeneration"], 2);
    assert_eq!(parents[1]["conditions"][0]["lastTransitionTime"], EARLIER);
    assert_eq!(parents[3]["parentRef"]["name"], "b");
}

#[test]
fn a_route_that_left_us_loses_our_entry_only() {
    let foreign = json!({"parentRef": {"name": "x"}, "controllerName": "other/one"});
    let ours = first(Kind::HttpRoute, &route(1, &["a"]), EARLIER)["parents"][0].clone();
    let status = json!({"parents": [ours, foreign]});
    assert!(names_controller(&status, OURS));
    let patch = merged(Kind::HttpRoute, &status, None, NOW).expect("a write");
    assert_eq!(patch, json!({"parents": [foreign]}));
    assert!(!names_controller(&patch, OURS));
}

#[test]
fn a_gateway_that_left_us_is_not_touched() {
    let status = first(Kind::Gateway, &gateway(3, ConditionStatus::True), EARLIER);
    assert_eq!(merged(Kind::Gateway, &status, None, NOW), None);
}

#[test]
fn two_parents_that_differ_in_their_section_have_two_entries() {
    let mut wanted = route(1, &["a", "a"]);
    wanted.parents[1].parent_ref.section_name = Some("tls".to_owned());
    let patch = written(Kind::HttpRoute, &Value::Null, &wanted);
    let parents = patch["parents"].as_array().expect("a list");
    assert_eq!(parents.len(), 2);
    assert_eq!(parents[1]["parentRef"]["sectionName"], "tls");
}

#[test]
fn a_class_says_what_is_supported() {
    let wanted = status(
        Kind::GatewayClass,
        1,
        vec![programmed(ConditionStatus::True)],
    );
    let patch = written(Kind::GatewayClass, &Value::Null, &wanted);
    assert_eq!(patch["supportedFeatures"], json!([{"name": "Gateway"}]));
}

#[test]
fn a_message_is_cut_where_the_api_would_refuse_it() {
    let mut wanted = gateway(1, ConditionStatus::False);
    wanted.conditions[0].message = "ü".repeat(MESSAGE_BYTES_MAX);
    let patch = written(Kind::Gateway, &Value::Null, &wanted);
    let message = patch["conditions"][0]["message"].as_str().expect("text");
    assert_eq!(message.len(), MESSAGE_BYTES_MAX);
}

proptest! {
    #[test]
    fn whatever_is_there_foreign_entries_stay_and_a_second_merge_changes_nothing(
        current in parents_of_anybody(),
        names in prop::collection::btree_set("[ab]", 0..3),
        generation in 1..4_i64,
    ) {
        let status = json!({"parents": current});
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let wanted = route(generation, &names);
        let Some(patch) = merged(Kind::HttpRoute, &status, Some(&wanted), NOW) else {
            return Ok(());
        };
        let foreign = |status: &Value| -> Vec<Value> {
            array(status, "parents").iter().filter(|it| !is_of(it, OURS)).cloned().collect()
        };
        prop_assert_eq!(foreign(&status), foreign(&patch));
        let ours = array(&patch, "parents").iter().filter(|it| is_of(it, OURS));
        prop_assert_eq!(ours.count(), names.len());
        for entry in array(&patch, "parents").iter().filter(|it| is_of(it, OURS)) {
            prop_assert!(array(entry, "conditions").iter().all(|it| observed(it) == generation));
        }
        prop_assert_eq!(merged(Kind::HttpRoute, &patch, Some(&wanted), "later"), None);
    }
}

/// Entries of two controllers, some of ours with parents that are wanted.
fn parents_of_anybody() -> impl Strategy<Value = Vec<Value>> {
    let entry = (any::<bool>(), "[abc]", 0..4_i64).prop_map(|(ours, name, generation)| {
        if ours {
            first(Kind::HttpRoute, &route(generation, &[&name]), EARLIER)["parents"][0].clone()
        } else {
            json!({"parentRef": {"name": name}, "controllerName": "other/one", "conditions": [generation]})
        }
    });
    prop::collection::vec(entry, 0..6)
}

fn merged(kind: Kind, current: &Value, wanted: Option<&ObjectStatus>, now: &str) -> Option<Value> {
    let author = Author {
        controller: OURS,
        now,
        features: &["Gateway"],
    };
    merge(kind, current, wanted, &author)
}

/// The status of an object that nobody has written to before.
fn first(kind: Kind, wanted: &ObjectStatus, now: &str) -> Value {
    merged(kind, &Value::Null, Some(wanted), now).expect("a first status is a change")
}

fn written(kind: Kind, current: &Value, wanted: &ObjectStatus) -> Value {
    merged(kind, current, Some(wanted), NOW).expect("something to write")
}

#[test]
fn a_policy_keeps_the_ancestors_of_other_controllers() {
    let foreign =
        json!({"ancestorRef": {"name": "x"}, "controllerName": "other/one", "conditions": []});
    let [parent] = <[_; 1]>::try_from(route(2, &["a"]).parents).expect("one parent");
    let wanted = ObjectStatus {
        ancestors: vec![AncestorStatus {
            ancestor_ref: parent.parent_ref,
            conditions: parent.conditions,
        }],
        ..status(Kind::BackendTlsPolicy, 2, Vec::new())
    };
    let patch = written(
        Kind::BackendTlsPolicy,
        &json!({"ancestors": [foreign]}),
        &wanted,
    );
    assert_eq!(patch["ancestors"][0], foreign);
    assert_eq!(patch["ancestors"][1]["ancestorRef"]["name"], "a");
    assert_eq!(patch["ancestors"][1]["controllerName"], OURS);
}

fn programmed(status: ConditionStatus) -> Condition {
    let kind = ConditionType::Programmed;
    Condition::new(kind, status, Reason::Programmed, "")
}

fn status(kind: Kind, generation: i64, conditions: Vec<Condition>) -> ObjectStatus {
    ObjectStatus {
        object: ObjectKey {
            kind,
            name: ObjectName::new("apps", "it"),
        },
        generation,
        conditions,
        addresses: Vec::new(),
        listeners: Vec::new(),
        parents: Vec::new(),
        ancestors: Vec::new(),
        attached_listener_sets: None,
    }
}

fn gateway(generation: i64, holds: ConditionStatus) -> ObjectStatus {
    ObjectStatus {
        addresses: vec![IpAddr::from([192, 0, 2, 1])],
        listeners: vec![ListenerStatus {
            name: "web".to_owned(),
            supported_kinds: vec![Kind::HttpRoute],
            attached_routes: 2,
            conditions: vec![programmed(holds)],
        }],
        ..status(Kind::Gateway, generation, vec![programmed(holds)])
    }
}

fn route(generation: i64, gateways: &[&str]) -> ObjectStatus {
    let parents = gateways.iter().map(|name| ParentStatus {
        parent_ref: ParentReference {
            group: GROUP.to_owned(),
            kind: "Gateway".to_owned(),
            name: ObjectName::new("apps", *name),
            section_name: None,
            port: None,
        },
        conditions: vec![programmed(ConditionStatus::True)],
    });
    ObjectStatus {
        parents: parents.collect(),
        ..status(Kind::HttpRoute, generation, Vec::new())
    }
}
