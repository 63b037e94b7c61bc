//! Objects out of JSON: what a file may leave out is filled in, what is not read is named.

#![forbid(unsafe_code)]

use gateway_translate::{Inputs, Object, ObjectError};
use serde_json::{Value, json};

const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";

#[test]
fn an_unknown_kind_or_version_is_named() {
    let wanted = [
        ("Deployment", "apps/v1"),
        ("Gateway", "gateway.networking.k8s.io/v1alpha2"),
        ("Service", "serving.knative.dev/v1"),
    ];
    for (kind, api_version) in wanted {
        let error = Object::from_value(kind, api_version, json!({"metadata": {"name": "a"}}));
        assert!(
            matches!(&error, Err(ObjectError::UnknownKind { kind: named, .. }) if named == kind),
            "{error:?}"
        );
    }
}

#[test]
fn a_missing_namespace_is_default_and_a_cluster_object_has_none() {
    assert_eq!(
        read("Service", "v1", json!({"metadata": {"name": "a"}}))
            .key()
            .to_string(),
        "Service default/a"
    );
    let node = json!({"metadata": {"name": "a", "namespace": "nonsense"}});
    assert_eq!(read("Node", "v1", node).key().to_string(), "Node a");
}

#[test]
fn an_object_without_a_name_is_refused() {
    for value in [
        json!({}),
        json!({"metadata": {}}),
        json!({"metadata": {"name": ""}}),
        json!("text"),
    ] {
        let error = Object::from_value("Secret", "v1", value);
        assert!(
            matches!(error, Err(ObjectError::NoName { .. })),
            "{error:?}"
        );
    }
}

#[test]
fn a_value_that_a_field_does_not_have_names_object_and_field() {
    let value = json!({
        "metadata": {"name": "r"},
        "spec": {"rules": [{"filters": [{"type": "Teleport"}]}]}
    });
    let error = Object::from_value("HTTPRoute", GATEWAY_API, value).expect_err("no such filter");
    assert_eq!(error.to_string(), "HTTPRoute default/r is invalid");
    let source = std::error::Error::source(&error)
        .expect("it says what")
        .to_string();
    assert!(source.contains("Teleport"), "{source}");
}

#[test]
fn string_data_of_a_secret_is_data() {
    let value = json!({"metadata": {"name": "s"}, "data": {"a": "eA=="}, "stringData": {"b": "y"}});
    let mut inputs = Inputs::default();
    inputs.insert(read("Secret", "v1", value));
    let secret = inputs.secrets.values().next().expect("inserted");
    let data = secret.data.as_ref().expect("data");
    let values: Vec<&[u8]> = data.values().map(|it| it.0.as_slice()).collect();
    assert_eq!(values, [b"x", b"y"]);
}

#[test]
fn fields_that_are_not_there_are_found_at_any_depth() {
    let value = json!({
        "apiVersion": GATEWAY_API, "kind": "HTTPRoute",
        "metadata": {"name": "r", "labels": {"any": "thing"}, "lables": {"a": "b"}},
        "spec": {
            "parentRefs": [],
            "rules": [{"backendRef": [{"name": "web"}]}, {"backendRefs": [{"name": "web", "prot": 80}]}]
        }
    });
    let object = read("HTTPRoute", GATEWAY_API, value.clone());
    assert_eq!(
        object.unknown_fields(&value),
        [
            "metadata.lables",
            "spec.rules[0].backendRef",
            "spec.rules[1].backendRefs[0].prot"
        ]
    );
}

#[test]
fn a_typing_error_in_a_sanmon_config_is_found() {
    let value = json!({
        "apiVersion": "sanmon.dev/v1alpha1", "kind": "SanmonConfig", "metadata": {"name": "default"},
        "spec": {"adressPools": [{"name": "lan"}], "proxy": {"idleTimeout": "5s", "idleTimeOut": "5s"}}
    });
    let object = read("SanmonConfig", "sanmon.dev/v1alpha1", value.clone());
    assert_eq!(
        object.unknown_fields(&value),
        ["spec.adressPools", "spec.proxy.idleTimeOut"]
    );
}

#[test]
fn of_services_and_endpoints_what_is_not_read_is_known_all_the_same() {
    let service = json!({
        "metadata": {"name": "a", "annotations": {"x": "y"}},
        "spec": {"selector": {"app": "a"}, "clusterIP": "10.96.0.1", "prots": [{"port": 80}]},
    });
    let slice = json!({
        "metadata": {"name": "a"}, "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.1", "192.0.2.2"], "zone": "z", "nodename": "n"}],
    });
    for (kind, version, value, unknown) in [
        ("Service", "v1", service, "spec.prots"),
        (
            "EndpointSlice",
            "discovery.k8s.io/v1",
            slice,
            "endpoints[0].nodename",
        ),
    ] {
        let object = read(kind, version, value.clone());
        assert_eq!(object.unknown_fields(&value), [unknown]);
    }
}

#[test]
fn of_services_and_endpoints_in_files_what_is_not_read_has_to_fit() {
    let service = json!({"metadata": {"name": "a"}, "spec": {"clusterIP": 5}});
    let slice = json!({"metadata": {"name": "a"}, "endpoints": [{"addresses": [], "zone": 5}]});
    for (kind, version, value) in [
        ("Service", "v1", service),
        ("EndpointSlice", "discovery.k8s.io/v1", slice),
    ] {
        read(kind, version, value.clone());
        let error = Object::from_manifest(kind, version, value).expect_err("it does not fit");
        assert_eq!(error.to_string(), format!("{kind} default/a is invalid"));
    }
}

fn read(kind: &str, api_version: &str, value: Value) -> Object {
    Object::from_value(kind, api_version, value).expect("a well-formed object")
}
