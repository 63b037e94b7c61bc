//! The admin server, and the command that asks it.

use std::path::Path;

use serde_json::Value;

use crate::agent::{Agent, run, sanmon, stderr, stdout};
use crate::backend::Backend;
use crate::conf::{Conf, free_port};
use crate::http;

#[test]
fn health_metrics_snapshot_and_conditions_are_served() {
    let conf = Conf::serving(free_port(), 9);
    let agent = Agent::start(&conf);
    assert_eq!(
        http::get(agent.admin, "/healthz")
            .expect("an answer")
            .status,
        200
    );
    assert_eq!(
        http::get(agent.admin, "/readyz").expect("an answer").status,
        200
    );
    let metrics = http::get(agent.admin, "/metrics").expect("an answer");
    assert!(
        metrics.head.contains("application/openmetrics-text"),
        "{}",
        metrics.head
    );
    assert!(metrics.body.ends_with("# EOF\n"), "{}", metrics.body);
    assert!(
        metrics
            .body
            .contains("sanmon_gate_current{gate=\"proxy\"} 1")
    );
    let snapshot = agent.page("/snapshot");
    let conditions = agent.page("/conditions");
    assert_eq!(snapshot["generation"], conditions["generation"]);
    assert!(
        snapshot["generation"].is_string(),
        "exact in every language"
    );
}

#[test]
fn an_unknown_page_is_a_json_error_with_its_reason() {
    let conf = Conf::new();
    let agent = Agent::start(&conf);
    let answer = http::get(agent.admin, "/nothing").expect("an answer");
    assert_eq!(answer.status, 404);
    let error: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(error["reason"], "NotFound");
}

#[test]
fn the_metrics_address_serves_nothing_but_metrics_and_health() {
    let conf = Conf::new();
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let arguments = ["--metrics", address.as_str()];
    let mut agent = Agent::spawn(&conf, Path::new(sanmon()), &arguments, |_| {});
    agent.settle(&Value::Null);
    for (path, status) in [
        ("/metrics", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/snapshot", 404),
        ("/conditions", 404),
    ] {
        let answer = http::get(port, path).expect("an answer");
        assert_eq!(answer.status, status, "{path}");
    }
}

#[test]
fn get_shows_what_the_agent_serves() {
    let backend = Backend::start("one");
    let conf = Conf::serving(free_port(), backend.port);
    let agent = Agent::start(&conf);
    let admin = format!("127.0.0.1:{}", agent.admin);
    let endpoint = format!("127.0.0.1:{}", backend.port);
    for (subject, shown) in [
        ("gateways", "main"),
        ("routes", "HTTPRoute"),
        ("vips", "ADDRESS"),
        ("services", "PROTOCOL"),
        ("endpoints", endpoint.as_str()),
    ] {
        let output = run(&["get", subject, "--admin", &admin]);
        assert!(output.status.success(), "{output:?}");
        let text = stdout(&output);
        assert!(text.contains(shown), "{subject}: {text}");
    }
    let output = run(&["get", "endpoints", "--admin", &admin, "-o", "json"]);
    let json: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(json[0]["backend"], "default/web:80");
}

#[test]
fn get_says_that_no_agent_is_there() {
    let admin = format!("127.0.0.1:{}", free_port());
    let output = run(&["get", "gateways", "--admin", &admin]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no agent at"), "{output:?}");
}
