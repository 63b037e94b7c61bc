//! Clients: hyper's for HTTP/1.1 and HTTP/2, over clear text or rustls.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, response::Parts};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http::PATIENCE;

/// What a client sends.
pub(super) type Sent = BoxBody<Bytes, Infallible>;

/// What a client gets.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: Parts,
    pub(super) body: Bytes,
    pub(super) trailers: HeaderMap,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        text(&self.head.headers, name)
    }

    pub(super) fn trailer(&self, name: &str) -> &str {
        text(&self.trailers, name)
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name);
    value.map_or("", |value| value.to_str().expect("text"))
}

/// A client's connection.
pub(super) enum Client {
    Http1(http1::SendRequest<Sent>),
    Http2(http2::SendRequest<Sent>),
}

impl Client {
    pub(super) async fn http1(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("bytes");
        tokio::spawn(connection);
        Self::Http1(sender)
    }

    pub(super) async fn http2(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let executor = TokioExecutor::new();
        let shaken = http2::handshake(executor, TokioIo::new(stream)).await;
        let (sender, connection) = shaken.expect("HTTP/2");
        tokio::spawn(connection);
        Self::Http2(sender)
    }

    /// Sends a request for a path of a host and reads the whole answer.
    pub(super) async fn send(
        &mut self,
        host: &str,
        request: Request<Sent>,
    ) -> hyper::Result<Answer> {
        let (mut head, body) = request.into_parts();
        let answer = async {
            let response = match self {
                Self::Http1(sender) => {
                    head.headers.insert("host", host.parse().expect("a host"));
                    sender.ready().await?;
                    sender.send_request(Request::from_parts(head, body)).await?
                }
                Self::Http2(sender) => {
                    let url = format!("http://{host}{}", head.uri);
                    head.uri = url.parse().expect("a URL");
                    sender.ready().await?;
                    sender.send_request(Request::from_parts(head, body)).await?
                }
            };
            let (head, body) = response.into_parts();
            let body = body.collect().await?;
            let trailers = body.trailers().cloned().unwrap_or_default();
            let body = body.to_bytes();
            Ok(Answer {
                head,
                body,
                trailers,
            })
        };
        in_time(answer).await
    }

    pub(super) async fn get(&mut self, host: &str, path: &str) -> hyper::Result<Answer> {
        let request = Request::get(path).body(whole(Bytes::new()));
        self.send(host, request.expect("a request")).await
    }
}

/// A body that is there at once.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Sent {
    Full::new(bytes.into()).boxed()
}

/// Waits for something that must happen.
pub(super) async fn in_time<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("in time")
}

/// Connects to a port of loopback.
pub(super) async fn tcp(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
    let stream = stream.expect("a connection");
    stream.set_nodelay(true).expect("a socket without delay");
    stream
}

/// Does a TLS handshake over a stream, offering protocols by ALPN.
pub(super) async fn tls<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    name: &str,
    mut config: ClientConfig,
    protocols: &[&str],
) -> io::Result<TlsStream<S>> {
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    in_time(connector.connect(name, stream)).await
}
