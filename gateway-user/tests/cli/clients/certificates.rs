//! Certificates of clients, of the Gateway towards pods, and of listeners that change under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls::ClientConfig;
use serde_json::{Value, json};

use super::client::{Client, tcp, tls};
use super::pods::Pod;
use super::site::{all_to, below, file, gateway, policy, route, service};
use crate::agent::Agent;
use crate::conf::{Conf, free_port};
use crate::identity::Identity;

const HOST: &str = "shop.test";
const ROTATIONS: usize = 5;

/// Gateway API: `Gateway.spec.tls.frontend`: what is said for a port replaces the default.
#[tokio::test]
async fn clients_show_the_certificate_that_their_port_asks_for() {
    let pod = Pod::http1().await;
    let (strict, other, lax, open) = (free_port(), free_port(), free_port(), free_port());
    let own = Identity::new(&[HOST]);
    let (one, two) = (Identity::new(&["one"]), Identity::new(&["two"]));
    let conf = Conf::new();
    let validation = |name: &str, mode: &str| {
        let roots = json!([{"group": "", "kind": "ConfigMap", "name": name}]);
        json!({"validation": {"mode": mode, "caCertificateRefs": roots}})
    };
    let frontend = json!({
        "default": validation("one", "AllowValidOnly"),
        "perPort": [
            {"port": other, "tls": validation("two", "AllowValidOnly")},
            {"port": lax, "tls": validation("one", "AllowInsecureFallback")},
            {"port": open, "tls": {}},
        ]
    });
    let ports = [strict, other, lax, open];
    let listeners: Vec<Value> = ports.iter().map(|port| https(*port)).collect();
    let mut objects = gateway(listeners.into(), json!({"tls": {"frontend": frontend}})).to_vec();
    objects.push(route("HTTPRoute", "shop", &[], all_to("web")));
    objects.extend(service("web", None, &[pod.port]));
    conf.write("site.yaml", &file(objects));
    conf.write("secret.yaml", &own.secret("cert"));
    conf.write("one.yaml", &one.authority("one"));
    conf.write("two.yaml", &two.authority("two"));
    let _agent = Agent::start(&conf);

    for (port, shown, let_in) in [
        (strict, Some(&one), true),
        (strict, Some(&two), false),
        (strict, None, false),
        (other, Some(&two), true),
        (other, Some(&one), false),
        (lax, Some(&one), true),
        (lax, Some(&two), true),
        (lax, None, true),
        (open, None, true),
        (open, Some(&two), true),
    ] {
        let config = match shown {
            None => own.client(),
            Some(shown) => own.client_showing(shown),
        };
        let got = get(port, config).await;
        let which = ports.iter().position(|it| *it == port);
        let shown = shown.map(|it| std::ptr::eq(it, &one));
        assert_eq!(got, let_in.then_some(200), "port {which:?}, one {shown:?}");
    }
}

