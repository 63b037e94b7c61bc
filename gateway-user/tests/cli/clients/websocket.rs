//! WebSocket by the examples of RFC 6455, whose bytes a client of any make would send.

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{in_time, tcp, tls};
use super::pods::Pod;
use super::site::{all_to, file, gateway, route, service};
use crate::agent::Agent;
use crate::conf::{Conf, free_port};
use crate::identity::Identity;

const HOST: &str = "server.example.com";
/// RFC 6455 §1.2 and §1.3.
const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
      Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
      Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
      Sec-WebSocket-Version: 13\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
      Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
      Sec-WebSocket-Protocol: chat\r\n\r\n";
/// RFC 6455 §5.7: "Hello" as a client sends it, masked, and as a server does.
const MASKED: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
const UNMASKED: &[u8] = b"\x81\x05Hello";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_opens_in_clear_text_and_in_tls_and_outlives_changes() {
    let pod = Pod::start(chat).await;
    let (clear, secure) = (free_port(), free_port());
    let identity = Identity::new(&[HOST]);
    let conf = Conf::new();
    let certificate = json!({"certificateRefs": [{"name": "cert"}]});
    let listeners = json!([
        {"name": "web", "port": clear, "protocol": "HTTP"},
        {"name": "tls", "port": secure, "protocol": "HTTPS", "tls": certificate},
    ]);
    let site = |protocol| {
        let mut objects = gateway(listeners.clone(), json!({})).to_vec();
        objects.push(route("HTTPRoute", "chat", &[HOST], all_to("chat")));
        objects.extend(service("chat", protocol, &[pod.port]));
        file(objects)
    };
    conf.write("site.yaml", &site(Some("kubernetes.io/ws")));
    conf.write("secret.yaml", &identity.secret("cert"));
    let mut agent = Agent::start(&conf);

    let mut in_clear = tcp(clear).await;
    open(&mut in_clear).await;
    let protocols = ["http/1.1"];
    let in_tls = tls(tcp(secure).await, HOST, identity.client(), &protocols).await;
    let mut in_tls = in_tls.expect("a handshake");
    open(&mut in_tls).await;

    let before = agent.generation();
    // The endpoints are gone, and another listener is there.
    conf.write("site.yaml", &file(gateway(listeners.clone(), json!({}))));
    agent.settle(&before);
    for stream in [&mut in_clear as &mut dyn Stream, &mut in_tls] {
        say(stream).await;
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Opens a WebSocket, and says something over it.
async fn open(stream: &mut dyn Stream) {
    stream.write_all(REQUEST).await.expect("sent");
    let head = in_time(head(stream)).await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    for line in [
        "upgrade: websocket",
        "connection: upgrade",
        "sec-websocket-protocol: chat",
        "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{head}");
    }
    say(stream).await;
}

async fn say(stream: &mut dyn Stream) {
    stream.write_all(MASKED).await.expect("sent");
    let mut heard = vec![0; UNMASKED.len()];
    let reading = in_time(stream.read_exact(&mut heard));
    reading.await.expect("a frame");
    assert_eq!(heard, UNMASKED);
}

/// The server of the examples.
async fn chat(mut stream: TcpStream) {
    let request = head(&mut stream).await;
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    assert!(request.contains(key), "{request}");
    stream.write_all(ANSWER).await.expect("sent");
    let mut frame = [0; MASKED.len()];
    while stream.read_exact(&mut frame).await.is_ok() {
        assert_eq!(frame, MASKED);
        stream.write_all(UNMASKED).await.expect("sent");
    }
}

async fn head(stream: &mut dyn Stream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
    String::from_utf8(head).expect("text")
}
