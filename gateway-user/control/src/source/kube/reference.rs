//! Which Secrets, ConfigMaps and ClusterTrustBundles an object names: these are watched one by one, and no others are read.
//!
//! A walk over the object's JSON by the names of the fields, so that it holds for every kind that has such a field,
//! wherever the Gateway API puts it. Whether a reference is permitted is decided by the translation.

use std::collections::BTreeSet;

use gateway_ir::ObjectName;
use gateway_translate::{Kind, ObjectKey};
use serde_json::Value;

/// Fields that hold one reference or a list, with the kind that is meant where none is named.
const FIELDS: [(&str, Kind); 5] = [
    ("certificateRefs", Kind::Secret),
    ("clientCertificateRef", Kind::Secret),
    ("sessionKeyRef", Kind::Secret),
    ("caCertificateRefs", Kind::ConfigMap),
    ("caCertificateRef", Kind::ConfigMap),
];

/// The Secrets, ConfigMaps and ClusterTrustBundles that an object in a namespace names.
pub(super) fn references(object: &Value, namespace: &str) -> BTreeSet<ObjectKey> {
    let mut found = BTreeSet::new();
    walk(object, namespace, &mut found);
    found
}

fn walk(value: &Value, namespace: &str, found: &mut BTreeSet<ObjectKey>) {
    match value {
        Value::Array(items) => items.iter().for_each(|it| walk(it, namespace, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match FIELDS.iter().find(|(field, _)| field == name) {
                    Some((_, default)) => collect(value, *default, namespace, found),
                    None => walk(value, namespace, found),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn collect(value: &Value, default: Kind, namespace: &str, found: &mut BTreeSet<ObjectKey>) {
    if let Value::Array(items) = value {
        for item in items {
            collect(item, default, namespace, found);
        }
        return;
    }
    let text = |field| value.get(field).and_then(Value::as_str);
    let kind = text("kind").map_or(Some(default), Kind::parse);
    let (kind, namespace) = match (kind, text("group").unwrap_or_default()) {
        (Some(kind @ (Kind::Secret | Kind::ConfigMap)), "") => {
            (kind, text("namespace").unwrap_or(namespace))
        }
        (Some(kind @ Kind::ClusterTrustBundle), "certificates.k8s.io") => (kind, ""),
        _other => return,
    };
    if let Some(name) = text("name") {
        found.insert(ObjectKey {
            kind,
            name: ObjectName::new(namespace, name),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn certificates_are_found_wherever_they_are() {
        let gateway = json!({"spec": {
            "listeners": [
                {"tls": {"certificateRefs": [{"name": "a"}, {"kind": "Secret", "name": "b", "namespace": "infra"}]}},
                {"name": "plain"},
            ],
            "tls": {
                "backend": {"clientCertificateRef": {"name": "client"}},
                "frontend": {"default": {"validation": {"caCertificateRefs": [
                    {"kind": "ConfigMap", "group": "", "name": "ca"},
                    {"kind": "ClusterTrustBundle", "group": "certificates.k8s.io", "name": "bundle"},
                ]}}},
            },
        }});
        assert_eq!(
            names(&gateway),
            [
                "Secret apps/a",
                "Secret apps/client",
                "Secret infra/b",
                "ConfigMap apps/ca",
                "ClusterTrustBundle bundle"
            ]
        );
    }

    #[test]
    fn other_kinds_and_groups_are_not_read() {
        let gateway = json!({"certificateRefs": [
            {"kind": "Certificate", "name": "x"},
            {"group": "example.org", "kind": "Secret", "name": "y"},
            {"kind": "Service", "name": "z"},
            {},
        ]});
        assert_eq!(names(&gateway), [""; 0]);
    }

    fn names(object: &Value) -> Vec<String> {
        let found = references(object, "apps");
        found.iter().map(ToString::to_string).collect()
    }
}
