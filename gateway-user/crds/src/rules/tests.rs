//! Objects that an API server refuses, each with the field and the reason.

use serde_json::json;

use super::*;

#[test]
fn every_schema_and_every_rule_in_it_can_be_read() {
    assert_eq!(KINDS.len(), SCHEMAS.len());
    for (kind, text) in SCHEMAS {
        assert!(text.contains("\"spec\""), "{kind}");
    }
}

#[test]
fn what_an_api_server_takes_is_taken() {
    let rule = json!({
        "matches": [{"path": {"value": "/a"}, "headers": [{"name": "x", "value": "1"}]}],
        "filters": [{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}],
        "timeouts": {"request": "10s", "backendRequest": "500ms"},
        "backendRefs": [{"name": "web", "port": 80, "weight": 1}]
    });
    let route = json!({"spec": {"parentRefs": [{"name": "a"}, {"name": "b"}], "hostnames": ["*.a.test"], "rules": [rule, {}]}});
    assert_eq!(violations("HTTPRoute", &route), []);
    let tls = json!({"certificateRefs": [{"name": "cert"}]});
    let listeners = json!([
        {"name": "a", "port": 80, "protocol": "HTTP"},
        {"name": "b", "port": 443, "protocol": "HTTPS", "tls": tls},
    ]);
    let gateway = json!({"spec": {"gatewayClassName": "sanmon", "listeners": listeners}});
    assert_eq!(violations("Gateway", &gateway), []);
    assert_eq!(violations("Service", &json!({"spec": 1})), []);
}

#[test]
fn limits_of_lists_and_texts_are_kept() {
    let many = |count: usize| vec![json!({"backendRefs": [{"name": "web", "port": 80}]}); count];
    let names = |count: usize| {
        (0..count)
            .map(|it| format!("h{it}.test"))
            .collect::<Vec<_>>()
    };
    let paths = |count: usize| vec![json!({"path": {"value": "/"}}); count];
    let matches = json!([{"matches": paths(65)}]);
    let sum = json!([{"matches": paths(64)}, {"matches": paths(64)}, {"matches": paths(1)}]);
    let path = json!([{"matches": [{"path": {"value": format!("/{}", "x".repeat(1024))}}]}]);
    for (spec, expected) in [
        (
            json!({"rules": many(17)}),
            "spec.rules: has 17 items; at most 16 are allowed",
        ),
        (
            json!({"hostnames": names(17)}),
            "spec.hostnames: has 17 items; at most 16 are allowed",
        ),
        (
            json!({"rules": matches}),
            "spec.rules[0].matches: has 65 items; at most 64 are allowed",
        ),
        (
            json!({"rules": sum}),
            "spec.rules: While 16 rules and 64 matches per rule are allowed",
        ),
        (
            json!({"rules": path}),
            "spec.rules[0].matches[0].path.value: has 1025 characters; at most 1024",
        ),
        (
            json!({"hostnames": [""]}),
            "spec.hostnames[0]: has 0 characters; at least 1 are needed",
        ),
        (
            json!({"hostnames": ["UPPER"]}),
            "spec.hostnames[0]: \"UPPER\" does not match",
        ),
        (
            json!({"rules": many(1), "parentRefs": [{}]}),
            "spec.parentRefs[0]: name is missing",
        ),
        (
            json!({"rules": [{"backendRefs": [{"name": "a", "port": 70000}]}]}),
            "spec.rules[0].backendRefs[0].port: 70000 is not in 1..=65535",
        ),
        (
            json!({"rules": [{"backendRefs": [{"name": "a", "port": "80"}]}]}),
            "spec.rules[0].backendRefs[0].port: is not of type integer",
        ),
        (
            json!({"rules": [{"matches": [{"method": "FROB"}]}]}),
            "spec.rules[0].matches[0].method: \"FROB\" is not one of",
        ),
    ] {
        assert_said("HTTPRoute", spec, expected);
    }
}

