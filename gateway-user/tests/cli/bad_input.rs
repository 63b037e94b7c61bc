//! Files that no API server would take, and objects that it would: each is said of its own object, and nothing else is
//! touched.

use serde_json::{Value, json};

use crate::agent::{Agent, run, stdout};
use crate::backend::Backend;
use crate::conf::{Conf, free_port};
use crate::http;

const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";

/// An object that is wrong, and what is said of it.
struct Case {
    object: Value,
    said: &'static str,
}

#[test]
fn each_bad_object_is_named_and_the_good_route_is_untouched() {
    let cases = cases();
    let (pod, port) = (Backend::start("one"), free_port());
    let conf = Conf::serving(port, pod.port);
    let before = check(&conf);
    assert_eq!(before["ok"], true, "{before}");
    for (index, case) in cases.iter().enumerate() {
        conf.write(&format!("bad-{index}.yaml"), &case.object.to_string());
    }
    let report = check(&conf);
    assert_eq!(report["ok"], false);
    for (index, case) in cases.iter().enumerate() {
        let said = said_of(&report, &format!("bad-{index}.yaml"), &case.object);
        let is_said = said.iter().any(|it| it.contains(case.said));
        assert!(
            is_said,
            "{:?} is not in {said:#?}\n{}",
            case.said, case.object
        );
    }
    assert_eq!(good_route(&report), good_route(&before));

    let _agent = Agent::start(&conf);
    let answer = http::get(port, "/").expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "one"));
    // The share of a route that is in force as far as it can be.
    for (path, status) in [("/extension", 500), ("/external", 500)] {
        assert_eq!(
            http::get(port, path).expect("an answer").status,
            status,
            "{path}"
        );
    }
}

/// What is said of an object: by its conditions, and of its file.
fn said_of(report: &Value, file: &str, object: &Value) -> Vec<String> {
    let its_file = list(report, "problems").filter(|it| text(it, "/file").ends_with(file));
    let messages = its_file.map(|it| text(it, "/message").to_owned());
    let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
    let itself =
        list(report, "objects").filter(|it| text(it, "/kind") == kind && text(it, "/name") == name);
    messages.chain(itself.map(Value::to_string)).collect()
}

/// What is said of the good route.
fn good_route(report: &Value) -> Value {
    let is_it = |it: &&Value| text(it, "/kind") == "HTTPRoute" && text(it, "/name") == "web";
    let found = list(report, "objects").find(is_it);
    found.expect("the route").clone()
}

fn list<'a>(report: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    let list = report.get(name).and_then(Value::as_array);
    list.expect("a list").iter()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

