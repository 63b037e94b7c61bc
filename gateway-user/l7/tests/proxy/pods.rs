//! Servers that play pods: they say who they are and what they were asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// A running pod; it ends when this is dropped.
pub(crate) struct Pod {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
    task: AbortHandle,
}

/// What a pod speaks.
#[derive(Clone)]
enum Wire {
    Http1,
    Http2,
    Tls(TlsAcceptor),
}

#[derive(Default)]
struct Counts {
    requests: AtomicUsize,
    connections: AtomicUsize,
    open: AtomicUsize,
}

impl Pod {
    /// Answers each request with its own name, and with what it was asked in the body.
    pub(crate) async fn echo(name: &str) -> Self {
        let name = name.to_owned();
        Self::start(move |request| echo(name.clone(), request)).await
    }

    /// Like [`Pod::echo`], but each answer waits for a permit.
    pub(crate) async fn gated(name: &str, gate: Arc<Semaphore>) -> Self {
        let name = name.to_owned();
        Self::start(move |request| {
            let (name, gate) = (name.clone(), Arc::clone(&gate));
            async move {
                gate.acquire().await.expect("an open gate").forget();
                echo(name, request).await
            }
        })
        .await
    }

    /// Answers with a body that comes in pieces, each when the test sends it.
    pub(crate) async fn streaming() -> (Self, mpsc::Sender<&'static str>) {
        let (pieces, receiver) = mpsc::channel::<&'static str>(4);
        let receiver = Arc::new(tokio::sync::Mutex::new(Some(receiver)));
        let pod = Self::start(move |_request| {
            let receiver = Arc::clone(&receiver);
            async move {
                let receiver = receiver.lock().await.take().expect("one request");
                let frames = futures_util::stream::unfold(receiver, |mut receiver| async move {
                    let piece = receiver.recv().await?;
                    let frame = Frame::data(Bytes::from_static(piece.as_bytes()));
                    Some((Ok::<_, Infallible>(frame), receiver))
                });
                Response::new(BodyExt::boxed(StreamBody::new(frames)))
            }
        })
        .await;
        (pod, pieces)
    }

    /// Answers with these statuses, each after its delay, and then like [`Pod::echo`].
    pub(crate) async fn scripted(name: &str, script: Vec<(u16, Duration)>) -> Self {
        let script = Arc::new(parking_lot::Mutex::new(VecDeque::from(script)));
        let name = name.to_owned();
        Self::start(move |request| {
            let (name, next) = (name.clone(), script.lock().pop_front());
            async move {
                let mut response = echo(name, request).await;
                if let Some((status, delay)) = next {
                    tokio::time::sleep(delay).await;
                    *response.status_mut() = status.try_into().expect("a status");
                }
                response
            }
        })
        .await
    }

    /// Like [`Pod::echo`], in HTTP/2 with prior knowledge and nothing else.
    pub(crate) async fn h2c(name: &str) -> Self {
        let name = name.to_owned();
        Self::serve(Wire::Http2, move |request| echo(name.clone(), request)).await
    }

    /// Like [`Pod::echo`], in TLS.
    pub(crate) async fn tls(name: &str, config: rustls::ServerConfig) -> Self {
        let (name, wire) = (name.to_owned(), Wire::Tls(Arc::new(config).into()));
        Self::serve(wire, move |request| echo(name.clone(), request)).await
    }

    /// Speaks gRPC: answers with the request's body and trailers.
    pub(crate) async fn grpc(name: &str) -> Self {
        let name = name.to_owned();
        Self::serve(Wire::Http2, move |request| {
            let name = name.clone();
            async move {
                let te = request.headers().get("te").cloned();
                let trailers = async move {
                    let mut trailers = http::HeaderMap::new();
                    trailers.insert("grpc-status", "0".parse().expect("a value"));
                    trailers.extend(te.map(|te| (http::HeaderName::from_static("x-te"), te)));
                    Some(Ok(trailers))
                };
                let body = request
                    .into_body()
                    .map_err(|_| unreachable!("a whole body"));
                Response::builder()
                    .header("x-pod", name)
                    .header("content-type", "application/grpc")
                    .body(BodyExt::boxed(body.with_trailers(trailers)))
                    .expect("a response")
            }
        })
        .await
    }

