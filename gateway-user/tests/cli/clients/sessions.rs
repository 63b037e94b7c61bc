//! Sessions that go on at another node: TLS by tickets, persistence by cookies, with a key that the nodes share.

use http::Request;
use rustls::HandshakeKind;
use serde_json::{Value, json};

use super::client::{Answer, Client, tcp, tls, whole};
use super::pods::Pod;
use super::site::{file, gateway, route, service};
use crate::agent::Agent;
use crate::conf::{Conf, free_port};
use crate::identity::Identity;

const HOST: &str = "shop.test";
const KEY: &str = "0123456789abcdef0123456789abcdef";
const NEW: &str = "fedcba9876543210fedcba9876543210";

#[tokio::test]
async fn sessions_go_on_at_every_node_that_has_the_key_and_outlive_its_rotation() {
    let pods = [Pod::http1().await, Pod::http1().await];
    let identity = Identity::new(&[HOST]);
    let (one, two) = (free_port(), free_port());
    let nodes = [one, two].map(|port| {
        let conf = Conf::new();
        conf.write("site.yaml", &site(port, &pods));
        conf.write("secret.yaml", &identity.secret("cert"));
        conf.write("keys.yaml", &keys(json!({"key": KEY})));
        conf
    });
    let [mut first, mut second] = nodes.each_ref().map(Agent::start);
    let client = identity.client();

    let (kind, begun) = get(one, &client, None).await;
    assert_eq!(kind, Some(HandshakeKind::Full));
    let cookie = begun.header("set-cookie");
    let (cookie, _attributes) = cookie.split_once(';').expect("a cookie");
    let pod = begun.header("x-pod");
    let goes_on = async |port| {
        let (kind, answer) = get(port, &client, Some(cookie)).await;
        assert_eq!(kind, Some(HandshakeKind::Resumed));
        assert_eq!(answer.header("x-pod"), pod);
        assert_eq!(answer.header("set-cookie"), "", "the session is known");
    };
    // Two pods: by chance alone all of these would go to the same once in a thousand times.
    for _ in 0..5 {
        goes_on(two).await;
        goes_on(one).await;
    }
    for (agent, conf) in [(&mut first, &nodes[0]), (&mut second, &nodes[1])] {
        let before = agent.generation();
        conf.write("keys.yaml", &keys(json!({"key": NEW, "previous": KEY})));
        agent.settle(&before);
    }
    for _ in 0..5 {
        goes_on(two).await;
        goes_on(one).await;
    }
    // What the first key has sealed is worth nothing once that key is gone.
    let before = first.generation();
    let other = keys(json!({"key": "another key of thirty-two bytes."}));
    nodes[0].write("keys.yaml", &other);
    first.settle(&before);
    let (kind, answer) = get(one, &client, Some(cookie)).await;
    assert_eq!(kind, Some(HandshakeKind::Full));
    assert_ne!(answer.header("set-cookie"), "");
}

async fn get(
    port: u16,
    config: &rustls::ClientConfig,
    cookie: Option<&str>,
) -> (Option<HandshakeKind>, Answer) {
    let stream = tls(tcp(port).await, HOST, config.clone(), &["http/1.1"]).await;
    let stream = stream.expect("a handshake");
    let kind = stream.get_ref().1.handshake_kind();
    let mut request = Request::get("/");
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    let request = request.body(whole(Vec::new())).expect("a request");
    // The tickets come with the answer.
    let answer = Client::http1(stream).await.send(HOST, request).await;
    (kind, answer.expect("an answer"))
}

fn keys(fields: Value) -> String {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "keys", "namespace": "infra"}, "stringData": fields
    });
    secret.to_string()
}

fn site(port: u16, pods: &[Pod; 2]) -> String {
    let certificate = json!({"certificateRefs": [{"name": "cert"}]});
    let listener = json!({"name": "tls", "port": port, "protocol": "HTTPS", "tls": certificate});
    let mut objects = gateway(json!([listener]), json!({})).to_vec();
    let keys = json!({"namespace": "infra", "name": "keys"});
    objects.push(json!({
        "apiVersion": "sanmon.dev/v1alpha1", "kind": "SanmonConfig",
        "metadata": {"name": "default"}, "spec": {"proxy": {"sessionKeyRef": keys}}
    }));
    let rule = json!({
        "backendRefs": [{"name": "web", "port": 80}],
        "sessionPersistence": {"type": "Cookie", "cookie": {"name": "sid"}}
    });
    objects.push(route("HTTPRoute", "web", &[HOST], json!([rule])));
    objects.extend(service("web", None, &[pods[0].port, pods[1].port]));
    file(objects)
}
