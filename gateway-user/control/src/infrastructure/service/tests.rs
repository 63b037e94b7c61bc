//! What is done about the Service of a Gateway.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};

use super::*;

#[test]
fn a_new_gateway_gets_a_headless_service_that_ends_with_it() {
    let Some(Action::Create(service)) = plan(Some((&web(), "uid-1")), None) else {
        panic!("nothing is made");
    };
    assert_eq!(service["metadata"]["name"], "sanmon-web");
    assert_eq!(service["spec"], json!({"clusterIP": "None"}));
    assert_eq!(service["metadata"]["labels"][GATEWAY_NAME], "web");
    assert_eq!(service["metadata"]["labels"]["team"], "shop");
    assert_eq!(
        service["metadata"]["annotations"],
        json!({"contact": "x@example.org"})
    );
    let owner = &service["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["kind"], &owner["uid"]),
        (&json!("Gateway"), &json!("uid-1"))
    );
    let metadata = serde_json::from_value(service["metadata"].clone()).expect("metadata");
    assert_eq!(
        SeenService::of(&metadata).map(|it| it.owner),
        Some("uid-1".to_owned())
    );
}

#[test]
fn a_service_that_is_as_it_should_be_is_left_alone() {
    assert_eq!(plan(Some((&web(), "uid-1")), Some(&seen(&web()))), None);
    assert_eq!(plan(None, None), None);
}

#[test]
fn what_leaves_the_gateway_leaves_the_service_and_what_others_have_set_stays() {
    let mut seen = seen(&web());
    seen.labels.insert("theirs".to_owned(), "1".to_owned());
    let mut wanted = web();
    wanted.labels = BTreeMap::from([("team".to_owned(), "other".to_owned())]);
    wanted.annotations.clear();
    let patch = plan(Some((&wanted, "uid-1")), Some(&seen));
    let metadata = json!({
        "resourceVersion": "7",
        "labels": {"team": "other", "zone": null},
        "annotations": {"contact": null},
    });
    assert_eq!(patch, Some(Action::Patch(json!({"metadata": metadata}))));
}

#[test]
fn labels_of_ours_that_somebody_took_away_come_back() {
    let mut seen = seen(&web());
    seen.labels.clear();
    let Some(Action::Patch(patch)) = plan(Some((&web(), "uid-1")), Some(&seen)) else {
        panic!("nothing is repaired");
    };
    assert_eq!(patch["metadata"]["labels"], json!(labels(&web())));
}

#[test]
fn the_service_of_a_gateway_that_is_gone_or_was_made_anew_goes() {
    let seen = seen(&web());
    assert_eq!(plan(None, Some(&seen)), Some(Action::Delete));
    assert_eq!(
        plan(Some((&web(), "uid-2")), Some(&seen)),
        Some(Action::Delete)
    );
}

#[test]
fn a_service_of_that_name_that_nobody_made_for_a_gateway_is_not_ours() {
    let mut metadata = metadata(&web());
    metadata.owner_references = None;
    assert_eq!(SeenService::of(&metadata), None);
    let mut other = self::metadata(&web());
    other.name = Some("web-istio".to_owned());
    assert_eq!(SeenService::of(&other), None);
}

#[test]
fn the_longest_names_stay_apart_and_within_their_limits() {
    let long = |end: &str| format!("{}{end}", "a".repeat(252));
    for (one, other) in [(long("a"), long("b")), ("a.b".to_owned(), "a-b".to_owned())] {
        assert_ne!(name(&one), name(&other));
        assert!(name(&one).len() <= CHARACTERS_MAX);
        assert!(!name(&one).contains('.'));
    }
    assert_ne!(label_value(&long("a")), label_value(&long("b")));
    assert!(label_value(&long("a")).len() <= CHARACTERS_MAX);
    // Names that are in clusters already must not change.
    assert_eq!(name("a.b"), "sanmon-a-b-108bf50c");
}

fn web() -> Infrastructure {
    let map = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        pairs.collect::<BTreeMap<_, _>>()
    };
    Infrastructure {
        gateway: ObjectName::new("shop", "web"),
        labels: map(&[("team", "shop"), ("zone", "a")]),
        annotations: map(&[("contact", "x@example.org")]),
    }
}

/// What the API server has after a Service was made.
fn metadata(wanted: &Infrastructure) -> ObjectMeta {
    let made = whole(wanted, "uid-1");
    let mut metadata: ObjectMeta =
        serde_json::from_value(made["metadata"].clone()).expect("metadata");
    metadata.uid = Some("service-uid".to_owned());
    metadata.resource_version = Some("7".to_owned());
    let fields = |keys: &BTreeMap<String, String>| -> Value {
        let keys = keys.keys().map(|it| (format!("f:{it}"), json!({})));
        Value::Object(keys.chain([(".".to_owned(), json!({}))]).collect())
    };
    let fields = json!({"f:metadata": {
        "f:labels": fields(&labels(wanted)),
        "f:annotations": fields(&wanted.annotations),
    }});
    metadata.managed_fields = Some(vec![ManagedFieldsEntry {
        manager: Some(FIELD_MANAGER.to_owned()),
        fields_v1: Some(FieldsV1(fields)),
        ..ManagedFieldsEntry::default()
    }]);
    metadata
}

fn seen(wanted: &Infrastructure) -> SeenService {
    SeenService::of(&metadata(wanted)).expect("one of ours")
}
