//! What events make of the content.

use super::*;
use crate::seen::SeenAll;

#[test]
fn a_change_of_status_is_seen_and_is_no_change() {
    let (mut store, seen) = store();
    apply(
        &mut store,
        Kind::HttpRoute,
        route("a.example", 1, json!({})),
    );
    assert!(store.take_changed(&BTreeSet::new()).is_some());

    let status = json!({"parents": [{"controllerName": "x"}]});
    apply(
        &mut store,
        Kind::HttpRoute,
        route("a.example", 2, status.clone()),
    );
    assert!(store.take_changed(&BTreeSet::new()).is_none());
    let key = key(Kind::HttpRoute, "apps", "r");
    let seen = seen.one(&key).expect("the route is known");
    assert_eq!(
        (seen.resource_version.as_str(), seen.status()),
        ("2", status)
    );
}

#[test]
fn an_object_that_cannot_be_read_keeps_its_last_form_and_harms_no_other() {
    let (mut store, _seen) = store();
    apply(
        &mut store,
        Kind::HttpRoute,
        route("a.example", 1, json!({})),
    );
    let mut broken = route("b.example", 2, json!({}));
    broken["spec"]["hostnames"] = json!(5);
    apply(&mut store, Kind::HttpRoute, broken);

    let content = store
        .take_changed(&BTreeSet::new())
        .expect("a problem is new");
    let kept = content
        .inputs
        .http_routes
        .values()
        .next()
        .expect("it stays");
    assert_eq!(kept.spec.hostnames, Some(vec!["a.example".to_owned()]));
    assert_eq!(content.problems.len(), 1);
    let object = content.problems[0].object.as_deref();
    assert_eq!(object, Some("HTTPRoute apps/r"));

    apply(
        &mut store,
        Kind::HttpRoute,
        route("c.example", 3, json!({})),
    );
    let content = store
        .take_changed(&BTreeSet::new())
        .expect("it is good again");
    assert_eq!(content.problems, []);
}

#[test]
fn what_a_new_list_does_not_name_is_gone() {
    let (mut store, seen) = store();
    apply(
        &mut store,
        Kind::HttpRoute,
        route("a.example", 1, json!({})),
    );
    store.retain(Kind::Gateway, &BTreeSet::new());
    assert_eq!(seen.all().len(), 1);
    store.retain(Kind::HttpRoute, &BTreeSet::new());
    let content = store.take_changed(&BTreeSet::new()).expect("a change");
    assert!(content.inputs.http_routes.is_empty() && seen.all().is_empty());
}

#[test]
fn a_change_of_what_only_others_read_is_no_change() {
    let (mut store, _seen) = store();
    let object = route("a.example", 1, json!({}));
    apply(&mut store, Kind::HttpRoute, object.clone());
    assert!(store.take_changed(&BTreeSet::new()).is_some());

    let mut touched = object;
    touched["metadata"]["resourceVersion"] = json!("2");
    touched["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
    touched["metadata"]["annotations"] = json!({"theirs": "x"});
    touched["metadata"]["labels"] = json!({"theirs": "x"});
    apply(&mut store, Kind::HttpRoute, touched);
    assert!(store.take_changed(&BTreeSet::new()).is_none());
}

#[test]
fn secrets_are_read_for_gateways_of_our_classes_only() {
    let (mut store, _seen) = store();
    for (class, controller) in [("ours", "sanmon.dev/x"), ("theirs", "example.org/y")] {
        let object = json!({"metadata": {"name": class}, "spec": {"controllerName": controller}});
        apply(&mut store, Kind::GatewayClass, object);
        apply(
            &mut store,
            Kind::Gateway,
            json!({
                "metadata": {"name": class, "namespace": "apps"},
                "spec": {"gatewayClassName": class, "listeners": [{
                    "name": "tls", "port": 443, "protocol": "HTTPS",
                    "tls": {"certificateRefs": [{"name": format!("{class}-tls")}]},
                }]},
            }),
        );
    }
    let referenced = store.referenced("sanmon.dev/x");
    assert_eq!(
        referenced,
        BTreeSet::from([key(Kind::Secret, "apps", "ours-tls")])
    );
}

#[test]
fn of_a_node_the_addresses_are_kept_and_its_heartbeat_is_no_change() {
    let (mut store, _seen) = store();
    let node = |beat: u32| {
        json!({
            "metadata": {"name": "n", "resourceVersion": beat.to_string()},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
                "conditions": [{"type": "Ready", "status": "True", "reason": beat.to_string()}],
            },
        })
    };
    apply(&mut store, Kind::Node, node(1));
    let content = store.take_changed(&BTreeSet::new()).expect("a node");
    let status = content
        .inputs
        .nodes
        .values()
        .next()
        .and_then(|it| it.status.clone());
    assert_eq!(
        status.and_then(|it| it.addresses).map(|it| it.len()),
        Some(1)
    );
    apply(&mut store, Kind::Node, node(2));
    assert!(store.take_changed(&BTreeSet::new()).is_none());
}

fn store() -> (Store, SeenAll<Seen>) {
    let shown = Shown::default();
    let seen = shown.statuses.clone();
    (Store::new(shown), seen)
}

fn apply(store: &mut Store, kind: Kind, object: Value) {
    let version = kind.api_versions()[0];
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let gvk = kube::core::GroupVersionKind::gvk(group, version, kind.as_str());
    let object = serde_json::from_value(object).expect("an object");
    store.apply(kind, &Arc::new(ApiResource::from_gvk(&gvk)), object);
}

fn route(hostname: &str, version: u32, status: Value) -> Value {
    json!({
        "metadata": {"name": "r", "namespace": "apps", "resourceVersion": version.to_string()},
        "spec": {"parentRefs": [{"name": "g"}], "hostnames": [hostname]},
        "status": status,
    })
}

fn key(kind: Kind, namespace: &str, name: &str) -> ObjectKey {
    let name = ObjectName::new(namespace, name);
    ObjectKey { kind, name }
}
