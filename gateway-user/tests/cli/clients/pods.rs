//! Servers that play pods: they tell what they were asked and how.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// A running pod; it ends when this is dropped.
pub(super) struct Pod {
    pub(super) port: u16,
    task: AbortHandle,
}

type Body = BoxBody<Bytes, hyper::Error>;

impl Pod {
    /// Speaks HTTP/1.1 and nothing else.
    pub(super) async fn http1() -> Self {
        Self::start(|stream| async {
            let at = stream.local_addr().expect("an address");
            let at = at.to_string().parse().expect("a value");
            let facts = HeaderMap::from_iter([(http::HeaderName::from_static("x-pod"), at)]);
            let service = service_fn(move |request| tell(request, facts.clone()));
            let engine = http1::Builder::new();
            drop(engine.serve_connection(TokioIo::new(stream), service).await);
        })
        .await
    }

    /// Speaks HTTP/2 with prior knowledge and nothing else.
    pub(super) async fn h2c() -> Self {
        Self::start(|stream| async {
            let service = service_fn(|request| tell(request, HeaderMap::new()));
            let engine = http2::Builder::new(TokioExecutor::new());
            drop(engine.serve_connection(TokioIo::new(stream), service).await);
        })
        .await
    }

    /// Speaks HTTP in TLS, and tells the server name and whether the client showed a certificate.
    pub(super) async fn https(config: rustls::ServerConfig) -> Self {
        let acceptor = TlsAcceptor::from(std::sync::Arc::new(config));
        Self::start(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let session = stream.get_ref().1;
                let mut facts = HeaderMap::new();
                let name = session.server_name().unwrap_or("none");
                facts.insert("x-server-name", name.parse().expect("a value"));
                let shown = session.peer_certificates().map_or("no", |_| "yes");
                facts.insert("x-client-certificate", shown.parse().expect("a value"));
                let service = service_fn(move |request| tell(request, facts.clone()));
                let engine = auto::Builder::new(TokioExecutor::new());
                drop(engine.serve_connection(TokioIo::new(stream), service).await);
            }
        })
        .await
    }

    /// Speaks HTTP/1.1 after a header of the PROXY protocol, and tells that header: as text, or in hexadecimal digits.
    pub(super) async fn introduced() -> Self {
        Self::start(|mut stream| async {
            let header = introduction(&mut stream).await;
            let facts = HeaderMap::from_iter([(
                http::HeaderName::from_static("x-introduction"),
                header.parse().expect("a value"),
            )]);
            let service = service_fn(move |request| tell(request, facts.clone()));
            let engine = http1::Builder::new();
            drop(engine.serve_connection(TokioIo::new(stream), service).await);
        })
        .await
    }

    /// Speaks gRPC: what comes goes back, message by message as it comes, with status 0.
    pub(super) async fn grpc() -> Self {
        Self::start(|stream| async {
            let service = service_fn(call);
            let engine = http2::Builder::new(TokioExecutor::new());
            drop(engine.serve_connection(TokioIo::new(stream), service).await);
        })
        .await
    }

    /// Takes connections as they are, and says what it hears in upper case after a greeting.
    pub(super) async fn shouting() -> Self {
        Self::start(shout).await
    }

    /// The same inside TLS.
    pub(super) async fn shouting_in_tls(config: rustls::ServerConfig) -> Self {
        let acceptor = TlsAcceptor::from(std::sync::Arc::new(config));
        Self::start(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    shout(stream).await;
                }
            }
        })
        .await
    }

    /// Does something with every connection.
    pub(super) async fn start<F, R>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let accepting = async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
            }
        };
        let task = tokio::spawn(accepting).abort_handle();
        Self { port, task }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers with the request line, the headers and the length of the body.
async fn tell(request: Request<Incoming>, facts: HeaderMap) -> hyper::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut text = format!("{} {} {:?}\n", head.method, head.uri, head.version);
    for (name, value) in &head.headers {
        text.push_str(&format!("{name}: {}\n", value.to_str().expect("text")));
    }
    text.push_str(&format!("bytes: {}\n", body.len()));
    let whole = Full::new(Bytes::from(text)).map_err(|never| match never {});
    let mut response = Response::new(whole.boxed());
    response.headers_mut().extend(facts);
    Ok(response)
}

/// Reads a header of the PROXY protocol.
pub(super) async fn introduction(stream: &mut TcpStream) -> String {
    let mut header = vec![0; 15];
    stream.read_exact(&mut header).await.expect("a header");
    if header.starts_with(b"PROXY ") {
        while !header.ends_with(b"\r\n") {
            header.push(stream.read_u8().await.expect("a whole line"));
        }
        return String::from_utf8_lossy(header.trim_ascii_end()).into_owned();
    }
    let length = stream.read_u8().await.expect("a length");
    header.push(length);
    let mut rest = vec![0; length.into()];
    stream.read_exact(&mut rest).await.expect("a whole header");
    header.extend(rest);
    header.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn call(request: Request<Incoming>) -> hyper::Result<Response<Body>> {
    let path = request.uri().path().parse().expect("a value");
    let trailers = async {
        let trailers = [("grpc-status", "0"), ("x-trailer", "kept")];
        let trailers = trailers.map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, http::HeaderValue::from_static(value))
        });
        Some(Ok(HeaderMap::from_iter(trailers)))
    };
    let mut response = Response::new(request.into_body().with_trailers(trailers).boxed());
    let headers = response.headers_mut();
    headers.insert("content-type", "application/grpc".parse().expect("a value"));
    headers.insert("x-method", path);
    Ok(response)
}

/// What a pod that shouts says first.
pub(super) const GREETING: &[u8] = b"speak\n";

async fn shout(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    if stream.write_all(GREETING).await.is_err() {
        return;
    }
    let mut heard = [0; 64];
    while let Ok(length @ 1..) = stream.read(&mut heard).await {
        heard.make_ascii_uppercase();
        let heard = heard.get(..length).expect("as long as what was read");
        if stream.write_all(heard).await.is_err() {
            return;
        }
    }
}
