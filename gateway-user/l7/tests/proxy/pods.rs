//! Servers that play pods: they say who they are and what they were asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

/// A running pod; it ends when this is dropped.
pub(crate) struct Pod {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
    task: AbortHandle,
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

    async fn start<F, R>(answer: F) -> Self
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
                let (seen, answer) = (Arc::clone(&seen), answer.clone());
                connections.spawn(async move {
                    let counted = Arc::clone(&seen);
                    let service = service_fn(move |request| {
                        counted.requests.fetch_add(1, Ordering::SeqCst);
                        let answer = answer(request);
                        async move { Ok::<_, Infallible>(answer.await) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    let served = connection.serve_connection(TokioIo::new(stream), service);
                    drop(served.await);
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
