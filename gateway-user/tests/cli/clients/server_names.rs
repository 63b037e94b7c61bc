//! TLSRoutes: connections go by the name in their ClientHello, whatever shape it comes in.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::client::{Client, in_time, tcp, tls};
use super::pods::{GREETING, Pod};
use super::site::{all_to, file, gateway, route, service};
use crate::agent::Agent;
use crate::conf::{Conf, free_port};
use crate::identity::Identity;

/// The first byte of a record of the handshake, and of an alert (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const RECORD_HEADER: usize = 5;
/// Eleven bytes, as the address below: one can stand in the other's place.
const PASSED: &str = "a.pass.test";
const ADDRESS: &str = "10.20.30.40";
const NAMES: [&str; 4] = [PASSED, "a.end.test", "again.test", "a.web.test"];

/// A port on which TLS is passed through, ended, ended and made anew, and ended with HTTP inside.
struct Site {
    port: u16,
    identity: Identity,
    _conf: Conf,
    _agent: Agent,
    _pods: [Pod; 4],
}

impl Site {
    async fn start() -> Self {
        let (port, identity) = (free_port(), Identity::new(&NAMES));
        let pods = [
            Pod::shouting_in_tls(identity.server(None)).await,
            Pod::shouting().await,
            Pod::shouting_in_tls(identity.server(None)).await,
            Pod::http1().await,
        ];
        let conf = Conf::new();
        let ending = json!({"mode": "Terminate", "certificateRefs": [{"name": "cert"}]});
        let listener = |name, protocol, hostname, tls| json!({"name": name, "port": port, "protocol": protocol, "hostname": hostname, "tls": tls});
        let listeners = json!([
            listener("pass", "TLS", "*.pass.test", json!({"mode": "Passthrough"})),
            listener("end", "TLS", "*.end.test", ending.clone()),
            listener("again", "TLS", "again.test", ending.clone()),
            listener("web", "HTTPS", "*.web.test", ending),
        ]);
        let mut objects = gateway(listeners, json!({})).to_vec();
        let services = ["pass", "end", "again", "web"];
        for (name, pod) in services.iter().zip(&pods) {
            objects.extend(service(name, None, &[pod.port]));
        }
        objects.extend(service("empty", None, &[]));
        objects.extend([
            route("TLSRoute", "pass", &[PASSED], all_to("pass")),
            route("TLSRoute", "nobody", &["b.pass.test"], all_to("empty")),
            route("TLSRoute", "end", &["*.end.test"], all_to("end")),
            route("TLSRoute", "again", &["again.test"], all_to("again")),
            route("HTTPRoute", "web", &["*.web.test"], all_to("web")),
            super::site::policy("again", "again.test", "roots"),
        ]);
        conf.write("site.yaml", &file(objects));
        conf.write("secret.yaml", &identity.secret("cert"));
        conf.write("roots.yaml", &identity.authority("roots"));
        let agent = Agent::start(&conf);
        Self {
            port,
            identity,
            _conf: conf,
            _agent: agent,
            _pods: pods,
        }
    }

    /// Sends bytes, and gives what comes back first; nothing: the connection was closed.
    async fn first_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = tcp(self.port).await;
        stream.write_all(bytes).await.expect("it was accepted");
        self.answer(stream).await
    }

    async fn answer(&self, mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
        let mut answer = vec![0; 1024];
        match in_time(stream.read(&mut answer)).await {
            Ok(length) => answer.truncate(length),
            // What the proxy had not read yet makes a close a reset.
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                answer.clear();
            }
        }
        answer
    }
}