/// Gateway API: `BackendTLSPolicy`, `Gateway.spec.tls.backend`.
#[tokio::test]
async fn pods_see_the_gateways_certificate_and_are_trusted_by_root_and_name() {
    let (front, pods, gateways) = (
        Identity::new(&[HOST]),
        Identity::new(&["pods.test"]),
        Identity::new(&["gateway"]),
    );
    let pod = Pod::https(pods.server(Some(&gateways))).await;
    let port = free_port();
    let conf = Conf::new();
    let shown = json!({"tls": {"backend": {"clientCertificateRef": {"name": "gateway"}}}});
    let mut objects = gateway(json!([https(port)]), shown).to_vec();
    let names = ["right", "other-name", "other-root", "no-policy", "no-root"];
    let rules: Vec<Value> = names.iter().map(|name| below(name)).collect();
    objects.push(route("HTTPRoute", "shop", &[HOST], rules.into()));
    for name in names {
        objects.extend(service(name, None, &[pod.port]));
    }
    objects.extend([
        policy("right", "pods.test", "pods"),
        policy("other-name", "others.test", "pods"),
        policy("other-root", "pods.test", "front"),
        policy("no-root", "pods.test", "gone"),
    ]);
    conf.write("site.yaml", &file(objects));
    conf.write("cert.yaml", &front.secret("cert"));
    conf.write("gateway.yaml", &gateways.secret("gateway"));
    conf.write("pods.yaml", &pods.authority("pods"));
    conf.write("front.yaml", &front.authority("front"));
    let _agent = Agent::start(&conf);

    let stream = tls(tcp(port).await, HOST, front.client(), &["h2"]).await;
    let mut client = Client::http2(stream.expect("a handshake")).await;
    let answer = client.get(HOST, "/right").await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("x-server-name"), "pods.test");
    assert_eq!(answer.header("x-client-certificate"), "yes");
    // A policy that cannot be kept is a backend that is not there; clear text is never the way out.
    for (name, status) in [
        ("other-name", 502),
        ("other-root", 502),
        ("no-policy", 502),
        ("no-root", 500),
    ] {
        let answer = client.get(HOST, &format!("/{name}")).await;
        assert_eq!(answer.expect("an answer").status(), status, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_change_under_load_without_a_failed_request() {
    let (pod, port) = (Pod::http1().await, free_port());
    let conf = Conf::new();
    let mut objects = gateway(json!([https(port)]), json!({})).to_vec();
    objects.push(route("HTTPRoute", "shop", &[HOST], all_to("web")));
    objects.extend(service("web", None, &[pod.port]));
    conf.write("site.yaml", &file(objects));
    let identities: Vec<Identity> = (0..=ROTATIONS).map(|_| Identity::new(&[HOST])).collect();
    conf.write("secret.yaml", &identities[0].secret("cert"));
    let mut agent = Agent::start(&conf);

    let (stop, kept) = (Arc::new(AtomicBool::new(false)), open(port, &identities[0]));
    let (answered, opened) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let lasting = {
        let (stop, answered, mut client) = (Arc::clone(&stop), Arc::clone(&answered), kept.await);
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let answer = client.get(HOST, "/").await.expect("an answer");
                assert_eq!(answer.status(), 200);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let coming = {
        let (stop, opened) = (Arc::clone(&stop), Arc::clone(&opened));
        let roots = Identity::clients_of_any(&identities);
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(get(port, roots.clone()).await, Some(200));
                opened.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    for pair in identities.windows(2) {
        let [old, new] = pair else { continue };
        let (requests, connections) = (
            answered.load(Ordering::Relaxed),
            opened.load(Ordering::Relaxed),
        );
        let before = agent.generation();
        conf.write("secret.yaml", &new.secret("cert"));
        agent.settle(&before);
        assert_eq!(get(port, new.client()).await, Some(200));
        assert_eq!(get(port, old.client()).await, None, "the old one is gone");
        // Both kinds of load have gone on in between.
        while answered.load(Ordering::Relaxed) == requests
            || opened.load(Ordering::Relaxed) == connections
        {
            assert!(!lasting.is_finished() && !coming.is_finished());
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    lasting.await.expect("no failed request");
    coming.await.expect("no failed connection");
}

fn https(port: u16) -> Value {
    let certificate = json!({"certificateRefs": [{"name": "cert"}]});
    json!({"name": format!("p{port}"), "port": port, "protocol": "HTTPS", "tls": certificate})
}

async fn open(port: u16, identity: &Identity) -> Client {
    let stream = tls(tcp(port).await, HOST, identity.client(), &["h2"]).await;
    Client::http2(stream.expect("a handshake")).await
}

/// The status of a request on a connection of its own; nothing: there is no connection.
async fn get(port: u16, config: ClientConfig) -> Option<u16> {
    let stream = tls(tcp(port).await, HOST, config, &["http/1.1"]).await;
    // In TLS 1.3 a refusal of the client's certificate comes after the client thinks that all is well.
    let mut client = Client::http1(stream.ok()?).await;
    Some(client.get(HOST, "/").await.ok()?.status())
}
