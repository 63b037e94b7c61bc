//! The PROXY protocol: read from trusted proxies and nobody else, and told to endpoints.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::client::{Client, in_time, tcp, tls};
use super::pods::{GREETING, Pod, introduction};
use super::site::{all_to, file, gateway, route, service};
use crate::agent::Agent;
use crate::conf::{Conf, free_port};
use crate::http;
use crate::identity::Identity;

const HOST: &str = "shop.test";
const V1: &str = "PROXY TCP4 203.0.113.9 198.51.100.1 1234 80\r\n";
const OTHER: &str = "PROXY TCP4 203.0.113.8 198.51.100.1 1234 80\r\n";
/// The same as V1.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\xc6\x33\x64\x01\x04\xd2\0\x50";
const V2_DIGITS: &str = "0d0a0d0a000d0a515549540a2111000ccb007109c633640104d20050";
/// No proxy's: on loopback every address is this machine's.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Three ports with the protocol, and the agent that serves them.
struct Site {
    clear: u16,
    secure: u16,
    passed: u16,
    identity: Identity,
    agent: Agent,
    _conf: Conf,
}

impl Site {
    fn start(web: u16, passed_on: u16) -> Self {
        let (clear, secure, passed) = (free_port(), free_port(), free_port());
        let identity = Identity::new(&[HOST]);
        let conf = Conf::new();
        let ending = json!({"certificateRefs": [{"name": "cert"}]});
        let listeners = json!([
            {"name": "web", "port": clear, "protocol": "HTTP"},
            {"name": "tls", "port": secure, "protocol": "HTTPS", "tls": ending},
            {"name": "pass", "port": passed, "protocol": "TLS", "tls": {"mode": "Passthrough"}},
        ]);
        let mut objects = gateway(listeners, json!({})).to_vec();
        objects.push(config([(clear, "v1"), (secure, "v2"), (passed, "v2")]));
        objects.push(route("HTTPRoute", "web", &[], all_to("web")));
        objects.push(route("TLSRoute", "pass", &[HOST], all_to("pass")));
        objects.extend(service("web", None, &[web]));
        objects.extend(service("pass", None, &[passed_on]));
        conf.write("site.yaml", &file(objects));
        conf.write("secret.yaml", &identity.secret("cert"));
        let agent = Agent::start(&conf);
        Self {
            clear,
            secure,
            passed,
            identity,
            agent,
            _conf: conf,
        }
    }

    fn refused(&self) -> u64 {
        let page = http::get(self.agent.admin, "/metrics").expect("metrics");
        let mut lines = page.body.lines();
        let line =
            lines.find_map(|it| it.strip_prefix("sanmon_proxy_protocol_headers_refused_total "));
        line.expect("the metric").parse().expect("a number")
    }
}

fn config(ports: [(u16, &str); 3]) -> Value {
    let ports = ports.map(
        |(port, version)| json!({"port": port, "receive": "fromTrustedProxies", "send": version}),
    );
    json!({
        "apiVersion": "sanmon.dev/v1alpha1", "kind": "SanmonConfig",
        "metadata": {"name": "default"},
        "spec": {"proxy": {"trustedProxies": ["127.0.0.1"], "proxyProtocol": ports}}
    })
}

