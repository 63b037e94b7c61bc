//! `sanmon explain`: by a folder, and by a running agent.

use serde_json::Value;

use crate::agent::{Agent, run, stderr, stdout};
use crate::backend::Backend;
use crate::conf::{Conf, free_port, gateway, service};

const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: main}]
  hostnames: [shop.test]
  rules:
  - name: orders
    matches:
    - {path: {value: /orders}, method: POST}
    - {path: {value: /orders}, headers: [{name: version, value: '2'}]}
    filters:
    - {type: URLRewrite, urlRewrite: {hostname: inner.test, path: {type: ReplaceFullPath, replaceFullPath: /o}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: web, port: 80}, percent: 10}}
    timeouts: {request: 10s, backendRequest: 2s}
    retry: {attempts: 3, codes: [503], backoff: 100ms}
    sessionPersistence: {type: Cookie, cookie: {name: sid}}
    backendRefs:
    - {name: web, port: 80, weight: 90}
    - {name: gone, port: 80, weight: 10}
    - {name: web, port: 80, weight: 0}
  - matches: [{path: {value: /old}}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: new.test, statusCode: 301}}]
  - matches: [{path: {value: /other}}]
    backendRefs: [{name: web, port: 80}]
";

#[test]
fn a_request_is_explained_by_a_folder_from_its_listener_to_its_backends() {
    let conf = folder(8080);
    let arguments = ["POST", "http://shop.test:8080/orders/7", "--config"];
    let text = explain(&conf, &arguments, &[]);
    for line in [
        "port 8080 of 127.0.0.1",
        "  listener      default/main/web",
        "- header version is missing or different: HTTPRoute default/shop rule 0 (orders) match 1, host shop.test",
        "* this one: HTTPRoute default/shop rule 0 (orders) match 0, host shop.test",
        "- another path (`--all` shows them): 2 matches",
        "  rule          HTTPRoute default/shop rule 0 (orders), for host shop.test",
        "URLRewrite: host inner.test, path /o",
        "RequestMirror: 10 of 100 to default/web:80 (HTTP/1.1, 1 endpoint)",
        "  time          10s for all, 2s for one try, 5s for a connection",
        "  retry         after 503, a lost connection up to 3 times, with pauses of 100ms and more",
        "  session       cookie sid, path /",
        "90 of 100: default/web:80 (HTTP/1.1, 1 endpoint): gets /o for host inner.test",
        "10 of 100: an invalid backend (NotFound): 500: the route has no valid backend",
        "0 of 100: default/web:80 (HTTP/1.1, 1 endpoint): gets nothing",
    ] {
        assert!(text.contains(line), "{line:?} is not in:\n{text}");
    }
    let all = explain(&conf, &arguments, &["--all"]);
    assert!(
        all.contains("- another path: HTTPRoute default/shop rule 2 match 0, host shop.test"),
        "{all}"
    );
}

#[test]
fn answers_of_the_proxy_itself_are_explained() {
    let conf = folder(8080);
    let ask = |url: &str| explain(&conf, &["GET", url, "--config"], &[]);
    let redirect = ask("http://shop.test:8080/old/x");
    let answer = "  answer        301 here, location: http://new.test:8080/old/x";
    assert!(redirect.contains(answer), "{redirect}");
    let nowhere = ask("http://shop.test:8080/nowhere");
    assert!(nowhere.contains("404: no route matches"), "{nowhere}");
    let hidden = ask("http://shop.test:8080/a%2fb");
    assert!(
        hidden.contains("400: the path hides a separator"),
        "{hidden}"
    );
    let elsewhere = ask("https://shop.test/");
    assert!(
        elsewhere.contains("nothing is served there; there is http on port 8080"),
        "{elsewhere}"
    );
}

#[test]
fn a_running_agent_explains_what_it_serves() {
    let backend = Backend::start("one");
    let port = free_port();
    let conf = folder(port);
    conf.write("web.yaml", &service("web", backend.port));
    let agent = Agent::start(&conf);
    let admin = format!("127.0.0.1:{}", agent.admin);
    let url = format!("http://shop.test:{port}/orders");
    let question = ["explain", "GET", &url, "-H", "version: 2"];

    let asked = |more: &[&str]| stdout(&run(&[&question[..], more].concat()));
    let live = asked(&["--admin", &admin]);
    assert!(live.contains("* this one: HTTPRoute default/shop rule 0 (orders) match 1"));
    let folder = conf.path();
    let folder = folder.to_str().expect("UTF-8");
    assert_eq!(live, asked(&["--config", folder]));

    let live: Value =
        serde_json::from_str(&asked(&["--admin", &admin, "-o", "json"])).expect("JSON");
    let yaml: Value =
        serde_saphyr::from_str(&asked(&["--config", folder, "-o", "yaml"])).expect("YAML");
    assert_eq!(live, yaml);
    let rule = live.pointer("/ports/0/outcome/Routed/choice/rule/id/name");
    assert_eq!(rule, Some(&Value::from("orders")));
}

#[test]
fn a_question_that_is_none_is_refused_with_its_reason() {
    let conf = folder(8080);
    let path = conf.path();
    let folder = path.to_str().expect("UTF-8");
    for (url, header, reason) in [
        ("shop.test/orders", "a: b", "is not a URL"),
        ("http://shop.test/", "ab", "is not a header like"),
    ] {
        let output = run(&["explain", "GET", url, "-H", header, "--config", folder]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(reason), "{output:?}");
    }
    let output = run(&["explain", "GET", "http://a/", "--config", "/does/not/exist"]);
    assert!(stderr(&output).contains("/does/not/exist"), "{output:?}");
    let admin = format!("127.0.0.1:{}", free_port());
    let output = run(&["explain", "GET", "http://a/", "--admin", &admin]);
    assert!(stderr(&output).contains("no agent at"), "{output:?}");
}

#[test]
fn errors_in_the_folder_are_said_beside_the_explanation() {
    let conf = folder(8080);
    conf.write("broken.yaml", "kind: [\n");
    let path = conf.path();
    let folder = path.to_str().expect("UTF-8");
    let output = run(&[
        "explain",
        "GET",
        "http://shop.test:8080/other",
        "--config",
        folder,
    ]);
    assert!(stdout(&output).contains("* this one"), "{output:?}");
    assert!(stderr(&output).contains("sanmon check"), "{output:?}");
}

/// A Gateway with the route and a Service.
fn folder(port: u16) -> Conf {
    let conf = Conf::new();
    conf.write("gateway.yaml", &gateway(port));
    conf.write("route.yaml", ROUTE);
    conf.write("web.yaml", &service("web", 9));
    conf
}

fn explain(conf: &Conf, arguments: &[&str], more: &[&str]) -> String {
    let path = conf.path();
    let folder = [path.to_str().expect("UTF-8")];
    let output = run(&[&["explain"], arguments, &folder, more].concat());
    assert!(output.status.success(), "{output:?}");
    stdout(&output)
}
