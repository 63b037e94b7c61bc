//! Configurations of many routes, as an API server would give them.

use gateway_translate::{Inputs, Object};
use serde_json::{Value, json};

const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";

/// What the routes differ in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One host, a path for each.
    Paths,
    /// A host for each.
    Hosts,
    /// One host and path, a value of a header for each.
    Headers,
}

impl Shape {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Paths => "paths of one host",
            Self::Hosts => "hosts",
            Self::Headers => "values of a header on one path",
        }
    }

    /// The host of a route.
    pub(crate) fn host(self, index: usize) -> String {
        match self {
            Self::Hosts => format!("h{index}.example.com"),
            Self::Paths | Self::Headers => "one.example.com".to_owned(),
        }
    }

    /// The path of a route.
    pub(crate) fn path(self, index: usize) -> String {
        match self {
            Self::Paths => format!("/shop/{index}"),
            Self::Hosts | Self::Headers => "/shop".to_owned(),
        }
    }

    /// A Gateway, a Service and so many routes.
    pub(crate) fn inputs(self, routes: usize) -> Inputs {
        let mut inputs = Inputs::default();
        for object in ground() {
            put(&mut inputs, &object);
        }
        for index in 0..routes {
            put(&mut inputs, &self.route(index, 80));
        }
        inputs
    }

    /// A route that leads to a port.
    pub(crate) fn route(self, index: usize, port: u16) -> Value {
        let headers = match self {
            Self::Headers => json!([{"name": "x-tenant", "value": index.to_string()}]),
            Self::Paths | Self::Hosts => json!([]),
        };
        json!({
            "apiVersion": GATEWAY_API, "kind": "HTTPRoute",
            "metadata": {"name": format!("route-{index:05}"), "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {
                "parentRefs": [{"name": "gateway"}],
                "hostnames": [self.host(index)],
                "rules": [{
                    "matches": [{"path": {"type": "PathPrefix", "value": self.path(index)}, "headers": headers}],
                    "backendRefs": [{"name": "pods", "port": port}],
                }],
            },
        })
    }
}

/// A Gateway, and so many routes with a Service and an EndpointSlice each.
pub(crate) fn workloads(count: usize) -> Inputs {
    let mut inputs = Inputs::default();
    for object in ground() {
        put(&mut inputs, &object);
    }
    for index in 0..count {
        let name = format!("workload-{index}");
        let [.., high, low] = index.to_be_bytes();
        put(
            &mut inputs,
            &json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                "spec": {"ports": [{"port": 80, "targetPort": 3000}]},
            }),
        );
        put(
            &mut inputs,
            &json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [format!("10.250.{high}.{low}")]}],
                "ports": [{"port": 3000}],
            }),
        );
        put(
            &mut inputs,
            &json!({
                "apiVersion": GATEWAY_API, "kind": "HTTPRoute",
                "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {
                    "parentRefs": [{"name": "gateway"}],
                    "hostnames": [format!("{name}.example")],
                    "rules": [{"backendRefs": [{"name": name, "port": 80}]}],
                },
            }),
        );
    }
    inputs
}

/// Adds an object, or replaces it.
pub(crate) fn put(inputs: &mut Inputs, object: &Value) {
    let field = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
    let object = Object::from_value(&field("kind"), &field("apiVersion"), object.clone());
    inputs.insert(object.expect("a well-formed object"));
}

fn ground() -> [Value; 4] {
    [
        json!({
            "apiVersion": GATEWAY_API, "kind": "GatewayClass", "metadata": {"name": "sanmon"},
            "spec": {"controllerName": "sanmon.dev/gateway-controller"},
        }),
        json!({
            "apiVersion": GATEWAY_API, "kind": "Gateway", "metadata": {"name": "gateway"},
            "spec": {
                "gatewayClassName": "sanmon",
                "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "pods"},
            "spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}, {"name": "c", "port": 82}]},
        }),
        endpoints(1),
    ]
}

/// The endpoints of the Service; their number tells one form from another.
pub(crate) fn endpoints(count: u8) -> Value {
    let addresses = (1..=count).map(|index| json!({"addresses": [format!("192.0.2.{index}")]}));
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "pods", "labels": {"kubernetes.io/service-name": "pods"}},
        "addressType": "IPv4",
        "endpoints": addresses.collect::<Vec<_>>(),
        "ports": [{"name": "a", "port": 8080}, {"name": "b", "port": 8081}, {"name": "c", "port": 8082}],
    })
}
