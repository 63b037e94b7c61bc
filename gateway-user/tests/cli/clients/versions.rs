//! HTTP/1.1 and HTTP/2 of clients against HTTP/1.1 and HTTP/2 of pods, in clear text and in TLS; ListenerSets.

use bytes::Bytes;
use http::Request;
use serde_json::json;

use super::client::{Client, tcp, tls, whole};
use super::pods::Pod;
use super::site::{all_to, below, file, gateway, object, route, service};
use crate::agent::Agent;
use crate::conf::{Conf, free_port};
use crate::identity::Identity;

const HOST: &str = "shop.test";
const BODY_BYTES: usize = 200_000;

#[tokio::test]
async fn each_version_of_http_reaches_pods_of_each_version() {
    let (pod, h2c_pod) = (Pod::http1().await, Pod::h2c().await);
    let (clear, secure) = (free_port(), free_port());
    let identity = Identity::new(&[HOST]);
    let conf = Conf::new();
    let certificate = json!({"certificateRefs": [{"name": "cert"}]});
    let listeners = json!([
        {"name": "web", "port": clear, "protocol": "HTTP"},
        {"name": "tls", "port": secure, "protocol": "HTTPS", "tls": certificate},
    ]);
    let rules = json!([below("one"), below("two")]);
    let mut objects = gateway(listeners, json!({})).to_vec();
    objects.push(route("HTTPRoute", "shop", &[HOST], rules));
    objects.extend(service("one", None, &[pod.port]));
    objects.extend(service("two", Some("kubernetes.io/h2c"), &[h2c_pod.port]));
    conf.write("site.yaml", &file(objects));
    conf.write("secret.yaml", &identity.secret("cert"));
    let _agent = Agent::start(&conf);

    let secured = async |protocol| {
        let stream = tls(tcp(secure).await, HOST, identity.client(), &[protocol]).await;
        let stream = stream.expect("a handshake");
        assert_eq!(
            stream.get_ref().1.alpn_protocol(),
            Some(protocol.as_bytes())
        );
        stream
    };
    let clients = [
        ("http/1.1", Client::http1(tcp(clear).await).await),
        ("h2c", Client::http2(tcp(clear).await).await),
        ("https", Client::http1(secured("http/1.1").await).await),
        ("h2", Client::http2(secured("h2").await).await),
    ];
    for (version, mut client) in clients {
        for (path, seen) in [("/one/x?q=1", "HTTP/1.1"), ("/two/x?q=1", "HTTP/2.0")] {
            let body = whole(Bytes::from(vec![b'x'; BODY_BYTES]));
            let request = Request::post(path).header("x-a", "1").body(body);
            let answer = client.send(HOST, request.expect("a request")).await;
            let answer = answer.unwrap_or_else(|error| panic!("{version} {path}: {error}"));
            let text = answer.text();
            assert_eq!(answer.status(), 200, "{version} {path}: {text}");
            let line = text.lines().next().expect("a line");
            assert!(line.starts_with("POST ") && line.ends_with(seen), "{line}");
            assert!(line.contains(path), "{line}");
            let length = format!("bytes: {BODY_BYTES}\n");
            assert!(text.ends_with(&length), "{version} {path}: {text}");
            assert!(text.contains("x-a: 1\n"), "{version} {path}: {text}");
        }
    }
}

/// Gateway API: `ListenerSet`. A route reaches a set's listeners when it names the set, and the Gateway's when it names that.
#[tokio::test]
async fn listeners_of_a_set_are_served_beside_those_of_the_gateway() {
    let (pod, port, extra) = (Pod::http1().await, free_port(), free_port());
    let identity = Identity::new(&["extra.test"]);
    let conf = Conf::new();
    let listeners = json!([{"name": "web", "port": port, "protocol": "HTTP", "hostname": HOST}]);
    let allowed = json!({"allowedListeners": {"namespaces": {"from": "Same"}}});
    let mut objects = gateway(listeners, allowed).to_vec();
    let certificate = json!({"certificateRefs": [{"name": "cert"}]});
    objects.push(object(
        "ListenerSet",
        "extra",
        json!({
            "parentRef": {"name": "main"},
            "listeners": [
                {"name": "web", "port": port, "protocol": "HTTP", "hostname": "extra.test"},
                {"name": "tls", "port": extra, "protocol": "HTTPS", "tls": certificate},
            ]
        }),
    ));
    objects.push(route("HTTPRoute", "shop", &[], all_to("one")));
    let parent = json!([{"kind": "ListenerSet", "name": "extra"}]);
    let rules = json!([{"matches": [{"path": {"value": "/set"}}],
                        "backendRefs": [{"name": "one", "port": 80}]}]);
    let spec = json!({"parentRefs": parent, "rules": rules});
    objects.push(object("HTTPRoute", "extra", spec));
    objects.extend(service("one", None, &[pod.port]));
    conf.write("site.yaml", &file(objects));
    conf.write("secret.yaml", &identity.secret("cert"));
    let _agent = Agent::start(&conf);

    let mut client = Client::http1(tcp(port).await).await;
    for (host, path, expected) in [
        (HOST, "/", 200),
        (HOST, "/set", 200),
        ("extra.test", "/set", 200),
        ("extra.test", "/", 404),
        ("other.test", "/set", 404),
    ] {
        let answer = client.get(host, path).await.expect("an answer");
        assert_eq!(answer.status(), expected, "{host}{path}");
    }
    let stream = tls(tcp(extra).await, "extra.test", identity.client(), &["h2"]).await;
    let mut client = Client::http2(stream.expect("a handshake")).await;
    let answer = client.get("extra.test", "/set").await.expect("an answer");
    assert_eq!(answer.status(), 200);
}