#[tokio::test]
async fn one_port_passes_through_ends_and_serves_by_the_server_name() {
    let site = Site::start().await;
    for name in [PASSED, "a.end.test", "again.test"] {
        let stream = tls(tcp(site.port).await, name, site.identity.client(), &[]).await;
        let mut stream = stream.unwrap_or_else(|error| panic!("{name}: {error}"));
        // The server speaks first in some protocols.
        let mut heard = vec![0; GREETING.len()];
        let reading = in_time(stream.read_exact(&mut heard)).await;
        reading.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(heard, GREETING, "{name}");
        stream.write_all(b"hello").await.expect("sent");
        stream.read_exact(&mut heard[..5]).await.expect("an answer");
        assert_eq!(&heard[..5], b"HELLO", "{name}");
    }
    let name = "a.web.test";
    let stream = tls(tcp(site.port).await, name, site.identity.client(), &["h2"]).await;
    let mut client = Client::http2(stream.expect("a handshake")).await;
    let answer = client.get(name, "/").await.expect("an answer");
    assert_eq!(answer.status(), 200);
    // It is a listener's of this port, but not of this handshake.
    let answer = client.get(PASSED, "/").await.expect("an answer");
    assert_eq!(answer.status(), 421);
    let answer = client.get(name, "/").await.expect("the connection is kept");
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn the_server_name_is_read_whatever_shape_the_hello_comes_in() {
    let site = Site::start().await;
    let hello = hello(&site.identity, PASSED);
    let upper = replaced(&hello, PASSED, "A.Pass.TEST");
    for (shape, bytes) in [
        ("as it is", hello.clone()),
        ("in records of one byte", in_records(&hello, 1)),
        ("in records of hundred bytes", in_records(&hello, 100)),
        ("with a name in upper case", upper),
    ] {
        let answer = site.first_bytes(&bytes).await;
        assert_eq!(answer.first(), Some(&HANDSHAKE), "{shape}");
    }
    // And byte by byte, to its end.
    let stream = Trickle(tcp(site.port).await);
    let stream = tls(stream, PASSED, site.identity.client(), &[]).await;
    let mut heard = vec![0; GREETING.len()];
    let mut stream = stream.expect("a handshake");
    stream.read_exact(&mut heard).await.expect("a greeting");
    assert_eq!(heard, GREETING);
}

/// Conformance: what leads nowhere is accepted and then closed, without an alert.
#[tokio::test]
async fn a_hello_that_leads_nowhere_is_accepted_and_closed_without_a_word() {
    let site = Site::start().await;
    let named = hello(&site.identity, PASSED);
    let unnamed = {
        let mut config = site.identity.client();
        config.enable_sni = false;
        first_flight(config, PASSED)
    };
    for (what, bytes) in [
        ("no server name", unnamed),
        ("an address as name", replaced(&named, PASSED, ADDRESS)),
        ("an unknown name", hello(&site.identity, "a.other.test")),
        ("no route", hello(&site.identity, "c.pass.test")),
        ("no endpoint", hello(&site.identity, "b.pass.test")),
    ] {
        let answer = site.first_bytes(&bytes).await;
        assert_eq!(answer, b"", "{what}");
    }
}

#[tokio::test]
async fn what_is_no_hello_ends_the_connection_and_nothing_else() {
    let site = Site::start().await;
    let whole = hello(&site.identity, PASSED);
    let mut too_long = vec![HANDSHAKE, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
    too_long.resize(5 + 0x4000, 0);
    for (what, bytes) in [
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nhost: a.web.test\r\n\r\n".to_vec(),
        ),
        ("an SSL 2.0 hello", vec![0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0]),
        ("a hello of 16 MiB", too_long),
        ("a hello that lies about its length", lying(&whole)),
        ("zeros", vec![0; 64]),
    ] {
        let answer = site.first_bytes(&bytes).await;
        assert!(matches!(answer.first(), None | Some(&ALERT)), "{what}");
    }
    // Half a hello, and no more to come.
    let mut stream = tcp(site.port).await;
    stream
        .write_all(&whole[..whole.len() / 2])
        .await
        .expect("sent");
    stream.shutdown().await.expect("closed");
    assert_eq!(site.answer(stream).await, b"");
    assert_eq!(
        site.first_bytes(&whole).await.first(),
        Some(&HANDSHAKE),
        "the port still serves"
    );
}

/// The ClientHello of a client that asks for a name.
fn hello(identity: &Identity, name: &str) -> Vec<u8> {
    first_flight(identity.client(), name)
}

fn first_flight(config: ClientConfig, name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let session = ClientConnection::new(Arc::new(config), name);
    let mut bytes = Vec::new();
    let written = session.expect("settings").write_tls(&mut bytes);
    written.expect("a vector takes everything");
    bytes
}

/// The same hello with another name of the same length.
fn replaced(hello: &[u8], name: &str, other: &str) -> Vec<u8> {
    let mut windows = hello.windows(name.len());
    let at = windows.position(|it| it == name.as_bytes());
    let at = at.expect("the name");
    let mut bytes = hello.to_vec();
    overwrite(&mut bytes, at, other.as_bytes());
    bytes
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    let place = bytes.get_mut(at..at + with.len());
    place.expect("inside the hello").copy_from_slice(with);
}

/// The same hello in several records (RFC 8446 §5.1 allows any fragments but empty ones).
fn in_records(hello: &[u8], size: usize) -> Vec<u8> {
    let (header, payload) = hello.split_at(RECORD_HEADER);
    let (kind_and_version, _length) = header.split_at(3);
    let fragments = payload.chunks(size).flat_map(|fragment| {
        let length = u16::try_from(fragment.len()).expect("a small fragment");
        let mut record = kind_and_version.to_vec();
        record.extend(length.to_be_bytes());
        record.extend(fragment);
        record
    });
    fragments.collect()
}

/// A hello whose list of ciphers says to be longer than the message.
fn lying(hello: &[u8]) -> Vec<u8> {
    let mut bytes = hello.to_vec();
    // The header of the message, the version and the random; then the session id with its length.
    let at = RECORD_HEADER + 4 + 2 + 32;
    let session = usize::from(*hello.get(at).expect("inside the hello"));
    overwrite(&mut bytes, at + 1 + session, &[0xff, 0xfe]);
    bytes
}

/// A stream that sends each byte by itself.
struct Trickle<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Trickle<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Trickle<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let first = bytes.first().map_or(&[][..], std::slice::from_ref);
        Pin::new(&mut self.0).poll_write(cx, first)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