#[test]
fn the_rules_of_the_crds_are_kept() {
    let twice = json!([{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]);
    let with = |rule: Value| json!({"rules": [rule]});
    let redirect = json!({"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}});
    for (kind, spec, expected) in [
        (
            "HTTPRoute",
            with(json!({"matches": [{"path": {"value": "a"}}]})),
            "spec.rules[0].matches[0].path: value must be an absolute path",
        ),
        (
            "HTTPRoute",
            with(json!({"matches": [{"path": {"value": "/a/../b"}}]})),
            "must not contain '/../'",
        ),
        (
            "HTTPRoute",
            with(json!({"matches": [{"headers": twice}]})),
            "spec.rules[0].matches[0].headers: [\"a\"] is there twice",
        ),
        (
            "HTTPRoute",
            with(json!({"filters": [{"type": "URLRewrite"}]})),
            "filter.urlRewrite must be specified for URLRewrite filter.type",
        ),
        (
            "HTTPRoute",
            with(json!({"filters": [redirect], "backendRefs": [{"name": "a", "port": 80}]})),
            "RequestRedirect filter must not be used together with backendRefs",
        ),
        (
            "HTTPRoute",
            with(json!({"timeouts": {"request": "1s", "backendRequest": "2s"}})),
            "backendRequest timeout cannot be longer than request timeout",
        ),
        (
            "HTTPRoute",
            with(json!({"backendRefs": [{"name": "a"}]})),
            "Must have port for Service reference",
        ),
        (
            "HTTPRoute",
            json!({"rules": [{"name": "a"}, {"name": "a"}]}),
            "Rule name must be unique within the route",
        ),
        (
            "HTTPRoute",
            json!({"parentRefs": [{"name": "a"}, {"name": "a"}]}),
            "spec.parentRefs: sectionName or port must be unique",
        ),
    ] {
        assert_said(kind, spec, expected);
    }
}

#[test]
fn the_rules_of_other_kinds_are_kept() {
    let with = |rule: Value| json!({"rules": [rule]});
    for (kind, spec, expected) in [
        (
            "GRPCRoute",
            with(json!({"matches": [{"method": {"service": "a b"}}]})),
            "service must only contain valid characters",
        ),
        (
            "TLSRoute",
            json!({"hostnames": ["192.0.2.1"], "rules": [{"backendRefs": [{"name": "a", "port": 1}]}]}),
            "spec.hostnames: Hostnames cannot contain an IP",
        ),
        (
            "TCPRoute",
            json!({"rules": []}),
            "spec.rules: has 0 items; at least 1 are needed",
        ),
        (
            "BackendTLSPolicy",
            json!({"targetRefs": [{"group": "", "kind": "Service", "name": "a"}], "validation": {"hostname": "a.b"}}),
            "exactly one of the fields in [caCertificateRefs wellKnownCACertificates] must be set",
        ),
        (
            "GatewayClass",
            json!({"controllerName": "none"}),
            "spec.controllerName: \"none\" does not match",
        ),
        (
            "ReferenceGrant",
            json!({"from": [], "to": [{"group": "", "kind": "Secret"}]}),
            "spec.from: has 0 items",
        ),
    ] {
        assert_said(kind, spec, expected);
    }
}

#[test]
fn the_rules_of_listeners_are_kept() {
    let listener = |name: &str, more: Value| {
        let mut listener = json!({"name": name, "port": 80, "protocol": "HTTP"});
        let fields = listener.as_object_mut().expect("fields");
        fields.extend(more.as_object().expect("fields").clone());
        listener
    };
    let tls = json!({"certificateRefs": [{"name": "cert"}]});
    let passed = json!({"mode": "Passthrough"});
    for (listeners, expected) in [
        (
            json!([]),
            "spec.listeners: has 0 items; at least 1 are needed",
        ),
        (
            json!([listener("a", json!({"tls": tls}))]),
            "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']",
        ),
        (
            json!([listener("a", json!({"protocol": "HTTPS", "tls": passed}))]),
            "tls mode must be Terminate for protocol HTTPS",
        ),
        (
            json!([listener("a", json!({"protocol": "TLS"}))]),
            "tls mode must be set for protocol TLS",
        ),
        (
            json!([listener("a", json!({"protocol": "TCP", "hostname": "a.b"}))]),
            "hostname must not be specified for protocols ['TCP', 'UDP']",
        ),
        (
            json!([listener("a", json!({})), listener("a", json!({"port": 81}))]),
            "Listener name must be unique within the Gateway",
        ),
        (
            json!([listener("a", json!({})), listener("b", json!({}))]),
            "Combination of port, protocol and hostname must be unique",
        ),
        (
            json!([listener("A b", json!({}))]),
            "spec.listeners[0].name: \"A b\" does not match",
        ),
        (
            json!([listener("a", json!({"port": 0}))]),
            "spec.listeners[0].port: 0 is not in 1..=65535",
        ),
    ] {
        let spec = json!({"gatewayClassName": "sanmon", "listeners": listeners});
        assert_said("Gateway", spec, expected);
    }
}

fn assert_said(kind: &str, spec: Value, expected: &str) {
    let found = violations(kind, &json!({"spec": spec}));
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    let is_said = found.iter().any(|it| it.contains(expected));
    assert!(is_said, "{kind}: {expected:?} is not in {found:?}");
}
