//! Certificates before their time and after it: used all the same, and said.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::agent::{Agent, run, stdout};
use crate::backend::Backend;
use crate::conf::{Conf, free_port, route, service};
use crate::http::Connection;
use crate::identity::{Identity, connect};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn check_warns_of_expired_certificates_and_finds_no_fault() {
    for (from, to, expected) in [
        (0, 1, "has expired at 1970-01-02T00:00:00Z"),
        (
            1_000_000,
            2_000_000,
            "is not valid before 4707-11-29T00:00:00Z",
        ),
    ] {
        let conf = Conf::new();
        let span = (DAY * from, DAY * to);
        conf.write(
            "secret.yaml",
            &Identity::valid("a.test", span).secret("cert"),
        );
        conf.write("gateway.yaml", &gateway(443));
        let path = conf.path();
        let output = run(&["check", path.to_str().expect("UTF-8")]);
        assert!(output.status.success(), "{output:?}");
        let text = stdout(&output);
        let remark =
            format!("the certificate of Secret default/cert {expected}; it is used all the same");
        let warning = format!("warning: Gateway default/main: listener tls: {remark}");
        assert!(text.contains(&warning), "{warning:?} is not in:\n{text}");
        let mut rows = text.lines().filter(|it| it.contains("ResolvedRefs"));
        assert!(rows.any(|it| it.contains("True")), "{text}");
    }
}

#[test]
fn a_certificate_that_expires_is_served_on_and_said_when_it_does() {
    let (port, pod) = (free_port(), Backend::start("one"));
    // Long enough for the agent to be ready before it is over.
    let span = (Duration::ZERO, since_1970() + Duration::from_secs(4));
    let identity = Identity::valid("a.test", span);
    let conf = Conf::new();
    conf.write("secret.yaml", &identity.secret("cert"));
    conf.write("gateway.yaml", &gateway(port));
    conf.write("route.yaml", &route("web"));
    conf.write("backend.yaml", &service("web", pod.port));
    let mut agent = Agent::start(&conf);
    let generation = agent.generation();
    let config = Arc::new(identity.client());
    let mut lasting = Connection::over(connect(port, "a.test", &config));
    let mut get = |headers: &str| lasting.send("GET /", headers).expect("an answer").status;
    assert_eq!(get("host: a.test\r\n"), 200);

    agent.wait_for_page("/conditions", "a remark", |page| {
        let listener = page
            .pointer("/objects/1/listeners/0")
            .or(page.pointer("/objects/0/listeners/0"))?;
        let conditions = listener.get("conditions")?.as_array()?;
        let is_resolved = |it: &&Value| it.get("type").is_some_and(|it| it == "ResolvedRefs");
        let resolved = conditions.iter().find(is_resolved)?;
        let message = resolved.get("message")?.as_str()?;
        let is_said = message.contains("has expired at");
        is_said.then(|| assert_eq!(resolved["status"], "True"))
    });
    assert!(
        agent
            .log()
            .contains("a certificate is used outside of its time")
    );
    assert_eq!(agent.generation(), generation, "nothing else is served");
    assert_eq!(get("host: a.test\r\n"), 200);
    // It is what new clients get; what they make of it is theirs.
    let fresh = Arc::new(identity.client());
    let mut late = Connection::over(connect(port, "a.test", &fresh));
    let error = late.send("GET /", "host: a.test\r\n");
    let error = error.expect_err("an expired certificate").to_string();
    assert!(error.contains("certificate expired"), "{error}");
    agent.signal(Signal::SIGTERM);
    assert!(agent.end().success());
}

#[expect(
    clippy::disallowed_methods,
    reason = "a certificate that the agent is to judge by the system's clock"
)]
fn since_1970() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970")
}

fn gateway(port: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: sanmon}}
spec: {{controllerName: sanmon.dev/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: main}}
spec:
  gatewayClassName: sanmon
  addresses: [{{type: IPAddress, value: 127.0.0.1}}]
  listeners: [{{name: tls, port: {port}, protocol: HTTPS, tls: {{certificateRefs: [{{name: cert}}]}}}}]
"
    )
}