#[tokio::test]
async fn the_client_of_a_trusted_proxy_is_told_on_and_its_connections_are_its_own() {
    let pod = Pod::introduced().await;
    let site = Site::start(pod.port, pod.port);
    let mut clients = Vec::new();
    for (header, address) in [(V1, "203.0.113.9"), (OTHER, "203.0.113.8")] {
        let mut stream = tcp(site.clear).await;
        stream.write_all(header.as_bytes()).await.expect("sent");
        clients.push((header, address, Client::http1(stream).await));
    }
    for _round in 0..3 {
        for (header, address, client) in &mut clients {
            let answer = client.get(HOST, "/").await.expect("an answer");
            assert_eq!(answer.header("x-introduction"), header.trim_end());
            let text = answer.text();
            for line in [
                format!("x-forwarded-for: {address}"),
                format!("x-real-ip: {address}"),
                "x-forwarded-port: 80".to_owned(),
            ] {
                assert!(text.contains(&format!("{line}\n")), "{line}: {text}");
            }
        }
    }

    let mut stream = tcp(site.secure).await;
    stream.write_all(V2).await.expect("sent");
    let stream = tls(stream, HOST, site.identity.client(), &["h2"]).await;
    let mut client = Client::http2(stream.expect("a handshake")).await;
    let answer = client.get(HOST, "/").await.expect("an answer");
    assert_eq!(answer.header("x-introduction"), V2_DIGITS);

    // A proxy that speaks for itself.
    let mut stream = tcp(site.clear).await;
    let local = [&V2[..12], &[0x20, 0, 0, 0]].concat();
    stream.write_all(&local).await.expect("sent");
    let own = stream.local_addr().expect("an address").port();
    let answer = Client::http1(stream).await.get(HOST, "/").await;
    let expected = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {own} {}", site.clear);
    let answer = answer.expect("an answer");
    assert_eq!(answer.header("x-introduction"), expected);
}

#[tokio::test]
async fn connections_that_are_passed_through_are_introduced_too() {
    let identity = Identity::new(&[HOST]);
    let config = std::sync::Arc::new(identity.server(None));
    let pod = Pod::start(move |mut stream| {
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::clone(&config));
        async move {
            assert_eq!(introduction(&mut stream).await, V2_DIGITS);
            let mut stream = acceptor.accept(stream).await.expect("a handshake");
            stream.write_all(GREETING).await.expect("sent");
            stream.shutdown().await.expect("closed");
        }
    })
    .await;
    let site = Site::start(pod.port, pod.port);
    let mut stream = tcp(site.passed).await;
    stream.write_all(V2).await.expect("sent");
    let stream = tls(stream, HOST, identity.client(), &[]).await;
    let mut heard = Vec::new();
    let mut stream = stream.expect("a handshake");
    in_time(stream.read_to_end(&mut heard))
        .await
        .expect("an end");
    assert_eq!(heard, GREETING);
}

#[tokio::test]
async fn a_malformed_header_ends_the_connection_and_a_strangers_is_none() {
    let pod = Pod::introduced().await;
    let site = Site::start(pod.port, pod.port);
    let malformed: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n",
        b"PROXY TCP4 203.0.113.9 198.51.100.1 1234 99999\r\n",
        b"PROXY TCP9 203.0.113.9 198.51.100.1 1234 80\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c............",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
    ];
    for (count, bytes) in (1..).zip(malformed) {
        for port in [site.clear, site.secure] {
            let mut stream = tcp(port).await;
            stream.write_all(bytes).await.expect("sent");
            let mut answer = Vec::new();
            match in_time(stream.read_to_end(&mut answer)).await {
                Ok(_) => assert_eq!(answer, b"", "{bytes:?}"),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
            }
        }
        assert_eq!(site.refused(), 2 * count);
    }

    let answer = Client::http1(from_stranger(site.clear).await)
        .await
        .get(HOST, "/")
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    let text = answer.text();
    assert!(text.contains("x-forwarded-for: 127.0.0.2\n"), "{text}");
    // From a stranger a header is a request that is none.
    let mut stream = from_stranger(site.clear).await;
    stream.write_all(V1.as_bytes()).await.expect("sent");
    let mut start = [0; 12];
    in_time(stream.read_exact(&mut start))
        .await
        .expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 400");
}

async fn from_stranger(port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let own = SocketAddr::from((STRANGER, 0));
    socket.bind(own).expect("an address of loopback");
    let connecting = socket.connect((Ipv4Addr::LOCALHOST, port).into());
    connecting.await.expect("a connection")
}