fn check(conf: &Conf) -> Value {
    let path = conf.path();
    let output = run(&["check", path.to_str().expect("UTF-8"), "-o", "json"]);
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": GATEWAY_API, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A route on the Gateway with these rules, below a path of its own.
fn on_main(kind: &str, name: &str, rules: Value) -> Value {
    object(
        kind,
        name,
        json!({"parentRefs": [{"name": "main"}], "rules": rules}),
    )
}

fn to_web(path: &str, more: Value) -> Value {
    let mut rule = json!({
        "matches": [{"path": {"value": path}}], "backendRefs": [{"name": "web", "port": 80}]
    });
    let fields = rule.as_object_mut().expect("fields");
    fields.extend(more.as_object().expect("fields").clone());
    rule
}

fn cases() -> Vec<Case> {
    let mut cases = routes();
    cases.extend(limits());
    cases.extend(gateways());
    cases.extend(others());
    cases
}

fn case(object: Value, said: &'static str) -> Case {
    Case { object, said }
}

/// What the translation finds.
fn routes() -> Vec<Case> {
    let http = |name: &str, rule: Value| on_main("HTTPRoute", name, json!([rule]));
    let filter = |filter: Value| json!({"filters": [filter]});
    let extension = json!({"group": "a.b", "kind": "Filter", "name": "x"});
    let large = format!("/({})", "a{1000}".repeat(100));
    let regex =
        |value: &str| json!({"matches": [{"path": {"type": "RegularExpression", "value": value}}]});
    vec![
        case(
            http("bad-regex", to_web("/", regex("/regex("))),
            "is not a regular expression",
        ),
        case(
            http("large-regex", to_web("/", regex(&large))),
            "needs more than the 1048576 bytes",
        ),
        case(
            http(
                "extension",
                to_web(
                    "/extension",
                    filter(json!({"type": "ExtensionRef", "extensionRef": extension})),
                ),
            ),
            "ExtensionRef",
        ),
        case(
            http(
                "no-service",
                json!({"matches": [{"path": {"value": "/external"}}], "backendRefs": [{"name": "gone", "port": 80}]}),
            ),
            "BackendNotFound",
        ),
        case(
            http(
                "no-kind",
                json!({"matches": [{"path": {"value": "/k"}}], "backendRefs": [{"kind": "Frob", "name": "web", "port": 80}]}),
            ),
            "InvalidKind",
        ),
        case(
            http(
                "no-grant",
                json!({"matches": [{"path": {"value": "/g"}}], "backendRefs": [{"name": "web", "namespace": "other", "port": 80}]}),
            ),
            "RefNotPermitted",
        ),
        case(
            http(
                "no-port",
                json!({"matches": [{"path": {"value": "/p"}}], "backendRefs": [{"name": "web"}]}),
            ),
            "Must have port for Service reference",
        ),
        case(
            object(
                "HTTPRoute",
                "no-listener",
                json!({"parentRefs": [{"name": "main", "sectionName": "gone"}], "rules": [to_web("/x", json!({}))]}),
            ),
            "NoMatchingParent",
        ),
        case(
            on_main(
                "TCPRoute",
                "no-tcp",
                json!([{"backendRefs": [{"name": "web", "port": 80}]}]),
            ),
            "NotAllowedByListeners",
        ),
    ]
}

/// What only the schemas of the CRDs say.
fn limits() -> Vec<Case> {
    let http = |name: &str, rules: Value| on_main("HTTPRoute", name, rules);
    let many: Vec<Value> = (0..17)
        .map(|it| to_web(&format!("/r{it}"), json!({})))
        .collect();
    let names: Vec<String> = (0..17).map(|it| format!("h{it}.test")).collect();
    let rule = to_web("/h", json!({}));
    let spec = json!({"parentRefs": [{"name": "main"}], "hostnames": names, "rules": [rule]});
    let weight = json!({"backendRefs": [{"name": "web", "port": 80, "weight": 1_000_001}]});
    let mirror = json!({"filters": [{"type": "URLRewrite"}]});
    let twice = json!([{"name": "a", "value": "1"}, {"name": "A", "value": "2"}]);
    let twice = json!({"matches": [{"path": {"value": "/t"}, "headers": twice}]});
    let grpc = json!([{"matches": [{"method": {"service": "a b"}}]}]);
    vec![
        case(
            http("many-rules", many.into()),
            "has 17 items; at most 16 are allowed",
        ),
        case(
            object("HTTPRoute", "many-names", spec),
            "has 17 items; at most 16 are allowed",
        ),
        case(
            http("heavy", json!([to_web("/w", weight)])),
            "is not in 0..=1000000",
        ),
        case(
            http("no-rewrite", json!([to_web("/f", mirror)])),
            "filter.urlRewrite must be specified",
        ),
        case(http("two-headers", json!([to_web("/t", twice)])), "header"),
        case(
            http("relative", json!([to_web("relative", json!({}))])),
            "must be an absolute path",
        ),
        case(
            http(
                "method",
                json!([to_web("/m", json!({"matches": [{"method": "FROB"}]}))]),
            ),
            "FROB",
        ),
        case(
            http(
                "timeout",
                json!([to_web("/o", json!({"timeouts": {"request": "soon"}}))]),
            ),
            "soon",
        ),
        case(
            on_main("GRPCRoute", "service", grpc),
            "service must only contain valid characters",
        ),
        case(
            on_main("UDPRoute", "no-rules", json!([])),
            "at least 1 are needed",
        ),
    ]
}

fn gateways() -> Vec<Case> {
    let gateway = |name: &str, listeners: Value| {
        // A port that nobody else has: what is good of these Gateways is served.
        let address = json!([{"type": "IPAddress", "value": "127.0.0.3"}]);
        let spec =
            json!({"gatewayClassName": "sanmon", "addresses": address, "listeners": listeners});
        object("Gateway", name, spec)
    };
    let port = free_port();
    let listener = |name: &str, protocol: &str, more: Value| {
        let mut listener = json!({"name": name, "port": port, "protocol": protocol});
        let fields = listener.as_object_mut().expect("fields");
        fields.extend(more.as_object().expect("fields").clone());
        listener
    };
    let gone = json!({"tls": {"certificateRefs": [{"name": "gone"}]}});
    vec![
        case(
            gateway("no-certificate", json!([listener("a", "HTTPS", gone)])),
            "InvalidCertificateRef",
        ),
        case(
            gateway("no-tls", json!([listener("a", "HTTPS", json!({}))])),
            "needs tls",
        ),
        case(
            gateway("no-protocol", json!([listener("a", "FROB", json!({}))])),
            "UnsupportedProtocol",
        ),
        case(
            gateway(
                "no-port",
                json!([listener("a", "HTTP", json!({"port": 70000}))]),
            ),
            "70000 is not in 1..=65535",
        ),
        case(
            gateway(
                "no-host",
                json!([listener("a", "HTTP", json!({"hostname": "a_b"}))]),
            ),
            "a_b",
        ),
        case(gateway("no-listeners", json!([])), "at least 1 are needed"),
        case(
            gateway(
                "same-names",
                json!([
                    listener("a", "HTTP", json!({})),
                    listener("a", "HTTP", json!({"port": port + 1}))
                ]),
            ),
            "Listener name must be unique",
        ),
    ]
}

fn others() -> Vec<Case> {
    let target = json!([{"group": "", "kind": "Service", "name": "nobody"}]);
    let both = json!({"hostname": "a.b"});
    let policy = json!({"targetRefs": target, "validation": both});
    let config = json!({
        "apiVersion": "sanmon.dev/v1alpha1", "kind": "SanmonConfig",
        "metadata": {"name": "default"}, "spec": {"proxy": {"headerTimeout": "0s"}}
    });
    vec![
        case(
            object("BackendTLSPolicy", "no-roots", policy),
            "exactly one of the fields",
        ),
        case(
            object(
                "ReferenceGrant",
                "no-from",
                json!({"from": [], "to": [{"group": "", "kind": "Secret"}]}),
            ),
            "at least 1 are needed",
        ),
        case(
            object(
                "ListenerSet",
                "no-parent",
                json!({"parentRef": {"name": ""}, "listeners": []}),
            ),
            "at least 1 are needed",
        ),
        case(config, "headerTimeout"),
        case(
            json!({"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": {"name": "typed"}, "spec": {"rules": "none"}}),
            "invalid type",
        ),
        case(
            json!({"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": {}}),
            "metadata.name",
        ),
    ]
}