    /// Answers each request, once it is whole, as it is told.
    pub(crate) async fn answering<F>(answer: F) -> Self
    where
        F: Fn(Request<Bytes>) -> Response<&'static str> + Clone + Send + Sync + 'static,
    {
        Self::start(move |request| {
            let answer = answer.clone();
            async move {
                let answer = answer(whole(request).await);
                answer.map(|text| Full::new(Bytes::from_static(text.as_bytes())).boxed())
            }
        })
        .await
    }

    /// Answers each call of gRPC with a message and the status 0; no message: it never answers.
    pub(crate) async fn calls<F>(answer: F) -> Self
    where
        F: Fn(&Request<Bytes>) -> Option<Vec<u8>> + Clone + Send + Sync + 'static,
    {
        Self::serve(Wire::Http2, move |request| {
            let answer = answer.clone();
            async move {
                let Some(message) = answer(&whole(request).await) else {
                    return std::future::pending().await;
                };
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().expect("a value"));
                let trailers = async move { Some(Ok(trailers)) };
                let body = Full::new(Bytes::from(message)).with_trailers(trailers);
                Response::builder()
                    .header("content-type", "application/grpc")
                    .body(BodyExt::boxed(body))
                    .expect("a response")
            }
        })
        .await
    }

    async fn start<F, R>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<BoxBody<Bytes, Infallible>>> + Send + 'static,
    {
        Self::serve(Wire::Http1, answer).await
    }

    async fn serve<F, R>(wire: Wire, answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<BoxBody<Bytes, Infallible>>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("an address");
        let counts = Arc::new(Counts::default());
        let seen = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                seen.connections.fetch_add(1, Ordering::SeqCst);
                seen.open.fetch_add(1, Ordering::SeqCst);
                let (seen, answer, wire) = (Arc::clone(&seen), answer.clone(), wire.clone());
                connections.spawn(async move {
                    let counted = Arc::clone(&seen);
                    let service = service_fn(move |request| {
                        counted.requests.fetch_add(1, Ordering::SeqCst);
                        let answer = answer(request);
                        async move { Ok::<_, Infallible>(answer.await) }
                    });
                    let executor = TokioExecutor::new();
                    match wire {
                        Wire::Http1 => {
                            let engine = hyper::server::conn::http1::Builder::new();
                            drop(engine.serve_connection(TokioIo::new(stream), service).await);
                        }
                        Wire::Http2 => {
                            let engine = hyper::server::conn::http2::Builder::new(executor);
                            drop(engine.serve_connection(TokioIo::new(stream), service).await);
                        }
                        Wire::Tls(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                let engine = auto::Builder::new(executor);
                                drop(engine.serve_connection(TokioIo::new(stream), service).await);
                            }
                        }
                    }
                    seen.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            address,
            counts,
            task: task.abort_handle(),
        }
    }

    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn open_connections(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn whole(request: Request<Incoming>) -> Request<Bytes> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("the body").to_bytes();
    Request::from_parts(parts, body)
}

async fn echo(name: String, request: Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
    let (parts, body) = request.into_parts();
    let mut text = format!("{} {} {:?}\n", parts.method, parts.uri, parts.version);
    let mut lines: Vec<String> = parts
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().expect("text")))
        .collect();
    lines.sort();
    text.extend(lines);
    let body = body.collect().await.expect("the body").to_bytes();
    text.push('\n');
    text.push_str(std::str::from_utf8(&body).expect("text"));
    Response::builder()
        .header("x-pod", name)
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .body(Full::new(Bytes::from(text)).boxed())
        .expect("a response")
}
