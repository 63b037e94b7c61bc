//! Gateways, routes and Services as the documents of a file: JSON is YAML.

use serde_json::{Value, json};

const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";

/// A folder's file with these objects.
pub(super) fn file(objects: impl IntoIterator<Item = Value>) -> String {
    let objects: Vec<String> = objects.into_iter().map(|it| it.to_string()).collect();
    objects.join("\n---\n")
}

/// The class, and the Gateway `main` on 127.0.0.1 with these listeners and other fields.
pub(super) fn gateway(listeners: Value, more: Value) -> [Value; 2] {
    let mut spec = json!({
        "gatewayClassName": "sanmon",
        "addresses": [{"type": "IPAddress", "value": "127.0.0.1"}],
        "listeners": listeners
    });
    let fields = spec.as_object_mut().expect("fields");
    fields.extend(more.as_object().expect("fields").clone());
    let class = json!({"controllerName": "sanmon.dev/gateway-controller"});
    [
        object("GatewayClass", "sanmon", class),
        object("Gateway", "main", spec),
    ]
}

/// An object of the Gateway API.
pub(super) fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": GATEWAY_API, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A route on the Gateway, of a kind that has hostnames, with these rules.
pub(super) fn route(kind: &str, name: &str, hostnames: &[&str], rules: Value) -> Value {
    let spec = json!({"parentRefs": [{"name": "main"}], "hostnames": hostnames, "rules": rules});
    object(kind, name, spec)
}

/// A rule that sends all below a path to a Service of the same name.
pub(super) fn below(name: &str) -> Value {
    json!({
        "matches": [{"path": {"value": format!("/{name}")}}],
        "backendRefs": [{"name": name, "port": 80}]
    })
}

/// A rule that sends everything to a Service.
pub(super) fn all_to(service: &str) -> Value {
    json!([{"backendRefs": [{"name": service, "port": 80}]}])
}

/// A Service whose endpoints are these ports of loopback.
pub(super) fn service(name: &str, protocol: Option<&str>, ports: &[u16]) -> Vec<Value> {
    let mut objects = vec![json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": [{"port": 80, "appProtocol": protocol}]}
    })];
    // The endpoints of a slice share their port, so each has a slice of its own.
    objects.extend(ports.iter().map(|port| {
        let slice = format!("{name}-{port}");
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": slice, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "ports": [{"port": port}],
            "endpoints": [{"addresses": ["127.0.0.1"]}]
        })
    }));
    objects
}

/// A BackendTLSPolicy for a Service: the name to verify, and the ConfigMap with the roots.
pub(super) fn policy(service: &str, hostname: &str, roots: &str) -> Value {
    let roots = json!([{"group": "", "kind": "ConfigMap", "name": roots}]);
    let spec = json!({
        "targetRefs": [{"group": "", "kind": "Service", "name": service}],
        "validation": {"hostname": hostname, "caCertificateRefs": roots}
    });
    object("BackendTLSPolicy", service, spec)
}
