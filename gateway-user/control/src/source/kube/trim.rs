//! What of an object is kept: what the translation reads, and what names it. The rest is most of the memory, and a change
//! of it is no change.

use std::collections::BTreeMap;

use gateway_translate::{Kind, SERVICE_NAME};
use kube::core::ObjectMeta;
use serde_json::{Map, Value, json};

/// What is kept of an object's metadata.
pub(super) fn metadata(kind: Kind, given: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: given.name,
        namespace: given.namespace,
        generation: given.generation,
        creation_timestamp: given.creation_timestamp,
        labels: given.labels.and_then(|it| labels(kind, it)),
        ..ObjectMeta::default()
    }
}

/// Selectors look at the labels of Namespaces and Nodes; an EndpointSlice has its Service there.
fn labels(kind: Kind, mut labels: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    match kind {
        Kind::Namespace | Kind::Node => Some(labels),
        Kind::EndpointSlice => {
            labels.retain(|name, _| name == SERVICE_NAME);
            Some(labels)
        }
        Kind::SanmonConfig
        | Kind::SanmonGatewayConfig
        | Kind::GatewayClass
        | Kind::Gateway
        | Kind::ListenerSet
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::BackendTlsPolicy
        | Kind::ReferenceGrant
        | Kind::Service
        | Kind::Secret
        | Kind::ConfigMap
        | Kind::ClusterTrustBundle => None,
    }
}

/// Drops what is not kept of everything beside the metadata.
pub(super) fn data(kind: Kind, fields: &mut Map<String, Value>) {
    let status = fields.remove("status");
    match kind {
        Kind::Node | Kind::Gateway => {
            let addresses = status.and_then(|mut it| it.get_mut("addresses").map(Value::take));
            if let Some(addresses) = addresses {
                fields.insert("status".to_owned(), json!({"addresses": addresses}));
            }
        }
        Kind::Service => {
            if let Some(spec) = fields.get_mut("spec") {
                keep(spec, &["ports", "type"]);
            }
        }
        Kind::EndpointSlice => {
            let endpoints = fields.get_mut("endpoints").and_then(Value::as_array_mut);
            for endpoint in endpoints.into_iter().flatten() {
                keep(endpoint, &["addresses", "conditions", "nodeName"]);
            }
        }
        Kind::SanmonConfig
        | Kind::SanmonGatewayConfig
        | Kind::GatewayClass
        | Kind::ListenerSet
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::BackendTlsPolicy
        | Kind::ReferenceGrant
        | Kind::Secret
        | Kind::ConfigMap
        | Kind::ClusterTrustBundle
        | Kind::Namespace => {}
    }
}

fn keep(value: &mut Value, names: &[&str]) {
    if let Some(fields) = value.as_object_mut() {
        let kept = names.iter().filter_map(|name| fields.remove_entry(*name));
        *fields = kept.collect::<Map<_, _>>();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use gateway_translate::{Inputs, Object, Settings, translate};

    use super::*;
    use crate::source::document;

    #[test]
    fn what_is_kept_translates_as_the_whole_does() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../translate/tests/golden");
        let mut kept = 0;
        for case in fs::read_dir(golden).expect("the cases are there") {
            let path = case.expect("readable").path();
            if !path.to_string_lossy().ends_with(".in.yaml") {
                continue;
            }
            let text = fs::read_to_string(&path).expect("readable");
            let documents = document::parse(&text).expect("YAML");
            let (mut whole, mut trimmed) = (Inputs::default(), Inputs::default());
            for document in documents {
                insert(&mut whole, document.value.clone());
                kept += usize::from(insert(&mut trimmed, trim(noisy(document.value))));
            }
            let settings = Settings::default();
            let (whole, trimmed) = (translate(&whole, &settings), translate(&trimmed, &settings));
            assert_eq!(whole.snapshot, trimmed.snapshot, "{}", path.display());
            assert_eq!(whole.statuses, trimmed.statuses, "{}", path.display());
        }
        assert!(kept > 100, "{kept} objects");
    }

    #[test]
    fn what_others_read_is_not_kept() {
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "s", "namespace": "n", "labels": {SERVICE_NAME: "pods"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["192.0.2.1"], "nodeName": "a"}],
        });
        assert_eq!(trim(noisy(slice.clone())), slice);
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "pods", "namespace": "n"},
            "spec": {"type": "ClusterIP", "ports": [{"port": 80, "targetPort": 8080}]},
        });
        assert_eq!(trim(noisy(service.clone())), service);
    }

    /// The object with what users, controllers and the API server write beside it.
    fn noisy(mut object: Value) -> Value {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        let metadata = &mut object["metadata"];
        metadata["annotations"] = json!({"noise": "much"});
        metadata["managedFields"] = json!([{"manager": "kubectl"}]);
        metadata["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "1"}]);
        if !["Namespace", "Node"].contains(&kind.as_str()) {
            metadata["labels"]["noise"] = json!("much");
        }
        if kind == "Service" {
            object["spec"]["selector"] = json!({"app": "x"});
            object["spec"]["clusterIP"] = json!("10.96.0.7");
        }
        if kind == "EndpointSlice" {
            for endpoint in object["endpoints"].as_array_mut().into_iter().flatten() {
                endpoint["targetRef"] = json!({"kind": "Pod", "name": "x"});
                endpoint["zone"] = json!("a");
            }
        }
        object
    }

    fn trim(mut object: Value) -> Value {
        let Some(kind) = object["kind"].as_str().and_then(Kind::parse) else {
            return object;
        };
        let given = serde_json::from_value(object["metadata"].take());
        let given = given.expect("metadata as the API has it");
        object["metadata"] = serde_json::to_value(metadata(kind, given)).expect("JSON");
        data(kind, object.as_object_mut().expect("an object"));
        object
    }

    /// Tells whether it is an object that is read.
    fn insert(inputs: &mut Inputs, value: Value) -> bool {
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let object = Object::from_value(&text("kind"), &text("apiVersion"), value.clone());
        object.map(|it| inputs.insert(it)).is_ok()
    }
}
